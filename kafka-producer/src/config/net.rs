//! The settings as kafka-net has them.

use kafka_net::{MetadataConfig, NetConfig};

use super::{ConfigError, MetadataRecovery, Settings};

/// What connections obey.
///
/// # Errors
/// If the settings contradict each other there.
pub(crate) fn net_config(settings: &Settings) -> Result<NetConfig, ConfigError> {
    let mut net = NetConfig::default();
    net.client_id.clone_from(&settings.client_id);
    net.max_in_flight = usize::try_from(settings.max_in_flight).unwrap_or(usize::MAX);
    net.request_timeout = settings.request_timeout;
    net.setup_timeout = settings.socket_connection_setup_timeout;
    net.setup_timeout_max = settings.socket_connection_setup_timeout_max;
    net.reconnect_backoff = settings.reconnect_backoff;
    net.reconnect_backoff_max = settings.reconnect_backoff_max;
    net.max_idle = settings.connections_max_idle;
    net.send_buffer = settings.send_buffer;
    net.receive_buffer = settings.receive_buffer;
    net.connector = settings.connector.clone();
    net.validate()?;
    Ok(net)
}

/// What looking for leaders obeys.
///
/// # Errors
/// As [`net_config`].
pub(crate) fn metadata_config(settings: &Settings) -> Result<MetadataConfig, ConfigError> {
    let mut metadata = MetadataConfig::default();
    metadata.max_age = settings.metadata_max_age;
    metadata.max_idle = settings.metadata_max_idle;
    metadata.retry_backoff = settings.retry_backoff;
    metadata.retry_backoff_max = settings.retry_backoff_max;
    metadata.rebootstrap = settings.metadata_recovery == MetadataRecovery::Rebootstrap;
    metadata.rebootstrap_trigger = settings.metadata_recovery_rebootstrap_trigger;
    metadata.cluster_check = settings.metadata_cluster_check;
    metadata.validate()?;
    Ok(metadata)
}
