//! The names of Java's exceptions for what went wrong: whoever reads Kafka's tool may look for them.

use kafka_producer::{DeliveryError, ErrorCode, SendError};

/// For a record that was not accepted.
pub(super) fn of_send(error: &SendError) -> String {
    if error.is_no_room() {
        return "class org.apache.kafka.clients.producer.BufferExhaustedException".to_owned();
    }
    if error.is_timeout() {
        return errors("Timeout");
    }
    if error.is_too_large() {
        return errors("RecordTooLarge");
    }
    if error.is_closed() {
        return "class java.lang.IllegalStateException".to_owned();
    }
    error.code().map_or_else(|| KAFKA_EXCEPTION.to_owned(), of_code)
}

/// For a record that was not acknowledged.
pub(super) fn of_delivery(error: &DeliveryError) -> String {
    if error.is_timeout() {
        return errors("Timeout");
    }
    if error.is_aborted() {
        return KAFKA_EXCEPTION.to_owned();
    }
    // Without an answer, the connection ended.
    error.code().map_or_else(|| errors("Network"), of_code)
}

/// For what a broker said. The names are those of the codes, with exceptions: here are those that a producer may meet.
fn of_code(code: ErrorCode) -> String {
    match code {
        ErrorCode::CORRUPT_MESSAGE => errors("CorruptRecord"),
        ErrorCode::REQUEST_TIMED_OUT => errors("Timeout"),
        ErrorCode::MESSAGE_TOO_LARGE => errors("RecordTooLarge"),
        ErrorCode::RECORD_LIST_TOO_LARGE => errors("RecordBatchTooLarge"),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => errors("TopicAuthorization"),
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => errors("ClusterAuthorization"),
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => errors("TransactionalIdAuthorization"),
        ErrorCode::SASL_AUTHENTICATION_FAILED => errors("SaslAuthentication"),
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => errors("OutOfOrderSequence"),
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => errors("DuplicateSequence"),
        ErrorCode::INVALID_PRODUCER_ID_MAPPING => errors("InvalidPidMapping"),
        ErrorCode::KAFKA_STORAGE_ERROR => errors("KafkaStorage"),
        code => {
            // A code without a name counts as an unknown error of the server.
            let name = code.name();
            let words =
                name.strip_suffix("_EXCEPTION").or_else(|| name.strip_suffix("_ERROR")).unwrap_or(name);
            errors(&camel_case(words))
        }
    }
}

fn errors(name: &str) -> String {
    format!("class org.apache.kafka.common.errors.{name}Exception")
}

fn camel_case(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for word in words.split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        text.push_str(first);
        text.push_str(&rest.to_ascii_lowercase());
    }
    text
}

const KAFKA_EXCEPTION: &str = "class org.apache.kafka.common.KafkaException";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_that_java_has_for_them() {
        // From `org.apache.kafka.common.protocol.Errors` of Kafka 4.3.1: every code that an answer to Produce, Metadata or
        // InitProducerId can bear.
        let names = "
            -1 UnknownServerException
            2 CorruptRecordException
            3 UnknownTopicOrPartitionException
            5 LeaderNotAvailableException
            6 NotLeaderOrFollowerException
            7 TimeoutException
            10 RecordTooLargeException
            13 NetworkException
            14 CoordinatorLoadInProgressException
            15 CoordinatorNotAvailableException
            16 NotCoordinatorException
            17 InvalidTopicException
            18 RecordBatchTooLargeException
            19 NotEnoughReplicasException
            20 NotEnoughReplicasAfterAppendException
            21 InvalidRequiredAcksException
            29 TopicAuthorizationException
            31 ClusterAuthorizationException
            32 InvalidTimestampException
            35 UnsupportedVersionException
            42 InvalidRequestException
            43 UnsupportedForMessageFormatException
            44 PolicyViolationException
            45 OutOfOrderSequenceException
            46 DuplicateSequenceException
            47 InvalidProducerEpochException
            49 InvalidPidMappingException
            53 TransactionalIdAuthorizationException
            56 KafkaStorageException
            58 SaslAuthenticationException
            59 UnknownProducerIdException
            74 FencedLeaderEpochException
            75 UnknownLeaderEpochException
            76 UnsupportedCompressionTypeException
            87 InvalidRecordException
            89 ThrottlingQuotaExceededException
            90 ProducerFencedException
            100 UnknownTopicIdException
            103 InconsistentTopicIdException
            999 UnknownServerException";
        for line in names.lines().filter(|line| !line.trim().is_empty()) {
            let (number, name) = line.trim().split_once(' ').unwrap();
            let code = ErrorCode(number.parse().unwrap());
            assert_eq!(of_code(code), format!("class org.apache.kafka.common.errors.{name}"), "{code}");
        }
    }
}
