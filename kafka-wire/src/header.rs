//! Headers, and whole frames: a header and a body.

use alloc::borrow::ToOwned;
use alloc::string::String;

use bytes::Bytes;
use nom::IResult;

use crate::api::ApiKey;
use crate::error::{WireError, WireErrorKind};
use crate::error_code::ErrorCode;
use crate::frame::FrameBuf;
use crate::ids::CorrelationId;
use crate::input::Input;
use crate::message::{Message, Request, Response};
use crate::tagged::skip_tagged;
use crate::text::{put_text, take_text};
use crate::wire::{Cx, Wire};

/// What goes before the body of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "Kafka's header, built by whoever sends one")]
pub struct RequestHeader {
    /// The API asked.
    pub api_key: ApiKey,
    /// The version of the body, and of its response.
    pub api_version: i16,
    /// What the response will carry.
    pub correlation_id: CorrelationId,
    /// What the broker's logs, metrics and quotas call the client.
    pub client_id: Option<String>,
}

/// What goes before the body of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "Kafka's header, built by whoever sends one")]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: CorrelationId,
}

/// The request as a frame, its length in front.
///
/// # Errors
/// If the version is none of [`Message::VERSIONS`], or a field has no bytes in it.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: CorrelationId,
    client_id: Option<&str>,
) -> Result<FrameBuf, WireError> {
    let cx = checked_cx::<R>(version)?;
    let mut buf = FrameBuf::with_capacity(HEAD_CAPACITY);
    let start = buf.begin_frame();
    R::API.encode(&mut buf, FIXED);
    buf.put_i16(version);
    correlation_id.encode(&mut buf, FIXED);
    // Never compact, so that a broker can read the header of an ApiVersions request newer than itself.
    put_text(&mut buf, client_id, FIXED);
    if cx.flexible {
        buf.put_uvarint(0);
    }
    request.encode(&mut buf, cx);
    buf.finish_frame(start)?;
    Ok(buf)
}

/// The header of a request, and the input that follows it: for [`decode_request`].
///
/// The header of an API or a version this crate does not know is read as far as every version has it.
///
/// # Errors
/// If the frame does not start with a header.
pub fn decode_request_header(frame: &Bytes) -> Result<(RequestHeader, Input<'_>), WireError> {
    request_header(Input::new(frame)).map(|(body, header)| (header, body)).map_err(WireError::from_nom)
}

/// The body of a request, after its header.
///
/// # Errors
/// If the header names another API or a version this crate does not have, or the body is not of that version.
pub fn decode_request<R: Request>(header: &RequestHeader, body: Input<'_>) -> Result<R, WireError> {
    if header.api_key != R::API {
        return Err(WireError::new(WireErrorKind::WrongApi, 0));
    }
    decode_all(body, checked_cx::<R>(header.api_version)?)
}

/// The response as a frame, its length in front.
///
/// # Errors
/// If the version is none of [`Message::VERSIONS`], or a field has no bytes in it.
pub fn encode_response<R: Response>(
    response: &R,
    version: i16,
    correlation_id: CorrelationId,
) -> Result<FrameBuf, WireError> {
    let cx = checked_cx::<R>(version)?;
    let mut buf = FrameBuf::with_capacity(HEAD_CAPACITY);
    let start = buf.begin_frame();
    correlation_id.encode(&mut buf, FIXED);
    if has_tagged_header::<R>(cx) {
        buf.put_uvarint(0);
    }
    response.encode(&mut buf, cx);
    buf.finish_frame(start)?;
    Ok(buf)
}

/// The correlation id of a response, which tells what the rest is.
///
/// # Errors
/// If the frame is too short to have one.
pub fn decode_correlation_id(frame: &Bytes) -> Result<CorrelationId, WireError> {
    CorrelationId::decode(Input::new(frame), FIXED).map(|(_, id)| id).map_err(WireError::from_nom)
}

/// A response, from a frame without its length. `version` is that of the request.
///
/// A broker that does not know the version of an ApiVersions request answers in version 0, with
/// [`ErrorCode::UNSUPPORTED_VERSION`] and the versions it has (KIP-511): that is read, too.
///
/// # Errors
/// If the version is none of [`Message::VERSIONS`], or the frame is no such response.
pub fn decode_response<R: Response>(frame: &Bytes, version: i16) -> Result<(CorrelationId, R), WireError> {
    let cx = checked_cx::<R>(version)?;
    let (body, correlation_id) = response_header::<R>(Input::new(frame), cx).map_err(WireError::from_nom)?;
    let cx = if R::API == ApiKey::API_VERSIONS && is_fallback(body) { R::cx(0) } else { cx };
    Ok((correlation_id, decode_all(body, cx)?))
}

/// A body without a header.
///
/// # Errors
/// If the version is none of [`Message::VERSIONS`], or the frame is no such body.
pub fn decode_body<M: Message>(frame: &Bytes, version: i16) -> Result<M, WireError> {
    decode_all(Input::new(frame), checked_cx::<M>(version)?)
}

/// Appends a body without a header; its size, as it was predicted.
///
/// # Errors
/// If the version is none of [`Message::VERSIONS`], or a field has no bytes in it.
pub fn encode_body<M: Message>(message: &M, version: i16, buf: &mut FrameBuf) -> Result<usize, WireError> {
    let cx = checked_cx::<M>(version)?;
    message.encode(buf, cx);
    buf.finish()?;
    Ok(message.size(cx))
}

fn checked_cx<M: Message>(version: i16) -> Result<Cx, WireError> {
    if M::VERSIONS.contains(version) {
        Ok(M::cx(version))
    } else {
        Err(WireError::new(WireErrorKind::UnsupportedVersion, 0).in_field(M::NAME))
    }
}

fn decode_all<M: Message>(input: Input<'_>, cx: Cx) -> Result<M, WireError> {
    let (rest, message) = M::decode(input, cx).map_err(WireError::from_nom)?;
    rest.finish().map_err(WireError::from_nom)?;
    Ok(message)
}

fn request_header(input: Input<'_>) -> IResult<Input<'_>, RequestHeader, WireError> {
    let (input, api_key) = ApiKey::decode(input, FIXED)?;
    let (input, api_version) = i16::decode(input, FIXED)?;
    let (input, correlation_id) = CorrelationId::decode(input, FIXED)?;
    let (input, client_id) = take_text(input, FIXED)?;
    let flexible = api_key.api().and_then(|api| api.flexible_since).is_some_and(|since| api_version >= since);
    let (input, ()) = if flexible { skip_tagged(input)? } else { (input, ()) };
    Ok((
        input,
        RequestHeader { api_key, api_version, correlation_id, client_id: client_id.map(str::to_owned) },
    ))
}

fn response_header<R: Response>(input: Input<'_>, cx: Cx) -> IResult<Input<'_>, CorrelationId, WireError> {
    let (input, correlation_id) = CorrelationId::decode(input, FIXED)?;
    let (input, ()) = if has_tagged_header::<R>(cx) { skip_tagged(input)? } else { (input, ()) };
    Ok((input, correlation_id))
}

/// Responses to ApiVersions have no tags in the header in any version: the client cannot know yet which version the
/// broker answers in (KIP-511).
fn has_tagged_header<R: Response>(cx: Cx) -> bool {
    cx.flexible && R::API != ApiKey::API_VERSIONS
}

/// Whether a response to ApiVersions, which starts with its error in every version, is one in version 0.
fn is_fallback(body: Input<'_>) -> bool {
    ErrorCode::decode(body, FIXED).is_ok_and(|(_, error)| error == ErrorCode::UNSUPPORTED_VERSION)
}

/// Headers have no compact fields.
const FIXED: Cx = Cx { version: 0, flexible: false };

/// Room for the inline part of all but big requests: a dozen partitions with the headers of their batches.
const HEAD_CAPACITY: usize = 1024;
