//! InitProducerId: a fresh producer id for an idempotent producer.

use kafka_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};
use kafka_wire::{ErrorCode, ProducerEpoch};

use crate::state::Cluster;

pub(super) fn answer(cluster: &mut Cluster, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    match &request.transactional_id {
        // Without a transaction the id and epoch in the request have no meaning: a client that has used up its epochs
        // gets a new id.
        None => InitProducerIdResponse {
            producer_id: cluster.next_producer_id(),
            producer_epoch: ProducerEpoch(0),
            ..Default::default()
        },
        // An empty id is refused by brokers, too.
        Some(id) if id.as_str().is_empty() => failed(ErrorCode::INVALID_REQUEST),
        // There is no transaction coordinator. This code is final for every client.
        Some(_) => failed(ErrorCode::UNSUPPORTED_VERSION),
    }
}

fn failed(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_epoch: ProducerEpoch::NONE, ..Default::default() }
}
