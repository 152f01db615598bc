//! `linger verifiable-producer` beside `org.apache.kafka.tools.VerifiableProducer`: the same arguments, and what both
//! print, field by field. `cargo xtask test --kafka` starts the cluster and runs these.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

mod v4_4_0 {
    use super::*;

    #[test]
    fn values_and_their_offsets() {
        compare("plain", 1, "", &["--max-messages", "200"]);
    }

    #[test]
    fn keys_prefixes_and_acks_of_one() {
        compare(
            "keys",
            3,
            "",
            &["--max-messages", "100", "--repeating-keys", "7", "--value-prefix", "3", "--acks", "1"],
        );
    }

    #[test]
    fn acks_of_zero_have_no_offsets() {
        let printed = compare("zero", 1, "", &["--max-messages", "20", "--acks", "0"]);
        assert!(sends(&printed).all(|event| event["offset"] == -1));
    }

    #[test]
    fn the_file_counts_more() {
        let settings = "acks=0\nlinger.ms=20\ncompression.type=gzip\nkey.serializer=x\n";
        let printed = compare("file", 1, settings, &["--max-messages", "20", "--acks", "-1"]);
        assert!(sends(&printed).all(|event| event["offset"] == -1));
    }

    #[test]
    fn idempotence_with_retries() {
        compare(
            "retries",
            3,
            "retries=2147483647\n",
            &["--max-messages", "100", "--repeating-keys", "10", "--throughput", "1000"],
        );
    }

    #[test]
    fn a_throughput_of_zero_is_two_records() {
        signalled("stopped", Signal::SIGTERM, &["--throughput", "0"], 2);
    }

    #[test]
    fn what_is_too_large_is_an_error() {
        let printed = compare("large", 1, "max.request.size=68\n", &["--max-messages", "3"]);
        assert!(sends(&printed).all(|event| event["name"] == "producer_send_error"));
    }

    #[test]
    fn a_name_that_no_topic_can_have() {
        let (theirs, ours) = both("", ["two words", "two words"], &["--max-messages", "2"]);
        same(&theirs, &ours);
    }

    #[test]
    fn brokers_that_are_not_there() {
        let words = ["--topic", "t", "--bootstrap-server", "127.0.0.1:1", "--max-messages", "2"];
        let settings = Settings::new("gone", "max.block.ms=300\n");
        let (theirs, ours) = (run(java(), &words, &settings), run(linger(), &words, &settings));
        same(&theirs, &ours);
        assert!(
            sends(&ours)
                .all(|event| event["exception"] == "class org.apache.kafka.common.errors.TimeoutException"),
            "{ours:?}"
        );
    }

    #[test]
    fn sigint_and_sigterm_end_it_in_order() {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let name = format!("ended-by-{signal}");
            signalled(&name, signal, &["--throughput", "50"], 10);
        }
    }

    #[test]
    fn timestamps_begin_where_they_are_told() {
        let words = ["--max-messages", "50", "--message-create-time", "1000", "--throughput", "500"];
        compare("timestamps", 1, "", &words);
        for topic in names("timestamps") {
            let mut kcat = Command::new("kcat");
            kcat.args([
                "-C",
                "-b",
                &bootstrap(),
                "-t",
                &topic,
                "-o",
                "-50",
                "-c",
                "50",
                "-e",
                "-q",
                "-f",
                "%T\n",
            ]);
            let output = kcat.stdin(Stdio::null()).output().unwrap();
            let times: Vec<i64> =
                String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!((times.len(), times[0]), (50, 1000), "{topic}");
            assert!(times.is_sorted(), "{topic}: {times:?}");
        }
    }
}

/// Both on topics of their own, alike otherwise, until they end by themselves. Gives back what ours printed.
fn compare(name: &str, partitions: u32, settings: &str, words: &[&str]) -> Vec<Value> {
    let topics = names(name);
    for topic in &topics {
        warm(topic, partitions);
    }
    let (theirs, ours) = both(settings, [&topics[0], &topics[1]], words);
    same(&theirs, &ours);
    ours
}

fn both(settings: &str, topics: [&str; 2], words: &[&str]) -> (Vec<Value>, Vec<Value>) {
    let settings = Settings::new(topics[0], settings);
    let bootstrap = bootstrap();
    let run = |command: Command, topic: &str| {
        let mut all = vec!["--topic", topic, "--bootstrap-server", &bootstrap];
        all.extend_from_slice(words);
        run(command, &all, &settings)
    };
    (run(java(), topics[0]), run(linger(), topics[1]))
}

/// Both, ended by a signal after some records.
fn signalled(name: &str, signal: Signal, words: &[&str], records: usize) {
    let mut ends = Vec::new();
    for (topic, command) in names(name).iter().zip([java(), linger()]) {
        warm(topic, 1);
        let mut running = Running::start(command, topic, words);
        running.read(records + 1);
        kill(Pid::from_raw(running.child.id().try_into().unwrap()), signal).unwrap();
        let (printed, status) = running.end();
        let sent = sends(&printed).count();
        let [shutdown, summary] = &printed[printed.len() - 2..] else { panic!("{printed:?}") };
        assert_eq!(shutdown["name"], "shutdown_complete", "{topic}: {printed:?}");
        // Kafka's tool reads its counts without the lock that guards them, and may print one too few. What it sends while
        // it closes it reports as failed, before records that are still on their way.
        if !ends.is_empty() {
            assert_eq!((&summary["sent"], &summary["acked"]), (&sent.into(), &sent.into()), "{topic}");
            for (index, event) in sends(&printed).enumerate() {
                assert_eq!(event["value"], index.to_string(), "{topic}: {printed:?}");
            }
        }
        ends.push(status.code());
    }
    assert_eq!(ends[0], ends[1], "exit codes of theirs and ours after {signal}");
    assert_eq!(ends[0], Some(128 + signal as i32));
}

/// Everything equal but what depends on the clock, the topics' names and the words of messages: the types of these are.
fn same(theirs: &[Value], ours: &[Value]) {
    let show = || format!("\ntheirs: {theirs:#?}\nours: {ours:#?}");
    let outline = |events: &[Value]| {
        let sends = sends(events).count();
        let mut names: Vec<_> = events.iter().map(|event| event["name"].clone()).collect();
        // Records of different partitions come in any order.
        names.drain(1..=sends);
        (names, sends)
    };
    assert_eq!(outline(theirs), outline(ours), "{}", show());
    let (by_value, others) = (
        |events: &[Value]| by_value(events),
        |events: &[Value]| {
            events.iter().filter(|event| event["value"].is_null()).cloned().collect::<Vec<_>>()
        },
    );
    let pairs = by_value(theirs).into_iter().zip(by_value(ours));
    for (theirs, ours) in pairs.chain(others(theirs).into_iter().zip(others(ours))) {
        let fields = |event: &Value| event.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&theirs), fields(&ours), "{theirs} and {ours}");
        for (name, value) in theirs.as_object().unwrap() {
            let alike = match name.as_str() {
                "timestamp" => value.is_u64() && ours[name].is_u64(),
                "avg_throughput" => value.is_f64() && ours[name].is_f64(),
                "message" | "topic" => value.is_string() && ours[name].is_string(),
                _ => *value == ours[name],
            };
            assert!(alike, "{name} differs: {theirs} and {ours}");
        }
    }
}

fn by_value(events: &[Value]) -> Vec<Value> {
    let mut sends: Vec<_> = sends(events).cloned().collect();
    let number = |event: &Value| {
        let value = event["value"].as_str().unwrap();
        value.rsplit('.').next().unwrap().parse::<u32>().unwrap()
    };
    sends.sort_by_key(number);
    sends
}

fn sends(events: &[Value]) -> impl Iterator<Item = &Value> {
    events.iter().filter(|event| event["name"].as_str().is_some_and(|name| name.starts_with("producer_send")))
}

/// A program that runs, and what it has printed so far.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    printed: Vec<Value>,
}

impl Running {
    fn start(command: Command, topic: &str, words: &[&str]) -> Self {
        let bootstrap = bootstrap();
        let mut all = vec!["--topic", topic, "--bootstrap-server", &bootstrap];
        all.extend_from_slice(words);
        Self::spawn(command, &all)
    }

    fn spawn(mut command: Command, words: &[&str]) -> Self {
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, printed: Vec::new() }
    }

    fn read(&mut self, count: usize) {
        while self.printed.len() < count {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended after {:?}", self.printed);
            self.keep(&line);
        }
    }

    fn keep(&mut self, line: &str) {
        // Java's tool says in plain words that an option is old.
        if let Ok(event) = serde_json::from_str::<Value>(line) {
            let begins = format!("{{\"timestamp\":{},\"name\":{}", event["timestamp"], event["name"]);
            assert!(line.starts_with(&begins), "the order of fields in {line}");
            self.printed.push(event);
        }
    }

    fn end(mut self) -> (Vec<Value>, ExitStatus) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        rest.lines().for_each(|line| self.keep(line));
        let status = self.child.wait().unwrap();
        (std::mem::take(&mut self.printed), status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: Command, words: &[&str], settings: &Settings) -> Vec<Value> {
    let mut words = words.to_vec();
    words.extend(settings.option());
    let (printed, status) = Running::spawn(command, &words).end();
    assert!(status.success(), "{words:?} ended with {status} after {printed:?}");
    printed
}

/// A file of settings, if there are any.
struct Settings(Option<tempfile::NamedTempFile>);

impl Settings {
    fn new(name: &str, text: &str) -> Self {
        if text.is_empty() {
            return Self(None);
        }
        let file = tempfile::Builder::new().prefix(name).tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(Some(file))
    }

    fn option(&self) -> Vec<&str> {
        self.0.iter().flat_map(|file| ["--command-config", file.path().to_str().unwrap()]).collect()
    }
}

/// Creates a topic and waits until records can be written to it, for both tools try each record only once.
fn warm(topic: &str, partitions: u32) {
    let mut linger = Command::new(env!("CARGO_BIN_EXE_linger"));
    linger.args(["perf", "-b", &bootstrap(), "--topic", topic, "--partitions", &partitions.to_string()]);
    // Keys, so that every such topic holds the same.
    let output = linger.args(["-n", "100", "--keys", "100"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{topic}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The topics of Kafka's tool and of ours.
fn names(name: &str) -> [String; 2] {
    [format!("verifiable-{name}-java"), format!("verifiable-{name}-linger")]
}

fn linger() -> Command {
    let mut linger = Command::new(env!("CARGO_BIN_EXE_linger"));
    linger.arg("verifiable-producer");
    linger
}

fn java() -> Command {
    // A process started in the background of a script ignores SIGINT, and so would Java.
    let mut java = Command::new("env");
    java.args([
        "--default-signal=INT",
        "java",
        "-Xmx256m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-cp",
    ]);
    java.arg(Path::new(&variable("LINGER_KAFKA_LIB")).join("*"));
    java.arg("org.apache.kafka.tools.VerifiableProducer");
    java
}

fn bootstrap() -> String {
    variable("LINGER_KAFKA_4_4_0")
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `cargo xtask test --kafka` starts the clusters and runs these tests")
    })
}
