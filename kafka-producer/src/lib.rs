//! An Apache Kafka producer in pure Rust.
