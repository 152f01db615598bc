//! DeleteTopics.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::TopicName;
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    api DeleteTopics = 20, versions 1..=6, flexible 4;

    request DeleteTopicsRequest {
        [6..]    topics: Vec<DeleteTopicState>,
        [1..=5]  topic_names: Vec<TopicName>,
        [_]      timeout_ms: i32,
    }
    response DeleteTopicsResponse {
        [_]      throttle_time_ms: i32,
        [_]      responses: Vec<DeletableTopicResult>,
    }

    group DeleteTopicState {
        [6..]    name: Option<TopicName>,
        [6..]    topic_id: TopicId,
    }

    group DeletableTopicResult {
        [_, null 6..] name: Option<TopicName> = Some(TopicName::default()),
        [6..]         topic_id: TopicId,
        [_]           error_code: ErrorCode,
        [5..]         error_message: Option<String>,
    }
}
