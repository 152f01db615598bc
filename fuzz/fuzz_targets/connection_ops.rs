//! Operations on a connection, beside a model of what must come of them.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kafka_net::fuzzing::connection_ops(data, Instant::now()));
