//! The registry [`ALL`]: every API there are messages for, as data.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::header::{decode_body, encode_body};
use crate::message::{Destination, Listener, Message, Request};
use crate::messages;
use crate::schema::{Struct, Type};
use crate::versions::VersionRange;

impl ApiKey {
    /// What this crate knows of the API's messages; `None` if it has none of them.
    #[must_use]
    pub fn api(self) -> Option<&'static Api> {
        ALL.iter().find(|api| api.key == self)
    }
}

/// An API in the registry.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// Its name.
    pub name: &'static str,
    /// The versions this crate has: up to the newest that is stable.
    pub versions: VersionRange,
    /// The first flexible version (KIP-482).
    pub flexible_since: Option<i16>,
    /// Which broker a request is for.
    pub destination: Destination,
    /// Whose listeners take it.
    pub listeners: &'static [Listener],
    /// What a client sends.
    pub request: Body,
    /// What a broker answers.
    pub response: Body,
}

/// A message in the registry.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Body {
    /// Its fields, as data.
    pub schema: &'static Struct,
    /// Decodes a body, and lets go of it.
    ///
    /// # Errors
    /// If the bytes are no such message.
    pub decode: fn(&Bytes, i16) -> Result<(), WireError>,
    /// Decodes a body, encodes it and decodes it again.
    ///
    /// # Errors
    /// If the bytes are no such message.
    pub round_trip: fn(Bytes, i16) -> Result<RoundTrip, WireError>,
}

/// What became of a body that was decoded, encoded and decoded again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoundTrip {
    /// What it was encoded to.
    pub bytes: Bytes,
    /// How long it said it would be.
    pub size: usize,
    /// Whether both values are equal.
    pub equal: bool,
}

impl Api {
    /// The entry of an API.
    pub(crate) const fn of<R: Request>() -> Self {
        Self {
            key: R::API,
            name: R::API.name(),
            versions: R::VERSIONS,
            flexible_since: R::FLEXIBLE_SINCE,
            destination: R::DESTINATION,
            listeners: R::LISTENERS,
            request: Body::of::<R>(),
            response: Body::of::<R::Response>(),
        }
    }
}

impl Body {
    const fn of<M: Message>() -> Self {
        let Type::Struct(schema) = M::TYPE else {
            panic!("a message is a structure");
        };
        Self {
            schema,
            decode: |frame, version| decode_body::<M>(frame, version).map(drop),
            round_trip: round_trip::<M>,
        }
    }
}

fn round_trip<M: Message>(frame: Bytes, version: i16) -> Result<RoundTrip, WireError> {
    let first: M = decode_body(&frame, version)?;
    let mut buf = FrameBuf::new();
    let size = encode_body(&first, version, &mut buf)?;
    let bytes = buf.into_bytes();
    let second: M = decode_body(&bytes, version)?;
    Ok(RoundTrip { bytes, size, equal: first == second })
}

/// Whether the registry has an API: asked by each table when it is compiled, so that none is left out.
pub(crate) const fn is_registered(key: ApiKey) -> bool {
    let mut rest = ALL;
    while let [api, others @ ..] = rest {
        if api.key.0 == key.0 {
            return true;
        }
        rest = others;
    }
    false
}

/// Every API this crate has messages for, by key.
pub const ALL: &[Api] = &[
    Api::of::<messages::ProduceRequest>(),
    Api::of::<messages::FetchRequest>(),
    Api::of::<messages::ListOffsetsRequest>(),
    Api::of::<messages::MetadataRequest>(),
    Api::of::<messages::ApiVersionsRequest>(),
    Api::of::<messages::CreateTopicsRequest>(),
    Api::of::<messages::DeleteTopicsRequest>(),
    Api::of::<messages::InitProducerIdRequest>(),
    Api::of::<messages::DescribeConfigsRequest>(),
    Api::of::<messages::CreatePartitionsRequest>(),
    Api::of::<messages::DescribeClusterRequest>(),
];

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::ids::Acks;
    use crate::message::Response as _;

    fn has_throttle_time(api: &Api) -> bool {
        api.response.schema.fields.iter().any(|field| field.name == "throttle_time_ms")
    }

    /// KIP-219 came with Kafka 2.0, which had no API after DeleteGroups. `cargo xtask schema` compares the
    /// versions with Kafka's definitions.
    #[test]
    fn no_api_with_a_throttle_time_goes_unthrottled() {
        for api in ALL.iter().filter(|api| has_throttle_time(api)) {
            let since = api.key.throttled_since();
            assert!(since <= api.versions.max, "{}", api.name);
            let is_older = api.key <= ApiKey::DELETE_GROUPS;
            assert_eq!(is_older, since > 0, "{}: which version began with it?", api.name);
        }
    }

    #[test]
    fn an_api_that_nobody_thought_of_is_throttled() {
        assert_eq!(ApiKey::CONSUMER_GROUP_HEARTBEAT.throttled_since(), 0, "long after KIP-219");
        assert_eq!(ApiKey(30_000).throttled_since(), 0, "a key without a name");
    }

    /// Kafka's `shouldClientThrottle`, response by response.
    #[test]
    fn throttling_begins_with_kafkas_version() {
        let since = [
            (ApiKey::PRODUCE, 6),
            (ApiKey::FETCH, 8),
            (ApiKey::LIST_OFFSETS, 3),
            (ApiKey::METADATA, 6),
            (ApiKey::OFFSET_COMMIT, 4),
            (ApiKey::FIND_COORDINATOR, 2),
            (ApiKey::API_VERSIONS, 2),
            (ApiKey::CREATE_TOPICS, 3),
            (ApiKey::DELETE_TOPICS, 2),
            (ApiKey::INIT_PRODUCER_ID, 1),
            (ApiKey::DESCRIBE_CONFIGS, 2),
            (ApiKey::CREATE_PARTITIONS, 1),
            (ApiKey::DESCRIBE_CLUSTER, 0),
        ];
        assert_eq!(since.map(|(api, _)| (api, api.throttled_since())), since);
    }

    #[test]
    fn only_produce_without_acks_goes_unanswered() {
        let produce = |acks| messages::ProduceRequest { acks, ..Default::default() };
        assert!(!produce(Acks::NONE).expects_reply());
        assert!(produce(Acks::LEADER).expects_reply() && produce(Acks::ALL).expects_reply());
        assert!(messages::FetchRequest::default().expects_reply());
    }

    #[test]
    fn the_throttle_time_is_found_among_the_rows() {
        let response = |throttle_time_ms| {
            messages::ApiVersionsResponse { throttle_time_ms, ..Default::default() }.throttle_time()
        };
        assert_eq!(response(1500), Duration::from_millis(1500));
        assert_eq!(response(-1), Duration::ZERO, "a broker that cannot count");
    }
}
