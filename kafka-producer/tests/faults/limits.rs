//! What the process may have: scenario 49. Each test runs itself again as a process of its own, in a shell that sets the limit.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_mock::proxy::{Line, Way};
use kafka_producer::{Delivery, Producer, Record};
use kafka_wire::ApiKey;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::{Run, close, config, connect, numbers, soon};

/// Tells the process which servers to use, and that it is the one with the limit.
const SERVERS: &str = "LINGER_LIMITED";

/// This very test under a limit, as `ulimit` has it.
fn limited(test: &str, limit: &str, servers: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit {limit} && exec \"$0\" \"$@\""));
    command.arg(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    // One heap for all threads: each has address space set aside, which counts against the limit.
    command.env(SERVERS, servers).env("MALLOC_ARENA_MAX", "1").stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("a shell");
    let lines = BufReader::new(child.stdout.take().expect("asked for")).lines();
    (child, lines)
}

async fn await_line(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) {
    loop {
        let line = soon(lines.next_line()).await.expect("readable");
        if line.expect("the process goes on").contains(text) {
            return;
        }
    }
}

async fn await_success(mut child: Child, mut lines: Lines<BufReader<ChildStdout>>) {
    while soon(lines.next_line()).await.expect("readable").is_some() {}
    assert!(soon(child.wait()).await.expect("it ends").success());
}

async fn send(producer: &Producer, partition: i32, number: usize, padding: usize) -> Delivery {
    let value = format!("{number}:{}", "x".repeat(padding));
    let record = Record::to("orders").partition(partition).value(&value);
    soon(producer.send(record)).await.expect("accepted")
}

#[tokio::test]
async fn s49_descriptors_are_used_up() {
    if let Ok(servers) = std::env::var(SERVERS) {
        return without_descriptors(&servers).await;
    }
    let run = Run::new(2).await;
    let servers = run.cluster.bootstrap_servers();
    let (child, lines) = limited("limits::s49_descriptors_are_used_up", "-n 64", &servers);
    await_success(child, lines).await;
    let found: Vec<_> = (0..2).map(|partition| numbers(&run.cluster, partition)).collect();
    assert_eq!(found, [vec![(0, 0), (1, 2)], vec![(0, 1)]]);
}

async fn without_descriptors(servers: &str) {
    // Any broker can be asked for a producer id, also the one that is not to be connected to.
    let producer = connect(config(servers).enable_idempotence(false)).await;
    soon(send(&producer, 0, 0, 0).await).await.expect("delivered");
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    assert!(!files.is_empty() && files.len() < 64, "the limit is on: {}", files.len());
    // The second broker is not connected to, and cannot be.
    let second = send(&producer, 1, 1, 0).await;
    let failures = || {
        let brokers = producer.stats().brokers;
        brokers.iter().find(|broker| broker.node == 2).map_or(0, |broker| broker.failures)
    };
    soon(async {
        while failures() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Who is connected to the first is not concerned.
    soon(send(&producer, 0, 2, 0).await).await.expect("delivered");
    assert!(second.peek().is_none(), "it waits");
    drop(files);
    soon(second).await.expect("delivered");
    close(producer).await;
}

/// In KiB. What is sent is more, and the producer's own buffer much less.
const MEMORY: usize = 256 << 10;
const RECORD: usize = 20_000;
const RECORDS: usize = 14_000;

#[tokio::test]
async fn s49_memory_is_scarce() {
    if let Ok(servers) = std::env::var(SERVERS) {
        return with_little_memory(&servers).await;
    }
    let cluster = MockCluster::builder().brokers(3).topic("orders", 3).sink();
    let cluster = cluster.start().await.expect("the mock starts");
    let proxy = kafka_mock::proxy::Proxy::builder(cluster.bootstrap_servers());
    let proxy = proxy.start().await.expect("the proxy starts");
    let limit = format!("-v {MEMORY}");
    let (child, mut lines) = limited("limits::s49_memory_is_scarce", &limit, &proxy.bootstrap_servers());
    await_line(&mut lines, "begins").await;
    proxy.set_line(Line::new().pause(Way::Requests));
    await_line(&mut lines, "is full").await;
    proxy.set_line(Line::new());
    await_success(child, lines).await;
    assert!(cluster.requests(ApiKey::PRODUCE) > 100);
}

async fn with_little_memory(servers: &str) {
    // More is sent than there may be.
    const { assert!(RECORD * RECORDS > MEMORY << 10) };
    let producer = connect(config(servers)).await;
    soon(send(&producer, 0, 0, RECORD).await).await.expect("delivered");
    println!("begins");
    let mut was_full = false;
    let mut last = Vec::new();
    for number in 0..RECORDS {
        let delivery = send(&producer, (number % 3) as i32, number, RECORD).await;
        last.push(delivery);
        if last.len() > 3000 {
            last.drain(..1000).for_each(drop);
        }
        let stats = producer.stats();
        if !was_full && stats.buffer_used + (1 << 20) > stats.buffer_limit {
            was_full = true;
            println!("is full");
        }
    }
    assert!(was_full, "the buffer was never full");
    for delivery in last {
        soon(delivery).await.expect("delivered");
    }
    close(producer).await;
}
