//! Kafka's protocol messages and primitives: nom parsers, encoders, exact sizes.
#![no_std]
