//! Scripts for the mock cluster and the proxy, as people run them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{errors, run, succeeds, three_brokers, with_default_signals};

/// A command that runs until it is interrupted.
struct Running {
    child: Child,
    servers: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut servers = lines.map(Result::unwrap).filter_map(|line| {
            line.trim().strip_prefix("bootstrap servers").map(|servers| servers.trim().to_owned())
        });
        let found = servers.next().unwrap();
        drop(servers);
        Self { child, servers: found }
    }

    /// What it said in the end.
    fn stop(self) -> String {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
        errors(&output)
    }
}

fn file(name: &str, text: &str) -> tempfile::TempPath {
    let file = tempfile::Builder::new().prefix(name).suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file.into_temp_path()
}

#[test]
fn a_mock_cluster_misbehaves_as_its_file_says() {
    let script = file(
        "mock",
        r#"
        [[rule]]
        api = "Produce"
        times = 3
        error-after-apply = "NOT_ENOUGH_REPLICAS_AFTER_APPEND"

        [[rule]]
        api = "Produce"
        skip = 3
        times = 1
        error = "INVALID_RECORD"
        "#,
    );
    let path = script.to_str().unwrap();
    let mock =
        Running::start(with_default_signals(&["mock", "--port", "0", "--topic", "one", "--script", path]));
    let arguments = ["produce", "-b", &mock.servers, "--topic", "one", "-X", "retry.backoff.ms=1"];
    // Three times too few replicas, and then it is not valid either: the record is in the log, and nobody is told so.
    let output = run(&arguments, b"record\n");
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("INVALID_RECORD"), "{}", errors(&output));
    succeeds(&run(&arguments, b"another\n"));
    let output = run(&["consume", "-b", &mock.servers, "--topic", "one"], b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "record\nanother\n");
    mock.stop();
}

/// Scenario 12: every record is acknowledged, and some are lost all the same. That is said.
#[test]
fn what_brokers_lose_is_said_in_the_summary() {
    let script = file(
        "unclean",
        r#"
        [[rule]]
        api = "Produce"
        nth = 6
        change = { elect-unclean = { topic = "one", batches = 2 } }
        "#,
    );
    let path = script.to_str().unwrap();
    let mock =
        || Running::start(with_default_signals(&["mock", "--port", "0", "--topic", "one", "--script", path]));
    let cluster = mock();
    let small = ["-b", &cluster.servers, "--topic", "one", "-X", "batch.size=0", "-X", "retry.backoff.ms=1"];
    let lines: String = (0..20).map(|number| format!("line {number}\n")).collect();
    let output = run(&[&["produce"], &small[..]].concat(), lines.as_bytes());
    succeeds(&output);
    let summary = errors(&output);
    for words in
        ["delivered     20, failed 0", "losses        1 time", "unclean.leader.election.enable=false"]
    {
        assert!(summary.contains(words), "{words}: {summary}");
    }
    let output = run(&["consume", "-b", &cluster.servers, "--topic", "one"], b"");
    let there = String::from_utf8_lossy(&output.stdout).into_owned();
    let kept: String = lines
        .lines()
        .filter(|line| !["line 3", "line 4"].contains(line))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(there, kept, "the last two before the sixth request");
    let output = run(&[&["produce"], &small[..]].concat(), b"one more\n");
    assert!(!errors(&output).contains("losses"), "{}", errors(&output));
    cluster.stop();
    let cluster = mock();
    let output = run(
        &["perf", "-b", &cluster.servers, "--topic", "one", "-n", "2000", "-X", "batch.size=2000", "--json"],
        b"",
    );
    succeeds(&output);
    let json = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(json.contains("\"losses\":1"), "{json}");
    cluster.stop();
}

#[test]
fn a_proxy_does_as_its_file_says() {
    let cluster = three_brokers();
    let script =
        file("proxy", "[[tamper]]\nway = \"responses\"\napi = \"Produce\"\ntimes = 2\nreset-after = 5\n");
    let arguments = ["proxy", "--upstream", &cluster.servers(), "--listen", "127.0.0.1:0"];
    let mut command = with_default_signals(&arguments);
    command.arg("--script").arg(&script);
    let proxy = Running::start(command);
    let arguments = ["produce", "-b", &proxy.servers, "--topic", "one", "-X", "retry.backoff.ms=1"];
    let output = run(&arguments, b"through the proxy\n");
    succeeds(&output);
    cluster.wait_for_records();
    assert_eq!(cluster.mock.records("one", 0).len(), 1, "once, although it was sent three times");
    let end = proxy.stop();
    assert!(end.contains("3 produce requests and 3 produce responses"), "{end}");
    cluster.stop();
}

/// The files that the README names, run: nothing is lost, doubled or reordered by what they do.
#[test]
fn the_examples_do_as_they_say() {
    let example = |name: &str| format!("{}/examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let script = example("cluster");
    let mock = Running::start(with_default_signals(&[
        "mock", "--port", "0", "--topic", "orders:1", "--script", &script,
    ]));
    let script = example("network");
    let arguments = ["proxy", "-b", &mock.servers, "--listen", "127.0.0.1:0", "--script", &script];
    let proxy = Running::start(with_default_signals(&arguments));
    let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    let arguments = ["produce", "-b", &proxy.servers, "--topic", "orders", "-X", "batch.size=500"];
    succeeds(&run(&arguments, lines.as_bytes()));
    let output = run(&["consume", "-b", &proxy.servers, "--topic", "orders"], b"");
    assert!(output.stdout == lines.as_bytes(), "{}", String::from_utf8_lossy(&output.stdout));
    proxy.stop();
    mock.stop();
}

#[test]
fn what_is_wrong_with_a_script_is_said_with_its_line() {
    let wrong = file("wrong", "[[rule]]\napi = \"Produce\"\nerorr = 5\n");
    let path = wrong.to_str().unwrap();
    let output = run(&["mock", "--port", "0", "--script", path], b"");
    assert_eq!(output.status.code(), Some(1));
    for words in [path, "line 3", "erorr", "expected one of"] {
        assert!(errors(&output).contains(words), "{words}: {}", errors(&output));
    }
    let output = run(&["proxy", "-b", "localhost:9092", "--listen", "127.0.0.1:0", "--script", path], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("line 1") && errors(&output).contains("unknown field `rule`"));
    let output = run(&["mock", "--port", "0", "--script", "/no/such/file"], b"");
    assert!(errors(&output).contains("cannot read /no/such/file"), "{}", errors(&output));
    let output = run(&["proxy", "-b", "localhost:9092", "--listen", "0.0.0.0:0"], b"");
    assert!(errors(&output).contains("advertised host"), "{}", errors(&output));
    let output = run(&["proxy", "-b", "localhost", "--listen", "127.0.0.1:0"], b"");
    assert!(errors(&output).contains("write host:port"), "{}", errors(&output));
}
