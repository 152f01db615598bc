//! An Apache Kafka producer in pure Rust: idempotent, batching, without a C library.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{collections::VecDeque, time::Duration};
//!
//! use kafka_producer::{Producer, Record};
//!
//! let producer = Producer::builder(["localhost:9092"]).connect().await?;
//! let orders = producer.topic("orders").await?;
//!
//! // A window of deliveries: accepted records go on while the oldest answers come in.
//! let mut window = VecDeque::new();
//! for number in 0..1_000_000u32 {
//!     let (key, value) = (number.to_be_bytes(), format!("order {number}"));
//!     window.push_back(producer.send(Record::to(&orders).key(&key).value(&value)).await?);
//!     if window.len() > 10_000 {
//!         if let Some(delivery) = window.pop_front() {
//!             delivery.await?;
//!         }
//!     }
//! }
//! for delivery in window {
//!     delivery.await?;
//! }
//! producer.close(Duration::from_secs(10)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! With the default settings (`acks=all`, idempotence) no acknowledged record is lost, none is written twice, and the
//! order in each partition is that of `send`. Each accepted record gets exactly one answer, by its [`Delivery`]; an
//! answer that is an error says truthfully whether the record may be in the log ([`Persistence`]).
//!
//! # Where things are
//!
//! A record is encoded where it is sent, once, into the open batch of its partition's *lane*: no channel, task or
//! allocation of its own. Batches that are full, or have lingered, are drained by the *pump* of their leader's
//! connection, which asks the `Sender` (a state machine without I/O) for requests and tells it the answers. Everything
//! that touches tokio is in the module `io`.

mod config;
mod connect;
mod delivery;
mod error;
#[cfg(test)]
#[path = "../tests/fuzzing/mod.rs"]
mod fuzzed;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod io;
mod millis;
pub mod partitioner;
mod plane;
mod planted;
mod producer;
mod progress;
mod purge;
mod record;
mod sender;
mod sink;
mod stats;
mod sync;
mod timeline;
mod topic;
mod waiters;

#[cfg(test)]
#[path = "../tests/runtimes/mod.rs"]
mod runtimes;

#[cfg(test)]
#[path = "../tests/sim/shell/mod.rs"]
mod shell;

#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;

use std::time::Duration;

pub use kafka_batch::{Compression, Header, OwnedHeader, SendReason};
pub use kafka_net::io::{BoxStream, ByteStream, Connect, Connector, Target};
pub use kafka_wire::{Acks, ErrorCode, NodeId};

pub use crate::{
    config::{
        ConfigError, ConfigErrorKind, ConfigWarning, ConfigWarningKind, MetadataRecovery, ProducerConfig,
        Settings,
    },
    delivery::{Deliveries, Delivery, RecordMetadata},
    error::{DeliveryError, Persistence, SendError, TrySendError},
    partitioner::Partitioner,
    producer::{CloseError, Flushed, PartitionInfo, Producer, SendAllError, Sending, SendingAll},
    purge::{Purge, Purged},
    record::{Record, TopicRef},
    sink::{OwnedRecord, RecordSink, SinkError, SinkResults},
    stats::{BrokerStats, Latency, SendReasons, Stats},
    timeline::{Attempt, Timeline, WaitReason, Waited},
    topic::Topic,
};

/// How far behind the clock a record's own timestamp may be: the time is looked at when batches are begun and sent, and
/// this often while a batch waits.
pub const CLOCK_TICK: Duration = Duration::from_millis(10);
