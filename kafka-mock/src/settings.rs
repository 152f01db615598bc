//! Topic and broker settings: those that change what the cluster does, and those it only keeps and shows.

use std::collections::BTreeMap;

use crate::log::Retention;

/// The settings of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// What was set on the topic itself, by name.
    overrides: BTreeMap<&'static str, String>,
    pub(crate) max_message_bytes: usize,
    pub(crate) compacted: bool,
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    /// Records get the time at which they are appended, whatever their producer says.
    pub(crate) log_append_time: bool,
    /// `None` where the topic says nothing and the cluster's bound holds alone.
    retention_bytes: Option<u64>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            overrides: BTreeMap::new(),
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            compacted: false,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: HOUR_MS,
            log_append_time: false,
            retention_bytes: None,
        }
    }
}

impl TopicSettings {
    /// Sets one setting, checked as a broker checks it. The error is a sentence for the client.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(setting) = TOPIC_SETTINGS.iter().find(|setting| setting.name == name) else {
            return Err(format!("unknown topic config name: {name}"));
        };
        setting.check(value)?;
        let number = value.parse::<i64>().ok();
        match (setting.name, number) {
            ("max.message.bytes", Some(bytes)) => {
                self.max_message_bytes = usize::try_from(bytes).unwrap_or(0);
            }
            ("cleanup.policy", _) => {
                self.compacted = value.split(',').any(|policy| policy.trim() == "compact");
            }
            ("message.timestamp.type", _) => self.log_append_time = value == "LogAppendTime",
            ("message.timestamp.before.max.ms", Some(ms)) => self.timestamp_before_max_ms = ms,
            ("message.timestamp.after.max.ms", Some(ms)) => self.timestamp_after_max_ms = ms,
            ("retention.bytes", Some(bytes)) => self.retention_bytes = u64::try_from(bytes).ok(),
            _ => {}
        }
        self.overrides.insert(setting.name, value.to_owned());
        Ok(())
    }

    /// The tighter of the topic's and the cluster's bound.
    pub(crate) fn retention(&self, cluster: Retention) -> Retention {
        Retention {
            bytes: self.retention_bytes.map_or(cluster.bytes, |own| own.min(cluster.bytes)),
            ..cluster
        }
    }

    /// Every topic setting with its value here, in order of name.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        TOPIC_SETTINGS.iter().map(|setting| match self.overrides.get(setting.name) {
            Some(value) => Entry { setting, value, is_default: false },
            None => Entry { setting, value: setting.default, is_default: true },
        })
    }
}

/// A setting with its value, as DescribeConfigs and CreateTopics answer it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) setting: &'static Setting,
    pub(crate) value: &'a str,
    pub(crate) is_default: bool,
}

/// What is known of a setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    /// The broker setting from which a topic takes this one.
    pub(crate) broker_name: &'static str,
    pub(crate) documentation: &'static str,
}

/// The values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Int {
        min: i32,
    },
    Long {
        min: i64,
    },
    Double,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any number of these words, separated by commas.
    List(&'static [&'static str]),
}

impl Kind {
    /// The number of the type in DescribeConfigs (KIP-569).
    pub(crate) fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Word(_) => 2,
            Self::Int { .. } => 3,
            Self::Long { .. } => 5,
            Self::Double => 6,
            Self::List(_) => 7,
        }
    }
}

impl Setting {
    fn check(&self, value: &str) -> Result<(), String> {
        let fits = match self.kind {
            Kind::Boolean => matches!(value, "true" | "false"),
            Kind::Int { min } => value.parse::<i32>().is_ok_and(|number| number >= min),
            Kind::Long { min } => value.parse::<i64>().is_ok_and(|number| number >= min),
            Kind::Double => value.parse::<f64>().is_ok_and(f64::is_finite),
            Kind::Word(words) => words.contains(&value),
            Kind::List(words) => value.split(',').all(|word| words.contains(&word.trim())),
        };
        if fits {
            Ok(())
        } else {
            Err(format!("invalid value {value:?} for topic config {}: expected {}", self.name, self.kind))
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Int { min } => write!(f, "a 32-bit number of at least {min}"),
            Self::Long { min } => write!(f, "a 64-bit number of at least {min}"),
            Self::Double => f.write_str("a number"),
            Self::Word(words) => write!(f, "one of {}", words.join(", ")),
            Self::List(words) => write!(f, "a list of {}", words.join(", ")),
        }
    }
}

const HOUR_MS: i64 = 60 * 60 * 1000;

/// 1 MiB and the 12 bytes of a batch that `batch.size`-like limits do not count.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// In order of name.
const TOPIC_SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        kind: Kind::List(&["delete", "compact"]),
        default: "delete",
        broker_name: "log.cleanup.policy",
        documentation: "With compact each record needs a key. Nothing is compacted.",
    },
    Setting {
        name: "compression.type",
        kind: Kind::Word(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        default: "producer",
        broker_name: "compression.type",
        documentation: "Kept, without effect: batches stay as the producer compressed them.",
    },
    Setting {
        name: "delete.retention.ms",
        kind: Kind::Long { min: 0 },
        default: "86400000",
        broker_name: "log.cleaner.delete.retention.ms",
        documentation: "Kept, without effect.",
    },
    Setting {
        name: "max.message.bytes",
        kind: Kind::Int { min: 0 },
        default: "1048588",
        broker_name: "message.max.bytes",
        documentation: "Largest batch that is accepted, its header included.",
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        kind: Kind::Long { min: 0 },
        default: "3600000",
        broker_name: "log.message.timestamp.after.max.ms",
        documentation: "How far in the future a record's timestamp may be.",
    },
    Setting {
        name: "message.timestamp.before.max.ms",
        kind: Kind::Long { min: 0 },
        default: "9223372036854775807",
        broker_name: "log.message.timestamp.before.max.ms",
        documentation: "How far in the past a record's timestamp may be.",
    },
    Setting {
        name: "message.timestamp.type",
        kind: Kind::Word(&["CreateTime", "LogAppendTime"]),
        default: "CreateTime",
        broker_name: "log.message.timestamp.type",
        documentation: "Whether records keep their producer's timestamps, or get the time at which they are appended.",
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        kind: Kind::Double,
        default: "0.5",
        broker_name: "log.cleaner.min.cleanable.ratio",
        documentation: "Kept, without effect.",
    },
    Setting {
        name: "min.insync.replicas",
        kind: Kind::Int { min: 1 },
        default: "1",
        broker_name: "min.insync.replicas",
        documentation: "Kept, without effect: all replicas are in sync, always.",
    },
    Setting {
        name: "retention.bytes",
        kind: Kind::Long { min: -1 },
        default: "-1",
        broker_name: "log.retention.bytes",
        documentation: "Bytes of a partition's log that are kept; -1: as many as the cluster's own limit.",
    },
    Setting {
        name: "retention.ms",
        kind: Kind::Long { min: -1 },
        default: "604800000",
        broker_name: "log.retention.ms",
        documentation: "Kept, without effect.",
    },
    Setting {
        name: "segment.bytes",
        kind: Kind::Int { min: 14 },
        default: "1073741824",
        broker_name: "log.segment.bytes",
        documentation: "Kept, without effect.",
    },
    Setting {
        name: "segment.ms",
        kind: Kind::Long { min: 1 },
        default: "604800000",
        broker_name: "log.roll.ms",
        documentation: "Kept, without effect.",
    },
    Setting {
        name: "unclean.leader.election.enable",
        kind: Kind::Boolean,
        default: "false",
        broker_name: "unclean.leader.election.enable",
        documentation: "Kept, without effect.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_in_the_table_are_the_ones_in_force() {
        let defaults = TopicSettings::default();
        let mut parsed = TopicSettings::default();
        for setting in TOPIC_SETTINGS {
            parsed.set(setting.name, setting.default).expect("a default is valid");
        }
        parsed.overrides.clear();
        assert_eq!(parsed, defaults);
    }

    #[test]
    fn the_table_is_in_order_of_name() {
        assert!(TOPIC_SETTINGS.is_sorted_by_key(|setting| setting.name));
    }

    #[test]
    fn what_is_unknown_or_invalid_is_refused_with_a_sentence() {
        let mut settings = TopicSettings::default();
        for (name, value, words) in [
            ("no.such", "1", "unknown topic config name: no.such"),
            ("max.message.bytes", "many", "a 32-bit number of at least 0"),
            ("min.insync.replicas", "0", "at least 1"),
            ("cleanup.policy", "compact,shred", "a list of delete, compact"),
            ("message.timestamp.type", "Whenever", "one of CreateTime, LogAppendTime"),
        ] {
            let error = settings.set(name, value).expect_err("must be refused");
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(settings, TopicSettings::default(), "a refused setting changes nothing");
    }

    #[test]
    fn settings_take_effect() {
        let mut settings = TopicSettings::default();
        for (name, value) in [
            ("cleanup.policy", "compact,delete"),
            ("max.message.bytes", "100"),
            ("retention.bytes", "50"),
            ("min.insync.replicas", "2"),
        ] {
            settings.set(name, value).expect("valid");
        }
        assert!(settings.compacted);
        assert_eq!(settings.max_message_bytes, 100);
        let cluster = Retention { bytes: 70, records: 9 };
        assert_eq!(settings.retention(cluster), Retention { bytes: 50, records: 9 });
        assert_eq!(settings.entries().filter(|entry| !entry.is_default).count(), 4);
    }
}
