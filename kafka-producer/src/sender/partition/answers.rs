//! What an answer to a batch, or the loss of one, makes of its partition.

use kafka_net::NetError;
use kafka_wire::{ErrorCode, NodeId, messages::PartitionProduceResponse};

use super::{
    super::{
        call::{LAST_BY_NAME, Part},
        disposition::{Disposition, Rule},
        ledger::Place,
        log::Event,
    },
    Cx, Partition,
};
use crate::{
    delivery::BatchResult,
    error::FailureKind,
    planted::{planted, slip},
};

impl Partition {
    /// A broker has answered for a batch. `hinted`: it named the leader, which is known by now.
    pub(in crate::sender) fn handle_answer(
        &mut self,
        node: NodeId,
        part: &Part,
        answer: &PartitionProduceResponse,
        (rule, hinted): (Rule, bool),
        cx: &mut Cx<'_>,
    ) {
        // An answer to an attempt that was given up for a newer one: the newer one's is waited for.
        let Some(at) = self.awaiting(part) else { return self.note_back(part, false) };
        let code = answer.error_code;
        if code.is_err() {
            self.note_attempt(at, node, Some(code), None, cx);
            let (topic, partition) = (part.topic.clone(), part.partition.0);
            cx.out.tell(Event::NotAcknowledged { topic, partition, node, code });
        }
        let idempotent = cx.identity.is_idempotent();
        let Some(entry) = self.ledger.entry_mut(at) else { return };
        entry.evidence.note_answer(rule.appended);
        let (doubt, attempts, count) = (entry.evidence.is_in_doubt(), entry.attempts, entry.count);
        let is_proven = entry.is_proven();
        let is_doubtful = self.ledger.is_doubtful(at, true);
        match rule.disposition {
            Disposition::Acknowledge => {
                self.acknowledge(at, answer.base_offset, answer.log_append_time_ms, cx);
            }
            Disposition::Duplicate if planted!(DuplicateIsFailure) => self.reject(at, answer, cx),
            Disposition::Duplicate => self.acknowledge(at, UNKNOWN_OFFSET, UNKNOWN_TIME, cx),
            Disposition::Retry => self.retry(at, hinted, cx),
            // With a doubt, the whole may be in the log already, or get there, and its parts would double it.
            Disposition::Split if count > 1 && (!(idempotent && is_doubtful) || planted!(SplitInDoubt)) => {
                self.split(at, cx);
            }
            // It was appended, and the broker has forgotten: it was restarted since.
            Disposition::OutOfOrder if is_proven => self.acknowledge(at, UNKNOWN_OFFSET, UNKNOWN_TIME, cx),
            Disposition::OutOfOrder if idempotent => {
                if self.ledger.settle_by_gap(at, cx.now) && at == 0 && !planted!(NoBumpAfterLoss) {
                    // Nothing of ours is missing before it: the broker forgot, or has numbers we gave up.
                    self.ledger.want_bump();
                }
                if self.ledger.take_loss() {
                    cx.out.note_loss(&self.topic, self.index);
                }
                self.retry(at, false, cx);
            }
            Disposition::Bump if idempotent && !doubt && attempts <= cx.settings.retries => {
                self.ledger.want_bump();
                self.retry(at, false, cx);
            }
            // This answer does not say what became of an earlier attempt. Another leader may know.
            Disposition::Bump if idempotent && doubt && code == ErrorCode::UNKNOWN_PRODUCER_ID => {
                self.retry(at, false, cx);
            }
            // Without numbers, a batch is refused for itself.
            Disposition::Fatal if idempotent => {
                cx.out.give_up_all(code, None);
                self.reject(at, answer, cx);
            }
            Disposition::Split
            | Disposition::OutOfOrder
            | Disposition::Bump
            | Disposition::Reject
            | Disposition::Fatal => {
                self.reject(at, answer, cx);
            }
        }
        while let Some(at) = self.ledger.overtaken() {
            self.fail(at, FailureKind::Rejected(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), None, cx);
        }
        self.settle(cx);
    }

    /// Whether the broker named the topic by no id.
    pub(in crate::sender) fn note_name(&mut self, is_by_name: bool) {
        self.is_by_name = is_by_name;
    }

    /// A request was written to which there is no answer: nobody will say more.
    pub(in crate::sender) fn handle_written(&mut self, part: &Part, cx: &mut Cx<'_>) {
        if let Some(at) = self.awaiting(part) {
            self.acknowledge(at, UNKNOWN_OFFSET, UNKNOWN_TIME, cx);
        }
    }

    /// A call came back without answer. Whether its batch is to be [sent again](Self::send_again), once what is known has been
    /// asked for anew.
    pub(in crate::sender) fn handle_unanswered(
        &mut self,
        node: NodeId,
        part: &Part,
        error: &NetError,
        cx: &mut Cx<'_>,
    ) -> bool {
        let Some(at) = self.awaiting(part) else {
            self.note_back(part, error.possibly_written());
            return false;
        };
        self.note_attempt(at, node, None, Some(error.to_string()), cx);
        if let Some(entry) = self.ledger.entry_mut(at).filter(|_| error.possibly_written()) {
            entry.evidence.note_lost(entry.sequence.is_some());
        }
        // What leads a partition knows Produce: the metadata is out of date, or the broker's configuration is.
        let is_no_leader = error.is_unknown_api();
        // A topic whose id is not known yet has to be named, which new brokers do not take.
        let is_nameless =
            part.topic_id.is_zero() && error.their_versions().is_some_and(|theirs| theirs.min > LAST_BY_NAME);
        let may_pass = is_no_leader || is_nameless;
        if !error.is_unsupported_version() || error.possibly_written() || may_pass {
            return true;
        }
        let answer = PartitionProduceResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            error_message: Some(error.to_string()),
            ..PartitionProduceResponse::default()
        };
        self.reject(at, &answer, cx);
        self.settle(cx);
        false
    }

    /// A batch whose call came back without answer is sent again.
    pub(in crate::sender) fn send_again(&mut self, part: &Part, cx: &mut Cx<'_>) {
        if let Some(at) = self.awaiting(part) {
            self.retry(at, false, cx);
        }
        self.settle(cx);
    }

    /// A response came that does not say what became of a batch.
    pub(in crate::sender) fn handle_silence(
        &mut self,
        node: NodeId,
        part: &Part,
        why: &str,
        cx: &mut Cx<'_>,
    ) {
        let Some(at) = self.awaiting(part) else { return self.note_back(part, false) };
        self.note_attempt(at, node, None, Some(why.to_owned()), cx);
        if let Some(entry) = self.ledger.entry_mut(at) {
            entry.evidence.note_silence();
        }
        self.retry(at, false, cx);
        self.settle(cx);
    }

    /// What nobody waited for any more came back.
    fn note_back(&mut self, part: &Part, is_lost: bool) {
        self.ledger.note_back(part.key, part.attempt, is_lost);
    }

    fn awaiting(&self, part: &Part) -> Option<usize> {
        if planted!(AnswerOfAnother) {
            return self.ledger.iter().position(|entry| matches!(entry.place, Place::InFlight { .. }));
        }
        self.ledger.awaiting(part.key, part.attempt)
    }

    fn acknowledge(&mut self, at: usize, base_offset: i64, log_append_time: i64, cx: &mut Cx<'_>) {
        self.note_on_its_way(at, cx);
        let Some(done) = self.ledger.acknowledge(at, base_offset, cx.now) else { return };
        slip!();
        if !done.is_in_place {
            cx.out.note_loss(&self.topic, self.index);
        }
        let log_append_time = (log_append_time >= 0).then_some(log_append_time);
        cx.out.counters.acknowledged(done.count, cx.now.saturating_duration_since(done.begun));
        let result = BatchResult::Acknowledged { base_offset, log_append_time };
        cx.out.resolve(done.outcome, done.batch, done.attempts, result);
        self.offer_more(cx);
    }

    /// Sends a batch again, after a while; or gives it up, out of retries.
    fn retry(&mut self, at: usize, at_once: bool, cx: &mut Cx<'_>) {
        let Some(entry) = self.ledger.entry(at) else { return };
        let attempts = entry.attempts;
        if attempts > cx.settings.retries {
            let code = entry.timeline.last().and_then(|attempt| attempt.code);
            // It is back: what is in doubt about it has been noted.
            self.ledger.requeue(at, cx.now);
            self.fail(at, FailureKind::Exhausted(code), None, cx);
            return;
        }
        // Two brokers that name each other as the leader are not asked in turn without a pause.
        let delay = cx.settings.retry_backoff.delay(attempts.saturating_sub(1), cx.rng);
        let at_once = at_once && self.ledger.may_hop(at);
        let from = if at_once || planted!(NoBackoff) { cx.now } else { cx.now + delay };
        self.ledger.requeue(at, from);
        self.offer(cx);
    }

    fn reject(&mut self, at: usize, answer: &PartitionProduceResponse, cx: &mut Cx<'_>) {
        self.fail(at, FailureKind::Rejected(answer.error_code), Some(answer), cx);
    }
}

const UNKNOWN_OFFSET: i64 = -1;
const UNKNOWN_TIME: i64 = -1;
