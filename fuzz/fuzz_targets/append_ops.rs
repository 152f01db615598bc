//! A life of an accumulator beside its model.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kafka_batch::fuzzing::append_ops(data));
