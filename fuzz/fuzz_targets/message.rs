//! Every message in every version.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kafka_wire::fuzzing::message(data));
