//! The field: a cluster, a load on it, and the means to do harm to both.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::admin::{Admin, Partition};
use super::load::{self, Load};
use super::proxy::Proxy;
use super::recovery::Fault;
use super::stop::Stop;
use crate::clock::{Stopwatch, milliseconds};
use crate::jars::{self, Version};
use crate::kafka::cluster::{Cluster, free_port};
use crate::kafka::config::Spec;
use crate::shell;

/// Everything that a scenario works with. What was started ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Field {
    spec: Spec,
    pub(crate) cluster: Cluster,
    pub(crate) admin: Admin,
    pub(crate) load: Load,
    programs: load::Programs,
    pub(crate) stop: Stop,
    /// The topic of this scenario.
    pub(crate) topic: String,
    pub(crate) rate: u64,
    /// Seeded; for everything that is left to chance.
    random: u64,
    scenario: Stopwatch,
    length: Duration,
    pub(crate) faults: Vec<Fault>,
    /// When the topic was deleted and made again, in milliseconds since 1970.
    pub(crate) gone: Vec<Range<u64>>,
    /// Worth a line in the report.
    pub(crate) notes: Vec<String>,
    /// Promises that were not kept, other than about records.
    pub(crate) broken: Vec<String>,
    mounted: Option<PathBuf>,
    /// What the load's connections go through, where they are to be cut.
    proxy: Option<Proxy>,
}

impl Field {
    /// Starts three brokers, and the load program without a load.
    pub(crate) fn start(stop: &Stop, port: Option<u16>, rate: u64, seed: u64) -> Result<Self> {
        let programs = load::build()?;
        let version = Version::named(jars::VERSIONS[0].0)?;
        let lib = jars::lib(&version)?;
        let port = match port {
            Some(port) => port,
            None => free_port(BROKERS)?,
        };
        stop.check()?;
        let spec = Spec { version, brokers: BROKERS, port, settings: SETTINGS.map(str::to_owned).into() };
        eprintln!("starting three brokers at port {port}");
        let cluster = Cluster::up(&spec)?;
        let ready = || -> Result<(Admin, Load)> {
            let admin = Admin::start(&lib, &cluster.bootstrap(), &cluster.dir)?;
            Ok((admin, Load::start(&programs.load, &cluster.bootstrap(), &cluster.dir)?))
        };
        let (admin, load) = match ready() {
            Ok(ready) => ready,
            Err(error) => {
                // That it could not be used is what counts.
                let _ = cluster.down();
                return Err(error);
            }
        };
        Ok(Self {
            spec,
            cluster,
            admin,
            load,
            programs,
            stop: stop.clone(),
            topic: String::new(),
            rate,
            random: seed,
            scenario: Stopwatch::start(),
            length: Duration::ZERO,
            faults: Vec::new(),
            gone: Vec::new(),
            notes: Vec::new(),
            broken: Vec::new(),
            mounted: None,
            proxy: None,
        })
    }

    /// Forgets what the last scenario left.
    pub(crate) fn begin(&mut self, topic: String, length: Duration) {
        self.topic = topic;
        self.length = length;
        for list in [&mut self.notes, &mut self.broken] {
            list.clear();
        }
        self.faults.clear();
        self.gone.clear();
        self.scenario = Stopwatch::start();
    }

    /// Puts the proxy between the brokers and a load program of its own.
    pub(crate) fn interpose(&mut self) -> Result<()> {
        let seed = self.dice(u64::MAX);
        let proxy = Proxy::start(&self.programs.proxy, &self.cluster.bootstrap(), seed)?;
        self.load = Load::start(&self.programs.load, &proxy.bootstrap, &self.cluster.dir)?;
        self.proxy = Some(proxy);
        Ok(())
    }

    /// Takes it away again.
    pub(crate) fn straighten(&mut self) -> Result<()> {
        self.load = Load::start(&self.programs.load, &self.cluster.bootstrap(), &self.cluster.dir)?;
        self.proxy = None;
        Ok(())
    }

    /// What the load's connections go through.
    pub(crate) fn proxy(&mut self) -> Result<&mut Proxy> {
        self.proxy.as_mut().context("no proxy stands there")
    }

    /// Makes the topic, and waits until every partition has its leader and all replicas.
    pub(crate) fn create_topic(&mut self, partitions: usize) -> Result<()> {
        self.admin.insist(&format!("create {} {partitions}", self.topic))?;
        self.await_in_sync(PATIENCE)
    }

    /// From the beginning of the scenario's faults on.
    pub(crate) fn start_watch(&mut self) {
        self.scenario = Stopwatch::start();
    }

    /// How much of the scenario is left.
    pub(crate) fn left(&self) -> Duration {
        self.length.saturating_sub(self.scenario.elapsed())
    }

    /// So long, or a part of the whole length, whichever is shorter.
    pub(crate) fn at_most_part(&self, time: Duration, part: u32) -> Duration {
        time.min(self.length / part)
    }

    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        self.load.check()?;
        self.stop.sleep(time)
    }

    /// A number below this one.
    pub(crate) fn dice(&mut self, sides: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % sides
    }

    pub(crate) fn any_broker(&mut self) -> u16 {
        u16::try_from(1 + self.dice(BROKERS.into())).unwrap_or(1)
    }

    pub(crate) fn state(&mut self) -> Result<Vec<Partition>> {
        self.admin.state(&self.topic.clone())
    }

    /// The partitions a broker leads.
    pub(crate) fn led_by(&mut self, node: u16) -> Result<Vec<i32>> {
        let led = self.state()?.into_iter().zip(0..).filter(|(partition, _)| partition.leader == Some(node));
        Ok(led.map(|(_, index)| index).collect())
    }

    pub(crate) fn kill(&self, node: u16) -> Result<()> {
        self.cluster.broker(node)?.stop()
    }

    pub(crate) fn signal(&self, node: u16, signal: &str) -> Result<()> {
        self.cluster.broker(node)?.signal(signal)
    }

    /// Ends a broker as an administrator would.
    pub(crate) fn terminate(&self, node: u16) -> Result<()> {
        let broker = self.cluster.broker(node)?;
        broker.signal("TERM")?;
        let ended = self.stop.wait_until(PATIENCE, || Ok(!broker.is_alive()))?;
        ensure!(ended, "broker {node} does not end");
        Ok(())
    }

    pub(crate) fn start_broker(&self, node: u16) -> Result<()> {
        self.cluster.start_broker(&self.spec.version, node)
    }

    /// Waits until no partition is led by this broker, and each by some other. Gives back when that was.
    pub(crate) fn await_leaders_without(&mut self, node: u16) -> Result<u64> {
        let stop = self.stop.clone();
        let there = stop.wait_until(PATIENCE, || {
            Ok(self.state()?.iter().all(|partition| partition.leader.is_some_and(|leader| leader != node)))
        })?;
        ensure!(there, "no leaders other than broker {node} were elected");
        Ok(milliseconds())
    }

    /// Waits until every broker is there and every replica in sync.
    pub(crate) fn await_in_sync(&mut self, patience: Duration) -> Result<()> {
        let stop = self.stop.clone();
        let there = stop.wait_until(patience, || {
            if self.cluster.unready().is_some() {
                return Ok(false);
            }
            let whole = |partition: &Partition| {
                partition.leader.is_some()
                    && partition.in_sync == partition.replicas
                    && partition.replicas == BROKERS
            };
            Ok(self.state()?.iter().all(whole))
        })?;
        ensure!(there, "the replicas of {} are not in sync after {} s", self.topic, patience.as_secs());
        Ok(())
    }

    /// Waits until the load flows at its rate, nearly, for a moment.
    pub(crate) fn await_flow(&self, patience: Duration) -> Result<bool> {
        let mut since = Stopwatch::start();
        self.stop.wait_until(patience, || {
            self.load.check()?;
            if self.load.acked_per_second() < self.rate * FLOW_PERCENT / 100 {
                since = Stopwatch::start();
            }
            Ok(since.elapsed() >= FLOW_FOR)
        })
    }

    /// Every broker runs again, and everybody is in sync.
    pub(crate) fn heal(&mut self) -> Result<()> {
        for node in 1..=BROKERS {
            let broker = self.cluster.broker(node)?;
            if broker.is_alive() {
                // Of no consequence for one that was not stopped.
                broker.signal("CONT")?;
            } else {
                self.start_broker(node)?;
            }
        }
        self.await_in_sync(PATIENCE)?;
        self.admin.insist(&format!("prefer {}", self.topic)).map(drop)
    }

    /// Whether the faults explain that records fail: some of them lasted as long as the delivery time-out, nearly.
    pub(crate) fn may_fail(&self) -> bool {
        self.faults.iter().any(|fault| fault.ended - fault.began > EXPLAINS_FAILURES)
    }

    pub(crate) fn fault(&mut self, what: impl Into<String>, began: u64, ended: u64, partitions: Vec<i32>) {
        let what = what.into();
        eprintln!("  {what}");
        self.faults.push(Fault { what, began, ended, partitions });
    }

    /// Gives a broker a second folder for logs, on a file system of its own in memory, and restarts it. The path.
    pub(crate) fn add_small_disk(&mut self, node: u16, size: &str) -> Result<PathBuf> {
        let small = self.cluster.dir.join(format!("small-{node}"));
        fs::create_dir_all(&small)?;
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "linger-chaos"]).arg(&small);
        shell::output(&mut mount).context("this scenario mounts a tmpfs, which only root may do")?;
        self.mounted = Some(small.clone());
        let data = self.cluster.dir.join(format!("data-{node}"));
        let id = cluster_id(&data)?;
        let file = self.cluster.dir.join(format!("broker-{node}.properties"));
        let text = fs::read_to_string(&file)?;
        // The last one counts.
        let dirs =
            format!("log.dirs={},{}\nmetadata.log.dir={}\n", data.display(), small.display(), data.display());
        fs::write(&file, text + &dirs)?;
        self.terminate(node)?;
        let mut tool = jars::tool(&jars::lib(&self.spec.version)?);
        tool.args(["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", &id, "-c"]).arg(&file);
        shell::output(&mut tool)?;
        self.start_broker(node)?;
        let ready = self.stop.wait_until(PATIENCE, || Ok(self.cluster.unready().is_none()))?;
        ensure!(ready, "broker {node} does not come back with a second folder");
        Ok(small)
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let kept = self.cluster.dir.with_extension("last");
        for log in ["load.log", "admin.log", "broker-1.log", "broker-2.log", "broker-3.log"] {
            // For a look at them after a failure; none of them is needed.
            let _ = fs::create_dir_all(&kept)
                .and_then(|()| fs::rename(self.cluster.dir.join(log), kept.join(log)));
        }
        // Brokers first: they hold the small disk.
        for node in 1..=BROKERS {
            if let Err(error) = self.kill(node) {
                eprintln!("warning: {error:#}");
            }
        }
        if let Some(mounted) = &self.mounted {
            // Lazily: the last of a killed broker's threads may hold it for a moment yet.
            if let Err(error) = shell::output(std::process::Command::new("umount").arg("--lazy").arg(mounted))
            {
                eprintln!("warning: {error:#}");
            }
        }
        if let Err(error) = self.cluster.down() {
            eprintln!("warning: {error:#}");
        }
    }
}

fn cluster_id(data: &Path) -> Result<String> {
    let text = fs::read_to_string(data.join("meta.properties"))?;
    let id = text.lines().find_map(|line| line.strip_prefix("cluster.id="));
    id.map(|id| id.replace('\\', "")).context("no cluster id in the broker's folder")
}

/// Brokers, replicas, and the number of partitions' replicas.
pub(crate) const BROKERS: u16 = 3;
/// Deleted topics make room at once. And on a busy machine three brokers that start together may need more than the
/// minute after which they would give up.
const SETTINGS: [&str; 4] = [
    "log.segment.delete.delay.ms=1000",
    "log.retention.ms=-1",
    "auto.create.topics.enable=false",
    "initial.broker.registration.timeout.ms=300000",
];
/// For what brokers do by themselves within some seconds, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// In milliseconds: `delivery.timeout.ms` by default, less the time that a first attempt after the fault may take.
const EXPLAINS_FAILURES: u64 = 110_000;
const FLOW_PERCENT: u64 = 85;
const FLOW_FOR: Duration = Duration::from_secs(2);
