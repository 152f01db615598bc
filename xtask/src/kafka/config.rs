//! What a cluster is to be like, and its configuration files.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::jars::Version;

/// What somebody asked for.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Kafka's version.
    pub(crate) version: Version,
    /// How many brokers.
    pub(crate) brokers: u16,
    /// Where the first broker listens; the others follow. Controllers, or ZooKeeper, are 100 above.
    pub(crate) port: u16,
    /// Broker settings put last, `name=value`.
    pub(crate) settings: Vec<String>,
}

impl Spec {
    /// Every port the cluster takes.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        let beside = if self.version.kraft { self.brokers } else { 1 };
        let port = self.port;
        (0..self.brokers).map(move |i| port + i).chain((0..beside).map(move |i| port + BESIDE + i))
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=9).contains(&self.brokers), "--brokers {}: one to nine fit on a machine", self.brokers);
        ensure!(
            (1024..=65_000).contains(&self.port),
            "--port {}: between 1024 and 65000, for the ports that follow are used too",
            self.port
        );
        for setting in &self.settings {
            ensure!(setting.contains('='), "-o {setting}: a broker setting is written name=value");
        }
        Ok(())
    }
}

/// How far above the first broker's port the controllers' ports begin, or ZooKeeper's port is.
pub(crate) const BESIDE: u16 = 100;

/// The folder of a broker's logs, in that of the cluster.
pub(crate) fn data(node: u16) -> String {
    format!("data-{node}")
}

/// The folder of ZooKeeper's data, in that of the cluster.
pub(crate) const ZOOKEEPER_DATA: &str = "zookeeper";

/// Writes them all.
pub(crate) fn write(spec: &Spec, dir: &Path) -> Result<()> {
    let put = |name: &str, text: &str| {
        let file = dir.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    for node in 1..=spec.brokers {
        put(&format!("broker-{node}.properties"), &broker(spec, node, dir)?)?;
    }
    if !spec.version.kraft {
        put("zookeeper.properties", &zookeeper(spec, dir))?;
    }
    if spec.version.log4j2 { put(LOG4J2, LOG4J2_TEXT) } else { put(LOG4J, LOG4J_TEXT) }
}

/// The option that makes Java find the logging configuration.
pub(crate) fn logging_option(version: &Version, dir: &Path) -> String {
    if version.log4j2 {
        format!("-Dlog4j2.configurationFile={}", dir.join(LOG4J2).display())
    } else {
        format!("-Dlog4j.configuration=file:{}", dir.join(LOG4J).display())
    }
}

fn broker(spec: &Spec, node: u16, dir: &Path) -> Result<String> {
    let port = spec.port + node - 1;
    let mut text = String::new();
    if spec.version.kraft {
        let voters: Vec<_> = (1..=spec.brokers)
            .map(|node| format!("{node}@127.0.0.1:{}", spec.port + BESIDE + node - 1))
            .collect();
        writeln!(text, "process.roles=broker,controller")?;
        writeln!(text, "node.id={node}")?;
        writeln!(text, "controller.quorum.voters={}", voters.join(","))?;
        let controller = port + BESIDE;
        writeln!(text, "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")?;
        writeln!(text, "controller.listener.names=CONTROLLER")?;
        writeln!(text, "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")?;
    } else {
        writeln!(text, "broker.id={node}")?;
        writeln!(text, "zookeeper.connect=127.0.0.1:{}", spec.port + BESIDE)?;
        // The default of 18 s is waited for in vain when a cluster is started anew on a busy machine.
        writeln!(text, "zookeeper.connection.timeout.ms=60000")?;
        writeln!(text, "listeners=PLAINTEXT://127.0.0.1:{port}")?;
    }
    writeln!(text, "advertised.listeners=PLAINTEXT://127.0.0.1:{port}")?;
    writeln!(text, "log.dirs={}", dir.join(data(node)).display())?;
    let replicas = spec.brokers.min(3);
    let in_sync = replicas.min(2);
    writeln!(text, "default.replication.factor={replicas}")?;
    writeln!(text, "min.insync.replicas={in_sync}")?;
    writeln!(text, "offsets.topic.replication.factor={replicas}")?;
    writeln!(text, "offsets.topic.num.partitions=5")?;
    writeln!(text, "transaction.state.log.replication.factor={replicas}")?;
    writeln!(text, "transaction.state.log.min.isr={in_sync}")?;
    writeln!(text, "transaction.state.log.num.partitions=5")?;
    writeln!(text, "group.initial.rebalance.delay.ms=0")?;
    for setting in &spec.settings {
        writeln!(text, "{setting}")?;
    }
    Ok(text)
}

fn zookeeper(spec: &Spec, dir: &Path) -> String {
    format!(
        "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n",
        dir.join(ZOOKEEPER_DATA).display(),
        spec.port + BESIDE
    )
}

const LOG4J2: &str = "log4j2.properties";
const LOG4J2_TEXT: &str = "\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
";

const LOG4J: &str = "log4j.properties";
const LOG4J_TEXT: &str = "\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
";
