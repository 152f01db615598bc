//! The program as people run it, against a cluster in this process: what it does, and what it says when things go wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kafka_mock::{Builder, MockCluster};

/// A cluster, on a runtime of its own.
struct Cluster {
    mock: MockCluster,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn start(builder: Builder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mock = runtime.block_on(builder.start()).unwrap();
        Self { mock, runtime }
    }

    fn servers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    fn stop(self) {
        self.runtime.block_on(self.mock.shutdown());
    }
}

fn three_brokers() -> Cluster {
    Cluster::start(MockCluster::builder().brokers(3).topic("orders", 3).topic("one", 1))
}

fn linger(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linger"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with this on standard input, and holds it to a time that no test should need.
fn run(arguments: &[&str], input: &[u8]) -> Output {
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

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It failed, with these words.
fn complains(output: &Output, words: &[&str]) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("linger: error: "), "{errors}");
    for word in words {
        assert!(errors.contains(word), "no {word:?} in: {errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
}

fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", errors(output));
}

#[test]
fn every_byte_there_and_back() {
    let cluster = three_brokers();
    // Not UTF-8, empty lines, a carriage return, and no end at the end.
    let input = b"one\n\n\xff\xfe\x00\r\nlast".as_slice();
    let output = run(&["produce", "-b", &cluster.servers(), "--topic", "one"], input);
    succeeds(&output);
    let summary = errors(&output);
    for word in
        ["records", "delivered     4, failed 0", "batches", "left because", "requests", "p50", "p99", "max"]
    {
        assert!(summary.contains(word), "no {word:?} in: {summary}");
    }
    let output = run(&["consume", "-b", &cluster.servers(), "--topic", "one"], b"");
    succeeds(&output);
    assert_eq!(output.stdout, b"one\n\n\xff\xfe\x00\r\nlast\n");
    cluster.stop();
}

#[test]
fn keys_headers_tombstones_and_every_codec() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let setting = format!("compression.type={codec}");
        let arguments = [
            "produce",
            "-b",
            &servers,
            "--topic",
            "one",
            "--key-separator",
            ":",
            "--null-value",
            "NULL",
            "--header",
            "a=b",
            "--header",
            "c=",
            "-X",
            &setting,
            "--partition",
            "0",
        ];
        succeeds(&run(&arguments, b"k:v:w\nk:NULL\nnone\n"));
    }
    let format = "%p %o %k=%s %h;";
    let output =
        run(&["consume", "-b", &servers, "--topic", "one", "--format", format, "--null-value", "-"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    let expected: String = (0..15)
        .map(|offset| match offset % 3 {
            0 => format!("0 {offset} k=v:w a=b,c=;"),
            1 => format!("0 {offset} k=- a=b,c=;"),
            _ => format!("0 {offset} -=none a=b,c=;"),
        })
        .collect();
    assert_eq!(text, expected);
    let part = run(
        &["consume", "-b", &servers, "--topic", "one", "--from", "3", "--to", "4", "--format", "%o"],
        b"",
    );
    assert_eq!(part.stdout, b"3");
    cluster.stop();
}

#[test]
fn addresses_that_lead_nowhere() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (server, words) in [
        (free.as_str(), &["no broker of", "cannot connect to", free.as_str()][..]),
        ("no-such-host.invalid:9092", &["no-such-host.invalid", "check the host name"]),
        ("localhost", &["port is missing", "host:port"]),
        ("http://localhost:9092", &["plaintext"]),
    ] {
        for command in ["produce", "consume"] {
            complains(&run(&[command, "-b", server, "--topic", "one"], b"x\n"), words);
        }
    }
    complains(&run(&["produce", "--topic", "one"], b"x\n"), &["no broker is named", "--bootstrap-server"]);
}

/// Listens, and answers whatever comes with these bytes.
fn stranger(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 64];
            // The client may be gone by now.
            let _ = stream.read(&mut request).and_then(|_| stream.write_all(answer));
        }
    });
    address
}

#[test]
fn ports_that_speak_something_else() {
    let http = stranger(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    complains(&run(&["produce", "-b", &http, "--topic", "one"], b"x\n"), &["speaks HTTP", &http]);
    let tls = stranger(&[0x15, 3, 3, 0, 2, 2, 50]);
    complains(&run(&["produce", "-b", &tls, "--topic", "one"], b"x\n"), &["speaks TLS", &tls]);
}

#[test]
fn topics_and_partitions_that_are_not_there() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    for command in ["produce", "consume"] {
        let output = run(&[command, "-b", &servers, "--topic", "missing"], b"x\n");
        complains(&output, &["topic missing"]);
        let output = run(&[command, "-b", &servers, "--topic", "one", "--partition", "7"], b"x\n");
        complains(&output, &["topic one has partitions 0 to 0, not 7"]);
    }
    cluster.stop();
}

#[test]
fn records_that_are_too_large_are_named_and_the_others_arrive() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    // Far over the limit of the client, just over it with its overhead, and over the limit of the topic.
    let mut input = b"first\n".to_vec();
    input.extend(std::iter::repeat_n(b'x', 100 << 20));
    input.extend_from_slice(b"\nthird\n");
    input.extend(std::iter::repeat_n(b'y', 1 << 20));
    input.extend_from_slice(b"\nfifth\n");
    let output = run(&["produce", "-b", &servers, "--topic", "one"], &input);
    complains(
        &output,
        &["2 records failed", "line 2: not sent", "100.0 MiB", "line 4: not sent", "max.request.size"],
    );
    assert!(errors(&output).contains("delivered     3"), "{}", errors(&output));

    cluster.mock.set_topic_config("one", "max.message.bytes", "1000").unwrap();
    let mut input = vec![b'z'; 2000];
    input.extend_from_slice(b"\nlast\n");
    let output = run(&["produce", "-b", &servers, "--topic", "one", "-X", "linger.ms=0"], &input);
    complains(&output, &["1 record failed", "line 1:", "one-0", "MESSAGE_TOO_LARGE", "it is not in the log"]);

    let output = run(&["consume", "-b", &servers, "--topic", "one"], b"");
    assert_eq!(output.stdout, b"first\nthird\nfifth\nlast\n");
    cluster.stop();
}

#[test]
fn settings_that_are_wrong() {
    let settings = |arguments: &[&str]| {
        let mut all = vec!["produce", "-b", "127.0.0.1:1", "--topic", "one"];
        all.extend_from_slice(arguments);
        run(&all, b"x\n")
    };
    complains(&settings(&["-X", "lingr.ms=5"]), &["lingr.ms is no setting", "linger.ms?"]);
    complains(&settings(&["-X", "linger.ms=5s"]), &["linger.ms=5s", "write 5000"]);
    complains(&settings(&["-X", "linger.ms"]), &["expected NAME=VALUE"]);
    complains(&settings(&["-X", "security.protocol=SSL"]), &["security.protocol=SSL is not supported"]);
    let output = settings(&["-X", "acks=1", "-X", "enable.idempotence=true"]);
    complains(&output, &["acks=1 contradicts enable.idempotence=true", "acks=all"]);
    let output = settings(&["-X", "sasl.jaas.config=hunter2"]);
    complains(&output, &["sasl.jaas.config"]);
    assert!(!errors(&output).contains("hunter2"));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.properties");
    let name = path.to_str().unwrap();
    std::fs::write(&path, "# ours\nlinger.ms=5\nbatch.size=64k\n").unwrap();
    complains(&settings(&["--config", name]), &["client.properties", "line 3", "write 65536"]);
    complains(&settings(&["--config", "/no/such/file"]), &["/no/such/file", "cannot read the settings"]);
    std::fs::write(&path, "key.serializer=x\nunknown.one=1\nacks=1\n").unwrap();
    let output = settings(&["--config", name, "-X", "max.block.ms=100"]);
    let said = errors(&output);
    for word in
        ["key.serializer has no effect", "unknown.one is no setting", "switches enable.idempotence off"]
    {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let produce = |file: &str| run(&["produce", file, "-b", &servers, "--topic", "one"], b"");
    complains(&produce("/no/such/file"), &["cannot open /no/such/file"]);
    complains(&produce("/"), &["is a directory"]);
    cluster.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_closed_or_full() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let input: Vec<u8> =
        (0..100_000).flat_map(|number: u32| format!("record {number}\n").into_bytes()).collect();
    succeeds(&run(&["produce", "-b", &servers, "--topic", "one"], &input));

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = linger(&["consume", "-b", &servers, "--topic", "one"]).stdout(full).output().unwrap();
    complains(&output, &["standard output is full"]);

    let mut child = linger(&["consume", "-b", &servers, "--topic", "one"]).spawn().unwrap();
    drop(child.stdout.take());
    complains(&child.wait_with_output().unwrap(), &["standard output was closed"]);
    cluster.stop();
}

#[cfg(unix)]
#[test]
fn ctrl_c_delivers_what_was_read() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let cluster = three_brokers();
    let arguments = ["produce", "-b", &cluster.servers(), "--topic", "one", "-X", "linger.ms=30000"];
    let mut child = linger(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    // The lines are read when the producer has asked for its id: nothing is sent before the linger time is over.
    std::thread::sleep(Duration::from_secs(3));
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    assert!(errors(&output).contains("interrupted"), "{}", errors(&output));
    assert_eq!(cluster.mock.records("one", 0).len(), 2);
    drop(stdin);
    cluster.stop();
}

#[cfg(unix)]
#[test]
fn the_verifiable_producer_ends_in_order() {
    use std::io::{BufRead, BufReader};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let cluster = three_brokers();
    let servers = cluster.servers();
    let whole =
        ["verifiable-producer", "--broker-list", &servers, "--topic", "orders", "--max-messages", "1000"];
    let output = run(&whole, b"");
    succeeds(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, sends @ .., shutdown, summary] = lines.as_slice() else { panic!("{text}") };
    assert_eq!((&first["name"], sends.len()), (&"startup_complete".into(), 1000), "{text}");
    for send in sends {
        let records = cluster.mock.records("orders", send["partition"].as_i64().unwrap().try_into().unwrap());
        let record = &records[usize::try_from(send["offset"].as_u64().unwrap()).unwrap()];
        assert_eq!(record.record.value.as_deref(), send["value"].as_str().map(str::as_bytes), "{send}");
    }
    assert_eq!(shutdown["name"], "shutdown_complete");
    assert_eq!((&summary["sent"], &summary["acked"]), (&1000.into(), &1000.into()));

    // Batches that would linger for half a minute are sent when the signal comes.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "linger.ms=30000\nretries=10\n").unwrap();
    let mut child = linger(&["verifiable-producer", "--bootstrap-server", &servers, "--topic", "one"])
        .args(["--throughput", "1000", "--command-config", file.path().to_str().unwrap()])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("startup_complete"));
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let summary: serde_json::Value = serde_json::from_str(rest.last().unwrap()).unwrap();
    let (sent, written) = (summary["sent"].as_u64().unwrap(), cluster.mock.records("one", 0).len());
    assert_eq!((summary["acked"].as_u64(), written as u64), (Some(sent), sent), "{rest:?}");
    assert_eq!(rest.len(), usize::try_from(sent).unwrap() + 2, "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    cluster.stop();
}

#[test]
fn perf_and_demo_end_well() {
    let output = run(&["demo"], b"");
    succeeds(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("All equal") && text.contains("access-log-5"), "{text}");

    let cluster = three_brokers();
    let servers = cluster.servers();
    for load in [&["-n", "100"][..], &["-n", "20000", "--keys", "9"], &["-n", "200", "--rate", "1000"]] {
        let mut arguments = vec!["perf", "-b", &servers, "--topic", "fresh", "--partitions", "5"];
        arguments.extend_from_slice(load);
        let output = run(&arguments, b"");
        succeeds(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("records={} records/s=", load[1])), "{text}");
    }
    let records: usize = (0..5).map(|partition| cluster.mock.records("fresh", partition).len()).sum();
    assert_eq!(records, 20_300);
    let output = run(&["perf", "--sink", "-n", "1000", "--json"], b"");
    succeeds(&output);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["records"].as_u64(), json["failed"].as_u64()), (Some(1000), Some(0)));
    cluster.stop();
}
