//! Answers to Produce requests, and what time makes of batches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_net::{Answer, CallResult, NetError};
use kafka_wire::{
    ErrorCode, NodeId,
    messages::{PartitionProduceResponse, ProduceResponse},
};

use super::{
    Call, LaneId, OnItsWay, Reply, Resolution, Sealed, Sender, SplitJob,
    call::{LAST_BY_NAME, Part, ProduceCall},
    disposition::{Disposition, rule},
    ledger::Place,
    log::Event,
};
use crate::{
    delivery::{BatchResult, Outcome},
    error::{Failure, FailureKind, Persistence},
    planted::{planted, slip},
};

impl Sender {
    /// (B) A call came back. It may hold the last reference to a batch: drop it where no lock is held.
    pub(crate) fn handle_reply(
        &mut self,
        node: NodeId,
        call: &Call,
        result: CallResult<Reply>,
        now: Instant,
    ) {
        if self.is_torn_down {
            return;
        }
        match call {
            Call::Produce(call) => self.handle_produce(node, call, result, now),
            Call::Metadata(call) => self.handle_metadata(call, result, now),
            Call::InitProducerId { cluster_number } => {
                if self.is_of_now(*cluster_number) || planted!(NumbersOutliveCluster) {
                    self.handle_init_producer_id(node, result, now);
                }
            }
        }
    }

    fn handle_produce(&mut self, id: NodeId, call: &ProduceCall, result: CallResult<Reply>, now: Instant) {
        if !self.is_of_now(call.cluster_number) {
            // What it carried was given up with its cluster.
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.in_flight = node.in_flight.saturating_sub(1);
            node.heard = Some(now);
            node.stats.answered(result.is_ok(), now.saturating_duration_since(call.since));
        }
        match result {
            Ok(Answer::Reply { body: Reply::Produce(response), .. }) => {
                self.note_throttle(id, response.throttle_time_ms, now);
                self.handle_response(id, call, &response, now);
            }
            // Nobody will say more about a request with acks=0 than that it was written.
            Ok(Answer::Written) => {
                for part in &call.parts {
                    if let Some(at) = self.awaiting(part) {
                        self.acknowledge(part.lane, at, UNKNOWN_OFFSET, UNKNOWN_TIME, now);
                    }
                }
            }
            Ok(_) => debug_assert!(false, "a Produce call gets a Produce response"),
            Err(error) => {
                for part in &call.parts {
                    self.handle_unanswered(id, part, &error, now);
                }
            }
        }
    }

    /// A broker asked for a pause. The connection keeps it; here it is noted for those who ask why something took long.
    fn note_throttle(&mut self, id: NodeId, milliseconds: i32, now: Instant) {
        let time = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
        let Some(node) = self.nodes.get_mut(&id).filter(|_| !time.is_zero()) else { return };
        node.stats.throttled(time);
        if let Some(end) = now.checked_add(time) {
            node.throttled.push(Some(now), end);
        }
    }

    /// Tells each partition its own answer. A batch without one is as good as unanswered.
    fn handle_response(&mut self, id: NodeId, call: &ProduceCall, response: &ProduceResponse, now: Instant) {
        let hints = self.learn_leaders(call, response, now);
        let parts = &call.parts;
        let mut answered = std::mem::take(&mut self.answered);
        answered.clear();
        answered.resize(parts.len(), false);
        // Brokers answer in the order of the request: the search goes on where it stopped.
        let mut cursor = 0;
        for topic in &response.responses {
            for answer in &topic.partition_responses {
                let mut order = (0..parts.len()).map(|offset| (cursor + offset) % parts.len());
                let found = order.find(|&at| parts[at].answers(topic, answer.index));
                let Some(at) = found else { continue };
                cursor = at + 1;
                if let Some(partition) = self.partition_mut(parts[at].lane) {
                    partition.is_by_name = topic.topic_id.is_zero();
                }
                if !std::mem::replace(&mut answered[at], true) {
                    let hinted = hints.contains(&parts[at].lane);
                    self.handle_answer(id, &parts[at], answer, hinted, now);
                }
            }
        }
        for (part, _) in parts.iter().zip(&answered).filter(|(_, answered)| !**answered) {
            self.handle_silence(id, part, "the response does not mention the partition", now);
        }
        self.answered = answered;
    }

    fn handle_answer(
        &mut self,
        node: NodeId,
        part: &Part,
        answer: &PartitionProduceResponse,
        hinted: bool,
        now: Instant,
    ) {
        let rule = rule(answer.error_code);
        if rule.refresh && !hinted {
            self.request_refresh(now);
        }
        // An answer to an attempt that was given up for a newer one: the newer one's is waited for.
        let Some(at) = self.awaiting(part) else { return self.note_back(part, false) };
        let (code, lane) = (answer.error_code, part.lane);
        if code.is_err() {
            self.note_attempt(lane, at, node, now, Some(code), None);
            let (topic, partition) = (part.topic.clone(), part.partition.0);
            self.effects.events.push(Event::NotAcknowledged { topic, partition, node, code });
        }
        let idempotent = self.identity.is_idempotent();
        let Some(ledger) = self.partition_mut(lane).map(|partition| &mut partition.ledger) else { return };
        let Some(entry) = ledger.entry_mut(at) else { return };
        entry.evidence.note_answer(rule.appended);
        let (doubt, attempts, count) = (entry.evidence.is_in_doubt(), entry.attempts, entry.count);
        let is_proven = entry.is_proven();
        let is_doubtful = ledger.is_doubtful(at, true);
        match rule.disposition {
            Disposition::Acknowledge => {
                self.acknowledge(lane, at, answer.base_offset, answer.log_append_time_ms, now);
            }
            Disposition::Duplicate if planted!(DuplicateIsFailure) => self.reject(lane, at, answer, now),
            Disposition::Duplicate => self.acknowledge(lane, at, UNKNOWN_OFFSET, UNKNOWN_TIME, now),
            Disposition::Retry => self.retry(lane, at, hinted, now),
            // With a doubt, the whole may be in the log already, or get there, and its parts would double it.
            Disposition::Split if count > 1 && (!(idempotent && is_doubtful) || planted!(SplitInDoubt)) => {
                self.split(lane, at, now);
            }
            // It was appended, and the broker has forgotten: it was restarted since.
            Disposition::OutOfOrder if is_proven => {
                self.acknowledge(lane, at, UNKNOWN_OFFSET, UNKNOWN_TIME, now);
            }
            Disposition::OutOfOrder if idempotent => {
                if ledger.settle_by_gap(at, now) && at == 0 && !planted!(NoBumpAfterLoss) {
                    // Nothing of ours is missing before it: the broker forgot, or has numbers we gave up.
                    ledger.want_bump();
                }
                if ledger.take_loss() {
                    self.note_loss(lane);
                }
                self.retry(lane, at, false, now);
            }
            Disposition::Bump if idempotent && !doubt && attempts <= self.settings.retries => {
                self.want_bump(lane);
                self.retry(lane, at, false, now);
            }
            // This answer does not say what became of an earlier attempt. Another leader may know.
            Disposition::Bump if idempotent && doubt && code == ErrorCode::UNKNOWN_PRODUCER_ID => {
                self.retry(lane, at, false, now);
            }
            // Without numbers, a batch is refused for itself.
            Disposition::Fatal if idempotent => {
                self.give_up_all(code);
                self.reject(lane, at, answer, now);
            }
            Disposition::Split
            | Disposition::OutOfOrder
            | Disposition::Bump
            | Disposition::Reject
            | Disposition::Fatal => {
                self.reject(lane, at, answer, now);
            }
        }
        while let Some(at) = self.partition(lane).and_then(|partition| partition.ledger.overtaken()) {
            let kind = FailureKind::Rejected(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            self.fail(lane, at, kind, None, now);
        }
        self.settle(lane, now);
    }

    /// A call came back without answer.
    fn handle_unanswered(&mut self, node: NodeId, part: &Part, error: &NetError, now: Instant) {
        let Some(at) = self.awaiting(part) else {
            return self.note_back(part, error.possibly_written());
        };
        self.note_attempt(part.lane, at, node, now, None, Some(error.to_string()));
        if let (Some(partition), true) = (self.partition_mut(part.lane), error.possibly_written()) {
            if let Some(entry) = partition.ledger.entry_mut(at) {
                entry.evidence.note_lost(entry.sequence.is_some());
            }
        }
        // What leads a partition knows Produce: the metadata is out of date, or the broker's configuration is.
        let is_no_leader = error.is_unknown_api();
        // A topic whose id is not known yet has to be named, which new brokers do not take.
        let is_nameless =
            part.topic_id.is_zero() && error.their_versions().is_some_and(|theirs| theirs.min > LAST_BY_NAME);
        let may_pass = is_no_leader || is_nameless;
        if error.is_unsupported_version() && !error.possibly_written() && !may_pass {
            let answer = PartitionProduceResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION,
                error_message: Some(error.to_string()),
                ..PartitionProduceResponse::default()
            };
            self.reject(part.lane, at, &answer, now);
        } else {
            self.request_refresh(now);
            self.retry(part.lane, at, false, now);
        }
        self.settle(part.lane, now);
    }

    /// A response came that does not say what became of a batch.
    fn handle_silence(&mut self, node: NodeId, part: &Part, why: &str, now: Instant) {
        let Some(at) = self.awaiting(part) else { return self.note_back(part, false) };
        self.note_attempt(part.lane, at, node, now, None, Some(why.to_owned()));
        if let Some(entry) = self.partition_mut(part.lane).and_then(|it| it.ledger.entry_mut(at)) {
            entry.evidence.note_silence();
        }
        self.retry(part.lane, at, false, now);
        self.settle(part.lane, now);
    }

    /// What nobody waited for any more came back.
    fn note_back(&mut self, part: &Part, is_lost: bool) {
        if let Some(partition) = self.partition_mut(part.lane) {
            partition.ledger.note_back(part.key, part.attempt, is_lost);
        }
    }

    fn awaiting(&self, part: &Part) -> Option<usize> {
        let ledger = &self.partition(part.lane)?.ledger;
        if planted!(AnswerOfAnother) {
            return ledger.iter().position(|entry| matches!(entry.place, Place::InFlight { .. }));
        }
        ledger.awaiting(part.key, part.attempt)
    }

    fn acknowledge(&mut self, lane: LaneId, at: usize, base_offset: i64, log_append_time: i64, now: Instant) {
        self.note_on_its_way(lane, at);
        let Some(partition) = self.partition_mut(lane) else { return };
        let Some(done) = partition.ledger.acknowledge(at, base_offset, now) else { return };
        slip!();
        if !done.is_in_place {
            self.note_loss(lane);
        }
        let log_append_time = (log_append_time >= 0).then_some(log_append_time);
        self.counters.acknowledged(done.count, now.saturating_duration_since(done.begun));
        let result = BatchResult::Acknowledged { base_offset, log_append_time };
        self.resolve(done.outcome, done.batch, done.attempts, result);
        self.offer_more(lane);
    }

    /// A leader lacks what was acknowledged before: nobody can bring that back, but somebody should know.
    fn note_loss(&mut self, lane: LaneId) {
        let Some(partition) = self.partition(lane) else { return };
        let (topic, partition) = (partition.topic.clone(), partition.partition);
        self.counters.losses += 1;
        if self.log.take() {
            self.effects.events.push(Event::Lost { topic, partition });
        }
    }

    /// Sends a batch again, after a while; or gives it up, out of retries.
    fn retry(&mut self, lane: LaneId, at: usize, at_once: bool, now: Instant) {
        let Some(entry) = self.partition(lane).and_then(|it| it.ledger.entry(at)) else { return };
        let attempts = entry.attempts;
        if attempts > self.settings.retries {
            let code = entry.timeline.last().and_then(|attempt| attempt.code);
            if let Some(partition) = self.partition_mut(lane) {
                // It is back: what is in doubt about it has been noted.
                partition.ledger.requeue(at, now);
            }
            self.fail(lane, at, FailureKind::Exhausted(code), None, now);
            return;
        }
        // Two brokers that name each other as the leader are not asked in turn without a pause.
        let delay = self.settings.retry_backoff.delay(attempts.saturating_sub(1), &mut self.rng);
        if let Some(partition) = self.partition_mut(lane) {
            let at_once = at_once && partition.ledger.may_hop(at);
            let from = if at_once || planted!(NoBackoff) { now } else { now + delay };
            partition.ledger.requeue(at, from);
        }
        self.offer(lane);
    }

    fn reject(&mut self, lane: LaneId, at: usize, answer: &PartitionProduceResponse, now: Instant) {
        self.fail(lane, at, FailureKind::Rejected(answer.error_code), Some(answer), now);
    }

    /// Gives a batch up.
    pub(super) fn fail(
        &mut self,
        lane: LaneId,
        at: usize,
        kind: FailureKind,
        answer: Option<&PartitionProduceResponse>,
        now: Instant,
    ) {
        let rest = self.last_wait(lane, at, now);
        let Some(partition) = self.partition_mut(lane) else { return };
        let (topic, index) = (partition.topic.clone(), partition.partition);
        let doubt = partition.ledger.is_doubtful(at, answer.is_some());
        self.note_on_its_way(lane, at);
        let Some(partition) = self.partition_mut(lane) else { return };
        let Some(mut entry) = partition.ledger.give_up(at, answer.is_some()) else { return };
        slip!();
        let persistence = match doubt {
            // Where it is in the log, that log may be gone.
            _ if kind == FailureKind::ClusterChanged => Persistence::PossiblyPersisted,
            _ if entry.is_proven() => Persistence::Persisted,
            true => Persistence::PossiblyPersisted,
            false => Persistence::NotPersisted,
        };
        let mut failure = Failure::new(topic, index, kind, persistence);
        failure.size = entry.size;
        failure.timeline = std::mem::take(&mut entry.timeline);
        failure.timeline.end(now.saturating_duration_since(entry.begun), rest);
        if self.fatal.is_some_and(|code| kind == FailureKind::Rejected(code)) {
            failure.message = self.fatal_reason.as_deref().map(str::to_owned);
        }
        failure.change = self.change_for(kind);
        if let Some(answer) = answer {
            failure.message.clone_from(&answer.error_message);
            let errors = answer.record_errors.iter();
            failure.records =
                errors.map(|it| (it.batch_index, it.batch_index_error_message.clone())).collect();
        }
        let records = entry.count;
        if self.log.take() {
            let topic = failure.topic.clone();
            let event = Event::GivenUp { topic, partition: index, records, reason: kind, persistence };
            self.effects.events.push(event);
        }
        self.counters.failed += u64::from(entry.count);
        self.resolve(entry.outcome, entry.batch, entry.attempts, BatchResult::Failed(Arc::new(failure)));
        self.offer_more(lane);
    }

    fn resolve(&mut self, outcome: Arc<Outcome>, batch: Option<Sealed>, attempts: u32, result: BatchResult) {
        self.unresolved = self.unresolved.saturating_sub(1);
        if planted!(MemoryKept) && attempts > 1 {
            std::mem::forget(batch.clone());
        }
        if planted!(ResolveTwice) && attempts > 1 {
            let result = BatchResult::Acknowledged { base_offset: UNKNOWN_OFFSET, log_append_time: None };
            self.effects.resolved.push(Resolution { outcome: Arc::clone(&outcome), result });
        }
        self.effects.released.extend(batch);
        self.effects.resolved.push(Resolution { outcome, result });
        self.on_its_way = None;
    }

    /// A batch is about to leave its ledger.
    fn note_on_its_way(&mut self, lane: LaneId, at: usize) {
        let Some(entry) = self.partition(lane).and_then(|it| it.ledger.entry(at)) else { return };
        let may_be_written = entry.attempts > 0 || entry.evidence.is_in_doubt();
        let (outcome, count) = (Arc::clone(&entry.outcome), entry.count);
        self.on_its_way = Some(OnItsWay { outcome, count, may_be_written });
    }

    /// A batch left the ledger: those behind it may have waited for that, and the lane may give one more.
    pub(super) fn offer_more(&mut self, lane: LaneId) {
        let Some(partition) = self.partition(lane) else { return };
        if partition.ledger.iter().any(|entry| matches!(entry.place, Place::Waiting(_))) {
            self.offer(lane);
        } else if let Some(leader) = partition.leader {
            self.effects.wake(leader);
        }
    }

    fn want_bump(&mut self, lane: LaneId) {
        if let Some(partition) = self.partition_mut(lane) {
            partition.ledger.want_bump();
        }
    }

    /// Hands a batch out to be made smaller.
    fn split(&mut self, lane: LaneId, at: usize, now: Instant) {
        let idempotent = self.identity.is_idempotent();
        let Some(partition) = self.partition_mut(lane) else { return };
        if idempotent {
            // Its numbers reached a broker: its parts get others, under the next epoch.
            partition.ledger.want_bump();
        }
        let Some(entry) = partition.ledger.entry_mut(at) else { return };
        let Some(batch) = entry.batch.take() else { return };
        entry.place = Place::Splitting;
        let key = entry.key;
        let (topic, partition) = (partition.topic.clone(), partition.partition);
        self.effects.events.push(Event::Splitting { topic, partition });
        self.effects.splits.push(SplitJob { lane, key, batch });
        self.counters.splits += 1;
        self.settle(lane, now);
    }

    /// (B) A batch was split. Its parts take its place.
    pub(crate) fn handle_split(&mut self, lane: LaneId, key: u64, parts: Vec<Sealed>, now: Instant) {
        let Some(partition) = self.partition_mut(lane) else { return };
        let whole = partition.ledger.find(key).and_then(|at| partition.ledger.entry(at));
        let Some(whole) = whole.map(|entry| Arc::clone(&entry.outcome)) else {
            // Given up meanwhile, the parts with it.
            self.effects.released.extend(parts);
            return;
        };
        let (mut first, mut children) = (0, Vec::new());
        for part in &parts {
            let told = if planted!(SplitOffsets) { &parts[0] } else { part };
            children.push((first, Arc::clone(told.tag())));
            first += part.count();
        }
        let entries = parts
            .into_iter()
            .map(|batch| (Arc::clone(batch.tag()), batch.count(), batch.predicted_size(), batch));
        let entries: Vec<_> = entries.collect();
        let added = entries.len().saturating_sub(1);
        let at = partition.ledger.find(key).unwrap_or_default();
        self.note_on_its_way(lane, at);
        let Some(partition) = self.partition_mut(lane) else { return };
        partition.ledger.replace(key, entries, now);
        slip!();
        self.unresolved += added;
        self.effects
            .resolved
            .push(Resolution { outcome: whole, result: BatchResult::Split(children.into_boxed_slice()) });
        self.on_its_way = None;
        self.offer(lane);
    }
}

const UNKNOWN_OFFSET: i64 = -1;
const UNKNOWN_TIME: i64 = -1;
