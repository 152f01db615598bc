//! The file of a script for the mock cluster.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_wire::{NodeId, PartitionId, ProducerEpoch, ProducerId};
use serde::Deserialize;

use super::ScriptError;
use super::words::{Api, Code, Probability, Time, Times, Versions};
use crate::script::{Change, Lag, Malformation, Rule, Script};

impl Script {
    /// Reads a script from TOML.
    ///
    /// The names are those of the methods in Rust, with `-` for `_`. A rule is a table `[[rule]]`, what happens at a time a table
    /// `[[at]]`; `[versions]` limits versions. Times are texts like `"250ms"` or `"1.5s"`, error codes Kafka's names or numbers.
    ///
    /// ```
    /// let script = kafka_mock::Script::from_toml(r#"
    ///     seed = 7
    ///
    ///     [versions]
    ///     Produce = "3-7"
    ///
    ///     [[rule]]
    ///     name = "too few replicas, twice"
    ///     api = "Produce"
    ///     topic = "orders"
    ///     partition = 0
    ///     skip = 10
    ///     times = 2
    ///     error-after-apply = "NOT_ENOUGH_REPLICAS_AFTER_APPEND"
    ///
    ///     [[rule]]
    ///     api = "Produce"
    ///     broker = 2
    ///     probability = 0.01
    ///     delay = ["100ms", "2s"]
    ///
    ///     [[rule]]
    ///     api = "Metadata"
    ///     nth = 3
    ///     malformed = { truncated = 10 }
    ///
    ///     [[at]]
    ///     every = "300ms"
    ///     times = 20
    ///     change = { move-leader = { topic = "orders" } }
    ///
    ///     [[at]]
    ///     time = "5s"
    ///     change = { stop-broker = 2 }
    ///
    ///     [[at]]
    ///     time = "9s"
    ///     change = { start-broker = 2 }
    ///
    ///     [[at]]         # the new leader lacks the last three batches, acknowledged or not
    ///     time = "12s"
    ///     change = { elect-unclean = { topic = "orders", partition = 0, batches = 3 } }
    ///
    ///     [[at]]         # the address of broker 2 leads to a broker of another cluster, and back
    ///     time = "20s"
    ///     change = { reroute = { address = 2, cluster = "another", broker = 1 } }
    ///
    ///     [[at]]
    ///     time = "25s"
    ///     change = { reroute = { address = 2 } }
    ///
    ///     [[at]]         # broker 3 has not heard of the last partitions; `lag` can be "view", a topic or a broker, too
    ///     time = "30s"
    ///     change = { lag-behind = { broker = 3, lag = { partitions = { topic = "orders", count = 2 } } } }
    ///
    ///     [[at]]
    ///     time = "35s"
    ///     change = { catch-up = 3 }
    ///
    ///     [[at]]         # a new cluster under the old addresses
    ///     time = "40s"
    ///     change = { wipe = { cluster-id = "the next one" } }
    /// "#)?;
    /// # Ok::<(), kafka_mock::ScriptError>(())
    /// ```
    ///
    /// # Errors
    /// When the text is no TOML, or says something that no script says: the error names the line.
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        let file: File = toml::from_str(text).map_err(|error| ScriptError::new(text, error))?;
        Ok(file.into())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    versions: BTreeMap<Api, Versions>,
    #[serde(default)]
    rule: Vec<Entry>,
    #[serde(default)]
    at: Vec<AtTable>,
}

/// A table `[[rule]]` that makes sense.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RuleTable")]
struct Entry(Rule);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleTable {
    name: Option<String>,
    api: Option<Api>,
    broker: Option<i32>,
    topic: Option<String>,
    partition: Option<i32>,
    client_id: Option<String>,
    versions: Option<Versions>,
    skip: Option<u64>,
    times: Option<u64>,
    nth: Option<u64>,
    probability: Option<Probability>,
    error: Option<Code>,
    error_after_apply: Option<Code>,
    delay: Option<Times>,
    #[serde(default)]
    silence: bool,
    #[serde(default)]
    silence_after_apply: bool,
    #[serde(default)]
    disconnect: bool,
    #[serde(default)]
    disconnect_after_apply: bool,
    #[serde(default)]
    reset_after_apply: bool,
    throttle: Option<Time>,
    producer: Option<ProducerTable>,
    #[serde(default)]
    stale_leaders: bool,
    malformed: Option<Malformed>,
    change: Option<ChangeTable>,
    change_after_apply: Option<ChangeTable>,
    change_later: Option<LaterTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProducerTable {
    id: Option<i64>,
    epoch: i16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterTable {
    delay: Time,
    change: ChangeTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "AtFields")]
struct AtTable(When, ChangeTable);

#[derive(Debug)]
enum When {
    Once(Time),
    Every(Time, u64),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AtFields {
    time: Option<Time>,
    every: Option<Time>,
    times: Option<u64>,
    change: ChangeTable,
}

impl TryFrom<AtFields> for AtTable {
    type Error = &'static str;

    fn try_from(fields: AtFields) -> Result<Self, Self::Error> {
        match (fields.time, fields.every, fields.times) {
            (Some(time), None, None) => Ok(Self(When::Once(time), fields.change)),
            (None, Some(every), times) => {
                Ok(Self(When::Every(every, times.unwrap_or(u64::MAX)), fields.change))
            }
            _ => Err("expected either `time`, or `every` and perhaps `times`"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Malformed {
    Truncated(usize),
    Length(i32),
    Raw(String),
    Http,
    TlsAlert,
    CorrelationId(i32),
    UnknownTags,
    Padded(usize),
    Flipped(usize),
    Twice,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ChangeTable {
    MoveLeader {
        topic: String,
        partition: Option<i32>,
        to: Option<i32>,
    },
    ElectUnclean {
        topic: String,
        partition: Option<i32>,
        to: Option<i32>,
        batches: usize,
    },
    StopBroker(i32),
    StartBroker(i32),
    CreateTopic {
        topic: String,
        partitions: i32,
    },
    DeleteTopic {
        topic: String,
    },
    RecreateTopic {
        topic: String,
        partitions: Option<i32>,
    },
    GrowTopic {
        topic: String,
        partitions: i32,
    },
    LimitVersions {
        api: Api,
        versions: Versions,
    },
    Advertise {
        broker: i32,
        host: String,
        port: u16,
    },
    ForgetProducers {
        topic: String,
        partition: Option<i32>,
    },
    Reroute {
        address: i32,
        cluster: Option<String>,
        broker: Option<i32>,
    },
    #[serde(rename_all = "kebab-case")]
    Wipe {
        cluster_id: Option<String>,
    },
    LagBehind {
        broker: i32,
        lag: LagTable,
    },
    CatchUp(i32),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum LagTable {
    View,
    Partitions { topic: String, count: i32 },
    Topic(String),
    Broker(i32),
}

impl From<File> for Script {
    fn from(file: File) -> Self {
        let mut script = Self::new().seed(file.seed);
        for (Api(api), Versions(versions)) in file.versions {
            script = script.versions(api, versions);
        }
        for Entry(rule) in file.rule {
            script = script.rule(rule);
        }
        for AtTable(when, change) in file.at {
            script = match when {
                When::Once(Time(time)) => script.at(time, change.into()),
                When::Every(Time(every), times) => script.every(every, times, change.into()),
            };
        }
        script
    }
}

counted_entry!(RuleTable);

impl From<RuleTable> for Rule {
    fn from(table: RuleTable) -> Self {
        from_table! {
            table => table.api.map_or_else(Self::on_any, |Api(api)| Self::on(api));
            [silence, silence_after_apply, disconnect, disconnect_after_apply, reset_after_apply, stale_leaders]
            name => |rule, name| rule.named(name);
            broker => |rule, broker| rule.broker(NodeId(broker));
            topic => |rule, topic| rule.topic(topic);
            partition => |rule, partition| rule.partition(partition);
            client_id => |rule, id| rule.client_id(id);
            versions => |rule, Versions(range)| rule.versions(range.min..=range.max);
            nth => |rule, nth| rule.nth(nth);
            skip => |rule, skip| rule.skip(skip);
            times => |rule, times| rule.times(times);
            probability => |rule, Probability(probability)| rule.probability(probability);
            change => |rule, change| rule.change(change.into());
            error => |rule, Code(code)| rule.error(code);
            error_after_apply => |rule, Code(code)| rule.error_after_apply(code);
            delay => |rule, Times(shortest, longest)| rule.delay_between(shortest..=longest);
            throttle => |rule, Time(time)| rule.throttle(time);
            producer => |rule, producer| rule.producer(producer.id.map(ProducerId), ProducerEpoch(producer.epoch));
            malformed => |rule, how| rule.malform(how.into());
            change_after_apply => |rule, change| rule.change_after_apply(change.into());
            change_later => |rule, later| rule.change_later(later.delay.0, later.change.into());
        }
    }
}

impl From<Malformed> for Malformation {
    fn from(how: Malformed) -> Self {
        match how {
            Malformed::Truncated(bytes) => Self::Truncated(bytes),
            Malformed::Length(length) => Self::Length(length),
            Malformed::Raw(text) => Self::Raw(Bytes::from(text)),
            Malformed::Http => Self::http(),
            Malformed::TlsAlert => Self::tls_alert(),
            Malformed::CorrelationId(shift) => Self::CorrelationId(shift),
            Malformed::UnknownTags => Self::UnknownTags,
            Malformed::Padded(bytes) => Self::Padded(bytes),
            Malformed::Flipped(place) => Self::Flipped(place),
            Malformed::Twice => Self::Twice,
        }
    }
}

impl From<ChangeTable> for Change {
    fn from(table: ChangeTable) -> Self {
        match table {
            ChangeTable::MoveLeader { topic, partition, to } => Self::MoveLeader {
                topic: topic.into(),
                partition: partition.map(PartitionId),
                to: to.map(NodeId),
            },
            ChangeTable::ElectUnclean { topic, partition, to, batches } => Self::ElectUnclean {
                topic: topic.into(),
                partition: partition.map(PartitionId),
                to: to.map(NodeId),
                batches,
            },
            ChangeTable::StopBroker(node) => Self::StopBroker(NodeId(node)),
            ChangeTable::StartBroker(node) => Self::StartBroker(NodeId(node)),
            ChangeTable::CreateTopic { topic, partitions } => {
                Self::CreateTopic { topic: topic.into(), partitions }
            }
            ChangeTable::DeleteTopic { topic } => Self::DeleteTopic { topic: topic.into() },
            ChangeTable::RecreateTopic { topic, partitions } => {
                Self::RecreateTopic { topic: topic.into(), partitions }
            }
            ChangeTable::GrowTopic { topic, partitions } => {
                Self::GrowTopic { topic: topic.into(), partitions }
            }
            ChangeTable::LimitVersions { api, versions } => {
                Self::LimitVersions { api: api.0, versions: versions.0 }
            }
            ChangeTable::Advertise { broker, host, port } => {
                Self::Advertise { node: NodeId(broker), host, port }
            }
            ChangeTable::ForgetProducers { topic, partition } => {
                Self::ForgetProducers { topic: topic.into(), partition: partition.map(PartitionId) }
            }
            ChangeTable::Reroute { address, cluster, broker } => {
                Self::Reroute { address: NodeId(address), cluster, broker: broker.map(NodeId) }
            }
            ChangeTable::Wipe { cluster_id } => Self::Wipe { cluster_id },
            ChangeTable::LagBehind { broker, lag } => {
                Self::LagBehind { broker: NodeId(broker), lag: lag.into() }
            }
            ChangeTable::CatchUp(broker) => Self::CatchUp(NodeId(broker)),
        }
    }
}

impl From<LagTable> for Lag {
    fn from(lag: LagTable) -> Self {
        match lag {
            LagTable::View => Self::View,
            LagTable::Partitions { topic, count } => Self::Partitions { topic: topic.into(), count },
            LagTable::Topic(topic) => Self::Topic(topic.into()),
            LagTable::Broker(broker) => Self::Broker(NodeId(broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_wire::{ApiKey, ErrorCode, VersionRange};

    use super::*;

    #[test]
    fn a_file_says_what_rust_says() {
        let read = Script::from_toml(
            r#"
            seed = 7
            [versions]
            produce = "3-7"
            ApiVersions = "0"
            [[rule]]
            name = "all of it"
            api = "Produce"
            broker = 1
            topic = "orders"
            partition = 2
            client-id = "me"
            versions = "9-12"
            skip = 3
            times = 4
            probability = 0.5
            change = { forget-producers = { topic = "orders" } }
            error = 999
            error-after-apply = "not_enough_replicas_after_append"
            delay = ["1.5s", "2m"]
            throttle = "10ms"
            malformed = { raw = "no" }
            change-later = { delay = "1s", change = { move-leader = { topic = "orders", partition = 0, to = 3 } } }
            reset-after-apply = true
            [[rule]]
            api = "InitProducerId"
            nth = 1
            producer = { epoch = 32766 }
            [[at]]
            every = "300ms"
            times = 2
            change = { stop-broker = 2 }
            [[at]]
            time = "5s"
            change = { grow-topic = { topic = "orders", partitions = 8 } }
            "#,
        );
        let all = Rule::on(ApiKey::PRODUCE)
            .named("all of it")
            .broker(NodeId(1))
            .topic("orders")
            .partition(2)
            .client_id("me")
            .versions(9..=12)
            .skip(3)
            .times(4)
            .probability(0.5)
            .change(Change::ForgetProducers { topic: "orders".into(), partition: None })
            .error(ErrorCode(999))
            .error_after_apply(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND)
            .delay_between(Duration::from_millis(1500)..=Duration::from_secs(120))
            .throttle(Duration::from_millis(10))
            .malform(Malformation::Raw("no".into()))
            .change_later(
                Duration::from_secs(1),
                Change::MoveLeader {
                    topic: "orders".into(),
                    partition: Some(PartitionId(0)),
                    to: Some(NodeId(3)),
                },
            )
            .reset_after_apply();
        let written = Script::new()
            .seed(7)
            .versions(ApiKey::PRODUCE, VersionRange::new(3, 7))
            .versions(ApiKey::API_VERSIONS, VersionRange::new(0, 0))
            .rule(all)
            .rule(Rule::on(ApiKey::INIT_PRODUCER_ID).nth(1).producer(None, ProducerEpoch(32_766)))
            .every(Duration::from_millis(300), 2, Change::StopBroker(NodeId(2)))
            .at(Duration::from_secs(5), Change::GrowTopic { topic: "orders".into(), partitions: 8 });
        assert_eq!(read, Ok(written));
    }

    #[test]
    fn an_unclean_election_is_of_one_partition_or_all_and_of_anybody_or_one() {
        let read = |fields: &str| {
            let change = format!("{{ elect-unclean = {{ topic = \"orders\", {fields} batches = 2 }} }}");
            Script::from_toml(&format!("[[at]]\ntime = \"4s\"\nchange = {change}\n"))
        };
        for (fields, partition, to) in [("", None, None), ("partition = 1, to = 3,", Some(1), Some(3))] {
            let (partition, to) = (partition.map(PartitionId), to.map(NodeId));
            let change = Change::ElectUnclean { topic: "orders".into(), partition, to, batches: 2 };
            assert_eq!(read(fields), Ok(Script::new().at(Duration::from_secs(4), change)));
        }
    }

    #[test]
    fn clusters_that_are_taken_for_one_another_have_their_words() {
        let read = |change: &str| Script::from_toml(&format!("[[at]]\ntime = \"4s\"\nchange = {change}\n"));
        let lag = |lag| Change::LagBehind { broker: NodeId(3), lag };
        for (words, change) in [
            (
                "{ reroute = { address = 2, cluster = \"b\", broker = 1 } }",
                Change::Reroute { address: NodeId(2), cluster: Some("b".into()), broker: Some(NodeId(1)) },
            ),
            (
                "{ reroute = { address = 2 } }",
                Change::Reroute { address: NodeId(2), cluster: None, broker: None },
            ),
            ("{ wipe = { cluster-id = \"b\" } }", Change::Wipe { cluster_id: Some("b".into()) }),
            ("{ wipe = {} }", Change::Wipe { cluster_id: None }),
            ("{ lag-behind = { broker = 3, lag = \"view\" } }", lag(Lag::View)),
            ("{ lag-behind = { broker = 3, lag = { topic = \"t\" } } }", lag(Lag::Topic("t".into()))),
            ("{ lag-behind = { broker = 3, lag = { broker = 1 } } }", lag(Lag::Broker(NodeId(1)))),
            (
                "{ lag-behind = { broker = 3, lag = { partitions = { topic = \"t\", count = 2 } } } }",
                lag(Lag::Partitions { topic: "t".into(), count: 2 }),
            ),
            ("{ catch-up = 3 }", Change::CatchUp(NodeId(3))),
        ] {
            assert_eq!(read(words), Ok(Script::new().at(Duration::from_secs(4), change)), "{words}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, words) in [
            ("seed = 1\n[[rule]\n", 2, ""),
            ("[[rule]]\napi = \"Produze\"\n", 2, "there is no API named \"Produze\""),
            ("[[rule]]\n\nerrror = 5\n", 3, "unknown field `errror`"),
            ("[[rule]]\nerror = \"NOT_A_CODE\"\n", 2, "an error code: Kafka's name"),
            ("[[rule]]\nerror = 70000\n", 2, "an error code"),
            ("[[rule]]\ndelay = \"fast\"\n", 2, "\"fast\" is no time"),
            ("[[rule]]\ndelay = [\"2s\", \"1s\"]\n", 2, "the shorter one first"),
            ("[[rule]]\nprobability = 2.0\n", 2, "2 is no probability"),
            ("[[rule]]\nchange = { stop = 1 }\n", 2, "unknown variant `stop`"),
            (
                "[[rule]]\nchange = { elect-unclean = { topic = \"t\", batches = -1 } }\n",
                2,
                "invalid value: integer `-1`",
            ),
            ("[[rule]]\nmalformed = \"truncated\"\n", 2, ""),
            (
                "\n[[at]]\ntime = \"1s\"\nevery = \"1s\"\nchange = { stop-broker = 1 }\n",
                2,
                "either `time`, or `every`",
            ),
            ("[versions]\nProduce = \"7-3\"\n", 2, "no range of versions"),
            ("\n[[rule]]\nnth = 3\nskip = 2\n", 2, "`nth` goes without"),
        ] {
            let error = Script::from_toml(text).expect_err(text);
            assert_eq!(error.line(), Some(line), "{text}: {error}");
            assert!(error.message().contains(words), "{text}: {error}");
            assert!(error.to_string().contains(&format!("line {line}")), "{error}");
        }
    }
}
