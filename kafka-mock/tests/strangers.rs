//! Other people's clients against the mock cluster: kcat, and Kafka's own console tools.
//!
//! Behind a feature, because they are no part of this repository: `cargo xtask test --kafka` turns it on and says where the
//! tools are. A tool that is missing fails the test.
#![cfg(feature = "broker-tests")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kafka_batch::BatchReader;
use kafka_mock::proxy::{Proxy, Tamper, Way};
use kafka_mock::{MockCluster, Rule, Script, StoredRecord};
use kafka_wire::{ApiKey, ErrorCode};

async fn start() -> MockCluster {
    let builder = MockCluster::builder().brokers(3).topic("orders", 3).auto_create(true);
    builder.start().await.expect("starts")
}

/// Runs a tool with this standard input; it has to succeed.
#[track_caller]
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let output = try_run(command, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{errors}", output.status);
    output.stdout
}

#[track_caller]
fn try_run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        // A tool that ends early does not read all of it; its exit code says whether that was right.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("can be waited for")
    })
}

/// kcat for this cluster. Debian: `apt-get install kcat`.
fn kcat(cluster: &MockCluster, arguments: &[&str]) -> Command {
    kcat_at(&cluster.bootstrap_servers(), arguments)
}

fn kcat_at(servers: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", servers]).args(arguments);
    command
}

/// A class of Kafka's jars for this cluster.
fn kafka(cluster: &MockCluster, class: &str, arguments: &[&str]) -> Command {
    kafka_at(&cluster.bootstrap_servers(), class, arguments)
}

fn kafka_at(servers: &str, class: &str, arguments: &[&str]) -> Command {
    let lib = std::env::var_os("LINGER_KAFKA_LIB");
    let lib =
        lib.expect("LINGER_KAFKA_LIB names the folder with Kafka's jars: run `cargo xtask test --kafka`");
    let mut command = Command::new("java");
    command.arg("-cp").arg(Path::new(&lib).join("*")).arg(class);
    command.args(["--bootstrap-server", servers]).args(arguments);
    command
}

/// Lines of many lengths, more than one batch of them.
fn lines() -> Vec<u8> {
    let line = |index: usize| format!("{index} {}\n", "abcdefg ".repeat(index * 7 % 40));
    (0..5000).flat_map(|index| line(index).into_bytes()).collect()
}

/// What the lines are as values.
fn values(records: Vec<StoredRecord>) -> Vec<u8> {
    let line = |stored: StoredRecord| [&stored.record.value.expect("a value")[..], b"\n"].concat();
    records.into_iter().flat_map(line).collect()
}

/// The codecs of the batches of partition 0.
fn codecs(cluster: &MockCluster, topic: &str) -> Vec<i16> {
    let batches = cluster.batches(topic, 0).into_iter().flat_map(BatchReader::new);
    let mut codecs: Vec<i16> = batches.map(|batch| batch.expect("sound").header().codec()).collect();
    codecs.dedup();
    codecs
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_writes_and_reads_every_codec() {
    let cluster = start().await;
    let lines = lines();
    for (codec, name) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let topic = format!("by-{name}");
        cluster.create_topic(&topic, 1).expect("legal");
        let produce = ["-P", "-t", &topic, "-z", name, "-X", "enable.idempotence=true"];
        run(&mut kcat(&cluster, &produce), &lines);
        assert!(values(cluster.records(&topic, 0)) == lines, "what {name} left in the log differs");
        assert_eq!(codecs(&cluster, &topic), [codec], "{name}");
        let consume = ["-C", "-t", &topic, "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"];
        assert!(run(&mut kcat(&cluster, &consume), b"") == lines, "what kcat read of {name} differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_writes_and_reads_keys_headers_and_nulls() {
    let cluster = start().await;
    let produce = ["-P", "-t", "keyed", "-K", ":", "-Z", "-H", "a=1", "-H", "b=2"];
    run(&mut kcat(&cluster, &produce), b"k1:v1\nk2:\n:v3\n");
    let consume = [
        "-C",
        "-t",
        "keyed",
        "-o",
        "beginning",
        "-e",
        "-q",
        "-X",
        "check.crcs=true",
        "-f",
        "%o %K %k %S %s %h\n",
    ];
    let read = run(&mut kcat(&cluster, &consume), b"");
    assert_eq!(
        String::from_utf8_lossy(&read),
        "0 2 k1 2 v1 a=1,b=2\n1 2 k2 -1  a=1,b=2\n2 -1  2 v3 a=1,b=2\n"
    );
    let records = cluster.records("keyed", 0);
    assert_eq!(records.len(), 3, "the topic was created on demand");
    assert_eq!(records[0].record.key, Some(Bytes::from("k1")));
    assert_eq!(records[1].record.value, None);
    assert_eq!(records[2].record.headers[1].key(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_console_tools_write_and_read() {
    let cluster = start().await;
    let lines = lines();
    cluster.create_topic("console", 1).expect("legal");
    let produce = ["--topic", "console", "--compression-codec", "zstd"];
    run(&mut kafka(&cluster, "org.apache.kafka.tools.ConsoleProducer", &produce), &lines);
    assert!(
        values(cluster.records("console", 0)) == lines,
        "what the console producer left in the log differs"
    );
    assert_eq!(codecs(&cluster, "console"), [4]);
    let consume =
        ["--topic", "console", "--partition", "0", "--offset", "earliest", "--max-messages", "5000"];
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    assert!(
        run(&mut kafka(&cluster, class, &consume), b"") == lines,
        "what the console consumer read differs"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_topic_command_creates_describes_grows_and_deletes() {
    let cluster = start().await;
    let class = "org.apache.kafka.tools.TopicCommand";
    let create = ["--create", "--topic", "made", "--partitions", "2", "--replication-factor", "3"];
    run(kafka(&cluster, class, &create).args(["--config", "max.message.bytes=5000"]), b"");
    assert_eq!(cluster.offsets("made", 1), Some((0, 0)));
    run(&mut kafka(&cluster, class, &["--alter", "--topic", "made", "--partitions", "4"]), b"");
    assert_eq!(cluster.offsets("made", 3), Some((0, 0)));
    let described = run(&mut kafka(&cluster, class, &["--list"]), b"");
    assert_eq!(String::from_utf8_lossy(&described), "made\norders\n");
    run(&mut kafka(&cluster, class, &["--delete", "--topic", "made"]), b"");
    assert_eq!(cluster.offsets("made", 0), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_member_and_the_log_are_told_that_there_are_no_groups() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let builder = MockCluster::builder().topic("orders", 1);
    let builder = builder.on_log(move |line| log.lock().expect("no panic").push(line.to_owned()));
    let cluster = builder.start().await.expect("starts");
    let output = try_run(&mut kcat(&cluster, &["-G", "group", "orders"]), b"");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("serves neither groups nor transactions"), "{errors}");
    let lines = lines.lock().expect("no panic").clone();
    assert!(lines.iter().any(|line| line.contains("--partition N --offset earliest")), "{lines:?}");
}

/// Real brokers, which `cargo xtask test --kafka` has started.
fn real_servers() -> String {
    std::env::var("LINGER_KAFKA_4_4_0").expect("LINGER_KAFKA_4_4_0: run `cargo xtask test --kafka`")
}

/// A proxy in front of real brokers, at which every client loses answers and connections now and then.
async fn bad_network() -> Proxy {
    let produce = |way| Tamper::with(way).api(ApiKey::PRODUCE);
    let builder = Proxy::builder(real_servers())
        .seed(11)
        .tamper(produce(Way::Responses).nth(1).reset_after(5).named("faults"))
        .tamper(produce(Way::Requests).nth(3).reset_after(1000).named("faults"))
        .tamper(produce(Way::Responses).probability(0.2).delay(Duration::from_millis(20)));
    builder.start().await.expect("starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_writes_and_reads_through_the_proxy_and_a_real_broker() {
    let proxy = bad_network().await;
    let servers = proxy.bootstrap_servers();
    let (lines, topic) = (lines(), "through-the-proxy-by-kcat");
    run(&mut kafka_at(&servers, TOPICS, &["--create", "--topic", topic, "--partitions", "1"]), b"");
    let produce =
        ["-P", "-t", topic, "-z", "lz4", "-X", "enable.idempotence=true", "-X", "batch.num.messages=500"];
    run(&mut kcat_at(&servers, &produce), &lines);
    assert_eq!(proxy.fired("faults"), 2);
    let consume = ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"];
    assert!(run(&mut kcat_at(&servers, &consume), b"") == lines, "what kcat read differs");
    assert!(run(&mut kcat_at(&real_servers(), &consume), b"") == lines, "what is in the real log differs");
    assert!(proxy.frames(Way::Responses, ApiKey::FETCH) > 0, "it was read through the proxy");
    run(&mut kafka_at(&servers, TOPICS, &["--delete", "--topic", topic]), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_console_tools_write_and_read_through_the_proxy_and_a_real_broker() {
    let proxy = bad_network().await;
    let servers = proxy.bootstrap_servers();
    let (lines, topic) = (lines(), "through-the-proxy-by-console");
    run(&mut kafka_at(&servers, TOPICS, &["--create", "--topic", topic, "--partitions", "1"]), b"");
    run(&mut kafka_at(&servers, "org.apache.kafka.tools.ConsoleProducer", &["--topic", topic]), &lines);
    assert!(proxy.fired("faults") > 0);
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let consume = ["--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", "5000"];
    assert!(
        run(&mut kafka_at(&servers, class, &consume), b"") == lines,
        "what the console consumer read differs"
    );
    // In a group: its coordinator's address is the proxy's, too.
    let consume =
        ["--topic", topic, "--from-beginning", "--group", "behind-the-proxy", "--max-messages", "5000"];
    assert!(run(&mut kafka_at(&servers, class, &consume), b"") == lines, "what it read in a group differs");
    assert!(
        proxy.frames(Way::Responses, ApiKey::JOIN_GROUP)
            + proxy.frames(Way::Responses, ApiKey::CONSUMER_GROUP_HEARTBEAT)
            > 0
    );
    run(&mut kafka_at(&servers, TOPICS, &["--delete", "--topic", topic]), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_and_the_console_producer_survive_a_mock_that_misbehaves() {
    let script = Script::new()
        .rule(Rule::on(ApiKey::PRODUCE).nth(2).error_after_apply(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND))
        .rule(Rule::on(ApiKey::PRODUCE).nth(4).disconnect_after_apply())
        .rule(Rule::on(ApiKey::PRODUCE).nth(6).error(ErrorCode::NOT_LEADER_OR_FOLLOWER).named("last"));
    let lines = lines();
    for client in ["kcat", "console"] {
        let builder = MockCluster::builder().brokers(3).topic("orders", 1).script(script.clone());
        let cluster = builder.start().await.expect("starts");
        if client == "kcat" {
            let produce =
                ["-P", "-t", "orders", "-X", "enable.idempotence=true", "-X", "batch.num.messages=500"];
            run(&mut kcat(&cluster, &produce), &lines);
        } else {
            run(
                &mut kafka(&cluster, "org.apache.kafka.tools.ConsoleProducer", &["--topic", "orders"]),
                &lines,
            );
        }
        assert!(values(cluster.records("orders", 0)) == lines, "what {client} left in the log differs");
        assert_eq!(cluster.fired("last"), 1, "{client}");
    }
}

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
