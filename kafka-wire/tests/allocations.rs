//! What strangers' bytes can make the decoder allocate: at most a constant times their length.

mod generate;

use allocation_counter::measure;
use bytes::Bytes;
use generate::Generator;
use kafka_wire::messages::{ProduceRequest, ProduceResponse};
use kafka_wire::registry::Body;
use kafka_wire::{ALL, Api, decode_body};

/// The most that may be held while a body is read, by the byte of it. What comes nearest is an array of empty topic
/// names: a byte each on the wire, and a shared string, 16 bytes and a pointer to 16, in memory.
const MAX_PER_BYTE: u64 = 32;
/// What the smallest bodies may take.
const MAX_ALWAYS: u64 = 512;

#[test]
fn valid_bodies() {
    each_body(|api, name, body, version| {
        for seed in 0..10 {
            let bytes = Generator::new(seed, version, api.flexible_since).body(body.schema);
            check(name, body, version, bytes);
        }
    });
}

/// Lengths and counts that promise more than there is.
#[test]
fn damaged_bodies() {
    let mut random = fastrand::Rng::with_seed(6);
    each_body(|api, name, body, version| {
        for seed in 0..20 {
            let mut bytes = Generator::new(seed, version, api.flexible_since).body(body.schema);
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len().max(1));
                let junk: &[u8] = match random.u8(..4) {
                    0 => &[0xff, 0xff, 0xff, 0xff, 0x07],
                    1 => &[0x7f, 0xff, 0xff, 0xff],
                    2 => &[0x00, 0x10, 0x00, 0x00],
                    _ => &[0x80, 0x80, 0x04],
                };
                for (byte, junk) in bytes.iter_mut().skip(at).zip(junk) {
                    *byte = *junk;
                }
            }
            check(name, body, version, bytes);
        }
    });
}

/// Bodies of a single byte repeated: counts of one, two, three ... elements at every depth, zeros, and the greatest.
#[test]
fn monotonous_bodies() {
    each_body(|_, name, body, version| {
        for byte in [0, 1, 2, 3, 4, 5, 8, 16, 32, 64, 0x7f, 0x80, 0xff] {
            for len in [16, 4096] {
                check(name, body, version, vec![byte; len]);
            }
        }
    });
}

/// Arrays of as many elements as there are bytes for, if an element takes one byte, two bytes, and so on.
#[test]
fn arrays_of_the_smallest_elements() {
    const COUNT: u32 = 400;
    each_body(|api, name, body, version| {
        let flexible = api.flexible_since.is_some_and(|since| version >= since);
        // Where the array begins: after so many bytes that say nothing.
        for before in 0..40 {
            for element in 1..12 {
                let mut bytes = vec![0; before];
                if flexible {
                    // 400 + 1, seven bits a byte.
                    bytes.extend([0x91, 0x03]);
                } else {
                    bytes.extend(COUNT.to_be_bytes());
                }
                // Empty strings and arrays: 1 where they are compact, 0 where not.
                bytes.resize(bytes.len() + element * COUNT as usize, u8::from(flexible));
                check(name, body, version, bytes);
            }
        }
    });
}

/// A tag that comes again and again: each value takes the place of the one before.
#[test]
fn a_repeated_tag() {
    // No responses, no throttling, then tag 0 (node endpoints) a thousand times with a count of no endpoints.
    let mut bytes = vec![1, 0, 0, 0, 0, 0xe8, 0x07];
    bytes.extend([0, 1, 1].repeat(1000));
    let len = bytes.len() as u64;
    let bytes = Bytes::from(bytes);
    let used = measure(|| assert_eq!(decode_body(&bytes, 10), Ok(ProduceResponse::default())));
    assert!(used.bytes_max <= MAX_ALWAYS + MAX_PER_BYTE * len, "{used:?}");
}

/// Record batches are lent, not copied.
#[test]
fn records_cost_nothing() {
    // Version 9: no transaction, acks, time-out, one topic `t` with one partition, a megabyte of records.
    const LEN: usize = 1 << 20;
    let mut bytes = vec![0, 0xff, 0xff, 0, 0, 0, 1, 2, 2, b't', 2, 0, 0, 0, 0];
    bytes.extend([0x81, 0x80, 0x40]);
    bytes.resize(bytes.len() + LEN, 7);
    bytes.extend([0, 0, 0]);
    let bytes = Bytes::from(bytes);
    let used = measure(|| {
        let request: ProduceRequest = decode_body(&bytes, 9).expect("a request");
        let records = request.topic_data[0].partition_data[0].records.as_ref().expect("records");
        assert_eq!(records.len(), LEN);
    });
    assert!(used.bytes_total < 1000, "{used:?}");
}

fn check(name: &str, body: Body, version: i16, bytes: Vec<u8>) {
    let len = bytes.len() as u64;
    let shown = bytes.get(..48).unwrap_or(&bytes).to_vec();
    let bytes = Bytes::from(bytes);
    let used = measure(|| {
        let _ = (body.decode)(&bytes, version);
    });
    let limit = MAX_ALWAYS + MAX_PER_BYTE * len;
    assert!(
        used.bytes_max <= limit,
        "{name} v{version}: {len} bytes ({shown:x?}...) took {}",
        used.bytes_max
    );
}

fn each_body(mut run: impl FnMut(&Api, &str, Body, i16)) {
    for api in ALL {
        for version in api.versions.iter() {
            run(api, api.request.schema.name, api.request, version);
            run(api, api.response.schema.name, api.response, version);
        }
    }
}
