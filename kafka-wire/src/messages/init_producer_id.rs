//! InitProducerId.

use crate::error_code::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId, TransactionalId};
use crate::table::messages;

messages! {
    api InitProducerId = 22, versions 0..=5, flexible 2;

    request InitProducerIdRequest {
        [_]      transactional_id: Option<TransactionalId> = Some(TransactionalId::default()),
        [_]      transaction_timeout_ms: i32,
        [3..]    producer_id: ProducerId = ProducerId::NONE,
        [3..]    producer_epoch: ProducerEpoch = ProducerEpoch::NONE,
    }
    response InitProducerIdResponse {
        [_]      throttle_time_ms: i32,
        [_]      error_code: ErrorCode,
        [_]      producer_id: ProducerId = ProducerId::NONE,
        [_]      producer_epoch: ProducerEpoch,
    }
}
