//! Kafka's protocol messages and primitives: nom parsers, encoders, exact sizes.
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

pub mod api;
mod array;
mod blob;
mod error;
mod error_code;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod ids;
mod input;
pub mod messages;
mod num;
pub mod schema;
mod table;
mod tagged;
mod text;
mod uuid;
pub mod varint;
mod wire;

pub use api::{ALL, Api, ApiKey, VersionRange};
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
pub use text::MAX_TEXT_LEN;
pub use uuid::TopicId;
pub use wire::{Cx, Message, Nullable, Request, Response, Wire};
