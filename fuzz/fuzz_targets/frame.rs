//! What a broker reads off a socket: frames, headers, bodies of requests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kafka_wire::fuzzing::frame(data));
