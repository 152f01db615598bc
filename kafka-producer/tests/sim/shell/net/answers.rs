//! Answers that are not the cluster's own, and what is seen in those that are.

use bytes::Bytes;
use kafka_wire::{
    ApiKey, ErrorCode, NodeId, PartitionId, ProducerEpoch, RequestHeader, decode_response,
    messages::{InitProducerIdResponse, MetadataResponse, ProduceRequest, ProduceResponse},
};

use super::{Refuse, State};
use crate::sim::oversize;

impl State {
    /// What a broker answers next that is not the cluster's own.
    pub(super) fn refusal(&mut self, node: NodeId) -> Option<Refuse> {
        let at = self.refusals.iter().position(|(at, _)| at.is_none_or(|at| at == node))?;
        self.refusals.remove(at).map(|(_, refuse)| refuse)
    }

    pub(super) fn arrived(&mut self, request: &ProduceRequest) {
        let Some(watch) = self.watch.clone() else { return };
        self.arrivals.add(&watch, request);
        let limit = self.plan.as_ref().map_or(usize::MAX, |plan| plan.max_request_size);
        if let Some(what) = oversize(request, limit) {
            watch.violate(format!("{what} (size)"));
        }
        // Partitions of which nothing was sent yet begin with another number.
        if let (Some(sequence @ 1..), Some(shared)) = (self.first_sequence.take(), watch.shared()) {
            shared.plane.look().sender.number_from(sequence);
        }
        self.check_leaders();
    }

    pub(super) fn note_leaders(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        for (topic, count) in &plan.topics {
            for partition in 0..*count {
                if let Some(led) = self.cluster.leader(topic, PartitionId(partition)) {
                    self.leaders.note(topic, partition, led);
                }
            }
        }
    }

    pub(super) fn check_leaders(&self) {
        if let Some(watch) = &self.watch {
            self.leaders.check(watch);
        }
    }

    /// Where nothing goes wrong, no broker finds a number out of order.
    pub(super) fn check_answer(&self, header: &RequestHeader, answer: &Bytes) {
        let (Some(watch), Some(_)) = (&self.watch, self.plan.as_ref().filter(|plan| plan.is_fair)) else {
            return;
        };
        let Some(body) = answer.get(4..).map(|body| answer.slice_ref(body)) else { return };
        let Ok((_, response)) = decode_response::<ProduceResponse>(&body, header.api_version) else { return };
        let mut codes =
            response.responses.iter().flat_map(|it| &it.partition_responses).map(|it| it.error_code);
        if codes.any(|code| code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) {
            watch
                .violate("nothing went wrong, and a broker finds a number out of order (numbers)".to_owned());
        }
    }

    /// An answer that is not the cluster's own.
    pub(super) fn distort(&mut self, header: &RequestHeader, answer: Bytes) -> Bytes {
        let Some(body) = answer.get(4..).map(|body| answer.slice_ref(body)) else { return answer };
        let version = header.api_version;
        match header.api_key {
            ApiKey::METADATA if self.recalls > 0 => {
                let Ok((id, mut response)) = decode_response::<MetadataResponse>(&body, version) else {
                    return answer;
                };
                self.recalls -= 1;
                for topic in &mut response.topics {
                    let Some(name) = &topic.name else { continue };
                    for partition in &mut topic.partitions {
                        let index = partition.partition_index.0;
                        if let Some(past) = self.leaders.any(name.as_str(), index, &mut self.rng) {
                            (partition.leader_id, partition.leader_epoch) = past;
                        }
                    }
                }
                kafka_wire::encode_response(&response, version, id).map_or(answer, |it| it.into_bytes())
            }
            ApiKey::INIT_PRODUCER_ID => {
                let Ok((id, mut response)) = decode_response::<InitProducerIdResponse>(&body, version) else {
                    return answer;
                };
                let Some(epoch @ 1..) = self.first_epoch.take() else { return answer };
                response.producer_epoch = ProducerEpoch(epoch);
                kafka_wire::encode_response(&response, version, id).map_or(answer, |it| it.into_bytes())
            }
            _ => answer,
        }
    }
}

/// An answer to Produce that says of what was appended that it was not, or may not have been.
pub(super) fn deny(header: &RequestHeader, answer: Bytes, code: ErrorCode) -> Bytes {
    let Some(body) = answer.get(4..).map(|body| answer.slice_ref(body)) else { return answer };
    let decoded = decode_response::<ProduceResponse>(&body, header.api_version);
    let Ok((id, mut response)) = decoded else { return answer };
    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
        if !partition.error_code.is_err() {
            (partition.error_code, partition.base_offset) = (code, -1);
        }
    }
    kafka_wire::encode_response(&response, header.api_version, id).map_or(answer, |it| it.into_bytes())
}
