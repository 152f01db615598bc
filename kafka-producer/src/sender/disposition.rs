//! What an error code in a Produce response makes us do: one table.

use kafka_wire::ErrorCode;

/// What an answer for a batch makes us do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It is written.
    Acknowledge,
    /// It was written by an earlier attempt, and the broker does not say where.
    Duplicate,
    /// Send it again.
    Retry,
    /// Make several of it; a single record is given up.
    Split,
    /// The broker expects another sequence: behind a failed head that is no wonder; at the head, bump.
    OutOfOrder,
    /// The broker does not accept producer id or epoch: bump.
    Bump,
    /// Give the batch up.
    Reject,
    /// Give the batch up, and everything else too: no later batch can fare better.
    Fatal,
}

/// Whether an answer proves that the attempt it answers was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// The broker refused before it appended.
    No,
    /// The broker may have appended before it met the error: a batch that waits for its replicas gets the code of
    /// whatever ends the wait.
    Maybe,
    /// It is in the log.
    Yes,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) disposition: Disposition,
    pub(super) appended: Appended,
    /// Whether what we know of the cluster is out of date.
    pub(super) refresh: bool,
}

/// What to do about a code. Codes without a row are retried if their class says so, else the batch is given up;
/// in both cases nothing is proven.
pub(super) fn rule(code: ErrorCode) -> Rule {
    match TABLE.iter().find(|(listed, ..)| *listed == code) {
        Some(&(_, disposition, appended)) => {
            Rule { disposition, appended, refresh: code.is_invalid_metadata() }
        }
        None => Rule {
            disposition: if code.is_retriable() { Retry } else { Reject },
            appended: Maybe,
            refresh: code.is_invalid_metadata(),
        },
    }
}

use Appended::{Maybe, No, Yes};
use Disposition::{Acknowledge, Bump, Duplicate, Fatal, OutOfOrder, Reject, Retry, Split};

const TABLE: &[(ErrorCode, Disposition, Appended)] = &[
    (ErrorCode::NONE, Acknowledge, Yes),
    (ErrorCode::DUPLICATE_SEQUENCE_NUMBER, Duplicate, Yes),
    // The checksum is verified before anything is written.
    (ErrorCode::CORRUPT_MESSAGE, Retry, No),
    // Also the answer to a batch that waited for its replicas while the partition went away.
    (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Retry, Maybe),
    (ErrorCode::LEADER_NOT_AVAILABLE, Retry, Maybe),
    (ErrorCode::NOT_LEADER_OR_FOLLOWER, Retry, Maybe),
    (ErrorCode::REQUEST_TIMED_OUT, Retry, Maybe),
    (ErrorCode::REPLICA_NOT_AVAILABLE, Retry, Maybe),
    (ErrorCode::NETWORK_EXCEPTION, Retry, Maybe),
    (ErrorCode::NOT_ENOUGH_REPLICAS, Retry, No),
    (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, Retry, Maybe),
    // The log directory failed, perhaps in the middle of the write.
    (ErrorCode::KAFKA_STORAGE_ERROR, Retry, Maybe),
    (ErrorCode::FENCED_LEADER_EPOCH, Retry, Maybe),
    (ErrorCode::UNKNOWN_LEADER_EPOCH, Retry, Maybe),
    (ErrorCode::THROTTLING_QUOTA_EXCEEDED, Retry, No),
    // Topic ids (KIP-516) are resolved before anything else.
    (ErrorCode::UNKNOWN_TOPIC_ID, Retry, No),
    (ErrorCode::INCONSISTENT_TOPIC_ID, Retry, No),
    (ErrorCode::MESSAGE_TOO_LARGE, Split, No),
    // This attempt was not appended. What that says of earlier ones: see `Ledger::settle_by_gap`.
    (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, OutOfOrder, No),
    (ErrorCode::UNKNOWN_PRODUCER_ID, Bump, No),
    (ErrorCode::INVALID_PRODUCER_EPOCH, Bump, No),
    (ErrorCode::UNKNOWN_SERVER_ERROR, Reject, Maybe),
    (ErrorCode::INVALID_TOPIC_EXCEPTION, Reject, No),
    (ErrorCode::RECORD_LIST_TOO_LARGE, Reject, No),
    (ErrorCode::INVALID_REQUIRED_ACKS, Reject, No),
    (ErrorCode::TOPIC_AUTHORIZATION_FAILED, Reject, No),
    (ErrorCode::INVALID_TIMESTAMP, Reject, No),
    (ErrorCode::INVALID_REQUEST, Reject, No),
    (ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT, Reject, No),
    (ErrorCode::POLICY_VIOLATION, Reject, No),
    (ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, Reject, No),
    (ErrorCode::INVALID_RECORD, Reject, No),
    (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, Fatal, No),
    (ErrorCode::UNSUPPORTED_VERSION, Fatal, No),
    (ErrorCode::PRODUCER_FENCED, Fatal, No),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_retriable_code_is_retried_and_no_other_one_is() {
        for number in -1..=133 {
            let code = ErrorCode(number);
            let retried = rule(code).disposition == Retry;
            assert_eq!(retried, code.is_retriable(), "{code}");
        }
    }

    #[test]
    fn an_unknown_code_gives_up_and_proves_nothing() {
        let rule = rule(ErrorCode(999));
        assert_eq!((rule.disposition, rule.appended, rule.refresh), (Reject, Maybe, false));
    }

    #[test]
    fn no_code_has_two_rows() {
        for (at, (code, ..)) in TABLE.iter().enumerate() {
            assert!(TABLE[at + 1..].iter().all(|(other, ..)| other != code), "{code}");
        }
    }
}
