//! Settings: the builder, and Kafka's names in properties form.

mod builder;
mod error;
mod nearest;
mod net;
mod properties;
mod rules;
mod settings;
mod table;
mod value;

use std::{collections::BTreeSet, time::Duration};

use kafka_batch::Compression;
use kafka_net::io::Connector;
use kafka_wire::Acks;

pub use error::{ConfigError, ConfigErrorKind, ConfigWarning, ConfigWarningKind};
pub(crate) use net::{metadata_config, net_config};
pub use settings::Settings;
use table::{Role, Setting};

/// The settings of a producer, under the names and with the defaults of Kafka 4.4.0's own.
///
/// Setters bear the name of Kafka's setting without its unit: `linger.ms` is [`linger`](Self::linger). Text comes in
/// through [`from_properties`](Self::from_properties) and [`set`](Self::set). Nothing is compared with anything until
/// [`settle`](Self::settle) does it, which connecting does first: so the order of setters does not matter, and a
/// later one corrects an earlier one.
///
/// ```
/// use std::time::Duration;
/// use kafka_producer::ProducerConfig;
///
/// let config = ProducerConfig::new(["localhost:9092"]).linger(Duration::from_millis(20)).batch_size(65_536);
/// let (settings, warnings) = config.settle()?;
/// assert_eq!(settings.linger, Duration::from_millis(20));
/// assert!(warnings.is_empty());
/// # Ok::<(), kafka_producer::ConfigError>(())
/// ```
///
/// Settings that hold secrets are refused in this release, so there is nothing that `Debug` had to hide.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    bootstrap_servers: Vec<String>,
    client_id: String,
    batch_size: usize,
    linger: Duration,
    buffer_memory: usize,
    max_block: Duration,
    max_request_size: usize,
    /// Without its level, which is apart as in Kafka, and kept when the codec changes.
    compression: Compression,
    gzip_level: i32,
    lz4_level: i32,
    zstd_level: i32,
    acks: Acks,
    retries: u32,
    enable_idempotence: bool,
    max_in_flight: u32,
    delivery_timeout: Duration,
    request_timeout: Duration,
    retry_backoff: Duration,
    retry_backoff_max: Duration,
    metadata_max_age: Duration,
    metadata_max_idle: Duration,
    metadata_cluster_check: bool,
    metadata_recovery: MetadataRecovery,
    metadata_recovery_rebootstrap_trigger: Duration,
    connections_max_idle: Option<Duration>,
    reconnect_backoff: Duration,
    reconnect_backoff_max: Duration,
    socket_connection_setup_timeout: Duration,
    socket_connection_setup_timeout_max: Duration,
    send_buffer: Option<u32>,
    receive_buffer: Option<u32>,
    partitioner_ignore_keys: bool,
    partitioner_adaptive_partitioning: bool,
    partitioner_availability_timeout: Option<Duration>,
    connector: Connector,
    /// The settings that somebody asked for, be it with their default value.
    explicit: BTreeSet<&'static str>,
}

/// What to do when no known broker can be reached: `metadata.recovery.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MetadataRecovery {
    /// Keep trying the brokers that are known.
    None,
    /// Begin again with the bootstrap servers.
    #[default]
    Rebootstrap,
}

/// Text in, and questions.
impl ProducerConfig {
    /// Kafka's defaults, and the brokers to ask first: `host:port` each.
    pub fn new<S: Into<String>>(bootstrap_servers: impl IntoIterator<Item = S>) -> Self {
        Self::default().bootstrap_servers(bootstrap_servers)
    }

    /// Reads settings in the form of a Java `.properties` file.
    ///
    /// Names that no producer has are warnings here, because such files are shared with other programs; so are those
    /// that have nothing to act on without a JVM, and those that stand there twice.
    ///
    /// # Errors
    ///
    /// If the text has no such form, a value is not one of its setting, or a setting is not built yet and has
    /// another value than its default. The error knows the line.
    ///
    /// ```
    /// # use kafka_producer::ProducerConfig;
    /// let text = "bootstrap.servers=localhost:9092\nlinger.ms=20\nlinger_ms=20\n";
    /// let (config, warnings) = ProducerConfig::from_properties(text)?;
    /// assert!(config.is_set("linger.ms"));
    /// assert_eq!(warnings[0].to_string(), "line 3: linger_ms is no setting of Kafka's producer and was ignored; did you mean linger.ms?");
    /// # Ok::<(), kafka_producer::ConfigError>(())
    /// ```
    pub fn from_properties(text: &str) -> Result<(Self, Vec<ConfigWarning>), ConfigError> {
        let mut config = Self::default();
        let warnings = config.apply_properties(text)?;
        Ok((config, warnings))
    }

    /// Reads settings in properties form into this configuration, over what it has.
    ///
    /// # Errors
    ///
    /// As [`from_properties`](Self::from_properties); settings before the one at fault have then been applied.
    pub fn apply_properties(&mut self, text: &str) -> Result<Vec<ConfigWarning>, ConfigError> {
        let mut warnings = Vec::new();
        let mut seen = BTreeSet::new();
        for property in properties::parse(text)? {
            let line = property.line;
            let name = property.key.as_str();
            let Some(setting) = lookup(name) else {
                let text = unknown(name, "is no setting of Kafka's producer and was ignored");
                warnings.push(ConfigWarning::new(ConfigWarningKind::Unknown, name, text).at_line(line));
                continue;
            };
            if !seen.insert(setting.name) {
                let text = format!("{name} is set a second time; this one counts");
                warnings.push(ConfigWarning::new(ConfigWarningKind::Repeated, name, text).at_line(line));
            }
            let remark = self.apply(setting, name, &property.value).map_err(|error| error.at_line(line))?;
            warnings.extend(remark.map(|warning| warning.at_line(line)));
        }
        Ok(warnings)
    }

    /// Sets one setting by its name in Kafka, its value in text form: what `-X name=value` does on a command line.
    ///
    /// Returns a warning if the setting has nothing to act on here.
    ///
    /// # Errors
    ///
    /// If there is no setting of this name, the value is not one of the setting, or the setting is not built yet
    /// and the value is not its default.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<ConfigWarning>, ConfigError> {
        let name = name.trim();
        match lookup(name) {
            Some(setting) => self.apply(setting, name, value),
            None => Err(ConfigError::new(
                ConfigErrorKind::Unknown,
                name,
                unknown(name, "is no setting of Kafka's producer"),
            )),
        }
    }

    /// Whether a setting was asked for, be it with its default value, by its name in Kafka.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.explicit.contains(name)
    }

    /// The value was checked against the setting alone; `name` differs from the setting's for `config.providers.*`.
    fn apply(
        &mut self,
        setting: &'static Setting,
        name: &str,
        value: &str,
    ) -> Result<Option<ConfigWarning>, ConfigError> {
        match &setting.role {
            Role::Core { kind, apply } => {
                let parsed = kind.parse(value).map_err(|expected| {
                    let text = format!("{name}={}: {expected}{}", shown(value), value::habit(value));
                    ConfigError::new(ConfigErrorKind::Value, name, text)
                })?;
                apply(self, parsed);
                self.explicit.insert(setting.name);
                let is_loose = matches!(kind, value::Kind::List) && value.trim().ends_with(',');
                Ok(is_loose.then(|| comma_too_many(name)))
            }
            // What asks for what is the case anyway.
            Role::NoEffect(_) if setting.name == "enable.metrics.push" && same_value(value, "false") => {
                Ok(None)
            }
            Role::NoEffect(why) => {
                let text = format!("{name} has no effect: {why}");
                Ok(Some(ConfigWarning::new(ConfigWarningKind::NoEffect, name, text)))
            }
            Role::Later { .. } if same_value(value, setting.default) => Ok(None),
            Role::Later { why, secret } => {
                let text = match secret {
                    true => format!("{name} is not supported: {why}"),
                    false => format!("{name}={} is not supported: {why}", shown(value)),
                };
                Err(ConfigError::new(ConfigErrorKind::NotImplemented, name, text))
            }
        }
    }
}

impl Default for ProducerConfig {
    /// Kafka's defaults; the bootstrap servers are still missing.
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            client_id: String::new(),
            batch_size: 16_384,
            linger: Duration::from_millis(5),
            buffer_memory: 32 << 20,
            max_block: Duration::from_secs(60),
            max_request_size: 1 << 20,
            compression: Compression::None,
            gzip_level: -1,
            lz4_level: 9,
            zstd_level: 3,
            acks: Acks::ALL,
            retries: i32::MAX.unsigned_abs(),
            enable_idempotence: true,
            max_in_flight: 5,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
            metadata_cluster_check: true,
            metadata_recovery: MetadataRecovery::Rebootstrap,
            metadata_recovery_rebootstrap_trigger: Duration::from_secs(300),
            connections_max_idle: Some(Duration::from_secs(540)),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            socket_connection_setup_timeout: Duration::from_secs(10),
            socket_connection_setup_timeout_max: Duration::from_secs(30),
            send_buffer: Some(131_072),
            receive_buffer: Some(32_768),
            partitioner_ignore_keys: false,
            partitioner_adaptive_partitioning: true,
            partitioner_availability_timeout: None,
            connector: Connector::tcp(),
            explicit: BTreeSet::new(),
        }
    }
}

/// The row for a name as users write it.
fn lookup(name: &str) -> Option<&'static Setting> {
    // Each provider brings keys of its own: config.providers.vault.class, config.providers.vault.param.token.
    let name = if name.starts_with("config.providers.") { "config.providers" } else { name };
    table::find(name)
}

fn unknown(name: &str, is: &str) -> String {
    let hint = nearest::hint(name).map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{} {is}{hint}", shown(name))
}

/// A list ends in a comma, as lists that programs put together do.
fn comma_too_many(name: &str) -> ConfigWarning {
    let text = format!("{name} ends in a comma, and nothing follows: it was passed over");
    ConfigWarning::new(ConfigWarningKind::Adjusted, name, text)
}

/// Whether two texts are the same value, where lists may have blanks and words any case.
fn same_value(value: &str, default: &str) -> bool {
    let entries =
        |text: &str| text.split(',').map(|entry| entry.trim().to_ascii_lowercase()).collect::<Vec<_>>();
    entries(value) == entries(default)
}

/// A text from outside as it may stand in a message: on one line, and not longer than a line.
fn shown(text: &str) -> String {
    let text = text.trim();
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// How many characters of a value stand in a message.
const MAX_SHOWN: usize = 60;

#[cfg(test)]
mod tests;
