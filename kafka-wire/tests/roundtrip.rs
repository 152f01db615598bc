//! Every message in every version of the registry: decoded, encoded, decoded again.

mod generate;

use bytes::Bytes;
use generate::Generator;
use kafka_wire::registry::Body;
use kafka_wire::{ALL, Api, WireErrorKind};

/// Bodies a message and version.
const SEEDS: u64 = 60;

#[test]
fn what_is_decoded_is_encoded_to_the_same_bytes() {
    let mut bodies = 0;
    each_message(|api, name, body, version| {
        for seed in 0..SEEDS {
            let bytes = Bytes::from(Generator::new(seed, version, api.flexible_since).body(body.schema));
            let trip = (body.round_trip)(bytes.clone(), version)
                .unwrap_or_else(|error| panic!("{name} v{version} seed {seed}: {error}"));
            assert_eq!(trip.bytes, bytes, "{name} v{version} seed {seed}");
            assert_eq!(trip.size, bytes.len(), "size of {name} v{version} seed {seed}");
            assert!(trip.equal, "{name} v{version} seed {seed}: decoded to another value");
            bodies += 1;
        }
    });
    println!("{bodies} bodies");
}

#[test]
fn what_is_cut_short_is_refused() {
    each_message(|api, name, body, version| {
        for seed in 0..4 {
            let bytes = Bytes::from(Generator::new(seed, version, api.flexible_since).body(body.schema));
            // Every cut of a short body, some of a long one.
            for len in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
                let result = (body.round_trip)(bytes.slice(..len), version);
                assert!(result.is_err(), "{name} v{version} seed {seed}: {len} of {} bytes", bytes.len());
            }
        }
    });
}

#[test]
fn what_is_left_over_is_refused() {
    each_message(|api, name, body, version| {
        let mut bytes = Generator::new(1, version, api.flexible_since).body(body.schema);
        bytes.push(0);
        let error = (body.round_trip)(Bytes::from(bytes), version).expect_err(name);
        assert_eq!(error.kind(), WireErrorKind::TrailingBytes, "{name} v{version}");
    });
}

#[test]
fn versions_beyond_the_range_are_refused() {
    for api in ALL {
        for version in [api.versions.min - 1, api.versions.max + 1] {
            for body in [api.request, api.response] {
                let error = (body.round_trip)(Bytes::new(), version).expect_err(api.name);
                assert_eq!(error.kind(), WireErrorKind::UnsupportedVersion, "{} v{version}", api.name);
            }
        }
    }
}

/// A peer that is newer than this crate may send tagged fields in any structure.
#[test]
fn unknown_tagged_fields_are_skipped() {
    let mut seen = 0;
    each_message(|api, name, body, version| {
        let outer_tags = body.schema.fields.iter().any(|field| field.tag.is_some());
        if outer_tags || api.flexible_since.is_none_or(|since| version < since) {
            return;
        }
        let plain = Generator::new(3, version, api.flexible_since).body(body.schema);
        let (count, fields) =
            plain.split_last().expect("a flexible body ends with the count of its tagged fields");
        assert_eq!(*count, 0);
        // One field: tag 5000, three bytes.
        let tagged = [fields, &[1, 0x88, 0x27, 3, 1, 2, 3]].concat();
        let trip = (body.round_trip)(Bytes::from(tagged), version).expect(name);
        assert_eq!(trip.bytes, plain, "{name} v{version}");
        seen += 1;
    });
    assert!(seen > 20, "{seen}");
}

fn each_message(mut check: impl FnMut(&Api, &str, Body, i16)) {
    for api in ALL {
        for version in api.versions.iter() {
            check(api, api.request.schema.name, api.request, version);
            check(api, api.response.schema.name, api.response, version);
        }
    }
}
