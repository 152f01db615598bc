//! [`Call`]: a request on its way to a broker, and what comes back for it.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::{ApiKey, CorrelationId, FrameBuf, VersionRange, WireError};

use crate::error::NetError;

/// A request that a [`Connection`](crate::Connection) carries, together with whatever its owner needs to go on
/// once it is answered.
///
/// A call is moved into the connection and comes back whole, exactly once: with its reply, or with an error that
/// says whether a byte of it may have been written. A program with several kinds of requests makes an enum of them
/// and implements this for the enum, each arm a call of [`kafka_wire::encode_request`] and of
/// [`kafka_wire::decode_response`].
pub trait Call {
    /// The decoded answer.
    type Reply;

    /// Which API is called.
    fn api_key(&self) -> ApiKey;

    /// The versions in which this very request can be written. Narrower than what the crate knows of the API when
    /// the request's content asks for it, for instance a topic id that a broker did not give us.
    fn versions(&self) -> VersionRange;

    /// Writes the frame, length included, in the given version, which lies in [`versions`](Self::versions). Called
    /// at most once.
    ///
    /// # Errors
    /// The content does not fit the version; the call then comes back with an error, unwritten.
    fn encode(
        &mut self,
        version: i16,
        correlation_id: CorrelationId,
        client_id: &str,
    ) -> Result<FrameBuf, WireError>;

    /// Reads the answer out of a frame (without its length), which may be lent to the reply.
    ///
    /// # Errors
    /// The bytes are not an answer to this call; the connection is then closed.
    fn decode(&self, version: i16, frame: Bytes) -> Result<Self::Reply, WireError>;

    /// The throttle time in the answer, zero where there is none: [`kafka_wire::Response::throttle_time`].
    fn throttle(&self, reply: &Self::Reply) -> Duration;

    /// Whether the broker answers at all: [`kafka_wire::Request::expects_reply`]. A call without a reply is done
    /// when its last byte is handed to the socket.
    fn expects_reply(&self) -> bool {
        true
    }

    /// A time-out of its own, instead of the connection's `request_timeout`.
    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// A call's good end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<R> {
    /// The broker answered. The reply may still hold error codes.
    Reply {
        /// The decoded response.
        body: R,
        /// The version both sides spoke.
        version: i16,
    },
    /// The call expects no reply and is completely written.
    Written,
}

impl<R> Answer<R> {
    /// The reply, unless the call expected none.
    pub fn into_reply(self) -> Option<R> {
        match self {
            Self::Reply { body, .. } => Some(body),
            Self::Written => None,
        }
    }
}

/// What a call comes back with.
pub type CallResult<R> = Result<Answer<R>, NetError>;
