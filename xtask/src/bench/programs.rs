//! The programs that are measured, and the sink they send to.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Where the release builds are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// Our producer under load.
    pub(crate) producer: PathBuf,
    /// The hand-written loop.
    pub(crate) baseline: PathBuf,
    /// The mock cluster as a sink.
    pub(crate) sink: PathBuf,
}

/// Builds all of them.
pub(crate) fn build() -> Result<Programs> {
    let mut programs = shell::cargo();
    programs.args(["build", "--release", "--quiet", "--package", "xtask", "--features", "bench-programs"]);
    programs.args(["--bin", "bench-producer", "--bin", "bench-baseline", "--bin", "bench-sink"]);
    shell::run(&mut programs)?;
    let release = shell::target().join("release");
    Ok(Programs {
        producer: release.join("bench-producer"),
        baseline: release.join("bench-baseline"),
        sink: release.join("bench-sink"),
    })
}

/// Another build of our producer under load, if the path leads to a file.
pub(crate) fn other(path: PathBuf) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("--against {}: no such file; build `bench-producer` in another checkout", path.display());
    }
    Ok(path)
}

/// Builds `linger`, and says where it is.
pub(crate) fn build_linger() -> Result<PathBuf> {
    shell::run(shell::cargo().args(["build", "--release", "--quiet", "--package", "kafka-cli"]))?;
    Ok(shell::target().join("release").join("linger"))
}

/// A file with a thousand different values of that size, a line each: letters, as `ProducerPerformance` makes them.
pub(crate) fn payloads(size: usize) -> Result<PathBuf> {
    let path = shell::target().join("bench").join(format!("values-{size}.txt"));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let mut state = 1_u64;
    let mut letter = || {
        // Knuth's linear congruential generator: the same file each time.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + ((state >> 33) % 26) as u8)
    };
    let line = |_| (0..size).map(|_| letter()).chain(['\n']).collect::<String>();
    let lines: String = (0..1000).map(line).collect();
    fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A program that may only run on one core.
pub(crate) fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Fails where programs cannot be pinned, or where a client and the sink would share a core.
pub(crate) fn need_cores() -> Result<()> {
    shell::need("taskset", "it pins programs to cores (Debian: apt-get install util-linux)")?;
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() < 2 => {
            bail!("the client and the sink need a core each, and there is only one")
        }
        _ => Ok(()),
    }
}

/// The core of the clients.
pub(crate) const CLIENT_CORE: usize = 0;
/// The core of the sink.
pub(crate) const SINK_CORE: usize = 1;
/// The topic in the sink: `xtask/programs` name it too.
pub(crate) const TOPIC: &str = "bench";
/// Its partitions.
pub(crate) const PARTITIONS: u32 = 12;

/// Three brokers that only parse what they must and answer at once. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    process: Child,
    bootstrap: String,
}

impl Sink {
    /// Starts it on a core of its own and waits until it listens.
    pub(crate) fn start(programs: &Programs) -> Result<Self> {
        let mut command = pinned(SINK_CORE, &programs.sink);
        let shown = shell::show(&command);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stdout = process.stdout.take().context("the sink has no standard output")?;
        let mut sink = Self { process, bootstrap: String::new() };
        for line in BufReader::new(stdout).lines() {
            if let Some(bootstrap) = addresses(&line?) {
                sink.bootstrap = bootstrap;
                return Ok(sink);
            }
        }
        bail!("`{shown}` ended without saying where it listens")
    }

    /// The addresses of its brokers, separated by commas.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The word of a line that is a list of addresses.
fn addresses(line: &str) -> Option<String> {
    let is_address = |word: &str| word.parse::<std::net::SocketAddr>().is_ok();
    line.split_whitespace().find(|word| word.split(',').all(is_address)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_a_line() {
        let line = "listening on 127.0.0.1:9092,127.0.0.1:9093 (3 brokers)";
        assert_eq!(addresses(line).as_deref(), Some("127.0.0.1:9092,127.0.0.1:9093"));
        assert_eq!(addresses("listening: soon"), None);
    }
}
