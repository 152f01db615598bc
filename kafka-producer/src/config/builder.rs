//! The setters of [`ProducerConfig`].

use std::time::Duration;

use kafka_batch::Compression;
use kafka_net::io::{Connect, Connector};
use kafka_wire::Acks;

use super::{MetadataRecovery, ProducerConfig, table};

/// Setters. Ranges are those of Kafka, and are checked by [`settle`](ProducerConfig::settle).
impl ProducerConfig {
    /// `bootstrap.servers`: the brokers to ask first, `host:port` each. Required.
    pub fn bootstrap_servers<S: Into<String>>(mut self, servers: impl IntoIterator<Item = S>) -> Self {
        self.bootstrap_servers = servers.into_iter().map(Into::into).collect();
        self.explicit("bootstrap.servers")
    }

    /// `client.id`: the name that brokers show in logs, metrics and quotas. Empty by default.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self.explicit("client.id")
    }

    /// `batch.size`: how large a batch may grow, uncompressed and with its header, before it is full. 16 KiB.
    ///
    /// A record that is larger has a batch of its own.
    pub fn batch_size(mut self, bytes: usize) -> Self {
        self.batch_size = bytes;
        self.explicit("batch.size")
    }

    /// `linger.ms`: how long a batch that is not full waits for more records, from its first one on. 5 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self.explicit("linger.ms")
    }

    /// `buffer.memory`: how much may be allocated for records that wait or are on their way. 32 MiB.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.buffer_memory = bytes;
        self.explicit("buffer.memory")
    }

    /// `max.block.ms`: how long `send` may wait for the topic's metadata and for room. 1 min.
    pub fn max_block(mut self, limit: Duration) -> Self {
        self.max_block = limit;
        self.explicit("max.block.ms")
    }

    /// `max.request.size`: the largest sum of uncompressed batches in a request, so also the largest record. 1 MiB.
    pub fn max_request_size(mut self, bytes: usize) -> Self {
        self.max_request_size = bytes;
        self.explicit("max.request.size")
    }

    /// `compression.type` with the level of its codec: what batches are compressed with. Nothing.
    ///
    /// Whether this build has the codec and the level is checked by [`settle`](ProducerConfig::settle).
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        let (place, name) = match compression {
            Compression::Gzip(level) => (Some((&mut self.gzip_level, level)), "compression.gzip.level"),
            Compression::Lz4(level) => (Some((&mut self.lz4_level, level)), "compression.lz4.level"),
            Compression::Zstd(level) => (Some((&mut self.zstd_level, level)), "compression.zstd.level"),
            Compression::None | Compression::Snappy => (None, ""),
        };
        if let Some((place, level)) = place {
            *place = level;
            self.explicit.insert(name);
        }
        self.explicit("compression.type")
    }

    /// `acks`: who must have written a record before it counts as delivered. All replicas in sync.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.acks = acks;
        self.explicit("acks")
    }

    /// `retries`: how often a batch is sent again after its first attempt. Bounded by the delivery timeout alone.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self.explicit("retries")
    }

    /// `enable.idempotence`: whether brokers recognise a batch that is sent again, and keep order. On.
    pub fn enable_idempotence(mut self, enable: bool) -> Self {
        self.enable_idempotence = enable;
        self.explicit("enable.idempotence")
    }

    /// `max.in.flight.requests.per.connection`: requests that wait for an answer, for each broker. 5.
    pub fn max_in_flight_requests_per_connection(mut self, count: u32) -> Self {
        self.max_in_flight = count;
        self.explicit("max.in.flight.requests.per.connection")
    }

    /// `delivery.timeout.ms`: from `send` to success or failure, retries included. 2 min.
    pub fn delivery_timeout(mut self, limit: Duration) -> Self {
        self.delivery_timeout = limit;
        self.explicit("delivery.timeout.ms")
    }

    /// `request.timeout.ms`: how long one request waits for its answer, at the broker too. 30 s.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self.explicit("request.timeout.ms")
    }

    /// `retry.backoff.ms`: the wait before a first retry; it doubles up to the maximum. 100 ms. From the third failure in a row
    /// on the wait is 10 ms at least, also with zero: no loop goes round without a pause.
    pub fn retry_backoff(mut self, first: Duration) -> Self {
        self.retry_backoff = first;
        self.explicit("retry.backoff.ms")
    }

    /// `retry.backoff.max.ms`: the longest wait before a retry. 1 s.
    pub fn retry_backoff_max(mut self, max: Duration) -> Self {
        self.retry_backoff_max = max;
        self.explicit("retry.backoff.max.ms")
    }

    /// `metadata.max.age.ms`: when metadata is asked for again although nothing went wrong. 5 min.
    pub fn metadata_max_age(mut self, age: Duration) -> Self {
        self.metadata_max_age = age;
        self.explicit("metadata.max.age.ms")
    }

    /// `metadata.max.idle.ms`: when a topic that nothing is sent to is forgotten. 5 min, and 5 s at least.
    pub fn metadata_max_idle(mut self, idle: Duration) -> Self {
        self.metadata_max_idle = idle;
        self.explicit("metadata.max.idle.ms")
    }

    /// `metadata.cluster.check.enable` (KIP-1242): whether each new connection is held against the id of the cluster that
    /// answered first, so that a broker of another cluster behind a known address gets no records. On by default. Without it,
    /// whatever cluster answers is taken for the one that is meant.
    pub fn metadata_cluster_check(mut self, check: bool) -> Self {
        self.metadata_cluster_check = check;
        self.explicit("metadata.cluster.check.enable")
    }

    /// `metadata.recovery.strategy`: what to do when no known broker can be reached.
    pub fn metadata_recovery_strategy(mut self, strategy: MetadataRecovery) -> Self {
        self.metadata_recovery = strategy;
        self.explicit("metadata.recovery.strategy")
    }

    /// `metadata.recovery.rebootstrap.trigger.ms`: after how long without metadata to begin again. 5 min, and 1 s at least.
    pub fn metadata_recovery_rebootstrap_trigger(mut self, after: Duration) -> Self {
        self.metadata_recovery_rebootstrap_trigger = after;
        self.explicit("metadata.recovery.rebootstrap.trigger.ms")
    }

    /// `connections.max.idle.ms`: when an unused connection is closed; none for never. 9 min.
    pub fn connections_max_idle(mut self, idle: Option<Duration>) -> Self {
        self.connections_max_idle = idle;
        self.explicit("connections.max.idle.ms")
    }

    /// `reconnect.backoff.ms`: the wait after a first failure to connect; it doubles up to the maximum. 50 ms. From the third
    /// failure in a row on the wait is 10 ms at least, also with zero.
    pub fn reconnect_backoff(mut self, first: Duration) -> Self {
        self.reconnect_backoff = first;
        self.explicit("reconnect.backoff.ms")
    }

    /// `reconnect.backoff.max.ms`: the longest wait between attempts to connect. 1 s.
    pub fn reconnect_backoff_max(mut self, max: Duration) -> Self {
        self.reconnect_backoff_max = max;
        self.explicit("reconnect.backoff.max.ms")
    }

    /// `socket.connection.setup.timeout.ms`: how long a first attempt to connect may take; it doubles. 10 s. Counts until the
    /// broker has said which versions it knows, so that one that accepts and says nothing does not cost a `request.timeout.ms`.
    pub fn socket_connection_setup_timeout(mut self, first: Duration) -> Self {
        self.socket_connection_setup_timeout = first;
        self.explicit("socket.connection.setup.timeout.ms")
    }

    /// `socket.connection.setup.timeout.max.ms`: the longest that an attempt to connect may take. 30 s.
    pub fn socket_connection_setup_timeout_max(mut self, max: Duration) -> Self {
        self.socket_connection_setup_timeout_max = max;
        self.explicit("socket.connection.setup.timeout.max.ms")
    }

    /// `send.buffer.bytes`: the size of a socket's send buffer; none leaves it to the system. 128 KiB.
    pub fn send_buffer(mut self, bytes: Option<u32>) -> Self {
        self.send_buffer = bytes;
        self.explicit("send.buffer.bytes")
    }

    /// `receive.buffer.bytes`: the size of a socket's receive buffer; none leaves it to the system. 32 KiB.
    pub fn receive_buffer(mut self, bytes: Option<u32>) -> Self {
        self.receive_buffer = bytes;
        self.explicit("receive.buffer.bytes")
    }

    /// `partitioner.ignore.keys`: whether records with a key are spread like those without. Off.
    pub fn partitioner_ignore_keys(mut self, ignore: bool) -> Self {
        self.partitioner_ignore_keys = ignore;
        self.explicit("partitioner.ignore.keys")
    }

    /// `partitioner.adaptive.partitioning.enable`: whether records without a key go more often to partitions with fewer
    /// batches waiting, once batches wait at all. On.
    pub fn partitioner_adaptive_partitioning(mut self, enable: bool) -> Self {
        self.partitioner_adaptive_partitioning = enable;
        self.explicit("partitioner.adaptive.partitioning.enable")
    }

    /// `partitioner.availability.timeout.ms`: how long a broker that has batches waiting may take nothing before records
    /// without a key go elsewhere. None, or adaptive partitioning switched off: for ever. None.
    pub fn partitioner_availability_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.partitioner_availability_timeout = timeout.filter(|timeout| !timeout.is_zero());
        self.explicit("partitioner.availability.timeout.ms")
    }

    /// How connections to brokers are opened: through a tunnel, say, or a pipe in memory. Over TCP unless set.
    ///
    /// No setting of Kafka's, and so none in properties form.
    pub fn connector(mut self, connect: impl Connect) -> Self {
        self.connector = Connector::new(connect);
        self
    }

    fn explicit(mut self, name: &'static str) -> Self {
        debug_assert!(table::find(name).is_some(), "{name} is a setting of Kafka's");
        self.explicit.insert(name);
        self
    }
}
