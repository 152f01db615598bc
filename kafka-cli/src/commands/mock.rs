//! `linger mock`: a Kafka cluster in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use kafka_mock::{MockCluster, Script, ScriptError};
use kafka_wire::Message;
use kafka_wire::messages::ProduceRequest;

use crate::report::number::counted;
use crate::signals::Signals;
use crate::{Ending, output, report};

/// Be a Kafka cluster, in memory, for any client on this machine
///
/// It checks what it is sent as a real broker does. Consumer groups and transactions are not served: consumers name
/// their partition and offset. Nothing is kept when it ends, which Ctrl-C or a SIGTERM makes it do.
#[derive(Debug, Args)]
pub(crate) struct Mock {
    /// How many brokers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    brokers: u16,

    /// The cluster's id, by which clients know it again; the mock's own unless given. Topics have ids that follow from it
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    cluster_id: Option<String>,

    /// The port of the first broker, the others follow; 0 for free ports
    #[arg(long, default_value_t = 9092)]
    port: u16,

    /// A topic that is there from the start; can be repeated
    #[arg(long, value_name = "NAME[:PARTITIONS]", value_parser = topic)]
    topic: Vec<(String, i32)>,

    /// Refuse topics that are not there, instead of creating them when a client asks
    #[arg(long)]
    no_auto_create: bool,

    /// Misbehave as this file says, in TOML: errors, delays, silence, disconnects, elections (unclean, too), stopping brokers
    ///
    /// For example, every tenth batch is appended and said not to be, and broker 2 is away from 5 s to 9 s after the start:
    ///
    ///   [[rule]]
    ///   api = "Produce"
    ///   probability = 0.1
    ///   error-after-apply = "NOT_ENOUGH_REPLICAS_AFTER_APPEND"
    ///
    ///   [[at]]
    ///   time = "5s"
    ///   change = { stop-broker = 2 }
    ///
    ///   [[at]]
    ///   time = "9s"
    ///   change = { start-broker = 2 }
    ///
    /// And after 12 s another broker leads partition 0 that lacks its last three batches, acknowledged or not:
    ///
    ///   [[at]]
    ///   time = "12s"
    ///   change = { elect-unclean = { topic = "orders", partition = 0, batches = 3 } }
    #[arg(long, value_name = "FILE", conflicts_with = "sink", verbatim_doc_comment)]
    #[expect(rustdoc::broken_intra_doc_links, reason = "headings of TOML tables are no links")]
    script: Option<PathBuf>,

    /// Throw records away and answer at once: a counterpart for measuring producers
    #[arg(long)]
    sink: bool,
}

/// `orders` or `orders:12`.
fn topic(text: &str) -> Result<(String, i32), String> {
    let Some((name, partitions)) = text.rsplit_once(':') else { return Ok((text.to_owned(), 1)) };
    match partitions.parse() {
        Ok(partitions) if partitions > 0 => Ok((name.to_owned(), partitions)),
        _ => Err(format!("`{partitions}` is no number of partitions; write {name}:12")),
    }
}

/// What a script's file says.
pub(super) fn script<T>(file: &Path, read: impl FnOnce(&str) -> Result<T, ScriptError>) -> Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    read(&text).map_err(|error| anyhow!("{} is no script: {error}", file.display()))
}

impl Mock {
    pub(crate) async fn run(self, signals: &mut Signals) -> Result<Ending> {
        let ports = (0..self.brokers).map(|index| match self.port {
            0 => Ok(0),
            first => first.checked_add(index).ok_or_else(|| {
                anyhow!("{} brokers from port {first} on go beyond 65535, the last port", self.brokers)
            }),
        });
        let mut builder = MockCluster::builder()
            .brokers(self.brokers)
            .ports(ports.collect::<Result<Vec<_>>>()?)
            .auto_create(!self.no_auto_create)
            .on_log(report::say);
        if let Some(id) = &self.cluster_id {
            builder = builder.cluster_id(id);
        }
        for (name, partitions) in &self.topic {
            builder = builder.topic(name, *partitions);
        }
        if self.sink {
            builder = builder.sink();
        }
        if let Some(file) = &self.script {
            builder = builder.script(script(file, Script::from_toml)?);
        }
        let cluster = builder.start().await.map_err(|error| {
            let hint = error.address().map(|_| "is another cluster running there? --port names another port");
            let error = anyhow::Error::from(error);
            match hint {
                Some(hint) => anyhow!("{error:#}: {hint}"),
                None => error,
            }
        })?;
        output::print(&self.welcome(&cluster)).context("the cluster was about to start")?;
        let caught = signals.recv().await;
        let requests = cluster.requests(ProduceRequest::API);
        report::say(&format!(
            "\nended after {} and {}",
            counted(cluster.connections(), "connection"),
            counted(requests, "produce request")
        ));
        cluster.shutdown().await;
        Ok(Ending::Signal(caught))
    }

    fn welcome(&self, cluster: &MockCluster) -> String {
        let servers = cluster.bootstrap_servers();
        let first = servers.split(',').next().unwrap_or_default();
        let topic = self.topic.first().map_or("orders", |(name, _)| name);
        let brokers = counted(u64::from(self.brokers), "broker");
        if self.sink {
            return format!(
                "A sink of {brokers}: records are counted and thrown away. Ctrl-C ends it.\n\n  bootstrap servers  {servers}\n"
            );
        }
        format!(
            "A Kafka cluster of {brokers} in memory. Ctrl-C ends it, and nothing is kept.\n\n  \
             bootstrap servers  {servers}\n\n\
             In another terminal, for example:\n\n  \
             echo hello | linger produce -b {first} --topic {topic}\n  \
             linger consume -b {first} --topic {topic}\n  \
             echo hello | kcat -b {first} -P -t {topic}\n  \
             kcat -b {first} -C -t {topic} -o beginning -e\n  \
             kafka-console-consumer.sh --bootstrap-server {first} --topic {topic} --partition 0 --offset earliest\n"
        )
    }
}
