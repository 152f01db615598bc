//! What it takes to accept a record: `kafka-producer/enqueue/...`, in records.
//!
//! Everything runs on one thread, brokers included, so a figure holds the whole way to a mock broker that throws records
//! away and back; the difference between two rows is what is measured. `cargo xtask bench` measures the producer alone.
#![expect(clippy::unwrap_used, reason = "a bench: a failure is a panic")]

use std::{collections::VecDeque, hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kafka_mock::MockCluster;
use kafka_producer::{Producer, Record, Topic};
use tokio::runtime::Runtime;

const RECORDS: usize = 20_000;
const WINDOW: usize = 2_000;

async fn one_by_one(producer: &Producer, record: Record<'_>) {
    let mut window = VecDeque::with_capacity(WINDOW);
    for _ in 0..RECORDS {
        if window.len() == WINDOW {
            if let Some(delivery) = window.pop_front() {
                let delivery: kafka_producer::Delivery = delivery;
                delivery.await.unwrap();
            }
        }
        window.push_back(producer.send(black_box(record)).await.unwrap());
    }
    producer.flush().await.unwrap();
}

async fn by_runs(producer: &Producer, record: Record<'_>) {
    let run = vec![record; 100];
    for _ in 0..RECORDS / run.len() {
        drop(producer.send_all(black_box(&run)).await.unwrap());
    }
    producer.flush().await.unwrap();
}

fn enqueue(criterion: &mut Criterion) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (producer, topic): (Producer, Topic) = runtime.block_on(async {
        let cluster = MockCluster::builder().brokers(3).topic("bench", 12).sink().start().await.unwrap();
        let servers = cluster.bootstrap_servers();
        // It lives as long as the process.
        std::mem::forget(cluster);
        let producer = Producer::builder([servers]).linger(Duration::from_secs(1)).connect().await.unwrap();
        let topic = producer.topic("bench").await.unwrap();
        (producer, topic)
    });
    let mut group = criterion.benchmark_group("kafka-producer/enqueue");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for size in [10, 100, 1024] {
        let value = vec![b'x'; size];
        let handle = Record::to(&topic).value(&value);
        let name = Record::to("bench").value(&value);
        let keyed = handle.key("0123456789abcdef");
        for (how, record) in [("handle", handle), ("name", name), ("key", keyed)] {
            group.bench_function(format!("{how}/{size}"), |bencher| {
                bencher.iter(|| runtime.block_on(one_by_one(&producer, record)));
            });
        }
        group.bench_function(format!("run of 100/{size}"), |bencher| {
            bencher.iter(|| runtime.block_on(by_runs(&producer, handle)));
        });
    }
    group.finish();
}

criterion_group!(benches, enqueue);
criterion_main!(benches);
