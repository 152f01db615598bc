//! From settings to a running producer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kafka_batch::{Compression, Limits, QueueSettings};
use kafka_net::{Backoff, Metadata};

use crate::{
    config::{ConfigError, ProducerConfig, Settings, metadata_config, net_config},
    io::{self, Host, Shared},
    partitioner::Partitioner,
    plane::{Plane, PlaneSettings},
    producer::Producer,
    sender::{Sender, SenderSettings},
};

impl ProducerConfig {
    /// Checks the settings and starts a producer on the runtime this is called on, which needs its I/O and time drivers.
    ///
    /// It does not wait for a broker to answer, since brokers may come later than their clients. What keeps it from
    /// connecting shows in the first `send`, and in the log.
    ///
    /// *Cancel safety*: nothing is waited for.
    ///
    /// # Errors
    /// The settings are out of range, contradict each other, or need a codec that is not compiled in; or this is not called on
    /// a tokio runtime with timers and, unless there is a [`connector`](Self::connector), sockets.
    pub async fn connect(self) -> Result<Producer, ConfigError> {
        self.start(None, Host::current)
    }

    /// As [`connect`](Self::connect), with partitions chosen by the caller.
    ///
    /// *Cancel safety*: nothing is waited for.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(self, partitioner: impl Partitioner) -> Result<Producer, ConfigError> {
        self.start(Some(Arc::new(partitioner)), Host::current)
    }

    /// Starts a producer on what `host` gives, which is asked once it is sure that there is a runtime.
    pub(crate) fn start(
        self,
        partitioner: Option<Arc<dyn Partitioner>>,
        host: impl FnOnce() -> Host,
    ) -> Result<Producer, ConfigError> {
        let (settings, warnings) = self.settle()?;
        if let Some(lack) = kafka_net::io::runtime_lack(&settings.connector) {
            return Err(ConfigError::runtime(lack));
        }
        for warning in warnings {
            tracing::warn!(%warning, "settings");
        }
        let host = host();
        let mut rng = fastrand::Rng::with_seed(host.seed);
        let net = net_config(&settings)?;
        let metadata = Metadata::new(&settings.bootstrap_servers, metadata_config(&settings)?, rng.fork());
        let limits = Limits::new(settings.batch_size, settings.max_request_size, settings.buffer_memory)?;
        let plane_settings = PlaneSettings {
            queues: QueueSettings {
                limits,
                linger: settings.linger,
                delivery_timeout: settings.delivery_timeout,
            },
            seals_elsewhere: settings.compression != Compression::None,
            ignores_keys: settings.partitioner_ignore_keys,
            is_adaptive: settings.partitioner_adaptive_partitioning,
            availability_timeout: settings.partitioner_availability_timeout,
        };
        let sender = Sender::new(sender_settings(&settings), metadata, rng.u64(..));
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let plane = Plane::new(id, plane_settings, partitioner, sender, io::surroundings(&host), io::now());
        Ok(Producer::start(Shared::new(plane, settings, net, &host)))
    }
}

fn sender_settings(settings: &Settings) -> SenderSettings {
    let max_in_flight = usize::try_from(settings.max_in_flight).unwrap_or(usize::MAX);
    SenderSettings {
        acks: settings.acks,
        idempotent: settings.idempotence,
        max_unresolved: max_in_flight.min(REMEMBERED_BATCHES),
        max_request_size: settings.max_request_size,
        retries: settings.retries,
        retry_backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
        request_timeout: settings.request_timeout,
        linger: settings.linger,
        min_produce_version: match settings.compression {
            Compression::Zstd(_) => FIRST_WITH_ZSTD,
            _ => FIRST,
        },
        max_sealing: match settings.compression {
            // Sealed at once by whoever drains.
            Compression::None => usize::MAX,
            _ => io::parallelism(),
        },
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How many batches of a producer a broker remembers for each partition: more unresolved ones could be doubled.
const REMEMBERED_BATCHES: usize = 5;

/// The oldest version of Produce with batches of format 2.
const FIRST: i16 = 3;
/// The oldest version of Produce that may carry zstd.
const FIRST_WITH_ZSTD: i16 = 7;
