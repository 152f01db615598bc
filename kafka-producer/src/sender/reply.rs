//! Answers to Produce requests: each partition is told its own.

use std::time::Instant;

use kafka_net::{Answer, CallResult};
use kafka_wire::{NodeId, messages::ProduceResponse};

use super::{
    Call, LaneId, Reply, Sealed, Sender,
    call::{Part, ProduceCall},
    disposition::rule,
    outbox::Link,
};
use crate::planted::planted;

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
            Call::Produce(call) => self.handle_produce(Link::to(node), call, result, now),
            Call::Metadata(call) => self.handle_metadata(call, result, now),
            Call::InitProducerId { cluster_number } => {
                if self.routes.is_of_now(*cluster_number) || planted!(NumbersOutliveCluster) {
                    self.handle_init_producer_id(node, &result, now);
                }
            }
        }
    }

    fn handle_produce(&mut self, link: Link, call: &ProduceCall, result: CallResult<Reply>, now: Instant) {
        if !self.routes.is_of_now(call.cluster_number) {
            // What it carried was given up with its cluster.
            return;
        }
        self.outbox.note_reply(link, result.is_ok(), call.since, now);
        match result {
            Ok(Answer::Reply { body: Reply::Produce(response), .. }) => {
                self.outbox.note_throttle(link.node, response.throttle_time_ms, now);
                self.handle_response(link.node, call, &response, now);
            }
            // Nobody will say more about a request with acks=0 than that it was written.
            Ok(Answer::Written) => {
                let (partitions, mut cx) = self.rooms(now);
                for part in &call.parts {
                    if let Some(partition) = partitions.of_mut(part.lane) {
                        partition.handle_written(part, &mut cx);
                    }
                }
            }
            Ok(_) => debug_assert!(false, "a Produce call gets a Produce response"),
            Err(error) => {
                for part in &call.parts {
                    let Some((partition, mut cx)) = self.partition(part.lane, now) else { continue };
                    if partition.handle_unanswered(link.node, part, &error, &mut cx) {
                        self.refresh_and_send_again(part, now);
                    }
                }
            }
        }
    }

    /// A batch came back without answer: its leader may be another one by now, which has to be asked for before it is sent again.
    fn refresh_and_send_again(&mut self, part: &Part, now: Instant) {
        self.request_refresh(now);
        if let Some((partition, mut cx)) = self.partition(part.lane, now) {
            partition.send_again(part, &mut cx);
        }
    }

    /// Tells each partition its own answer. A batch without one is as good as unanswered.
    fn handle_response(
        &mut self,
        node: NodeId,
        call: &ProduceCall,
        response: &ProduceResponse,
        now: Instant,
    ) {
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
                let (part, rule) = (&parts[at], rule(answer.error_code));
                let is_first = !std::mem::replace(&mut answered[at], true);
                let hinted = is_first && hints.contains(&part.lane);
                if is_first && rule.refresh && !hinted {
                    self.request_refresh(now);
                }
                let Some((partition, mut cx)) = self.partition(part.lane, now) else { continue };
                partition.note_name(topic.topic_id.is_zero());
                if is_first {
                    partition.handle_answer(node, part, answer, (rule, hinted), &mut cx);
                }
            }
        }
        let (partitions, mut cx) = self.rooms(now);
        for (part, _) in parts.iter().zip(&answered).filter(|(_, answered)| !**answered) {
            if let Some(partition) = partitions.of_mut(part.lane) {
                let why = "the response does not mention the partition";
                partition.handle_silence(node, part, why, &mut cx);
            }
        }
        self.answered = answered;
    }

    /// (B) A batch was split. Its parts take its place.
    pub(crate) fn handle_split(&mut self, lane: LaneId, key: u64, parts: Vec<Sealed>, now: Instant) {
        if let Some((partition, mut cx)) = self.partition(lane, now) {
            partition.handle_split(key, parts, &mut cx);
        }
    }
}
