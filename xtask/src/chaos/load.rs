//! The load program: started, told what to do, and looked at from outside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::stop::Stop;
use crate::{clock, shell};

/// The programs beside the brokers.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) load: PathBuf,
    pub(crate) proxy: PathBuf,
}

/// Builds them: as tests are built, so that the producer's own assertions are checked under fire, too.
pub(crate) fn build() -> Result<Programs> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--quiet", "--package", "xtask", "--features", "chaos-programs"]);
    shell::run(cargo.args(["--bin", "chaos-load", "--bin", "chaos-proxy"]))?;
    let debug = shell::target().join("debug");
    Ok(Programs { load: debug.join("chaos-load"), proxy: debug.join("chaos-proxy") })
}

/// The program under way. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    process: Child,
    commands: ChildStdin,
    seen: Arc<Mutex<Seen>>,
    /// Where its standard error goes.
    pub(crate) log: PathBuf,
}

/// What it last said, and what was seen of it from outside.
#[derive(Debug, Default)]
struct Seen {
    progress: Progress,
    stopped: Option<u64>,
    ended: bool,
    /// Memory in use over time: milliseconds since 1970, KiB.
    memory: Vec<(u64, u64)>,
    /// The last second's progress.
    recent: Vec<Progress>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) at: u64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) failed: u64,
    /// Attempts to connect since its start.
    pub(crate) connections: u64,
}

impl Load {
    pub(crate) fn start(program: &Path, bootstrap: &str, dir: &Path) -> Result<Self> {
        let log = dir.join("load.log");
        let errors = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command.args(["-X", &format!("bootstrap.servers={bootstrap}")]);
        for setting in SETTINGS {
            command.args(["-X", setting]);
        }
        command.args(["-X", &format!("metadata.max.age.ms={}", METADATA_AGE.as_millis())]);
        // Not in the terminal's group of processes: Ctrl-C there must not reach it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let commands = process.stdin.take().context("it was asked for")?;
        let lines = BufReader::new(process.stdout.take().context("it was asked for")?).lines();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (noted, id) = (Arc::clone(&seen), process.id());
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let memory = resident(id);
                lock(&noted).hear(&line, memory);
            }
            lock(&noted).ended = true;
        });
        Ok(Self { process, commands, seen, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Begins to send to a topic; answers go to the file.
    pub(crate) fn run(&mut self, topic: &str, rate: u64, file: &Path) -> Result<()> {
        {
            let mut seen = lock(&self.seen);
            (seen.stopped, seen.progress) = (None, Progress::default());
            seen.recent.clear();
        }
        writeln!(self.commands, "run {topic} {rate} {}", file.display()).context("the load takes no commands")
    }

    /// Ends it, and waits for all answers: how many records were sent.
    pub(crate) fn stop(&mut self, stop: &Stop, patience: Duration) -> Result<u64> {
        writeln!(self.commands, "stop").context("the load takes no commands")?;
        let mut sent = None;
        stop.wait_until(patience, || {
            self.check()?;
            sent = lock(&self.seen).stopped;
            Ok(sent.is_some())
        })?;
        sent.with_context(|| {
            let seen = lock(&self.seen).progress;
            format!("after {} s there are records without an answer: {seen:?}", patience.as_secs())
        })
    }

    /// Fails if it has ended.
    pub(crate) fn check(&self) -> Result<()> {
        if lock(&self.seen).ended {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(5).collect();
            bail!("the load has ended by itself; its last words, last first: {last:#?}");
        }
        Ok(())
    }

    pub(crate) fn progress(&self) -> Progress {
        lock(&self.seen).progress
    }

    /// Acknowledgements a second, over the last [`WINDOW`].
    pub(crate) fn acked_per_second(&self) -> u64 {
        let seen = lock(&self.seen);
        match (seen.recent.first(), seen.recent.last()) {
            (Some(first), Some(last)) if last.at > first.at && clock::milliseconds() < last.at + STALE => {
                last.acked.saturating_sub(first.acked) * 1000 / (last.at - first.at)
            }
            _ => 0,
        }
    }

    /// Memory in use, in KiB, at each time it was looked at.
    pub(crate) fn memory(&self) -> Vec<(u64, u64)> {
        lock(&self.seen).memory.clone()
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let fields = stat.rsplit_once(')').context("a process's status")?.1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or_default()).sum();
        Ok(Duration::from_millis(ticks * MILLISECONDS_A_TICK))
    }
}

impl Seen {
    fn hear(&mut self, line: &str, memory: Option<u64>) {
        let words: Vec<&str> = line.split(' ').collect();
        let numbers: Vec<u64> = words[1..].iter().filter_map(|word| word.parse().ok()).collect();
        match (words[0], <[u64; 5]>::try_from(&numbers[..]), numbers.first()) {
            ("progress", Ok([at, sent, acked, failed, connections]), _) => {
                self.progress = Progress { at, sent, acked, failed, connections };
                self.recent.retain(|progress| progress.at + WINDOW >= at);
                self.recent.push(self.progress);
                self.memory.extend(memory.map(|memory| (at, memory)));
            }
            ("stopped", _, Some(sent)) => self.stopped = Some(*sent),
            _ => eprintln!("warning: the load said {line:?}"),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In KiB.
fn resident(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `metadata.max.age.ms` of the load.
pub(crate) const METADATA_AGE: Duration = Duration::from_secs(10);

/// Default settings, but for these: a name for quotas, and patience where all room is taken. And `metadata.max.age.ms`,
/// so that new partitions are seen within a scenario.
const SETTINGS: [&str; 3] = ["client.id=chaos-load", "linger.ms=5", "max.block.ms=300000"];
/// `buffer.memory`, by default, in KiB.
pub(crate) const BUFFER_KIB: u64 = 32 << 10;
/// In milliseconds: long enough that a busy machine, or one answer that comes late, does not look like a fault.
const WINDOW: u64 = 5000;
/// In milliseconds: progress that is older says nothing about now.
const STALE: u64 = 1500;
/// Linux counts CPU time in hundredths of a second, whatever its clock.
const MILLISECONDS_A_TICK: u64 = 10;
