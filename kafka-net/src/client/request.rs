//! The calls of a [`Client`](super::Client): its own for metadata, and its users' of any kind.

use std::{any::Any, fmt, time::Duration};

use bytes::Bytes;
use futures::channel::oneshot;
use kafka_wire::{
    ApiKey, CorrelationId, FrameBuf, Message, Request, Response, VersionRange, WireError, decode_response,
    encode_request,
    messages::{MetadataRequest, MetadataResponse},
};

use crate::{
    call::{Answer, Call, CallResult},
    enquiry::Ticket,
    error::NetError,
};

/// What a [`Client`](super::Client) sends.
#[derive(Debug)]
pub(crate) enum ClientCall {
    Metadata { ticket: Ticket, request: MetadataRequest },
    User(Box<dyn UserCall>),
}

/// A reply, its type known to the call alone.
pub(crate) type AnyReply = Box<dyn Any + Send>;

/// A user's request with the way back to the user, whatever its type.
pub(crate) trait UserCall: fmt::Debug + Send {
    fn api_key(&self) -> ApiKey;
    fn versions(&self) -> VersionRange;
    fn encode(&self, version: i16, id: CorrelationId, client_id: &str) -> Result<FrameBuf, WireError>;
    fn decode(&self, version: i16, frame: &Bytes) -> Result<AnyReply, WireError>;
    fn throttle(&self, reply: &AnyReply) -> Duration;
    fn expects_reply(&self) -> bool;
    /// Tells the user, if the user still waits.
    fn finish(self: Box<Self>, result: CallResult<AnyReply>);
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
}

/// A [`UserCall`] of one type.
pub(crate) struct Typed<R: Request> {
    request: R,
    tx: oneshot::Sender<Result<R::Response, NetError>>,
}

pub(crate) type ReplyReceiver<R> = oneshot::Receiver<Result<<R as Request>::Response, NetError>>;

impl<R: Request> Typed<R> {
    pub(crate) fn boxed(request: R) -> (Box<dyn UserCall>, ReplyReceiver<R>) {
        let (tx, rx) = oneshot::channel();
        (Box::new(Self { request, tx }), rx)
    }
}

impl<R: Request> fmt::Debug for Typed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<R: Request> UserCall for Typed<R> {
    fn api_key(&self) -> ApiKey {
        R::API
    }

    fn versions(&self) -> VersionRange {
        R::VERSIONS
    }

    fn encode(&self, version: i16, id: CorrelationId, client_id: &str) -> Result<FrameBuf, WireError> {
        encode_request(&self.request, version, id, Some(client_id))
    }

    fn decode(&self, version: i16, frame: &Bytes) -> Result<AnyReply, WireError> {
        let (_, response) = decode_response::<R::Response>(frame, version)?;
        Ok(Box::new(response))
    }

    fn throttle(&self, reply: &AnyReply) -> Duration {
        reply.downcast_ref::<R::Response>().map_or(Duration::ZERO, Response::throttle_time)
    }

    fn expects_reply(&self) -> bool {
        self.request.expects_reply()
    }

    fn finish(self: Box<Self>, result: CallResult<AnyReply>) {
        let result = result.map(|answer| match answer {
            Answer::Reply { body, .. } => match body.downcast::<R::Response>() {
                Ok(response) => *response,
                // `decode` made it, of this very type.
                Err(_) => R::Response::default(),
            },
            Answer::Written => R::Response::default(),
        });
        // Nobody waits: the user gave up, and with it the answer.
        drop(self.tx.send(result));
    }

    fn is_abandoned(&self) -> bool {
        self.tx.is_canceled()
    }
}

/// What an answer to a [`ClientCall`] is.
#[derive(Debug)]
pub(crate) enum ClientReply {
    Metadata(MetadataResponse),
    User(AnyReply),
}

impl ClientCall {
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Metadata { .. } => false,
            Self::User(call) => call.is_abandoned(),
        }
    }
}

impl Call for ClientCall {
    type Reply = ClientReply;

    fn api_key(&self) -> ApiKey {
        match self {
            Self::Metadata { .. } => MetadataRequest::API,
            Self::User(call) => call.api_key(),
        }
    }

    fn versions(&self) -> VersionRange {
        match self {
            Self::Metadata { .. } => MetadataRequest::VERSIONS,
            Self::User(call) => call.versions(),
        }
    }

    fn encode(&mut self, version: i16, id: CorrelationId, client_id: &str) -> Result<FrameBuf, WireError> {
        match self {
            Self::Metadata { request, .. } => encode_request(request, version, id, Some(client_id)),
            Self::User(call) => call.encode(version, id, client_id),
        }
    }

    fn decode(&self, version: i16, frame: Bytes) -> Result<ClientReply, WireError> {
        match self {
            Self::Metadata { .. } => {
                decode_response(&frame, version).map(|(_, body)| ClientReply::Metadata(body))
            }
            Self::User(call) => call.decode(version, &frame).map(ClientReply::User),
        }
    }

    fn throttle(&self, reply: &ClientReply) -> Duration {
        match (self, reply) {
            (_, ClientReply::Metadata(response)) => response.throttle_time(),
            (Self::User(call), ClientReply::User(reply)) => call.throttle(reply),
            (Self::Metadata { .. }, ClientReply::User(_)) => Duration::ZERO,
        }
    }

    fn expects_reply(&self) -> bool {
        match self {
            Self::Metadata { request, .. } => request.expects_reply(),
            Self::User(call) => call.expects_reply(),
        }
    }
}
