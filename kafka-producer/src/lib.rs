//! An Apache Kafka producer in pure Rust.

pub mod partitioner;

mod config;
mod error;

pub use error::Persistence;
