//! The program, and a cluster in this process.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kafka_mock::{Builder, MockCluster};

/// A cluster, on a runtime of its own.
pub(crate) struct Cluster {
    pub(crate) mock: MockCluster,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    pub(crate) fn start(builder: Builder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mock = runtime.block_on(builder.start()).unwrap();
        Self { mock, runtime }
    }

    pub(crate) fn servers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// Waits until there are records in the topic `one`.
    pub(crate) fn wait_for_records(&self) {
        while self.mock.records("one", 0).is_empty() {
            std::thread::yield_now();
        }
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.mock.shutdown());
    }
}

pub(crate) fn three_brokers() -> Cluster {
    Cluster::start(MockCluster::builder().brokers(3).topic("orders", 3).topic("one", 1))
}

pub(crate) fn linger(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linger"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with this on standard input, and holds it to a time that no test should need.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let started = now();
    let mut child = linger(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let took = now().duration_since(started);
    assert!(took < Duration::from_secs(60), "{arguments:?} took {took:?}");
    output
}

#[expect(clippy::disallowed_methods, reason = "a test of a program looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It ended well.
pub(crate) fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", errors(output));
}
