//! `cargo xtask test --kafka`: the tests that need real brokers.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::args::Args;
use crate::clock::Stopwatch;
use crate::jars::{self, VERSIONS, Version};
use crate::kafka::BESIDE;
use crate::kafka::cluster::{Cluster, free_port};
use crate::kafka::config::Spec;
use crate::metadata::{BROKER_TESTS, Metadata};
use crate::{shell, text};

/// Starts the clusters, runs the tests, and ends the clusters whatever came of it.
pub(crate) fn command(mut args: Args) -> Result<()> {
    let keep = args.flag("--keep");
    if let Some(file) = args.text("--text")? {
        args.finish()?;
        return text(Path::new(&file), keep);
    }
    let mut names = args.all("--version")?;
    let mut filters = args.words();
    let after = args.after();
    args.finish()?;
    if names.is_empty() {
        names = VERSIONS.map(|(name, _)| name.to_owned()).into();
    } else if filters.is_empty() {
        // Other people's clients against the mock cluster are not meant where a version is named.
        filters = names.iter().map(|name| module(name)).collect();
    }
    let absent =
        VERSIONS.iter().map(|(name, _)| *name).filter(|name| !names.iter().any(|named| named == name));
    let skipped: Vec<_> = absent.flat_map(|name| ["--skip".to_owned(), module(name)]).collect();
    need_kcat()?;
    let versions = names.iter().map(|name| Version::named(name)).collect::<Result<Vec<_>>>()?;
    let lib = jars::lib(&Version::named(VERSIONS[0].0)?)?;
    let features = CRATES.map(|name| format!("{name}/{}", BROKER_TESTS)).join(",");
    let features = format!("{},{features}", Metadata::load()?.hermetic_features());

    let watch = Stopwatch::start();
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast", "--features", &features]);
    cargo.args(TESTS.iter().flat_map(|name| ["--test", name]));
    cargo.env(TOOLS, &lib).env(XTASK, std::env::current_exe()?);
    let mut clusters = Clusters { up: Vec::new(), keep };
    for version in versions {
        let plain = version.name.replace('.', "_");
        let mut tell = |name: String, cluster: &Cluster| {
            cargo.env(format!("{name}_DIR"), &cluster.dir).env(name, cluster.bootstrap());
        };
        tell(format!("{CLUSTER}{plain}"), clusters.start(version.clone())?);
        if TAKEN_FOR_ANOTHER.contains(&&*version.name) {
            tell(format!("{CLUSTER}{plain}_OTHER"), clusters.start_other(version)?);
        }
    }
    eprintln!("{} clusters are ready after {:.0} s", clusters.up.len(), watch.elapsed().as_secs_f32());
    cargo.arg("--").args(filters).args(skipped).args(after);
    let passed = shell::run(&mut cargo);
    ensure!(
        passed.is_ok() || keep,
        "broker tests failed; with --keep the clusters stay up for a look at them and at their logs"
    );
    passed?;
    eprintln!("all broker tests passed after {:.0} s", watch.elapsed().as_secs_f32());
    Ok(())
}

/// A text through three brokers of the newest version, and back.
fn text(file: &Path, keep: bool) -> Result<()> {
    need_kcat()?;
    let version = Version::named(VERSIONS[0].0)?;
    let lib = jars::lib(&version)?;
    let mut clusters = Clusters { up: Vec::new(), keep };
    let cluster = clusters.start(version)?;
    text::run(file, cluster, &lib)
}

fn need_kcat() -> Result<()> {
    shell::need("kcat", "it reads back what was produced (Debian: apt-get install kcat)")
}

/// The module of a version's tests, as their names begin.
fn module(version: &str) -> String {
    format!("v{}::", version.replace('.', "_"))
}

/// Ends when dropped, unless they are to be kept.
struct Clusters {
    up: Vec<Cluster>,
    keep: bool,
}

impl Clusters {
    fn start(&mut self, version: Version) -> Result<&Cluster> {
        // The newest is one of those whose replication is tried too.
        let brokers = if TAKEN_FOR_ANOTHER.contains(&&*version.name) { 3 } else { 1 };
        let port = free_port(brokers)?;
        self.push(Spec { version, brokers, port, settings: SETTINGS.map(str::to_owned).into() })
    }

    /// A second cluster of that version, whose only broker has the id of one in the first: by its id alone it cannot be told
    /// from that one.
    fn start_other(&mut self, version: Version) -> Result<&Cluster> {
        let port = free_port(1)?;
        let ids = [format!("node.id={OTHERS_ID}"), voters(port)];
        let settings = SETTINGS.map(str::to_owned).into_iter().chain(ids).collect();
        self.push(Spec { version, brokers: 1, port, settings })
    }

    fn push(&mut self, spec: Spec) -> Result<&Cluster> {
        eprintln!("starting {} broker(s) of Kafka {} at port {}", spec.brokers, spec.version.name, spec.port);
        self.up.push(Cluster::up(&spec)?);
        Ok(&self.up[self.up.len() - 1])
    }
}

impl Drop for Clusters {
    fn drop(&mut self) {
        for cluster in &self.up {
            if self.keep {
                eprintln!(
                    "kept: Kafka {} at {}, in {}",
                    cluster.version,
                    cluster.bootstrap(),
                    cluster.dir.display()
                );
            } else if let Err(error) = cluster.down() {
                eprintln!("warning: {error:#}");
            }
        }
    }
}

/// Records have timestamps years apart: by default a broker would begin a new segment at each leap, and soon delete what
/// looks old.
const SETTINGS: [&str; 2] = ["log.roll.ms=9223372036854775807", "log.retention.ms=-1"];
/// Versions that a cluster of three is tried with, and a second cluster that is taken for it or takes its place: one whose
/// brokers check which cluster a client wants (KIP-1242), and one whose brokers do not.
const TAKEN_FOR_ANOTHER: [&str; 2] = [VERSIONS[0].0, "3.9.1"];
/// The id of the second cluster's broker.
const OTHERS_ID: u16 = 2;

/// The quorum of a second cluster. Of a setting that stands twice in a file, the last one counts.
fn voters(port: u16) -> String {
    format!("controller.quorum.voters={OTHERS_ID}@127.0.0.1:{}", port + BESIDE)
}

/// The crates that have such tests, and the names of these: the producer against real brokers, other people's clients
/// against the mock cluster, the mock cluster compared with a real broker, and `linger verifiable-producer` beside
/// Kafka's own.
const CRATES: [&str; 3] = ["kafka-producer", "kafka-mock", "kafka-cli"];
const TESTS: [&str; 4] = ["broker", "strangers", "real", "verifiable"];
/// Environment variables that tell the tests where things are: addresses and folder of each version's clusters, the jars
/// whose tools they use, and this program, which begins a cluster anew.
const CLUSTER: &str = "LINGER_KAFKA_";
const TOOLS: &str = "LINGER_KAFKA_LIB";
const XTASK: &str = "LINGER_XTASK";
