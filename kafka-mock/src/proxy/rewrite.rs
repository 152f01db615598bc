//! The addresses that brokers tell their clients, replaced.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::messages::{ApiVersionsResponse, DescribeClusterResponse, MetadataResponse, ProduceResponse};
use kafka_wire::{ApiKey, ErrorCode, NodeId, Response, varint};

use super::dissect::Asked;

/// Where clients are to find a broker that is really at a host and port; `None` to leave it.
pub(crate) type Replace<'a> = &'a mut dyn FnMut(NodeId, &str, i32) -> Option<(String, u16)>;

/// Whether an answer may carry addresses, or the versions that decide about them.
pub(crate) fn is_rewritten(asked: &Asked) -> bool {
    match asked.api {
        ApiKey::API_VERSIONS | ApiKey::METADATA | ApiKey::DESCRIBE_CLUSTER | ApiKey::FIND_COORDINATOR => true,
        ApiKey::PRODUCE => asked.version >= FIRST_PRODUCE_WITH_ENDPOINTS,
        _ => false,
    }
}

/// The frame with other addresses; it has its length in front, before and after. `None` if it cannot be read.
pub(crate) fn rewrite(asked: &Asked, frame: &Bytes, replace: Replace<'_>) -> Option<Bytes> {
    match asked.api {
        // Brokers that do not know the version answer in version 0 (KIP-511), and the client asks again.
        ApiKey::API_VERSIONS if is_fallback(frame) => Some(frame.clone()),
        ApiKey::API_VERSIONS => edit::<ApiVersionsResponse>(asked, frame, cap_versions),
        ApiKey::METADATA => edit::<MetadataResponse>(asked, frame, |response| {
            for broker in &mut response.brokers {
                put(replace, broker.node_id, &mut broker.host, &mut broker.port);
            }
        }),
        ApiKey::DESCRIBE_CLUSTER => edit::<DescribeClusterResponse>(asked, frame, |response| {
            for broker in &mut response.brokers {
                put(replace, broker.broker_id, &mut broker.host, &mut broker.port);
            }
        }),
        ApiKey::PRODUCE => edit::<ProduceResponse>(asked, frame, |response| {
            for endpoint in &mut response.node_endpoints {
                put(replace, endpoint.node_id, &mut endpoint.host, &mut endpoint.port);
            }
        }),
        ApiKey::FIND_COORDINATOR => coordinators(asked.version, frame, replace),
        _ => Some(frame.clone()),
    }
}

fn edit<R: Response>(asked: &Asked, frame: &Bytes, change: impl FnOnce(&mut R)) -> Option<Bytes> {
    let edited = kafka_wire::decode_response::<R>(&frame.slice(LENGTH..), asked.version).and_then(
        |(id, mut response)| {
            change(&mut response);
            kafka_wire::encode_response(&response, asked.version, id)
        },
    );
    edited.ok().map(kafka_wire::FrameBuf::into_bytes)
}

fn put(replace: Replace<'_>, node: NodeId, host: &mut String, port: &mut i32) {
    if let Some((new_host, new_port)) = replace(node, host, *port) {
        *host = new_host;
        *port = i32::from(new_port);
    }
}

/// Whether the error code, which comes first in the answer to ApiVersions, says that the version is not known.
fn is_fallback(frame: &Bytes) -> bool {
    frame.get(LENGTH + 4..LENGTH + 6) == Some(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes())
}

/// No version of an answer with addresses that is not known here; no Fetch that carries any.
fn cap_versions(response: &mut ApiVersionsResponse) {
    for row in &mut response.api_keys {
        let newest = match row.api_key {
            ApiKey::FETCH => Some(LAST_FETCH_WITHOUT_ENDPOINTS),
            ApiKey::FIND_COORDINATOR => Some(NEWEST_FIND_COORDINATOR),
            ApiKey::METADATA | ApiKey::DESCRIBE_CLUSTER | ApiKey::PRODUCE => {
                row.api_key.api().map(|api| api.versions.max)
            }
            _ => None,
        };
        row.max_version = newest.map_or(row.max_version, |newest| newest.min(row.max_version));
    }
}

/// FindCoordinator, of which kafka-wire has no messages: read field by field, written again with other hosts and ports.
fn coordinators(version: i16, frame: &Bytes, replace: Replace<'_>) -> Option<Bytes> {
    if !(0..=NEWEST_FIND_COORDINATOR).contains(&version) {
        return None;
    }
    let flexible = version >= FIRST_FLEXIBLE_FIND_COORDINATOR;
    let mut walk = Walk { left: frame.get(LENGTH..)?, out: BytesMut::new(), flexible };
    walk.copy(4)?;
    walk.tags()?;
    if version >= 1 {
        walk.copy(4)?;
    }
    if version < FIRST_WITH_KEYS {
        walk.copy(2)?;
        if version >= 1 {
            walk.text()?;
        }
        walk.place(replace)?;
    } else {
        let (count, rest) = varint::take_u32(walk.left).ok()?;
        walk.left = rest;
        varint::put_u32(&mut walk.out, count);
        for _ in 1..count {
            walk.text()?;
            walk.place(replace)?;
            walk.copy(2)?;
            walk.text()?;
            walk.tags()?;
        }
    }
    walk.tags()?;
    if !walk.left.is_empty() {
        return None;
    }
    let mut written = BytesMut::with_capacity(LENGTH + walk.out.len());
    written.put_i32(i32::try_from(walk.out.len()).ok()?);
    written.put_slice(&walk.out);
    Some(written.freeze())
}

/// What is left to read of an answer, and what is written of it so far.
struct Walk<'a> {
    left: &'a [u8],
    out: BytesMut,
    flexible: bool,
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn copy(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.take(count)?;
        self.out.put_slice(taken);
        Some(taken)
    }

    fn varint(&mut self) -> Option<u32> {
        let (number, left) = varint::take_u32(self.left).ok()?;
        self.left = left;
        Some(number)
    }

    /// Tagged fields, none of which is known, are left out.
    fn tags(&mut self) -> Option<()> {
        if self.flexible {
            for _ in 0..self.varint()? {
                self.varint()?;
                let size = self.varint()?;
                self.take(usize::try_from(size).ok()?)?;
            }
            self.out.put_u8(0);
        }
        Some(())
    }

    /// A text, null or not.
    fn take_text(&mut self) -> Option<Option<&'a [u8]>> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else {
            i64::from(i16::from_be_bytes(*self.take(2)?.first_chunk()?))
        };
        match usize::try_from(length) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Some(None),
        }
    }

    fn put_text(&mut self, text: Option<&[u8]>) -> Option<()> {
        let length = text.map_or(0, <[u8]>::len);
        if self.flexible {
            // One more than the length, and 0 for null.
            let more = u32::from(text.is_some());
            varint::put_u32(&mut self.out, u32::try_from(length).ok()?.checked_add(more)?);
        } else {
            self.out.put_i16(if text.is_some() { i16::try_from(length).ok()? } else { -1 });
        }
        self.out.put_slice(text.unwrap_or_default());
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        let text = self.take_text()?;
        self.put_text(text)
    }

    /// Node, host and port.
    fn place(&mut self, replace: Replace<'_>) -> Option<()> {
        let node = NodeId(i32::from_be_bytes(*self.copy(4)?.first_chunk()?));
        let host = self.take_text()?;
        let port = i32::from_be_bytes(*self.take(4)?.first_chunk()?);
        let text = String::from_utf8_lossy(host.unwrap_or_default());
        match replace(node, &text, port) {
            Some((host, port)) => {
                self.put_text(Some(host.as_bytes()))?;
                self.out.put_i32(i32::from(port));
            }
            None => {
                self.put_text(host)?;
                self.out.put_i32(port);
            }
        }
        Some(())
    }
}

/// Bytes of the length in front of a frame.
const LENGTH: usize = 4;

/// Produce answers tell where new leaders are from this version on (KIP-951).
const FIRST_PRODUCE_WITH_ENDPOINTS: i16 = 10;

/// Fetch answers do so from the next one on.
const LAST_FETCH_WITHOUT_ENDPOINTS: i16 = 15;

const NEWEST_FIND_COORDINATOR: i16 = 6;
const FIRST_FLEXIBLE_FIND_COORDINATOR: i16 = 3;

/// Several keys at once (KIP-699).
const FIRST_WITH_KEYS: i16 = 4;

#[cfg(test)]
mod tests {
    use kafka_wire::CorrelationId;
    use kafka_wire::messages::{ApiVersion, MetadataResponseBroker, NodeEndpoint};

    use super::*;

    fn asked(api: ApiKey, version: i16) -> Asked {
        Asked { api, version, correlation_id: CorrelationId(7), client_id: None }
    }

    fn frame<R: Response>(response: &R, version: i16) -> Bytes {
        kafka_wire::encode_response(response, version, CorrelationId(7)).expect("encodes").into_bytes()
    }

    fn replace(node: NodeId, host: &str, port: i32) -> Option<(String, u16)> {
        (port >= 0).then(|| (format!("proxy-of-{host}"), u16::try_from(port + node.0).expect("a port")))
    }

    fn read<R: Response>(frame: &Bytes, version: i16) -> R {
        assert_eq!(frame[..4], u32::try_from(frame.len() - 4).expect("short").to_be_bytes());
        kafka_wire::decode_response(&frame.slice(4..), version).expect("decodes").1
    }

    #[test]
    fn brokers_get_other_addresses() {
        let broker =
            MetadataResponseBroker { node_id: NodeId(3), host: "a".into(), port: 9092, ..Default::default() };
        let response = MetadataResponse { brokers: vec![broker], ..Default::default() };
        for version in 0..=13 {
            let asked = asked(ApiKey::METADATA, version);
            assert!(is_rewritten(&asked));
            let rewritten = rewrite(&asked, &frame(&response, version), &mut replace).expect("sound");
            let broker = read::<MetadataResponse>(&rewritten, version).brokers.remove(0);
            assert_eq!((broker.host.as_str(), broker.port), ("proxy-of-a", 9095));
        }
    }

    #[test]
    fn hints_get_other_addresses() {
        let endpoint = NodeEndpoint { node_id: NodeId(1), host: "b".into(), port: 1, ..Default::default() };
        let response = ProduceResponse { node_endpoints: vec![endpoint], ..Default::default() };
        let asked_for = asked(ApiKey::PRODUCE, 12);
        assert!(is_rewritten(&asked_for) && !is_rewritten(&asked(ApiKey::PRODUCE, 9)));
        let rewritten = rewrite(&asked_for, &frame(&response, 12), &mut replace).expect("sound");
        assert_eq!(read::<ProduceResponse>(&rewritten, 12).node_endpoints[0].host, "proxy-of-b");
    }

    #[test]
    fn versions_that_are_not_known_are_not_offered() {
        let row = |api_key| ApiVersion { api_key, min_version: 0, max_version: 99 };
        let keys = [ApiKey::METADATA, ApiKey::FETCH, ApiKey::FIND_COORDINATOR, ApiKey::OFFSET_COMMIT];
        let response = ApiVersionsResponse { api_keys: keys.map(row).into(), ..Default::default() };
        let rewritten =
            rewrite(&asked(ApiKey::API_VERSIONS, 3), &frame(&response, 3), &mut replace).expect("sound");
        let read = read::<ApiVersionsResponse>(&rewritten, 3);
        let newest: Vec<_> = read.api_keys.iter().map(|row| row.max_version).collect();
        assert_eq!(newest, [13, 15, 6, 99]);
    }

    #[test]
    fn the_answer_of_a_broker_that_does_not_know_the_version_is_left() {
        let response =
            ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION, ..Default::default() };
        let plain = frame(&response, 0);
        let rewritten = rewrite(&asked(ApiKey::API_VERSIONS, 4), &plain, &mut replace);
        assert_eq!(rewritten, Some(plain));
    }

    /// By hand, from Kafka's FindCoordinatorResponse.json.
    #[test]
    fn coordinators_get_other_addresses() {
        // Version 1: throttle time, error code, error message, node 2, host "c", port 5.
        let old = b"\0\0\0\x17\0\0\0\x07\0\0\0\0\0\0\xff\xff\0\0\0\x02\0\x01c\0\0\0\x05";
        let rewritten = rewrite(&asked(ApiKey::FIND_COORDINATOR, 1), &Bytes::from_static(old), &mut replace)
            .expect("sound");
        assert_eq!(
            &rewritten[..],
            b"\0\0\0\x20\0\0\0\x07\0\0\0\0\0\0\xff\xff\0\0\0\x02\0\x0aproxy-of-c\0\0\0\x07"
        );
        // Version 4: tags, throttle time, one coordinator of key "k", error code, no message, tags, tags.
        let new = b"\0\0\0\x1b\0\0\0\x07\0\0\0\0\0\x02\x02k\0\0\0\x02\x02c\0\0\0\x05\0\0\0\0\0";
        let rewritten = rewrite(&asked(ApiKey::FIND_COORDINATOR, 4), &Bytes::from_static(new), &mut replace)
            .expect("sound");
        assert_eq!(
            &rewritten[4..],
            b"\0\0\0\x07\0\0\0\0\0\x02\x02k\0\0\0\x02\x0bproxy-of-c\0\0\0\x07\0\0\0\0\0"
        );
        // Nobody: left alone. What ends too early is no answer.
        let nobody = b"\0\0\0\x16\0\0\0\x07\0\0\0\0\0\x0f\xff\xff\xff\xff\xff\xff\0\0\xff\xff\xff\xff";
        let rewritten =
            |frame: &'static [u8]| rewrite(&asked(ApiKey::FIND_COORDINATOR, 1), &frame.into(), &mut replace);
        assert_eq!(rewritten(&nobody[..]).as_deref(), Some(&nobody[..]));
        assert_eq!(rewritten(&old[..20]), None);
    }
}
