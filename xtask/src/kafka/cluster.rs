//! One cluster: its files, its processes, and when it is ready.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::config::Spec;
use super::process::Process;
use super::{config, probe};
use crate::clock::Stopwatch;
use crate::jars::{self, Version};
use crate::shell;

/// A cluster whose folder exists.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Where its configuration, logs, pid files and data are.
    pub(crate) dir: PathBuf,
    /// Kafka's version.
    pub(crate) version: String,
    /// How many brokers.
    pub(crate) brokers: u16,
    /// Where the first broker listens.
    pub(crate) port: u16,
}

impl Cluster {
    /// Those whose folders exist in this workspace, running or not.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let dir = clusters();
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let dir = entry?.path();
            if let Ok(text) = fs::read_to_string(dir.join(STATE)) {
                let state = Self::parse(dir.clone(), &text);
                found
                    .push(state.with_context(|| format!("{} is damaged; remove the folder", dir.display()))?);
            }
        }
        found.sort_by_key(|cluster| cluster.port);
        Ok(found)
    }

    fn parse(dir: PathBuf, text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (version, brokers, port) = (words.next()?, words.next()?, words.next()?);
        let (brokers, port) = (brokers.parse().ok()?, port.parse().ok()?);
        Some(Self { dir, version: version.to_owned(), brokers, port })
    }

    /// Starts one and waits until every broker knows all the others. One that is up already is left as it is.
    pub(crate) fn up(spec: &Spec) -> Result<Self> {
        spec.check()?;
        jars::need_java()?;
        let lib = jars::lib(&spec.version)?;
        if let Some(there) = Self::all()?.into_iter().find(|cluster| cluster.port == spec.port) {
            let same = there.version == spec.version.name && there.brokers == spec.brokers;
            if there.is_running()? {
                ensure!(
                    same,
                    "a cluster of {} broker(s) of Kafka {} runs at port {} already: `cargo xtask kafka down --port \
                     {}` ends it, and another --port goes beside it",
                    there.brokers,
                    there.version,
                    there.port,
                    there.port
                );
                eprintln!("it runs already");
                return Ok(there);
            }
            there.down()?;
        }
        for port in spec.ports() {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                bail!(
                    "port {port} cannot be had ({error}): another cluster may be there; try another --port"
                );
            }
        }
        let dir = clusters().join(spec.port.to_string());
        let cluster =
            Self { dir, version: spec.version.name.clone(), brokers: spec.brokers, port: spec.port };
        if let Err(error) = cluster.start(spec, &lib) {
            // The logs stay for the reader; the processes don't.
            let _ = cluster.stop();
            return Err(error);
        }
        Ok(cluster)
    }

    fn start(&self, spec: &Spec, lib: &Path) -> Result<()> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot create {}", self.dir.display()))?;
        fs::write(self.dir.join(STATE), format!("{} {} {}\n", self.version, self.brokers, self.port))?;
        config::write(spec, &self.dir)?;
        self.begin(&spec.version, lib)
    }

    /// Starts it on empty folders, as a cluster of its own, and waits for it.
    fn begin(&self, version: &Version, lib: &Path) -> Result<()> {
        let watch = Stopwatch::start();
        if version.kraft {
            self.format(lib)?;
        } else {
            let main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
            let mut zookeeper = self.java(version, lib, "-Xmx128m");
            zookeeper.arg(main).arg(self.dir.join("zookeeper.properties"));
            Process::start(&mut zookeeper, &self.dir, "zookeeper")?;
        }
        for node in 1..=self.brokers {
            self.start_broker(version, node)?;
        }
        self.wait(watch)
    }

    /// Ends it, throws away what it has stored, and begins it anew: under the same addresses there is another cluster
    /// then, with another id.
    pub(crate) fn renew(&self) -> Result<()> {
        let version = Version::named(&self.version)?;
        let lib = jars::lib(&version)?;
        self.stop()?;
        for data in (1..=self.brokers).map(config::data).chain([config::ZOOKEEPER_DATA.to_owned()]) {
            let data = self.dir.join(data);
            if data.exists() {
                fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
            }
        }
        self.begin(&version, &lib)
    }

    /// Starts one of its brokers, which does not run, and does not wait for it.
    pub(crate) fn start_broker(&self, version: &Version, node: u16) -> Result<()> {
        let mut broker = self.java(version, &jars::lib(version)?, "-Xmx768m");
        broker.arg("kafka.Kafka").arg(self.dir.join(format!("broker-{node}.properties")));
        Process::start(&mut broker, &self.dir, &format!("broker-{node}")).map(drop)
    }

    /// The process of a broker that was started, dead or alive.
    pub(crate) fn broker(&self, node: u16) -> Result<Process> {
        let name = format!("broker-{node}");
        let found = Process::noted(&self.dir)?.into_iter().find(|process| process.name == name);
        found.with_context(|| format!("{name} of the cluster in {} was never started", self.dir.display()))
    }

    fn java(&self, version: &Version, lib: &Path, memory: &str) -> Command {
        let mut java = Command::new("java");
        java.args([memory, "-Xms128m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]);
        java.arg(config::logging_option(version, &self.dir)).arg("-cp").arg(jars::class_path(lib));
        // Whatever the caller's shell has set for Kafka's own scripts, or for every JVM, is not for these.
        java.env_remove("JAVA_TOOL_OPTIONS").current_dir(&self.dir);
        java
    }

    /// Formats the brokers' folders, all at once: each is a Java process of its own.
    fn format(&self, lib: &Path) -> Result<()> {
        let id = cluster_id();
        let formatting = (1..=self.brokers).map(|node| -> Result<(u16, Child)> {
            let mut tool = jars::tool(lib);
            tool.args(["kafka.tools.StorageTool", "format", "-t", &id, "-c"]);
            tool.arg(self.dir.join(format!("broker-{node}.properties"))).current_dir(&self.dir);
            tool.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            Ok((node, tool.spawn().context("cannot start java")?))
        });
        for started in formatting.collect::<Vec<_>>() {
            let (node, child) = started?;
            let output = child.wait_with_output()?;
            ensure!(
                output.status.success(),
                "the storage of broker {node} could not be formatted\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn wait(&self, watch: Stopwatch) -> Result<()> {
        loop {
            for process in Process::noted(&self.dir)? {
                if !process.is_alive() {
                    let log = self.dir.join(format!("{}.log", process.name));
                    bail!("{} ended by itself; the end of {}:\n{}", process.name, log.display(), tail(&log));
                }
            }
            let Some(waiting) = self.unready() else { return Ok(()) };
            if watch.elapsed() > READY_WITHIN {
                bail!(
                    "not ready after {} s: {waiting}; the logs are in {}",
                    READY_WITHIN.as_secs(),
                    self.dir.display()
                );
            }
            sleep(READY_POLL);
        }
    }

    /// What keeps the cluster from being ready: every broker must answer, and know of all of them and of a controller.
    pub(crate) fn unready(&self) -> Option<String> {
        self.ports().find_map(|port| match probe::ask(port) {
            Err(error) => Some(format!("the broker at port {port}: {error:#}")),
            Ok(answer) if answer.brokers != usize::from(self.brokers) => {
                Some(format!("the broker at port {port} knows of {} broker(s)", answer.brokers))
            }
            Ok(answer) if !answer.has_controller => {
                Some(format!("the broker at port {port} knows no controller"))
            }
            Ok(_) => None,
        })
    }

    /// The brokers' ports.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> + use<> {
        let port = self.port;
        (0..self.brokers).map(move |i| port + i)
    }

    /// What a client is given to start from.
    pub(crate) fn bootstrap(&self) -> String {
        self.ports().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Whether every process of it runs.
    pub(crate) fn is_running(&self) -> Result<bool> {
        let processes = Process::noted(&self.dir)?;
        Ok(!processes.is_empty() && processes.iter().all(Process::is_alive))
    }

    /// Stops its processes and removes its folder.
    pub(crate) fn down(&self) -> Result<()> {
        self.stop()?;
        fs::remove_dir_all(&self.dir).with_context(|| format!("cannot remove {}", self.dir.display()))
    }

    fn stop(&self) -> Result<()> {
        for process in Process::noted(&self.dir)? {
            process.stop()?;
        }
        Ok(())
    }

    /// A few lines on how it is.
    pub(crate) fn status(&self) -> Result<String> {
        let mut text = format!("Kafka {}, {} broker(s), {}\n", self.version, self.brokers, self.bootstrap());
        for process in Process::noted(&self.dir)? {
            let state = if process.is_alive() { "runs" } else { "has ended" };
            writeln!(text, "  {:<10} process {} {state}", process.name, process.id())?;
        }
        match self.unready() {
            Some(waiting) => writeln!(text, "  not ready: {waiting}")?,
            None => {
                let answer = probe::ask(self.port)?;
                let leaderless: usize = answer.topics.iter().map(|(_, all, led)| all - led).sum();
                writeln!(
                    text,
                    "  ready: {} topic(s), {leaderless} partition(s) without a leader, Produce up to version {}",
                    answer.topics.len(),
                    answer.produce
                )?;
            }
        }
        writeln!(text, "  logs and data in {}", self.dir.display())?;
        Ok(text)
    }
}

/// A first port such that a cluster of that many brokers finds all its ports free just now.
pub(crate) fn free_port(brokers: u16) -> Result<u16> {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    // A broker takes seconds until it listens: whoever looks for ports meanwhile, from another checkout, finds the same
    // ones free. So each process looks from a place of its own on.
    let places = LAST_FREE - FIRST_FREE;
    let place = u16::try_from(std::process::id() % u32::from(places)).unwrap_or_default();
    (0..places)
        .map(|i| FIRST_FREE + (place + i) % places)
        .find(|first| (0..brokers).all(|i| free(first + i) && free(first + config::BESIDE + i)))
        .context("no free ports were found on loopback")
}

fn clusters() -> PathBuf {
    shell::target().join("kafka").join("clusters")
}

/// 128 random bits in the alphabet that Kafka's identifiers have.
fn cluster_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = || u128::from(RandomState::new().hash_one(0_u8));
    // The first bit is cleared: a leading dash would look like an option to the tool that reads it.
    let bits = (random() << 64 | random()) >> 1;
    let digit = |shift: u32| {
        let digit = usize::try_from((bits >> shift) & 63).unwrap_or_default();
        char::from(ALPHABET[digit])
    };
    let mut id: String = (0..21).map(|i| digit(122 - 6 * i)).collect();
    let last = usize::try_from((bits & 3) << 4).unwrap_or_default();
    id.push(char::from(ALPHABET[last]));
    id
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

const STATE: &str = "cluster";
const READY_WITHIN: Duration = Duration::from_secs(300);
const READY_POLL: Duration = Duration::from_millis(250);
const TAIL_LINES: usize = 20;
const FIRST_FREE: u16 = 30_092;
const LAST_FREE: u16 = 32_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_are_what_kafka_reads() {
        for _ in 0..100 {
            let id = cluster_id();
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'));
            assert!("AQgw".contains(id.chars().last().unwrap()), "{id}");
        }
    }
}
