//! The program as people run it, against a cluster in this process: what it does when all is well.

use std::io::Write;
use std::process::Stdio;

#[cfg(unix)]
use crate::common::with_default_signals;
use crate::common::{errors, run, succeeds, three_brokers};

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

#[cfg(unix)]
#[test]
fn ctrl_c_delivers_what_was_read() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let cluster = three_brokers();
    let arguments = ["produce", "-b", &cluster.servers(), "--topic", "one", "-X", "linger.ms=30000"];
    let mut child = with_default_signals(&arguments)
        .args(["-X", "batch.size=200"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // In one write that is not cut, so that what fills the first batch comes with what would linger for half a minute.
    stdin.write_all("a line\n".repeat(50).as_bytes()).unwrap();
    cluster.wait_for_records();
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    assert!(errors(&output).contains("SIGINT"), "{}", errors(&output));
    assert_eq!(cluster.mock.records("one", 0).len(), 50);
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
    let mut child =
        with_default_signals(&["verifiable-producer", "--bootstrap-server", &servers, "--topic", "one"])
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
