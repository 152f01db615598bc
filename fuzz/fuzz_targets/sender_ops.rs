//! Operations on a sender, beside brokers that hold it to its promises.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kafka_producer::fuzzing::sender_ops(data, Instant::now()));
