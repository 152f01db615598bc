//! Connections to Kafka brokers and the metadata that leads to partition leaders.
//!
//! Take this crate alone to talk to a cluster in requests and responses: [`Client`] finds the leader of a partition,
//! keeps a connection to each broker that is needed, and calls it.
//!
//! ```no_run
//! use kafka_net::{Client, ClientConfig};
//! use kafka_wire::{PartitionId, messages::ListOffsetsRequest};
//!
//! # async fn example() -> Result<(), kafka_net::NetError> {
//! let client = Client::connect("localhost:9092", ClientConfig::default()).await?;
//! let request = ListOffsetsRequest::default();
//! let response = client.call_leader("orders", PartitionId(0), request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Underneath are parts to be composed otherwise, each of use by itself:
//!
//! ```text
//!   Metadata ── whom to ask ──> owner of the calls (Client, a producer, ...)
//!      ^                             | Feed: poll_call          ^ Feed: on_reply
//!      | answers                     v                          |
//!      |                     io::pump ── calls ──> Connection ── replies
//!      |                         |  one task per broker, kept up by io::keep_connected
//!      |                         v
//!      └──────────────── FrameSink / KafkaCodec ──> socket
//! ```
//!
//! - [`Connection`] is the state of one connection without its socket: negotiation, correlation, time-outs, throttling.
//! - [`Metadata`] says when to ask which broker for what, and keeps a [`ClusterView`].
//! - [`Enquiry`] is the schedule of any other question: to any broker, the controller, or a coordinator.
//! - [`Cluster`] is a table of brokers, with the calls that wait for each: an owner of calls has one.
//! - [`Feed`] is what a connection's pump asks for calls and tells replies; [`Call`] is one of them.
//! - [`io`] has the only sockets, timers and tasks. The rest is told the time and asked for output, so that a test or a
//!   simulation can drive it.
//! - [`KafkaCodec`] and [`FrameSink`] are frames for tokio-util's `Framed`, and a [`futures::Sink`] that writes them
//!   without copying payloads.
//!
//! What holds throughout: every call comes back exactly once, and an error says whether a byte of it may have left this
//! process ([`NetError::possibly_written`]). Every queue has a bound. The random numbers of the jitter come from a
//! generator the caller seeds. Today connections are plaintext.

mod backoff;
mod call;
mod client;
mod cluster;
mod config;
mod conn;
mod enquiry;
mod error;
mod feed;
#[cfg(test)]
#[path = "../tests/fuzzing/mod.rs"]
mod fuzzed;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod io;
mod metadata;
mod shown;

pub use crate::{
    backoff::Backoff,
    call::{Answer, Call, CallResult},
    client::{Client, ClientConfig},
    cluster::{Cluster, Duty},
    config::{ConfigError, Endpoint, NetConfig},
    conn::{Connection, ConnectionStats, Event, Expectation, Life, Opening, Reconnect, Versions},
    enquiry::{Brokers, Enquiry, EnquiryRules, Pick, Question, Ticket, To},
    error::{NetError, topic_error_may_pass},
    feed::{Demand, Feed, Next, Offer, Status},
    io::{FrameSink, KafkaCodec},
    metadata::{
        Action, Broker, ClusterChange, ClusterView, LeaderHint, Metadata, MetadataConfig, PartitionView,
        SILENT_LOAD, TopicView, Update,
    },
};
