//! InitProducerId: an identity for a producer.

use crate::error_code::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId, TransactionalId};
use crate::table::messages;

messages! {
    /// Asks for a producer id and an epoch; a transactional id gets its own back, and fences who had it before.
    api InitProducerId = 22, versions 0..=5, flexible 2;
    to Coordinator, listeners [Broker], reply [always];

    /// Version 6 (KIP-939) is not stable yet.
    request InitProducerIdRequest {
        /// Null for a producer without transactions.
        [_]      transactional_id: Option<TransactionalId> = Some(TransactionalId::default()),
        /// After it the coordinator aborts what is not committed.
        [_]      transaction_timeout_ms: i32,
        /// The id to bump the epoch of (KIP-360); [`ProducerId::NONE`] for a new one.
        [3..]    producer_id: ProducerId = ProducerId::NONE,
        /// The epoch to bump.
        [3..]    producer_epoch: ProducerEpoch = ProducerEpoch::NONE,
    }
    response InitProducerIdResponse {
        [_]      throttle_time_ms: i32,
        [_]      error_code: ErrorCode,
        [_]      producer_id: ProducerId = ProducerId::NONE,
        [_]      producer_epoch: ProducerEpoch,
    }
}
