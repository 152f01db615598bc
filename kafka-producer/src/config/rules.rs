//! What settings mean together: Kafka's rules across settings, and the values that are in force in the end.

use std::time::Duration;

use kafka_batch::{CHUNK_SIZE, Compression, Limits};
use kafka_net::{Endpoint, MetadataConfig};
use kafka_wire::Acks;

use super::{
    ConfigError, ConfigErrorKind, ConfigWarning, ConfigWarningKind, MetadataRecovery, ProducerConfig,
    Settings, comma_too_many, metadata_config, net_config,
};

impl ProducerConfig {
    /// Checks the settings, each and together, and returns those in force, with what is remarkable about them.
    ///
    /// # Errors
    ///
    /// If a value is outside its setting's range, settings contradict each other, no brokers are named, or the codec
    /// is not compiled in.
    pub fn settle(&self) -> Result<(Settings, Vec<ConfigWarning>), ConfigError> {
        let mut warnings = Vec::new();
        self.check_ranges()?;
        let batch_size = self.batch_limit(&mut warnings)?;
        let idempotence = self.settled_idempotence(&mut warnings)?;
        let linger = self.linger.min(LONGEST_TIMEOUT);
        let settings = Settings {
            bootstrap_servers: self.settled_servers(&mut warnings)?,
            client_id: self.client_id.clone(),
            batch_size,
            batch_size_is_set: self.is_set("batch.size"),
            linger,
            linger_is_set: self.is_set("linger.ms"),
            buffer_memory: self.buffer_memory,
            max_block: self.max_block.min(LONGEST),
            max_request_size: self.max_request_size,
            compression: self.settled_compression()?,
            acks: self.acks,
            retries: self.retries,
            idempotence,
            max_in_flight: self.max_in_flight,
            delivery_timeout: self.settled_delivery_timeout(linger, &mut warnings)?,
            request_timeout: self.request_timeout,
            retry_backoff: capped("retry.backoff", self.retry_backoff, self.retry_backoff_max, &mut warnings),
            retry_backoff_max: self.retry_backoff_max.min(LONGEST),
            metadata_max_age: self.metadata_max_age.min(LONGEST),
            metadata_max_idle: self.metadata_max_idle.min(LONGEST),
            metadata_cluster_check: self.metadata_cluster_check,
            metadata_recovery: self.metadata_recovery,
            metadata_recovery_rebootstrap_trigger: self.settled_trigger(&mut warnings),
            connections_max_idle: self.connections_max_idle.map(|idle| idle.min(LONGEST)),
            reconnect_backoff: self.reconnect_backoff.min(self.reconnect_ceiling()),
            reconnect_backoff_max: self.reconnect_ceiling(),
            socket_connection_setup_timeout: capped(
                "socket.connection.setup.timeout",
                self.socket_connection_setup_timeout,
                self.socket_connection_setup_timeout_max,
                &mut warnings,
            ),
            socket_connection_setup_timeout_max: self.socket_connection_setup_timeout_max.min(LONGEST),
            send_buffer: self.send_buffer,
            receive_buffer: self.receive_buffer,
            partitioner_ignore_keys: self.partitioner_ignore_keys,
            partitioner_adaptive_partitioning: self.partitioner_adaptive_partitioning,
            partitioner_availability_timeout: self.partitioner_availability_timeout.map(|it| it.min(LONGEST)),
            connector: self.connector.clone(),
        };
        // What the layers below refuse is refused here, not when it is too late to ask.
        net_config(&settings)?;
        metadata_config(&settings)?;
        Ok((settings, warnings))
    }

    /// An attempt to reach a broker that is known takes some time.
    fn settled_trigger(&self, warnings: &mut Vec<ConfigWarning>) -> Duration {
        let least = MetadataConfig::LEAST_REBOOTSTRAP_TRIGGER;
        let trigger = self.metadata_recovery_rebootstrap_trigger;
        if trigger < least && self.metadata_recovery == MetadataRecovery::Rebootstrap {
            let name = "metadata.recovery.rebootstrap.trigger.ms";
            let (asked, least) = (trigger.as_millis(), least.as_millis());
            let text = format!("{name}={asked} leaves brokers no time to answer: {least} is used");
            warnings.push(ConfigWarning::new(ConfigWarningKind::Adjusted, name, text));
        }
        trigger.max(least).min(LONGEST)
    }

    /// C12: at least one server, and each a host and a port.
    fn settled_servers(&self, warnings: &mut Vec<ConfigWarning>) -> Result<Vec<Endpoint>, ConfigError> {
        if self.bootstrap_servers.is_empty() {
            return Err(ConfigError::new(
                ConfigErrorKind::Missing,
                "bootstrap.servers",
                "bootstrap.servers is missing: name at least one broker, as in bootstrap.servers=localhost:9092",
            ));
        }
        let mut servers = Vec::new();
        for entry in &self.bootstrap_servers {
            // An entry of the builder's may itself be a list, as everybody has it at hand.
            servers.extend(Endpoint::parse_list(entry)?);
            warnings.extend(entry.trim().ends_with(',').then(|| comma_too_many("bootstrap.servers")));
        }
        Ok(servers)
    }

    /// The codec with its level, if this build has it.
    fn settled_compression(&self) -> Result<Compression, ConfigError> {
        let compression = match self.compression {
            Compression::Gzip(_) => Compression::Gzip(self.gzip_level),
            Compression::Lz4(_) => Compression::Lz4(self.lz4_level),
            Compression::Zstd(_) => Compression::Zstd(self.zstd_level),
            Compression::None | Compression::Snappy => self.compression,
        };
        match compression.check() {
            Ok(()) => Ok(compression),
            Err(error) => {
                let text = format!("compression.type={compression}: {error}");
                Err(ConfigError::new(ConfigErrorKind::NotCompiledIn, "compression.type", text))
            }
        }
    }

    /// The ranges of Kafka's table for what the setters let pass, and the values that nothing could come of.
    fn check_ranges(&self) -> Result<(), ConfigError> {
        let wrong = |name: &str, text: String| Err(ConfigError::new(ConfigErrorKind::Value, name, text));
        for (name, size) in [("batch.size", self.batch_size), ("max.request.size", self.max_request_size)] {
            if size > INT_MAX {
                return wrong(name, format!("{name}={size}: expected at most {INT_MAX} bytes"));
            }
        }
        for (name, limit) in
            [("delivery.timeout.ms", self.delivery_timeout), ("request.timeout.ms", self.request_timeout)]
        {
            if limit > LONGEST_TIMEOUT {
                let millis = limit.as_millis();
                return wrong(
                    name,
                    format!("{name}={millis}: expected at most {INT_MAX} milliseconds, 24 days"),
                );
            }
        }
        for (name, count) in
            [("retries", self.retries), ("max.in.flight.requests.per.connection", self.max_in_flight)]
        {
            if usize::try_from(count).is_ok_and(|count| count > INT_MAX) {
                return wrong(name, format!("{name}={count}: expected at most {INT_MAX}"));
            }
        }
        if ![Acks::ALL, Acks::LEADER, Acks::NONE].contains(&self.acks) {
            return wrong("acks", format!("acks={}: expected all, -1, 0 or 1", self.acks.0));
        }
        if self.max_in_flight == 0 {
            let name = "max.in.flight.requests.per.connection";
            return wrong(
                name,
                format!("{name}=0: without a request in flight nothing is ever sent; the default is 5"),
            );
        }
        if self.request_timeout.is_zero() {
            let name = "request.timeout.ms";
            return wrong(name, format!("{name}=0: no answer comes in no time; the default is 30000"));
        }
        if self.metadata_max_idle < Duration::from_secs(5) {
            let name = "metadata.max.idle.ms";
            let millis = self.metadata_max_idle.as_millis();
            return wrong(name, format!("{name}={millis}: expected at least 5000 milliseconds"));
        }
        Ok(())
    }

    /// C13 and the limit in force: no batch is larger than the request it goes into, or than all memory.
    fn batch_limit(&self, warnings: &mut Vec<ConfigWarning>) -> Result<usize, ConfigError> {
        let (batch, request, memory) = (self.batch_size, self.max_request_size, self.buffer_memory);
        let limit = batch.min(request);
        if limit > memory {
            return Err(ConfigError::contradiction(
                "batch.size",
                "buffer.memory",
                format!(
                    "batch.size={batch} does not fit into buffer.memory={memory}: no batch could ever be filled; \
                     set buffer.memory to {} or more{}",
                    memory_for(limit),
                    // Less than a chunk is no memory at all, whatever batches are like.
                    match memory {
                        0..CHUNK_SIZE => String::new(),
                        memory => format!(", or batch.size to {memory} or less"),
                    },
                ),
            ));
        }
        Limits::new(batch, request, memory)?;
        if limit < batch {
            warnings.push(ConfigWarning::new(
                ConfigWarningKind::Adjusted,
                "batch.size",
                format!("batch.size={batch} is more than a request may hold: max.request.size={request} is the limit in force for batches"),
            ));
        }
        Ok(limit)
    }

    /// C1, C2 and C3: what idempotence needs, and when it gives way.
    fn settled_idempotence(&self, warnings: &mut Vec<ConfigWarning>) -> Result<bool, ConfigError> {
        if !self.enable_idempotence {
            return Ok(false);
        }
        // As in Kafka, this one is never silent: order would be lost, and nobody asked for that.
        if self.max_in_flight > MAX_IN_FLIGHT_IDEMPOTENT {
            let count = self.max_in_flight;
            return Err(ConfigError::contradiction(
                "max.in.flight.requests.per.connection",
                "enable.idempotence",
                format!(
                    "max.in.flight.requests.per.connection={count} with enable.idempotence=true: brokers remember \
                     {MAX_IN_FLIGHT_IDEMPOTENT} batches of a producer; set it to {MAX_IN_FLIGHT_IDEMPOTENT} or less, or \
                     enable.idempotence=false and accept duplicates and another order"
                ),
            ));
        }
        let acks = match self.acks {
            Acks::LEADER => Some(("acks", "acks=1", "acks=all")),
            Acks::NONE => Some(("acks", "acks=0", "acks=all")),
            _ => None,
        };
        let retries = (self.retries == 0).then_some(("retries", "retries=0", "retries=2147483647"));
        let Some((setting, written, works)) = acks.or(retries) else {
            return Ok(true);
        };
        if self.is_set("enable.idempotence") {
            return Err(ConfigError::contradiction(
                setting,
                "enable.idempotence",
                format!(
                    "{written} contradicts enable.idempotence=true; set {works}, or enable.idempotence=false"
                ),
            ));
        }
        // Where nothing is sent again, brokers need not recognise anything.
        if self.retries == 0 {
            return Ok(false);
        }
        warnings.push(ConfigWarning::new(
            ConfigWarningKind::Adjusted,
            "enable.idempotence",
            format!("{written} switches enable.idempotence off: a record that is sent again may be written twice, and order may change"),
        ));
        Ok(false)
    }

    /// C6: a delivery cannot end before its record has lingered and one request has been waited for.
    fn settled_delivery_timeout(
        &self,
        linger: Duration,
        warnings: &mut Vec<ConfigWarning>,
    ) -> Result<Duration, ConfigError> {
        let least = linger.saturating_add(self.request_timeout).min(LONGEST_TIMEOUT);
        if self.delivery_timeout >= least {
            return Ok(self.delivery_timeout);
        }
        let [delivery, linger, request, least_ms] =
            [self.delivery_timeout, linger, self.request_timeout, least].map(|time| time.as_millis());
        if self.is_set("delivery.timeout.ms") {
            let other = if self.is_set("request.timeout.ms") || !self.is_set("linger.ms") {
                "request.timeout.ms"
            } else {
                "linger.ms"
            };
            return Err(ConfigError::contradiction(
                "delivery.timeout.ms",
                other,
                format!(
                    "delivery.timeout.ms={delivery} is less than linger.ms={linger} and request.timeout.ms={request} \
                     together; set delivery.timeout.ms={least_ms} or more, or lower the other two"
                ),
            ));
        }
        warnings.push(ConfigWarning::new(
            ConfigWarningKind::Adjusted,
            "delivery.timeout.ms",
            format!(
                "delivery.timeout.ms is raised from {delivery} to {least_ms}, the sum of linger.ms={linger} and \
                 request.timeout.ms={request}"
            ),
        ));
        Ok(least)
    }

    /// C7: who sets only the first wait wants it constant.
    fn reconnect_ceiling(&self) -> Duration {
        let constant = self.is_set("reconnect.backoff.ms") && !self.is_set("reconnect.backoff.max.ms");
        if constant { self.reconnect_backoff } else { self.reconnect_backoff_max }.min(LONGEST)
    }
}

/// C8: a first wait above the ceiling is the ceiling.
fn capped(name: &str, first: Duration, max: Duration, warnings: &mut Vec<ConfigWarning>) -> Duration {
    if first > max {
        let setting = format!("{name}.ms");
        let text = format!(
            "{setting}={} is more than {name}.max.ms={}, which is therefore used from the first time on",
            first.as_millis(),
            max.as_millis()
        );
        warnings.push(ConfigWarning::new(ConfigWarningKind::Adjusted, &setting, text));
    }
    first.min(max).min(LONGEST)
}

/// A good size of memory for batches of this size: Kafka's default, or room for a few.
fn memory_for(batch: usize) -> usize {
    batch.saturating_mul(4).max(32 << 20)
}

/// Kafka's `int`, in which it keeps sizes and the timeouts of deliveries and requests.
const INT_MAX: usize = i32::MAX as usize;
const LONGEST_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// Ten years stand for "never": a `long` of milliseconds would overflow when it is added to a time.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Brokers remember the last five batches of a producer and partition, and so know a batch that comes again.
const MAX_IN_FLIGHT_IDEMPOTENT: u32 = 5;
