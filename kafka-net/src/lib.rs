//! Connections to Kafka brokers and the metadata that leads to partition leaders.

mod backoff;
mod call;
mod client;
mod config;
mod conn;
mod error;
mod feed;
#[doc(hidden)]
pub mod fuzzing;
pub mod io;
mod metadata;

pub use crate::{
    backoff::Backoff,
    call::{Answer, Call, CallResult, Throttled},
    client::{Client, ClientConfig},
    config::{ConfigError, Endpoint, NetConfig},
    conn::{Connection, ConnectionStats, Event, Reconnect, Versions},
    error::NetError,
    feed::{Demand, Feed, Next, Offer, Status},
    io::{FrameSink, KafkaCodec},
    metadata::{
        Action, Broker, ClusterView, LeaderHint, Metadata, MetadataConfig, PartitionView, Pick, Ticket,
        TopicView, Update,
    },
};
