//! DeleteTopics: topics that go.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::TopicName;
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    /// Asks the controller, or any broker to forward it, to delete topics.
    api DeleteTopics = 20, versions 1..=6, flexible 4;
    to Controller, listeners [Broker Controller], reply [always];

    request DeleteTopicsRequest {
        /// Instead of `topic_names`.
        [6..]    topics: Vec<DeleteTopicState>,
        [1..=5]  topic_names: Vec<TopicName>,
        [_]      timeout_ms: i32,
    }
    response DeleteTopicsResponse {
        [_]      throttle_time_ms: i32,
        [_]      responses: Vec<DeletableTopicResult>,
    }

    /// A topic by name, or by id (KIP-516).
    group DeleteTopicState {
        /// Null to name it by id.
        [6..]    name: Option<TopicName>,
        [6..]    topic_id: TopicId,
    }

    /// What became of a topic.
    group DeletableTopicResult {
        /// Null if an id is not known.
        [_, null 6..] name: Option<TopicName> = Some(TopicName::default()),
        [6..]         topic_id: TopicId,
        [_]           error_code: ErrorCode,
        [5..]         error_message: Option<String>,
    }
}
