//! What stands in the records field of a request or response: batches in any codec.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kafka_batch::fuzzing::batch(data));
