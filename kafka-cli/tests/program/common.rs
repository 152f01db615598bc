//! The program, and a cluster in this process.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

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
        self.runtime.block_on(self.mock.until(|mock| !mock.records("one", 0).is_empty()));
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

/// As [`linger`], with no signal ignored, whatever started these tests: what runs in the background of a script ignores
/// SIGINT, and so would the program.
#[cfg(unix)]
pub(crate) fn with_default_signals(arguments: &[&str]) -> Command {
    if !cfg!(target_os = "linux") {
        return linger(arguments);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_linger")]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with this on standard input, until it ends. One that hangs is ended, and reported: it must not hold up the tests.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = linger(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (ended, both_ended) = channel();
    let outputs = [read(child.stdout.take().unwrap(), &ended), read(child.stderr.take().unwrap(), &ended)];
    drop(ended);
    // Both are closed when it ends, and then nobody is left who could say more.
    let hangs = both_ended.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout);
    if hangs {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    writer.join().unwrap();
    let [stdout, stderr] = outputs.map(|reader| reader.join().unwrap());
    assert!(!hangs, "{arguments:?} does not end: {}", String::from_utf8_lossy(&stderr));
    Output { status, stdout, stderr }
}

/// Reads everything on a thread of its own, which keeps the sender until then.
fn read(mut from: impl Read + Send + 'static, ended: &Sender<()>) -> JoinHandle<Vec<u8>> {
    let ended = ended.clone();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        drop(ended);
        bytes
    })
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It ended well.
pub(crate) fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", errors(output));
}

/// A program that takes so long hangs: a test needs seconds, on a machine however busy.
const HANGS: Duration = Duration::from_secs(300);
