//! An Apache Kafka producer in pure Rust.

pub mod partitioner;

mod config;
mod error;

pub use config::{
    ConfigError, ConfigErrorKind, ConfigWarning, ConfigWarningKind, MetadataRecovery, ProducerConfig,
    Settings,
};
pub use error::Persistence;
pub use kafka_wire::Acks;
