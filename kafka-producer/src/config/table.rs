//! Every setting of the producer of Kafka 4.4.0, and what becomes of it here.

use std::time::Duration;

use kafka_wire::Acks;

use super::value::{Kind, Unit, Value};
use super::{MetadataRecovery, ProducerConfig};

/// One setting of Kafka's producer.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Kafka's default in text form; empty for null, and for what has none.
    pub(super) default: &'static str,
    pub(super) role: Role,
}

/// What becomes of a setting.
#[derive(Debug)]
pub(super) enum Role {
    /// It acts as in Kafka.
    Core { kind: Kind, apply: fn(&mut ProducerConfig, Value) },
    /// It has nothing to act on, so that any value is accepted and listed: why.
    NoEffect(&'static str),
    /// It is not built yet, so that no value but its default is accepted: why, and what to do.
    Later { why: &'static str, secret: bool },
}

/// The row of a setting.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const fn core(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    apply: fn(&mut ProducerConfig, Value),
) -> Setting {
    Setting { name, default, role: Role::Core { kind, apply } }
}

const fn no_effect(name: &'static str, default: &'static str, why: &'static str) -> Setting {
    Setting { name, default, role: Role::NoEffect(why) }
}

const fn later(name: &'static str, default: &'static str, why: &'static str) -> Setting {
    Setting { name, default, role: Role::Later { why, secret: false } }
}

const fn secret(name: &'static str, why: &'static str) -> Setting {
    Setting { name, default: "", role: Role::Later { why, secret: true } }
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max, unit: Unit::Plain }
}

const fn bytes(min: i64, max: i64) -> Kind {
    Kind::Int { min, max, unit: Unit::Bytes }
}

const fn millis(min: i64, max: i64) -> Kind {
    Kind::Int { min, max, unit: Unit::Millis }
}

fn duration(value: Value) -> Duration {
    Duration::from_millis(u64::try_from(value.into_int()).unwrap_or_default())
}

fn size(value: Value) -> usize {
    // More than the address space holds is as good as unbounded.
    usize::try_from(value.into_int()).unwrap_or(usize::MAX)
}

fn count(value: Value) -> u32 {
    u32::try_from(value.into_int()).unwrap_or(u32::MAX)
}

fn level(value: Value) -> i32 {
    i32::try_from(value.into_int()).unwrap_or(i32::MAX)
}

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;

const BYTES_ONLY: &str = "records are bytes here: serialise keys and values before they are sent";
const JVM: &str = "it names Java classes, which only a JVM can load";
const METRICS: &str =
    "there are no sampled metrics here: statistics count from the start and can be asked for at any time";
const TELEMETRY: &str = "metrics are never pushed to brokers";
const TLS: &str = "TLS is not in this release, and nothing is ever sent in plaintext that was meant to be encrypted; \
                   leave it out to connect in plaintext";
const SASL: &str = "SASL is not in this release, and nobody is logged in without being told so; \
                    leave it out to connect without authentication";
const RACKS: &str = "partitions are not chosen by rack in this release; leave it out, or give the builder a \
                     partitioner of your own";
const TRANSACTIONS: &str = "transactions are not in this release; without them enable.idempotence=true (the default) \
                            already keeps each partition free of duplicates";

/// The table, by groups of Kafka's documentation. A golden file made from Kafka's own jar checks names, defaults,
/// types and ranges.
#[rustfmt::skip]
pub(super) static SETTINGS: &[Setting] = &[
    // Who we are, and to whom we talk.
    core("bootstrap.servers", Kind::List, "", |c, v| c.bootstrap_servers = v.into_list()),
    core("client.id", Kind::Text, "", |c, v| c.client_id = v.into_text()),
    later("client.rack", "", RACKS),

    // Batches, memory, compression.
    core("batch.size", bytes(0, INT_MAX), "16384", |c, v| c.batch_size = size(v)),
    core("linger.ms", millis(0, LONG_MAX), "5", |c, v| c.linger = duration(v)),
    core("buffer.memory", bytes(0, LONG_MAX), "33554432", |c, v| c.buffer_memory = size(v)),
    no_effect("buffer.memory.allocation.strategy", "full", "a batch takes memory as it grows, whichever is named; leave it out"),
    core("max.block.ms", millis(0, LONG_MAX), "60000", |c, v| c.max_block = duration(v)),
    core("max.request.size", bytes(0, INT_MAX), "1048576", |c, v| c.max_request_size = size(v)),
    core("compression.type", Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]), "none",
        |c, v| c.compression = v.into_text().parse().unwrap_or_default()),
    core("compression.gzip.level", Kind::Choice(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"]), "-1",
        |c, v| c.gzip_level = v.into_text().parse().unwrap_or(-1)),
    core("compression.lz4.level", int(1, 17), "9", |c, v| c.lz4_level = level(v)),
    core("compression.zstd.level", int(-131_072, 22), "3", |c, v| c.zstd_level = level(v)),

    // Reliability and time.
    core("acks", Kind::Choice(&["all", "-1", "0", "1"]), "all", |c, v| c.acks = match v.into_text().as_str() {
        "0" => Acks::NONE,
        "1" => Acks::LEADER,
        _ => Acks::ALL,
    }),
    core("retries", int(0, INT_MAX), "2147483647", |c, v| c.retries = count(v)),
    core("enable.idempotence", Kind::Bool, "true", |c, v| c.enable_idempotence = v.into_bool()),
    core("max.in.flight.requests.per.connection", int(1, INT_MAX), "5", |c, v| c.max_in_flight = count(v)),
    core("delivery.timeout.ms", millis(0, INT_MAX), "120000", |c, v| c.delivery_timeout = duration(v)),
    core("request.timeout.ms", millis(0, INT_MAX), "30000", |c, v| c.request_timeout = duration(v)),
    core("retry.backoff.ms", millis(0, LONG_MAX), "100", |c, v| c.retry_backoff = duration(v)),
    core("retry.backoff.max.ms", millis(0, LONG_MAX), "1000", |c, v| c.retry_backoff_max = duration(v)),
    later("transactional.id", "", TRANSACTIONS),
    later("transaction.timeout.ms", "60000", TRANSACTIONS),
    later("transaction.two.phase.commit.enable", "false", TRANSACTIONS),

    // Metadata and connections.
    later("bootstrap.resolve.timeout.ms", "0", "names are resolved while connect() waits, for as long as \
        max.block.ms says, and again whenever they are needed; leave it out"),
    later("client.dns.lookup", "use_all_dns_ips", "all addresses of a name are tried in turn; leave it out"),
    core("metadata.cluster.check.enable", Kind::Bool, "true", |c, v| c.metadata_cluster_check = v.into_bool()),
    core("metadata.max.age.ms", millis(0, LONG_MAX), "300000", |c, v| c.metadata_max_age = duration(v)),
    core("metadata.max.idle.ms", millis(5_000, LONG_MAX), "300000", |c, v| c.metadata_max_idle = duration(v)),
    core("metadata.recovery.strategy", Kind::ChoiceAnyCase(&["rebootstrap", "none"]), "rebootstrap",
        |c, v| c.metadata_recovery = match v.into_text().as_str() {
            "none" => MetadataRecovery::None,
            _ => MetadataRecovery::Rebootstrap,
        }),
    core("metadata.recovery.rebootstrap.trigger.ms", millis(0, LONG_MAX), "300000",
        |c, v| c.metadata_recovery_rebootstrap_trigger = duration(v)),
    core("connections.max.idle.ms", millis(i64::MIN, LONG_MAX), "540000",
        |c, v| c.connections_max_idle = u64::try_from(v.into_int()).ok().map(Duration::from_millis)),
    core("reconnect.backoff.ms", millis(0, LONG_MAX), "50", |c, v| c.reconnect_backoff = duration(v)),
    core("reconnect.backoff.max.ms", millis(0, LONG_MAX), "1000", |c, v| c.reconnect_backoff_max = duration(v)),
    core("socket.connection.setup.timeout.ms", millis(0, LONG_MAX), "10000",
        |c, v| c.socket_connection_setup_timeout = duration(v)),
    core("socket.connection.setup.timeout.max.ms", millis(0, LONG_MAX), "30000",
        |c, v| c.socket_connection_setup_timeout_max = duration(v)),
    core("send.buffer.bytes", bytes(-1, INT_MAX), "131072", |c, v| c.send_buffer = u32::try_from(v.into_int()).ok()),
    core("receive.buffer.bytes", bytes(-1, INT_MAX), "32768",
        |c, v| c.receive_buffer = u32::try_from(v.into_int()).ok()),

    // Partitions.
    core("partitioner.ignore.keys", Kind::Bool, "false", |c, v| c.partitioner_ignore_keys = v.into_bool()),
    core("partitioner.adaptive.partitioning.enable", Kind::Bool, "true",
        |c, v| c.partitioner_adaptive_partitioning = v.into_bool()),
    core("partitioner.availability.timeout.ms", millis(0, LONG_MAX), "0",
        |c, v| c.partitioner_availability_timeout = Some(duration(v)).filter(|timeout| !timeout.is_zero())),
    later("partitioner.rack.aware", "false", RACKS),
    later("partitioner.class", "", "a Java class cannot be loaded; without it keys are hashed as by Kafka's default, \
        and a partitioner written in Rust is given to the builder"),

    // What only a JVM needs.
    no_effect("key.serializer", "", BYTES_ONLY),
    no_effect("value.serializer", "", BYTES_ONLY),
    no_effect("interceptor.classes", "", JVM),
    no_effect("metric.reporters", "org.apache.kafka.common.metrics.JmxReporter", JVM),
    no_effect("metrics.num.samples", "2", METRICS),
    no_effect("metrics.recording.level", "INFO", METRICS),
    no_effect("metrics.sample.window.ms", "30000", METRICS),
    no_effect("enable.metrics.push", "true", TELEMETRY),
    no_effect("security.providers", "", JVM),
    // The keys of a provider begin so, and may hold what opens it.
    secret("config.providers", "values are taken as they are written, and a ${..} that nobody expands would be \
        one of them; expand them before"),

    // Transport and authentication.
    later("security.protocol", "PLAINTEXT", "TLS and SASL are not in this release, and nothing is ever sent in \
        plaintext that was meant to be encrypted or authenticated; leave it out to connect in plaintext"),
    later("sasl.mechanism", "GSSAPI", SASL),
    secret("sasl.jaas.config", SASL),
    later("sasl.client.callback.handler.class", "", SASL),
    later("sasl.login.callback.handler.class", "", SASL),
    later("sasl.login.class", "", SASL),
    later("sasl.kerberos.service.name", "", SASL),
    later("sasl.kerberos.kinit.cmd", "/usr/bin/kinit", SASL),
    later("sasl.kerberos.ticket.renew.window.factor", "0.8", SASL),
    later("sasl.kerberos.ticket.renew.jitter", "0.05", SASL),
    later("sasl.kerberos.min.time.before.relogin", "60000", SASL),
    later("sasl.login.refresh.window.factor", "0.8", SASL),
    later("sasl.login.refresh.window.jitter", "0.05", SASL),
    later("sasl.login.refresh.min.period.seconds", "60", SASL),
    later("sasl.login.refresh.buffer.seconds", "300", SASL),
    later("sasl.login.connect.timeout.ms", "", SASL),
    later("sasl.login.read.timeout.ms", "", SASL),
    later("sasl.login.retry.backoff.ms", "100", SASL),
    later("sasl.login.retry.backoff.max.ms", "10000", SASL),
    later("sasl.oauthbearer.token.endpoint.url", "", SASL),
    later("sasl.oauthbearer.scope.claim.name", "scope", SASL),
    later("sasl.oauthbearer.sub.claim.name", "sub", SASL),
    later("sasl.oauthbearer.header.urlencode", "false", SASL),
    later("sasl.oauthbearer.jwt.retriever.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", SASL),
    later("sasl.oauthbearer.jwt.validator.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", SASL),
    later("sasl.oauthbearer.scope", "", SASL),
    later("sasl.oauthbearer.client.credentials.client.id", "", SASL),
    secret("sasl.oauthbearer.client.credentials.client.secret", SASL),
    later("sasl.oauthbearer.assertion.algorithm", "RS256", SASL),
    later("sasl.oauthbearer.assertion.claim.aud", "", SASL),
    later("sasl.oauthbearer.assertion.claim.iss", "", SASL),
    later("sasl.oauthbearer.assertion.claim.sub", "", SASL),
    later("sasl.oauthbearer.assertion.claim.jti.include", "false", SASL),
    later("sasl.oauthbearer.assertion.claim.exp.seconds", "300", SASL),
    later("sasl.oauthbearer.assertion.claim.nbf.seconds", "60", SASL),
    later("sasl.oauthbearer.assertion.file", "", SASL),
    later("sasl.oauthbearer.assertion.private.key.file", "", SASL),
    secret("sasl.oauthbearer.assertion.private.key.passphrase", SASL),
    later("sasl.oauthbearer.assertion.template.file", "", SASL),
    later("sasl.oauthbearer.jwks.endpoint.url", "", SASL),
    later("sasl.oauthbearer.jwks.endpoint.refresh.ms", "3600000", SASL),
    later("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "100", SASL),
    later("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "10000", SASL),
    later("sasl.oauthbearer.clock.skew.seconds", "30", SASL),
    later("sasl.oauthbearer.allow.unverified.audience", "false", SASL),
    later("sasl.oauthbearer.allow.unverified.issuer", "false", SASL),
    later("sasl.oauthbearer.expected.audience", "", SASL),
    later("sasl.oauthbearer.expected.issuer", "", SASL),
    later("ssl.protocol", "TLSv1.3", TLS),
    later("ssl.enabled.protocols", "TLSv1.2,TLSv1.3", TLS),
    later("ssl.cipher.suites", "", TLS),
    later("ssl.endpoint.identification.algorithm", "https", TLS),
    later("ssl.keystore.type", "JKS", TLS),
    later("ssl.keystore.location", "", TLS),
    secret("ssl.keystore.password", TLS),
    secret("ssl.key.password", TLS),
    secret("ssl.keystore.key", TLS),
    secret("ssl.keystore.certificate.chain", TLS),
    later("ssl.truststore.type", "JKS", TLS),
    later("ssl.truststore.location", "", TLS),
    secret("ssl.truststore.password", TLS),
    secret("ssl.truststore.certificates", TLS),
    later("ssl.provider", "", TLS),
    later("ssl.keymanager.algorithm", "SunX509", TLS),
    later("ssl.trustmanager.algorithm", "PKIX", TLS),
    later("ssl.secure.random.implementation", "", TLS),
    later("ssl.engine.factory.class", "", TLS),
];
