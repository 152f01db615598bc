//! [`MetadataConfig`]: how old a view may get, and what is done when no broker answers.

use std::time::Duration;

use crate::config::ConfigError;

/// Settings of [`Metadata`](super::Metadata). Start from the default and assign what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataConfig {
    /// `metadata.max.age.ms`: 5 min. A view this old is refreshed although nobody asks.
    pub max_age: Duration,
    /// `metadata.max.idle.ms`: 5 min. A topic nobody wanted for so long is forgotten.
    pub max_idle: Duration,
    /// `retry.backoff.ms`: 100 ms, after a failed or fruitless update, and between those that follow one another quickly. From
    /// the third in a row on it is 10 ms at least, also with zero.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`: 1 s.
    pub retry_backoff_max: Duration,
    /// `metadata.recovery.strategy` (KIP-899): whether to go back to the bootstrap list when no broker works.
    pub rebootstrap: bool,
    /// `metadata.recovery.rebootstrap.trigger.ms` (KIP-1102): 5 min of failing, then back to the bootstrap list. Less than
    /// [`LEAST_REBOOTSTRAP_TRIGGER`](Self::LEAST_REBOOTSTRAP_TRIGGER) counts as that.
    pub rebootstrap_trigger: Duration,
    /// `metadata.cluster.check.enable` (KIP-1242): whether brokers are held against the id of the cluster that answered first.
    /// Without it, whatever cluster answers is taken for the one that is meant.
    pub cluster_check: bool,
    /// Whether asking for a topic may create it, where the brokers do that. True for a producer.
    pub allow_auto_topic_creation: bool,
}

impl MetadataConfig {
    /// The shortest time after which the bootstrap list is gone back to: no answer comes in no time.
    pub const LEAST_REBOOTSTRAP_TRIGGER: Duration = Duration::from_secs(1);

    /// How long brokers may fail before the bootstrap list is gone back to, and the cluster be unheard before another one may
    /// take its place.
    pub(super) fn rebootstrap_patience(&self) -> Duration {
        self.rebootstrap_trigger.max(Self::LEAST_REBOOTSTRAP_TRIGGER)
    }

    /// Checks every value that has limits.
    ///
    /// # Errors
    /// Names the first setting out of its limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_idle < MIN_IDLE {
            return Err(ConfigError::new(
                "metadata.max.idle.ms",
                self.max_idle.as_millis(),
                "must be at least 5000",
            ));
        }
        Ok(())
    }
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(300),
            max_idle: Duration::from_secs(300),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            rebootstrap: true,
            rebootstrap_trigger: Duration::from_secs(300),
            cluster_check: true,
            allow_auto_topic_creation: true,
        }
    }
}

/// The least that Kafka takes for `metadata.max.idle.ms`.
const MIN_IDLE: Duration = Duration::from_secs(5);
