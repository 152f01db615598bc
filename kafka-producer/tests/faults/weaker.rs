//! Without idempotence less is promised, and still something: scenario 48.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_mock::proxy::{Line, Tamper, Way};
use kafka_producer::{Acks, Producer, ProducerConfig};
use kafka_wire::{ApiKey, NodeId};

use crate::{Run, close, config, connect, numbers, soon};

const ACKS: [Acks; 2] = [Acks(0), Acks(1)];

fn weaker(config: ProducerConfig, acks: Acks) -> ProducerConfig {
    config.acks(acks).enable_idempotence(false).buffer_memory(2 << 20)
}

/// Sends while memory is what it may be.
async fn send(run: &mut Run, producer: &Producer, count: usize) {
    for _ in 0..count {
        run.send(producer, 1).await;
        let stats = producer.stats();
        assert!(stats.buffer_used <= stats.buffer_limit);
    }
}

/// Each record has one answer, in time; what was acknowledged by a leader is there; memory and `close` are as always.
async fn finish(mut run: Run, producer: Producer, acks: Acks) {
    soon(producer.flush()).await.expect("open");
    let settled = run.settle().await;
    let mut found = BTreeMap::<usize, usize>::new();
    for partition in 0..3 {
        for (_, number) in numbers(&run.cluster, partition) {
            *found.entry(number).or_default() += 1;
        }
    }
    for (number, settled) in settled.iter().enumerate() {
        let acknowledged = settled.result.is_ok();
        assert!(!acknowledged || acks == Acks(0) || found.contains_key(&number), "record {number}");
    }
    close(producer).await;
}

#[tokio::test]
async fn s48_a_leader_is_killed() {
    for acks in ACKS {
        let mut run = Run::new(3).await;
        let producer = connect(weaker(run.config(), acks)).await;
        send(&mut run, &producer, 300).await;
        run.cluster.stop_broker(NodeId(1)).expect("exists");
        send(&mut run, &producer, 300).await;
        soon(producer.flush()).await.expect("open");
        run.cluster.start_broker(NodeId(1)).expect("exists");
        send(&mut run, &producer, 300).await;
        finish(run, producer, acks).await;
    }
}

#[tokio::test]
async fn s48_a_request_of_which_half_is_written() {
    for acks in ACKS {
        let mut run = Run::new(3).await;
        let proxy = run.behind(|proxy| proxy).await;
        let settings = config(&proxy.bootstrap_servers()).request_timeout(Duration::from_secs(1));
        let settings = settings.send_buffer(Some(8192));
        let producer = connect(weaker(settings, acks)).await;
        send(&mut run, &producer, 30).await;
        soon(producer.flush()).await.expect("open");
        proxy.add_tamper(Tamper::with(Way::Requests).api(ApiKey::PRODUCE).times(1).stall().named("stalled"));
        let connections = proxy.connections();
        run.send_to(&producer, 0, 1_000_000).await;
        soon(proxy.until(|proxy| proxy.fired("stalled") == 1)).await;
        send(&mut run, &producer, 30).await;
        soon(producer.flush()).await.expect("open");
        assert!(proxy.connections() > connections, "the connection was given up with acks {acks:?}");
        finish(run, producer, acks).await;
    }
}

#[tokio::test]
async fn s48_connections_killed_at_random() {
    for acks in ACKS {
        let mut run = Run::new(3).await;
        let lifetime = Duration::from_millis(30)..=Duration::from_millis(120);
        let proxy = run.behind(|proxy| proxy.line(Line::new().lifetime(lifetime)).seed(48)).await;
        let producer = connect(weaker(config(&proxy.bootstrap_servers()), acks)).await;
        while proxy.connections() < 40 {
            send(&mut run, &producer, 10).await;
            soon(producer.flush()).await.expect("open");
        }
        proxy.set_line(Line::new());
        finish(run, producer, acks).await;
    }
}
