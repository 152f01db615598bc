//! [`Settings`]: what is in force.

use std::time::Duration;

use kafka_batch::Compression;
use kafka_net::{Endpoint, io::Connector};
use kafka_wire::Acks;

use super::MetadataRecovery;
#[cfg(doc)]
use super::ProducerConfig;

/// The settings in force: checked, and with everything settled that one setting decides about another.
///
/// Made by [`ProducerConfig::settle`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The brokers to ask first; at least one.
    pub bootstrap_servers: Vec<Endpoint>,
    /// The name that brokers show in logs, metrics and quotas.
    pub client_id: String,
    /// How large a batch may grow before it is full; never more than `max_request_size`.
    pub batch_size: usize,
    /// Whether `batch.size` was asked for.
    pub batch_size_is_set: bool,
    /// How long a batch that is not full waits for more records.
    pub linger: Duration,
    /// Whether `linger.ms` was asked for.
    pub linger_is_set: bool,
    /// How much may be allocated for records; never less than `batch_size`.
    pub buffer_memory: usize,
    /// How long `send` may wait.
    pub max_block: Duration,
    /// The largest sum of uncompressed batches in a request.
    pub max_request_size: usize,
    /// What batches are compressed with; compiled in.
    pub compression: Compression,
    /// Who must have written a record before it counts as delivered.
    pub acks: Acks,
    /// How often a batch is sent again after its first attempt.
    pub retries: u32,
    /// Whether brokers recognise a batch that is sent again; only with all acknowledgements and with retries.
    pub idempotence: bool,
    /// Requests that wait for an answer, for each broker; at least one, and at most five with idempotence.
    pub max_in_flight: u32,
    /// From `send` to success or failure; never less than `linger` and `request_timeout` together.
    pub delivery_timeout: Duration,
    /// How long one request waits for its answer.
    pub request_timeout: Duration,
    /// The wait before a first retry; never more than `retry_backoff_max`.
    pub retry_backoff: Duration,
    /// The longest wait before a retry.
    pub retry_backoff_max: Duration,
    /// When metadata is asked for again although nothing went wrong.
    pub metadata_max_age: Duration,
    /// When a topic that nothing is sent to is forgotten.
    pub metadata_max_idle: Duration,
    /// Whether brokers are held against the id of the cluster that answered first.
    pub metadata_cluster_check: bool,
    /// What to do when no known broker can be reached.
    pub metadata_recovery: MetadataRecovery,
    /// After how long without metadata to begin again with the bootstrap servers.
    pub metadata_recovery_rebootstrap_trigger: Duration,
    /// When an unused connection is closed.
    pub connections_max_idle: Option<Duration>,
    /// The wait after a first failure to connect; never more than `reconnect_backoff_max`.
    pub reconnect_backoff: Duration,
    /// The longest wait between attempts to connect.
    pub reconnect_backoff_max: Duration,
    /// How long a first attempt to connect may take; never more than `socket_connection_setup_timeout_max`.
    pub socket_connection_setup_timeout: Duration,
    /// The longest that an attempt to connect may take.
    pub socket_connection_setup_timeout_max: Duration,
    /// The size of a socket's send buffer.
    pub send_buffer: Option<u32>,
    /// The size of a socket's receive buffer.
    pub receive_buffer: Option<u32>,
    /// Whether records with a key are spread like those without.
    pub partitioner_ignore_keys: bool,
    /// Whether partitions with fewer batches waiting are chosen more often for records without key.
    pub partitioner_adaptive_partitioning: bool,
    /// How long a broker may take nothing before its partitions are not chosen for records without key.
    pub partitioner_availability_timeout: Option<Duration>,
    /// How connections are opened.
    pub connector: Connector,
}
