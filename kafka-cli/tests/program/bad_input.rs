//! What the program says when things go wrong: what, where and what to do, within a bounded time, and not without a word on
//! each record that was read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use kafka_mock::MockCluster;
use kafka_wire::Message;
use kafka_wire::messages::ProduceRequest;

#[cfg(unix)]
use crate::common::with_default_signals;
use crate::common::{Cluster, errors, linger, run, succeeds, three_brokers};

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

/// With less patience than people are given.
fn impatient(command: &str, servers: &str, topic: &str) -> Output {
    run(&[command, "-b", servers, "--topic", topic, "-X", "max.block.ms=1500"], b"x\n")
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
            complains(&impatient(command, server, "one"), words);
        }
    }
    complains(&run(&["produce", "--topic", "one"], b"x\n"), &["no broker is named", "--bootstrap-server"]);
}

/// The cluster can be asked, but it names addresses where nobody is.
#[test]
fn brokers_that_are_not_where_the_cluster_says() {
    let builder = MockCluster::builder().brokers(2).topic("one", 2).advertised_host("no-such-host.invalid");
    let cluster = Cluster::start(builder);
    let server = cluster.servers().replace("no-such-host.invalid", "127.0.0.1");
    for command in ["produce", "perf"] {
        let output = run(&[command, "-b", &server, "--topic", "one"], b"x\n");
        complains(&output, &["advertised.listeners", "no-such-host.invalid", "check the host name"]);
    }
    cluster.stop();
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
    let ssh = stranger(b"SSH-2.0-OpenSSH_9.2p1\r\n");
    complains(
        &run(&["consume", "-b", &ssh, "--topic", "one"], b""),
        &["SSH-2.0", "check host and port", &ssh],
    );
    let garbage = stranger(b"\0\0\0\x0a0123456789");
    complains(&impatient("produce", &garbage, "one"), &[&garbage, "answered request"]);
    let nothing = stranger(b"");
    complains(&impatient("produce", &nothing, "one"), &[&nothing, "hung up"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    complains(
        &run(&["produce", "-b", &address, "--topic", "one"], b"x\n"),
        &[&address, "said nothing within"],
    );
}

#[test]
fn topics_and_partitions_that_are_not_there() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    for command in ["produce", "consume"] {
        complains(
            &impatient(command, &servers, "missing"),
            &["topic missing", "check the name, or create it"],
        );
        let output = run(&[command, "-b", &servers, "--topic", "one", "--partition", "7"], b"x\n");
        complains(&output, &["topic one has only partition 0, not 7"]);
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
    complains(&settings(&["-X", "=5"]), &["expected NAME=VALUE"]);
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
    complains(&settings(&["--config", dir.path().to_str().unwrap()]), &["cannot read the settings"]);
    std::fs::write(&path, b"# ours\nclient.id=caf\xe9\n").unwrap();
    complains(&settings(&["--config", name]), &["client.properties, line 2", "not UTF-8"]);
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    complains(&settings(&["--config", name]), &["is it the right file?"]);
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
    #[cfg(target_os = "linux")]
    complains(&produce("/proc/self/mem"), &["cannot read /proc/self/mem"]);
    cluster.stop();
}

#[cfg(unix)]
#[test]
fn a_file_without_the_right_to_read_it() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    let cluster = three_brokers();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.log");
    std::fs::write(&path, "x\n").unwrap();
    set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let arguments = ["produce", path.to_str().unwrap(), "-b", &cluster.servers(), "--topic", "one"];
    let output = if nix::unistd::geteuid().is_root() {
        // Root may read everything: a copy of the program runs as somebody else.
        let program = dir.path().join("linger");
        std::fs::copy(env!("CARGO_BIN_EXE_linger"), &program).unwrap();
        set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Command::new(program).args(arguments).uid(NOBODY).stdin(Stdio::null()).output().unwrap()
    } else {
        run(&arguments, b"")
    };
    complains(&output, &["cannot open", "secret.log", "Permission denied"]);
    cluster.stop();
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_read() {
    let cluster = three_brokers();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.log");
    let line = "a line of a log that somebody rotates\n";
    // Much more than is read ahead: the cluster, which is in this process, takes little at a time.
    std::fs::write(&path, line.repeat(2_000_000)).unwrap();
    let arguments = ["produce", path.to_str().unwrap(), "-b", &cluster.servers(), "--topic", "one"];
    let child = linger(&arguments).args(["-X", "buffer.memory=65536"]).spawn().unwrap();
    cluster.wait_for_records();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let output = child.wait_with_output().unwrap();
    complains(&output, &["big.log", "bytes shorter while it was read", "the lines up to that were sent"]);
    // Whole lines arrived, as many as are told, and no half one.
    let records = cluster.mock.records("one", 0);
    assert!(records.iter().all(|stored| stored.record.value.as_deref() == Some(line.trim_end().as_bytes())));
    assert!(errors(&output).contains(&format!("beyond line {};", records.len())), "{}", errors(&output));
    cluster.stop();
}

/// Whoever has a file open can read it to its end, whatever becomes of its name.
#[cfg(unix)]
#[test]
fn a_file_that_is_deleted_while_it_is_read() {
    let cluster = three_brokers();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleeting.log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let arguments = ["produce", path.to_str().unwrap(), "-b", &cluster.servers(), "--topic", "one"];
    let child = linger(&arguments).spawn().unwrap();
    // Returns when the other side is open.
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(b"one\n").unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(b"two\nthr").unwrap();
    drop(file);
    succeeds(&child.wait_with_output().unwrap());
    let output = run(&["consume", "-b", &cluster.servers(), "--topic", "one"], b"");
    assert_eq!(output.stdout, b"one\ntwo\nthr\n");
    cluster.stop();
}

/// What was accepted and cannot be delivered is reported, each record, and that within `delivery.timeout.ms`.
#[test]
fn brokers_that_go_away_meanwhile() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let mut child = linger(&["produce", "-b", &servers, "--topic", "one", "-X", "delivery.timeout.ms=2000"])
        .args(["-X", "request.timeout.ms=1000"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    cluster.wait_for_records();
    cluster.stop();
    stdin.write_all(b"two\nthree\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    complains(&output, &["2 records failed", "line 2", "one-0", "delivery.timeout.ms is over"]);
    let errors = errors(&output);
    assert!(errors.contains("delivered     1, failed 2"), "{errors}");
    assert!(errors.contains("line 3"), "{errors}");
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_gives_up_what_has_no_answer() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let builder = MockCluster::builder().brokers(1).auto_create(false).topic("one", 1);
    let cluster = Cluster::start(builder);
    let mut child = with_default_signals(&["produce", "-b", &cluster.servers(), "--topic", "one"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    cluster.wait_for_records();
    // From now on no record finds its topic, which may come back at any time.
    cluster.mock.delete_topic("one").unwrap();
    let before = cluster.mock.requests(ProduceRequest::API);
    stdin.write_all(b"two\nthree\n").unwrap();
    while cluster.mock.requests(ProduceRequest::API) == before {
        std::thread::yield_now();
    }
    let process = Pid::from_raw(child.id().try_into().unwrap());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    kill(process, Signal::SIGINT).unwrap();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("SIGINT") && first.contains("a second signal gives up"), "{first}");
    kill(process, Signal::SIGINT).unwrap();
    let said = lines.map(Result::unwrap).collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    for word in ["delivered     1, failed 2", "2 records failed", "line 2", "the producer was closed first"] {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    drop(stdin);
    cluster.stop();
}

#[test]
fn a_mock_cluster_that_cannot_start() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let port = servers.split([':', ',']).nth(1).unwrap();
    complains(&run(&["mock", "--port", port], b""), &["cannot listen on", port, "--port names another port"]);
    complains(&run(&["mock", "--port", "65534"], b""), &["65535, the last port"]);
    complains(&run(&["mock", "--port", "0", "--topic", "a b"], b""), &["\"a b\" is no topic name"]);
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
    for command in [&["mock", "--port", "0"][..], &["demo"], &["perf", "--sink", "-n", "10"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        complains(&linger(command).stdout(full).output().unwrap(), &["standard output is full"]);
    }

    let mut child = linger(&["mock", "--port", "0"]).spawn().unwrap();
    drop(child.stdout.take());
    complains(&child.wait_with_output().unwrap(), &["standard output was closed"]);
    cluster.stop();
}

/// The user that owns nothing.
#[cfg(unix)]
const NOBODY: u32 = 65534;
