//! SIGINT, SIGTERM and SIGHUP, sent to the program as people and service managers send them.

use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, Command, Stdio};

use kafka_mock::MockCluster;
use kafka_mock::Rule;
use kafka_wire::Message;
use kafka_wire::messages::ProduceRequest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Cluster, errors, run, succeeds, three_brokers, with_default_signals};

const ALL: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// What shells report for a program that a signal ended.
fn status(signal: Signal) -> Option<i32> {
    Some(128 + signal as i32)
}

#[test]
fn produce_delivers_what_it_has_read() {
    for signal in ALL {
        let cluster = three_brokers();
        let servers = cluster.servers();
        let mut command = with_default_signals(&["produce", "-b", &servers, "--topic", "one"]);
        command.args(["-X", "linger.ms=30000", "-X", "batch.size=1000"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // In one write that is not cut, so that what fills the first batch comes with what would linger for half a minute.
        stdin.write_all("line\n".repeat(500).as_bytes()).unwrap();
        cluster.wait_for_records();
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), status(signal), "{}", errors(&output));
        assert!(errors(&output).contains(signal.as_str()), "{}", errors(&output));
        assert!(errors(&output).contains("delivered     500, failed 0"), "{}", errors(&output));
        assert_eq!(cluster.mock.records("one", 0).len(), 500);
        drop(stdin);
        cluster.stop();
    }
}

/// Memory is full and brokers are slow: much more was read than could be sent when the signal came.
#[test]
fn produce_delivers_what_waits_for_room() {
    let cluster = three_brokers();
    cluster.mock.add_rule(Rule::on(ProduceRequest::API).delay(std::time::Duration::from_millis(5)));
    let mut file = tempfile::tempfile().unwrap();
    let text: String = (0..2_000_000).map(|number| format!("line {number}\n")).collect();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command = with_default_signals(&["produce", "-b", &cluster.servers(), "--topic", "one"]);
    // The child's standard input and ours are at the same place of the file.
    command.args(["-X", "buffer.memory=65536"]).stdin(file.try_clone().unwrap());
    let child = command.spawn().unwrap();
    cluster.wait_for_records();
    send(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), status(Signal::SIGTERM), "{}", errors(&output));
    let read = usize::try_from(file.stream_position().unwrap()).unwrap();
    assert!(read < text.len(), "it did not read on");
    // A line of which only a part was read is not sent.
    let whole = text[..read].matches('\n').count();
    let records = cluster.mock.records("one", 0);
    assert_eq!(records.len(), whole, "{}", errors(&output));
    for (number, stored) in records.iter().enumerate() {
        assert_eq!(stored.record.value.as_deref(), Some(format!("line {number}").as_bytes()));
    }
    cluster.stop();
}

/// As `nohup` starts it.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_linger")]);
    command.args(["produce", "-b", &servers, "--topic", "one", "-X", "linger.ms=0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"before\n").unwrap();
    cluster.wait_for_records();
    send(&child, Signal::SIGHUP);
    send(&child, Signal::SIGINT);
    stdin.write_all(b"after\n").unwrap();
    // It would have ended before it had read that.
    while cluster.mock.records("one", 0).len() < 2 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    succeeds(&output);
    assert_eq!(cluster.mock.records("one", 0).len(), 2);
    cluster.stop();
}

#[test]
fn the_verifiable_producer_ends_in_order_and_at_the_second_signal_at_once() {
    let cluster = Cluster::start(MockCluster::builder().brokers(1).topic("one", 1));
    let servers = cluster.servers();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "retries=1000\n").unwrap();
    let mut command = with_default_signals(&["verifiable-producer", "--bootstrap-server", &servers]);
    command.args([
        "--topic",
        "one",
        "--throughput",
        "100",
        "--command-config",
        file.path().to_str().unwrap(),
    ]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("producer_send_success") {}
    // From here on there is no answer, and two minutes to wait for one.
    cluster.mock.add_rule(Rule::on(ProduceRequest::API).named("silent").silence());
    while cluster.mock.fired("silent") == 0 {
        std::thread::yield_now();
    }
    send(&child, Signal::SIGHUP);
    // It is heard when no more is sent; another one would be the second, whenever it comes.
    send(&child, Signal::SIGTERM);
    let code = child.wait().unwrap().code();
    assert!(code == status(Signal::SIGTERM) || code == status(Signal::SIGHUP), "{code:?}");
    cluster.stop();
}

/// At the first signal it says that it will deliver what was read, into a pipe that is full: it is stuck there.
#[cfg(target_os = "linux")]
#[test]
fn a_second_signal_ends_a_producer_that_nobody_reads_from() {
    let cluster = three_brokers();
    let mut command = with_default_signals(&["produce", "-b", &cluster.servers(), "--topic", "one"]);
    // Programs of other tests do not inherit it.
    let (unread, full) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let mut full = std::fs::File::from(full);
    // What a pipe of Linux holds.
    full.write_all(&[b'.'; 65_536]).unwrap();
    let mut child = command.stdin(Stdio::piped()).stderr(full).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"line\n").unwrap();
    cluster.wait_for_records();
    // Of two that are alike and come at once the system keeps one.
    send(&child, Signal::SIGHUP);
    send(&child, Signal::SIGTERM);
    let code = child.wait().unwrap().code();
    assert!(code == status(Signal::SIGTERM) || code == status(Signal::SIGHUP), "{code:?}");
    drop((stdin, unread));
    cluster.stop();
}

#[test]
fn a_signal_ends_a_consumer_that_nobody_reads_from() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let input: String = (0..100_000).map(|number| format!("record {number}\n")).collect();
    succeeds(&run(&["produce", "-b", &servers, "--topic", "one"], input.as_bytes()));
    for signal in ALL {
        let mut child = with_default_signals(&["consume", "-b", &servers, "--topic", "one"]).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // It has begun to write; no more than a pipe holds is read, and so it will be stuck.
        stdout.read_exact(&mut [0]).unwrap();
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), status(signal));
    }
    cluster.stop();
}

#[test]
fn a_consumer_that_follows_prints_what_it_has() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    succeeds(&run(&["produce", "-b", &servers, "--topic", "one"], b"a\nb\n"));
    for signal in ALL {
        let arguments = ["consume", "-b", &servers, "--topic", "one", "--follow"];
        let mut child = with_default_signals(&arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "a");
        send(&child, signal);
        assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["b"]);
        assert_eq!(child.wait().unwrap().code(), status(signal));
    }
    cluster.stop();
}

#[test]
fn servers_say_what_they_did() {
    let cluster = three_brokers();
    let upstream = cluster.servers();
    for signal in ALL {
        let mock = &["mock", "--port", "0"][..];
        for command in [mock, &["proxy", "-b", &upstream, "--listen", "127.0.0.1:0"]] {
            let mut child = with_default_signals(command).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
            while !lines.next().unwrap().unwrap().contains("bootstrap servers") {}
            drop(lines);
            send(&child, signal);
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), status(signal), "{command:?}: {}", errors(&output));
            assert!(errors(&output).contains("ended after 0 connections"), "{}", errors(&output));
        }
    }
    cluster.stop();
}

#[test]
fn measurements_end_with_what_was_measured() {
    for signal in ALL {
        let cluster = three_brokers();
        let servers = cluster.servers();
        let arguments = ["perf", "-b", &servers, "--topic", "one", "--rate", "1000"];
        let child = with_default_signals(&arguments).spawn().unwrap();
        cluster.wait_for_records();
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), status(signal), "{}", errors(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("failed 0") && text.contains("records/s="), "{text}");
        cluster.stop();
    }
}

#[test]
fn the_demo_ends_too() {
    for signal in ALL {
        let mut child = with_default_signals(&["demo"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("Three Kafka brokers"));
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), status(signal));
    }
}

/// Nobody is there who answers, and it says nothing yet: still a signal ends it, with its status.
#[test]
fn before_a_cluster_was_found() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for command in ["produce", "consume", "perf"] {
        let child = linger_waiting(command, &address);
        // It is asked something, and so it has begun.
        let (stream, _) = silent.accept().unwrap();
        send(&child, Signal::SIGTERM);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), status(Signal::SIGTERM), "{command}: {}", errors(&output));
        drop(stream);
    }
}

fn linger_waiting(command: &str, address: &str) -> Child {
    let mut waiting = with_default_signals(&[command, "-b", address, "--topic", "one"]);
    waiting.stdin(Stdio::null()).spawn().unwrap()
}
