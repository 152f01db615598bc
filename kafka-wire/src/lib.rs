//! Kafka's protocol messages and primitives: nom parsers, encoders, exact sizes.
//!
//! Bytes in, values out, and back: no sockets, no clock, no std. Take it to write a client, a proxy, a test broker or
//! a packet dissector; what it pulls in is `bytes` and `nom`.
//!
//! ```
//! use bytes::BytesMut;
//! use kafka_wire::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
//! use kafka_wire::{CorrelationId, TopicName, decode_response, encode_request, encode_response, frame};
//!
//! // A frame to send: hand its segments, a `bytes::Buf`, to a socket.
//! let topic = MetadataRequestTopic { name: Some(TopicName::from("orders")), ..Default::default() };
//! let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
//! let version = 12;
//! let segments = encode_request(&request, version, CorrelationId(7), Some("front-page"))?.into_segments();
//! assert!(segments.slices().next().is_some());
//!
//! // What comes back is read into a buffer and taken off it frame by frame.
//! let answer = encode_response(&MetadataResponse::default(), version, CorrelationId(7))?.into_bytes();
//! let mut read = BytesMut::from(&answer[..10]);
//! assert_eq!(frame::split(&mut read, 1 << 20)?, None);
//! read.extend_from_slice(&answer[10..]);
//! let frame = frame::split(&mut read, 1 << 20)?.expect("it is whole now");
//! let (correlation_id, response) = decode_response::<MetadataResponse>(&frame, version)?;
//! assert_eq!(correlation_id, CorrelationId(7));
//! assert!(response.topics.is_empty());
//! # Ok::<(), kafka_wire::WireError>(())
//! ```
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | [`messages`] | a structure for each message and group of fields, of all APIs |
//! | [`encode_request`], [`decode_response`] | whole frames, for clients |
//! | [`decode_request_header`], [`decode_request`], [`encode_response`] | whole frames, for brokers |
//! | [`frame`] | writing frames without copying record batches; finding them in what was read |
//! | [`Wire`], [`Message`] | the traits of whatever has bytes; of bodies |
//! | [`ErrorCode`], [`ApiKey`] | Kafka's tables of errors and APIs |
//! | [`registry`], [`schema`] | all of it as data: every API, message and field |
//! | [`varint`] | integers of variable length, which records have too |
//!
//! # Promises
//!
//! - Every version of a message, from the oldest to the newest that is stable, reads and writes what Kafka's own
//!   classes do, defaults and nulls included.
//! - A field that a version does not have is read as its default, and not written.
//! - [`Wire::size`] is the length of what [`Wire::encode`] appends.
//! - Bytes from a stranger cannot make it panic, nor allocate more than a constant times their length.
//! - Record batches are never copied: they are lent from the frame that was read, and spliced into the one to write.
//!
//! # Features
//!
//! `std` (off): [`Segments`] fill the slices of a vectored write. Everything else is `no_std` with `alloc`.
#![no_std]
#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod api;
mod array;
mod blob;
mod error;
mod error_code;
pub mod frame;
#[cfg(test)]
#[path = "../tests/fuzzing/mod.rs"]
mod fuzzed;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod ids;
mod input;
mod message;
pub mod messages;
mod num;
pub mod registry;
pub mod schema;
mod table;
mod tagged;
mod text;
mod uuid;
pub mod varint;
mod versions;
mod wire;

pub use api::ApiKey;
pub use blob::Records;
pub use error::{WireError, WireErrorKind};
pub use error_code::ErrorCode;
pub use frame::{FrameBuf, Segments};
pub use header::{
    RequestHeader, ResponseHeader, decode_body, decode_correlation_id, decode_request, decode_request_header,
    decode_response, encode_body, encode_request, encode_response,
};
pub use ids::{
    Acks, CorrelationId, NodeId, PartitionId, ProducerEpoch, ProducerId, TopicName, TransactionalId,
};
pub use input::Input;
pub use message::{Destination, Listener, Message, Request, Response};
pub use registry::{ALL, Api};
pub use text::MAX_TEXT_LEN;
pub use uuid::TopicId;
pub use versions::VersionRange;
pub use wire::{Cx, Nullable, Wire};
