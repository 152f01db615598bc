//! Just enough of a frame to know what it is.

use std::collections::VecDeque;

use kafka_wire::{ApiKey, CorrelationId};

use super::tamper::Way;

/// What the first bytes of a frame say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the frame, its length counted in.
    pub(crate) size: usize,
    pub(crate) asked: Asked,
}

/// A request that goes through, as its answer is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) client_id: Option<String>,
}

/// What can be said of the bytes that were read so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dissected {
    /// Too few.
    More,
    /// A frame begins.
    Frame(Head),
    /// This is not Kafka's protocol.
    Strange,
}

impl Head {
    /// Looks at the start of a frame. That of an answer is about nothing before it is found among the requests.
    pub(crate) fn read(way: Way, bytes: &[u8]) -> Dissected {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Dissected::More };
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Dissected::Strange };
        let size = length.saturating_add(4);
        let least = match way {
            Way::Requests => REQUEST_HEAD,
            Way::Responses => ANSWER_HEAD,
        };
        if length < least {
            return Dissected::Strange;
        }
        let asked = match way {
            Way::Requests => request(rest, length),
            Way::Responses => rest.first_chunk().map(|id| Some(Asked::unknown(i32::from_be_bytes(*id)))),
        };
        match asked {
            None => Dissected::More,
            Some(None) => Dissected::Strange,
            Some(Some(asked)) => Dissected::Frame(Self { size, asked }),
        }
    }
}

impl Asked {
    fn unknown(correlation_id: i32) -> Self {
        Self { api: ApiKey(-1), version: -1, correlation_id: CorrelationId(correlation_id), client_id: None }
    }

    fn id_bytes(&self) -> usize {
        self.client_id.as_ref().map_or(0, String::len)
    }
}

/// `None` where there are too few bytes, `Some(None)` where they make no sense.
fn request(bytes: &[u8], length: usize) -> Option<Option<Asked>> {
    let (&[a, b, c, d, e, f, g, h, i, j], rest) = bytes.split_first_chunk()?;
    let client_id = match i16::from_be_bytes([i, j]) {
        ..=-1 => None,
        count => {
            let count = usize::from(count.unsigned_abs());
            if count > length - REQUEST_HEAD {
                return Some(None);
            }
            Some(String::from_utf8_lossy(rest.get(..count)?).into_owned())
        }
    };
    Some(Some(Asked {
        api: ApiKey(i16::from_be_bytes([a, b])),
        version: i16::from_be_bytes([c, d]),
        correlation_id: CorrelationId(i32::from_be_bytes([e, f, g, h])),
        client_id,
    }))
}

/// The requests of a connection that have no answer yet; the oldest are forgotten where they are too many.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    requests: VecDeque<Asked>,
    /// Bytes of their clients' ids.
    id_bytes: usize,
}

impl InFlight {
    pub(crate) fn asked(&mut self, asked: Asked) {
        self.id_bytes += asked.id_bytes();
        self.requests.push_back(asked);
        while self.requests.len() > MAX_IN_FLIGHT || self.id_bytes > MAX_ID_BYTES {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.id_bytes -= oldest.id_bytes();
        }
    }

    /// The request that is answered. Those before it never will be: acks=0 has no answer.
    pub(crate) fn answered(&mut self, correlation_id: CorrelationId) -> Option<Asked> {
        let index = self.requests.iter().position(|asked| asked.correlation_id == correlation_id)?;
        self.requests.drain(..=index).inspect(|asked| self.id_bytes -= asked.id_bytes()).last()
    }
}

/// API, version, correlation id, and the length of the client's id.
const REQUEST_HEAD: usize = 10;

/// The correlation id.
const ANSWER_HEAD: usize = 4;

/// Requests of a connection that are remembered; a client that has more in flight is not recognised beyond them.
const MAX_IN_FLIGHT: usize = 10_000;

/// Bytes of clients' ids that are remembered with them. A longest one, of bytes that are no text, takes a tenth.
const MAX_ID_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use kafka_wire::messages::MetadataRequest;

    use super::*;

    fn frame(client_id: Option<&str>) -> Vec<u8> {
        let request = MetadataRequest::default();
        kafka_wire::encode_request(&request, 9, CorrelationId(7), client_id)
            .expect("encodes")
            .into_bytes()
            .to_vec()
    }

    #[test]
    fn a_request_is_known_by_its_head() {
        for client_id in [Some("a client"), Some(""), None] {
            let frame = frame(client_id);
            let expected = Head {
                size: frame.len(),
                asked: Asked {
                    api: ApiKey::METADATA,
                    version: 9,
                    correlation_id: CorrelationId(7),
                    client_id: client_id.map(str::to_owned),
                },
            };
            let least = 14 + client_id.unwrap_or_default().len();
            for count in 0..frame.len() {
                let read = Head::read(Way::Requests, &frame[..count]);
                let expected =
                    if count < least { Dissected::More } else { Dissected::Frame(expected.clone()) };
                assert_eq!(read, expected, "{count} bytes");
            }
        }
    }

    #[test]
    fn what_is_not_kafka_is_strange() {
        for bytes in
            [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x02\0\0", b"\0\0\0\x0b\0\x03\0\x09\0\0\0\x01\x7f\xff\0"]
        {
            assert_eq!(Head::read(Way::Requests, bytes), Dissected::Strange);
        }
        assert_eq!(Head::read(Way::Responses, b"\0\0\0\x03\0\0\0"), Dissected::Strange);
    }

    #[test]
    fn answers_find_their_requests() {
        let mut in_flight = InFlight::default();
        for id in 1..=3 {
            in_flight.asked(Asked { api: ApiKey::API_VERSIONS, ..Asked::unknown(id) });
        }
        assert_eq!(in_flight.answered(CorrelationId(9)), None);
        assert_eq!(in_flight.answered(CorrelationId(2)).map(|asked| asked.correlation_id.0), Some(2));
        assert_eq!(in_flight.answered(CorrelationId(1)), None, "it was passed over");
        assert_eq!(in_flight.answered(CorrelationId(3)).map(|asked| asked.api), Some(ApiKey::API_VERSIONS));
    }

    #[test]
    fn what_is_remembered_of_requests_has_a_bound() {
        let mut in_flight = InFlight::default();
        let ask = |in_flight: &mut InFlight, ids: std::ops::Range<i32>, size: usize| {
            for id in ids {
                in_flight.asked(Asked { client_id: Some("x".repeat(size)), ..Asked::unknown(id) });
            }
            let bytes: usize = in_flight.requests.iter().map(Asked::id_bytes).sum();
            assert_eq!(bytes, in_flight.id_bytes);
            (in_flight.requests.len(), bytes)
        };
        assert_eq!(ask(&mut in_flight, 0..15_000, 10), (10_000, 100_000));
        assert_eq!(in_flight.answered(CorrelationId(4_999)), None, "it was forgotten");
        assert!(in_flight.answered(CorrelationId(14_998)).is_some());
        assert_eq!((in_flight.requests.len(), in_flight.id_bytes), (1, 10));
        let (requests, bytes) = ask(&mut in_flight, 15_000..15_100, 98_301);
        assert!(requests == 10 && bytes <= 1 << 20, "{requests} requests with {bytes} bytes of ids");
        assert!(in_flight.answered(CorrelationId(15_099)).is_some(), "the newest are known");
        assert_eq!(in_flight.id_bytes, 0);
    }
}
