//! The whole path over sockets, against `kafka-mock`: a cluster that judges what it is sent as a broker does.
#![expect(clippy::disallowed_methods, reason = "a test has a runtime and a clock of its own")]

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use futures::{StreamExt, stream};
use kafka_mock::MockCluster;
use kafka_producer::{
    Acks, Compression, Delivery, ErrorCode, Header, OwnedRecord, Persistence, Producer, ProducerConfig,
    Purge, Record, SendReason,
};
use kafka_wire::ApiKey;

/// A record as it was found in the log: its key, its value, its headers.
type Found = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn found(cluster: &MockCluster, topic: &str, partition: i32) -> Vec<(i64, Found)> {
    let stored = cluster.records(topic, partition).into_iter();
    let found = stored.map(|stored| {
        let record = stored.record;
        let headers = record.headers.iter();
        let headers =
            headers.map(|header| (header.key().to_owned(), header.value().map(|value| value.to_vec())));
        let headers = headers.collect();
        (
            stored.offset,
            (record.key.map(|key| key.to_vec()), record.value.map(|value| value.to_vec()), headers),
        )
    });
    found.collect()
}

async fn cluster(topic: &str, partitions: i32) -> MockCluster {
    MockCluster::builder().brokers(3).topic(topic, partitions).start().await.expect("the mock starts")
}

fn config(cluster: &MockCluster) -> ProducerConfig {
    Producer::builder([cluster.bootstrap_servers()]).linger(Duration::from_millis(1))
}

async fn connect(config: ProducerConfig) -> Producer {
    config.connect().await.expect("good settings")
}

async fn close(producer: Producer) {
    producer.close(Duration::from_secs(20)).await.expect("closed in time");
}

/// Everything in the log of a topic, values as text, each partition in order.
fn values(cluster: &MockCluster, topic: &str, partitions: i32) -> Vec<Vec<String>> {
    let text = |(_, (_, value, _)): (i64, Found)| String::from_utf8(value.unwrap_or_default()).expect("text");
    (0..partitions)
        .map(|partition| found(cluster, topic, partition).into_iter().map(text).collect())
        .collect()
}

#[tokio::test]
async fn one_record_there_and_its_delivery_back() {
    let cluster = cluster("orders", 1).await;
    let producer = connect(config(&cluster)).await;
    let delivery = producer.send(Record::to("orders").key("k").value("v")).await.expect("accepted");
    let metadata = delivery.await.expect("delivered");
    assert_eq!((metadata.partition, metadata.offset), (0, Some(0)));
    let records = found(&cluster, "orders", 0);
    assert_eq!(records, [(0, (Some(b"k".to_vec()), Some(b"v".to_vec()), vec![]))]);
    close(producer).await;
}

/// Sends records of all kinds, and compares the log with what each delivery said, byte for byte.
async fn there_and_back(config: ProducerConfig, cluster: &MockCluster, count: u32, offsets: bool) {
    let producer = connect(config).await;
    let mut sent = Vec::new();
    let mut deliveries = Vec::new();
    for number in 0..count {
        let key = (number % 3 != 0).then(|| format!("key {}", number % 50).into_bytes());
        let length = 10 + (number as usize * 37) % 300;
        let value = (number % 11 != 0).then(|| format!("{number:_>length$}").into_bytes());
        let text = number.to_string();
        let headers =
            [Header { key: "number", value: Some(text.as_bytes()) }, Header { key: "null", value: None }];
        let headers = if number % 5 == 0 { &headers[..] } else { &[] };
        let mut record = Record::to("orders").headers(headers);
        if let Some(key) = &key {
            record = record.key(key);
        }
        if let Some(value) = &value {
            record = record.value(value);
        }
        deliveries.push(producer.send(record).await.expect("accepted"));
        let headers = headers.iter().map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect();
        sent.push((key, value, headers));
    }
    let logs = |cluster: &MockCluster| -> Vec<_> { (0..12).map(|p| found(cluster, "orders", p)).collect() };
    let mut places = BTreeMap::new();
    let mut per_partition: Vec<Vec<Found>> = vec![Vec::new(); 12];
    for (delivery, record) in deliveries.into_iter().zip(sent) {
        let metadata = delivery.await.expect("delivered");
        per_partition[metadata.partition as usize].push(record.clone());
        assert_eq!(metadata.offset.is_some(), offsets);
        if let Some(offset) = metadata.offset {
            assert!(
                places.insert((metadata.partition, offset), record).is_none(),
                "an offset is one record's"
            );
        }
    }
    // Written is all that acks=0 promises: the mock may still be reading.
    let mut logs_now = logs(cluster);
    while !offsets && logs_now.iter().map(Vec::len).sum::<usize>() < count as usize {
        tokio::task::yield_now().await;
        logs_now = logs(cluster);
    }
    assert_eq!(logs_now.iter().map(Vec::len).sum::<usize>(), count as usize, "exactly once");
    for (partition, log) in (0..).zip(&logs_now) {
        let records: Vec<_> = log.iter().map(|(_, record)| record.clone()).collect();
        assert_eq!(records, per_partition[partition as usize], "in the order of send");
        for (offset, record) in log {
            assert!(!offsets || places.get(&(partition, *offset)) == Some(record), "{partition}-{offset}");
        }
    }
    let stats = producer.stats();
    let counted = (stats.records, stats.delivered, stats.failed, stats.delivery_latency.count());
    assert_eq!(counted, (count.into(), count.into(), 0, count.into()));
    close(producer).await;
}

#[tokio::test]
async fn every_codec_carries_every_kind_of_record() {
    for compression in Compression::compiled() {
        let cluster = cluster("orders", 12).await;
        there_and_back(config(&cluster).compression(compression), &cluster, 3000, true).await;
        assert!(!cluster.batches("orders", 0).is_empty());
    }
}

#[tokio::test]
async fn fewer_acknowledgements() {
    for (acks, offsets) in [(Acks(0), false), (Acks(1), true)] {
        let cluster = cluster("orders", 12).await;
        there_and_back(config(&cluster).acks(acks), &cluster, 2000, offsets).await;
    }
}

#[tokio::test]
async fn batches_of_one_record_and_small_requests() {
    let cluster = cluster("orders", 12).await;
    there_and_back(config(&cluster).batch_size(0).max_request_size(2000), &cluster, 1000, true).await;
}

#[tokio::test]
async fn one_request_in_flight() {
    let cluster = cluster("orders", 12).await;
    let config = config(&cluster).max_in_flight_requests_per_connection(1).enable_idempotence(false);
    there_and_back(config, &cluster, 2000, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_many_threads_each_in_its_order() {
    const TASKS: usize = 8;
    const EACH: usize = 4000;
    let cluster = cluster("orders", 6).await;
    // So little memory that senders wait for each other.
    let producer = connect(config(&cluster).buffer_memory(16 * 16 * 1024)).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let topic = producer.topic("orders").await.expect("known");
                let mut window = VecDeque::new();
                for number in 0..EACH {
                    let value = format!("{task}:{number}");
                    let record = Record::to(&topic).value(&value);
                    let record = if task % 2 == 0 { record.key("same for all") } else { record };
                    window.push_back(producer.send(record).await.expect("accepted"));
                    if window.len() > 500 {
                        window.pop_front().expect("not empty").await.expect("delivered");
                    }
                }
                for delivery in window {
                    delivery.await.expect("delivered");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let logs = values(&cluster, "orders", 6);
    assert_eq!(logs.iter().map(Vec::len).sum::<usize>(), TASKS * EACH);
    for log in logs {
        let mut last = BTreeMap::new();
        for value in log {
            let (task, number) = value.split_once(':').expect("two parts");
            let number: usize = number.parse().expect("a number");
            assert!(
                last.insert(task.to_owned(), number).is_none_or(|before| before < number),
                "out of order"
            );
        }
    }
    assert_eq!(producer.stats().buffer_waiting, 0);
    close(producer.clone()).await;
    assert_eq!(producer.stats().buffer_used, 0, "memory sums up and returns to zero");
}

#[tokio::test]
async fn a_topic_that_nobody_has_fails_in_time_and_says_why() {
    let cluster = MockCluster::builder().auto_create(false).start().await.expect("the mock starts");
    let producer = connect(config(&cluster).max_block(Duration::from_secs(3))).await;
    let error = producer.send(Record::to("nowhere").value("v")).await.expect_err("no such topic");
    assert!(error.is_timeout());
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("\"nowhere\" is not known after"), "{error}");
    let error = producer.send(Record::to("no/such").value("v")).await.expect_err("no legal name");
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
    cluster.create_topic("late", 2).expect("created");
    let error = producer.send(Record::to("late").partition(7).value("v")).await.expect_err("two partitions");
    assert!(error.to_string().contains("has no partition 7"), "{error}");
    let error = producer.send(Record::to("late").partition(-1).value("v")).await.expect_err("never");
    assert!(error.to_string().contains("has no partition -1"), "{error}");
    let error = producer.send(Record::to("late").timestamp(-5).value("v")).await.expect_err("before 1970");
    assert!(error.to_string().contains("before 1970"), "{error}");
    close(producer).await;
}

#[tokio::test]
async fn a_topic_that_wants_the_time_of_the_append_tells_it() {
    let cluster = cluster("timed", 1).await;
    let producer = connect(config(&cluster)).await;
    let send = async |value| {
        let record = Record::to("timed").timestamp(1).value(value);
        producer.send(record).await.expect("accepted").await.expect("delivered").log_append_time
    };
    assert_eq!(send("created").await, None);
    cluster.set_topic_config("timed", "message.timestamp.type", "LogAppendTime").expect("a setting");
    let told = send("appended").await;
    let stored: Vec<_> = cluster.records("timed", 0).iter().map(|stored| stored.record.timestamp).collect();
    assert_eq!((stored[0], Some(stored[1])), (1, told));
    close(producer).await;
}

#[tokio::test]
async fn no_broker_fails_in_time_and_says_why() {
    let producer = Producer::builder(["127.0.0.1:1"]).max_block(Duration::from_secs(3));
    let producer = connect(producer).await;
    let error = producer.send(Record::to("orders").value("v")).await.expect_err("nobody listens");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1"), "{text}");
    producer.close(Duration::from_secs(5)).await.expect("nothing is left to be sent");
}

#[tokio::test]
async fn a_record_over_the_limit_is_refused_and_one_at_the_limit_is_sent() {
    let cluster = cluster("orders", 1).await;
    let producer = connect(config(&cluster)).await;
    let fits = vec![7; 1_048_489];
    producer.send(Record::to("orders").value(&fits)).await.expect("accepted").await.expect("delivered");
    let too_large = vec![7; 1_048_600];
    let error = producer.send(Record::to("orders").value(&too_large)).await.expect_err("too large");
    assert!(error.is_too_large() && error.to_string().contains("max.request.size"), "{error}");
    assert!(!producer.try_send(Record::to("orders").value(&too_large)).expect_err("too large").would_wait());
    close(producer).await;
}

#[tokio::test]
async fn a_batch_too_large_for_its_topic_goes_on_in_parts() {
    for compression in [Compression::None, Compression::GZIP] {
        let cluster = cluster("orders", 1).await;
        cluster.set_topic_config("orders", "max.message.bytes", "1000").expect("a setting");
        let producer =
            connect(config(&cluster).compression(compression).linger(Duration::from_millis(20))).await;
        let values: Vec<String> = (0..200).map(|number| format!("{number:>100}")).collect();
        let mut deliveries = Vec::new();
        for value in &values {
            deliveries.push(producer.send(Record::to("orders").value(value)).await.expect("accepted"));
        }
        let large = vec![b'x'; 5000];
        let incompressible: Vec<u8> =
            (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let refused = producer.send(Record::to("orders").value(&incompressible)).await.expect("accepted");
        for (offset, delivery) in (0..).zip(deliveries) {
            assert_eq!(delivery.await.expect("delivered in a part").offset, Some(offset));
        }
        let error = refused.await.expect_err("one record cannot be split");
        assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
        assert_eq!(error.persistence(), Persistence::NotPersisted);
        let after = producer.send(Record::to("orders").value(&large[..10])).await.expect("accepted");
        assert_eq!(after.await.expect("the partition goes on").offset, Some(200));
        assert_eq!(self::values(&cluster, "orders", 1)[0][..200], values);
        assert!(producer.stats().splits > 0);
        close(producer.clone()).await;
        assert_eq!(producer.stats().buffer_used, 0);
    }
}

#[tokio::test]
async fn leaders_move_and_nothing_is_lost_doubled_or_reordered() {
    let cluster = cluster("orders", 4).await;
    let producer = connect(config(&cluster)).await;
    let nodes: Vec<_> = cluster.nodes().collect();
    let mut deliveries = Vec::new();
    for number in 0..4000usize {
        let value = number.to_string();
        let partition = (number % 4) as i32;
        let record = Record::to("orders").partition(partition).value(&value);
        deliveries.push(producer.send(record).await.expect("accepted"));
        if number % 250 == 0 {
            let before = cluster.requests(ApiKey::PRODUCE);
            cluster.move_leader("orders", partition, nodes[number / 250 % 3]).expect("moved");
            // Some batches meet the old leader, some the new one.
            while cluster.requests(ApiKey::PRODUCE) == before {
                tokio::task::yield_now().await;
            }
        }
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let metadata = delivery.await.expect("delivered");
        assert_eq!(metadata.offset, Some(number as i64 / 4));
    }
    for (partition, log) in values(&cluster, "orders", 4).into_iter().enumerate() {
        let expected: Vec<_> = (0..1000).map(|at| (at * 4 + partition).to_string()).collect();
        assert_eq!(log, expected);
    }
    close(producer).await;
}

#[tokio::test]
async fn partitions_that_appear_are_used() {
    let cluster = cluster("orders", 1).await;
    let config = config(&cluster).max_block(Duration::from_secs(10));
    let producer = connect(config).await;
    let topic = producer.topic("orders").await.expect("known");
    assert_eq!(topic.partition_count(), 1);
    cluster.delete_topic("orders").expect("deleted");
    cluster.create_topic("orders", 3).expect("created again");
    let delivery = producer.send(Record::to(&topic).partition(2).value("v")).await.expect("accepted");
    assert_eq!(delivery.await.expect("delivered").partition, 2);
    assert_eq!(topic.partition_count(), 3);
    assert_eq!(producer.partitions_for("orders").await.expect("known").len(), 3);
    close(producer).await;
}

#[tokio::test]
async fn send_all_keeps_the_order_and_gives_each_record_its_answer() {
    let cluster = cluster("orders", 3).await;
    let producer = connect(config(&cluster)).await;
    let values: Vec<String> = (0..2500).map(|number| number.to_string()).collect();
    let records: Vec<_> = values.iter().map(|value| Record::to("orders").value(value)).collect();
    let answers = producer.send_all(&records).await.expect("accepted").await.expect("delivered");
    let logs = self::values(&cluster, "orders", 3);
    for (answer, value) in answers.iter().zip(&values) {
        let offset = answer.offset.expect("an offset") as usize;
        assert_eq!(&logs[answer.partition as usize][offset], value);
    }
    let too_large = vec![0; 2 << 20];
    let records =
        [Record::to("orders").value("a"), Record::to("orders").value(&too_large), Record::to("orders")];
    let error = producer.send_all(&records).await.expect_err("the second is too large");
    assert_eq!((error.accepted, error.source.is_too_large()), (1, true));
    assert_eq!(error.deliveries.await.expect("the first was sent").len(), 1);
    close(producer).await;
}

#[tokio::test]
async fn send_all_takes_any_mix_from_an_iterator_that_sends_too() {
    let cluster = cluster("orders", 3).await;
    cluster.create_topic("clicks", 2).expect("created");
    let producer = connect(config(&cluster).batch_size(500)).await;
    let orders = producer.topic("orders").await.expect("known");
    let values: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
    let mut besides = Vec::new();
    let records = values.iter().enumerate().map(|(number, value)| {
        // Whoever makes the records may use the producer meanwhile, and the same lanes.
        if number % 7 == 0 {
            besides.extend(producer.try_send(Record::to("orders").value("beside")));
        }
        // By the handle or by name, runs of several lengths, and a key or a partition among them.
        let record = if number % 100 < 60 { Record::to(&orders) } else { Record::to("orders") };
        match number % 61 {
            0..5 => Record::to("clicks").value(value),
            5..8 => record.value(value).key(value),
            8..12 => record.value(value).partition(2),
            _ => record.value(value),
        }
    });
    let answers = producer.send_all(records).await.expect("accepted").await.expect("delivered");
    assert_eq!(answers.len(), values.len());
    let logs = [self::values(&cluster, "orders", 3), self::values(&cluster, "clicks", 2)];
    for (number, (answer, value)) in answers.iter().zip(&values).enumerate() {
        let log = &logs[usize::from(number % 61 < 5)][answer.partition as usize];
        assert_eq!(&log[answer.offset.expect("an offset") as usize], value);
        assert!(!(8..12).contains(&(number % 61)) || answer.partition == 2);
    }
    let found: usize = logs.iter().flatten().map(Vec::len).sum();
    assert_eq!(found, values.len() + besides.len());
    close(producer).await;
}

#[tokio::test]
async fn a_sink_forwards_counts_and_names_what_failed() {
    let cluster = cluster("orders", 3).await;
    let producer = connect(config(&cluster)).await;
    let mut sink = producer.sink();
    let records = stream::iter(0..1000).map(|number| Ok(OwnedRecord::to("orders").value(number.to_string())));
    records.forward(&mut sink).await.expect("all delivered");
    assert_eq!((sink.results().delivered, sink.results().failed), (1000, 0));
    let records = [
        OwnedRecord::to("orders").value("fine"),
        OwnedRecord::to("orders").value(vec![0; 2 << 20]),
        OwnedRecord::to("orders").value("fine too"),
    ];
    let error =
        stream::iter(records.clone()).map(Ok).forward(&mut sink).await.expect_err("the second is too large");
    assert_eq!((error.index(), error.persistence()), (1001, Persistence::NotPersisted));
    let rest = stream::iter(records).skip(2).map(Ok);
    rest.forward(&mut sink).await.expect("the sink stays usable");
    assert_eq!(sink.results().failed, 1);
    assert!(sink.results().delivered >= 1002);
    close(producer).await;
}

#[tokio::test]
async fn flush_waits_for_what_was_accepted_and_counts_it() {
    let cluster = cluster("orders", 3).await;
    let producer = connect(config(&cluster).linger(Duration::from_secs(60))).await;
    for number in 0..500 {
        let value = number.to_string();
        drop(producer.send(Record::to("orders").value(&value)).await.expect("accepted"));
    }
    let flushed = producer.flush().await.expect("open");
    assert_eq!((flushed.delivered, flushed.failed), (500, 0));
    assert_eq!(values(&cluster, "orders", 3).iter().map(Vec::len).sum::<usize>(), 500);
    assert!(producer.stats().send_reasons.count(SendReason::Flush) > 0);
    assert_eq!(producer.flush().await.expect("open").delivered, 0, "nothing is left");
    close(producer).await;
}

#[tokio::test]
async fn close_sends_what_was_accepted_and_refuses_what_comes_after() {
    let cluster = cluster("orders", 3).await;
    let producer = connect(config(&cluster).linger(Duration::from_secs(60))).await;
    let delivery = producer.send(Record::to("orders").value("v")).await.expect("accepted");
    let other = producer.clone();
    close(producer).await;
    delivery.await.expect("delivered before the end");
    assert!(other.send(Record::to("orders").value("v")).await.expect_err("closed").is_closed());
    assert!(other.flush().await.expect_err("closed").is_closed());
    other.close(Duration::ZERO).await.expect("closing twice is fine");
}

#[tokio::test]
async fn close_gives_up_in_time_what_no_broker_takes() {
    let cluster = cluster("orders", 1).await;
    let producer = connect(config(&cluster)).await;
    producer.send(Record::to("orders").value("v")).await.expect("accepted").await.expect("delivered");
    cluster.shutdown().await;
    let delivery = producer.send(Record::to("orders").value("lost")).await.expect("accepted");
    let error = producer.close(Duration::from_millis(200)).await.expect_err("nobody took it");
    assert_eq!(error.records(), 1);
    assert!(error.to_string().starts_with("1 records were not acknowledged within 200 ms"), "{error}");
    assert!(delivery.await.expect_err("given up").is_aborted());
    assert!(producer.send(Record::to("orders").value("v")).await.expect_err("closed").is_closed());
    assert_eq!(producer.close(Duration::ZERO).await, Ok(()), "nothing is left");
    assert_eq!(producer.stats().buffer_used, 0);
}

#[tokio::test]
async fn what_lingers_goes_along_with_a_request_to_its_broker() {
    let cluster =
        MockCluster::builder().brokers(1).topic("orders", 3).start().await.expect("the mock starts");
    let producer = connect(config(&cluster).linger(Duration::from_secs(600)).batch_size(1000)).await;
    let large = [vec![b'x'; 900], vec![b'y'; 900]];
    let mut deliveries = Vec::new();
    for (partition, value) in [(1, &b"few"[..]), (2, b"bytes"), (0, &large[0]), (0, &large[1])] {
        let record = Record::to("orders").partition(partition).value(value);
        deliveries.push(producer.send(record).await.expect("accepted"));
    }
    let mut deliveries = deliveries.into_iter();
    let lingering = [deliveries.next(), deliveries.next()];
    deliveries.next().expect("sent").await.expect("full, so sent");
    for delivery in lingering.into_iter().flatten() {
        delivery.await.expect("sent with it, long before its linger time is over");
    }
    assert_eq!(producer.stats().send_reasons.count(SendReason::Piggyback), 2);
    close(producer).await;
    assert_eq!(values(&cluster, "orders", 3)[1..], [["few"], ["bytes"]]);
}

#[tokio::test]
async fn purge_gives_up_what_was_accepted_and_the_producer_goes_on() {
    let cluster = cluster("orders", 1).await;
    let producer = connect(config(&cluster).linger(Duration::from_secs(600)).batch_size(1000)).await;
    let mut deliveries = Vec::new();
    for number in 0..5 {
        deliveries.push(
            producer.send(Record::to("orders").value(&format!("purged {number}"))).await.expect("accepted"),
        );
    }
    let purged = producer.purge(Purge::All);
    assert_eq!((purged.queued, purged.in_flight), (5, 0));
    for delivery in deliveries {
        let error = delivery.await.expect_err("purged");
        assert!(error.is_purged(), "{error}");
        assert_eq!(error.persistence(), Persistence::NotPersisted);
    }
    assert_eq!(producer.stats().buffer_used, 0);
    assert_eq!(producer.purge(Purge::All), Default::default());
    let kept = producer.send(Record::to("orders").value("kept")).await.expect("accepted");
    producer.flush().await.expect("open");
    assert_eq!(kept.await.expect("delivered").offset, Some(0));
    close(producer).await;
    assert_eq!(values(&cluster, "orders", 1), [["kept"]]);
}

#[tokio::test]
async fn the_last_handle_dropped_still_delivers() {
    let cluster = cluster("orders", 3).await;
    let producer = connect(config(&cluster).linger(Duration::from_secs(60))).await;
    let delivery = producer.send(Record::to("orders").value("v")).await.expect("accepted");
    drop(producer);
    delivery.await.expect("delivered");
}

#[test]
fn a_runtime_that_goes_away_leaves_no_delivery_without_an_answer() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (outer, inner) = (runtime(), runtime());
    let cluster = outer.block_on(cluster("orders", 1));
    let (producer, delivery) = inner.block_on(async {
        let producer = connect(config(&cluster).linger(Duration::from_secs(60))).await;
        // The mock's runtime is not running: first make the topic known.
        let topic = producer.topic("orders");
        (producer.clone(), tokio::time::timeout(Duration::from_millis(1), topic).await.is_ok())
    });
    assert!(!delivery, "nobody answers while the other runtime stands still");
    drop(inner);
    let error = outer.block_on(async { producer.send(Record::to("orders").value("v")).await });
    assert!(error.expect_err("the tasks are gone").is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_goes_away_aborts_what_was_accepted() {
    let cluster = cluster("orders", 1).await;
    let config = config(&cluster).linger(Duration::from_secs(60));
    let (sent, received) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let producer = connect(config).await;
            let delivery = producer.send(Record::to("orders").value("v")).await.expect("accepted");
            sent.send((producer, delivery)).expect("somebody waits");
        });
    });
    thread.join().expect("no panic");
    let (_producer, delivery) = received.recv().expect("sent");
    let error = delivery.await.expect_err("its runtime is gone");
    assert!(error.is_aborted());
    assert_eq!(error.persistence(), Persistence::NotPersisted, "it never left its lane");
    assert!(values(&cluster, "orders", 1)[0].is_empty());
}

#[tokio::test]
async fn a_dropped_send_leaves_its_place_to_others() {
    let cluster = cluster("orders", 1).await;
    let settings = config(&cluster).buffer_memory(2 * 16 * 1024).max_block(Duration::from_secs(20));
    let producer = connect(settings.linger(Duration::from_secs(60)).max_request_size(64 * 1024)).await;
    let topic = producer.topic("orders").await.expect("known");
    let (large, small) = (vec![1; 30_000], vec![2; 10_000]);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = Box::pin(producer.send(Record::to(&topic).value(&small)));
    assert!(first.as_mut().poll(&mut cx).is_ready(), "there is room for one");
    let mut waiting = Box::pin(producer.send(Record::to(&topic).value(&large)));
    // It yields once, for the batch it closes, and then queues up for two chunks.
    while producer.stats().buffer_waiting == 0 {
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
    }
    drop(waiting);
    assert_eq!(producer.stats().buffer_waiting, 0, "dropped, it waits no longer");
    let delivery = producer.send(Record::to(&topic).value(&small)).await.expect("accepted");
    producer.flush().await.expect("open");
    delivery.await.expect("delivered");
    assert_eq!(cluster.records("orders", 0).len(), 2, "the dropped one was not sent");
    close(producer).await;
}

#[tokio::test]
async fn no_room_fails_in_time() {
    let cluster = cluster("orders", 1).await;
    let settings = config(&cluster).buffer_memory(2 * 16 * 1024).max_block(Duration::from_millis(100));
    let producer = connect(settings).await;
    // On a busy machine the first answer may take longer than that.
    let topic = loop {
        if let Ok(topic) = producer.topic("orders").await {
            break topic;
        }
    };
    cluster.shutdown().await;
    let value = vec![1; 12_000];
    let mut refused = None;
    for _ in 0..10 {
        match producer.send(Record::to(&topic).value(&value)).await {
            Ok(delivery) => drop(delivery),
            Err(error) => refused = Some(error),
        }
    }
    let error = refused.expect("two chunks do not hold ten batches");
    assert!(error.is_no_room(), "{error}");
    assert!(producer.try_send(Record::to(&topic).value(&value)).expect_err("full").is_no_room());
    producer.close(Duration::ZERO).await.expect_err("records are left");
    assert_eq!(producer.stats().buffer_used, 0);
}

#[tokio::test]
async fn what_cannot_be_sent_expires_in_time() {
    let cluster = cluster("orders", 1).await;
    let settings = config(&cluster)
        .delivery_timeout(Duration::from_millis(400))
        .request_timeout(Duration::from_millis(300));
    let producer = connect(settings).await;
    // On a busy machine the first may take longer than that.
    while producer.send(Record::to("orders").value("v")).await.expect("accepted").await.is_err() {}
    cluster.shutdown().await;
    let began = tokio::time::Instant::now();
    let delivery = producer.send(Record::to("orders").value("v")).await.expect("accepted");
    let error = delivery.await.expect_err("nobody takes it");
    assert!(error.is_timeout(), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(400));
    producer.close(Duration::from_secs(5)).await.expect("nothing is left");
}

#[tokio::test]
async fn records_without_a_key_spread_evenly_and_fill_their_batches() {
    let cluster = cluster("orders", 5).await;
    let producer = connect(config(&cluster).linger(Duration::from_millis(50)).batch_size(2000)).await;
    for _ in 0..20_000 {
        drop(producer.send(Record::to("orders").value(&[0; 90])).await.expect("accepted"));
    }
    producer.flush().await.expect("open");
    assert_eq!(producer.stats().delivered, 20_000);
    for log in values(&cluster, "orders", 5) {
        assert!((3000..5000).contains(&log.len()), "{} of 4000", log.len());
    }
    assert!(producer.stats().mean_fill > 0.9, "{}", producer.stats().mean_fill);
    close(producer).await;
}

#[tokio::test]
async fn a_partitioner_of_ones_own_decides() {
    let cluster = cluster("orders", 4).await;
    let last = |_: &str, _: Option<&[u8]>, value: Option<&[u8]>, count: u32| value.map(|_| count - 1);
    let producer = config(&cluster).connect_with(last).await.expect("good settings");
    for _ in 0..100 {
        let delivery = producer.send(Record::to("orders").key("any").value("v")).await.expect("accepted");
        assert_eq!(delivery.partition(), 3);
    }
    let built_in = producer.send(Record::to("orders").key("any")).await.expect("accepted").partition();
    assert_eq!(built_in as u32, kafka_producer::partitioner::partition_for_key(b"any", 4));
    close(producer).await;
}

#[tokio::test]
async fn two_producers_and_a_handle_of_the_other() {
    let cluster = cluster("orders", 2).await;
    let (a, b) = (connect(config(&cluster)).await, connect(config(&cluster)).await);
    let topic = Arc::new(a.topic("orders").await.expect("known"));
    for _ in 0..50 {
        a.send(Record::to(&*topic).value("a")).await.expect("accepted").await.expect("delivered");
        b.send(Record::to(&*topic).value("b")).await.expect("accepted").await.expect("delivered");
        b.send(Record::to("orders").value("b")).await.expect("accepted").await.expect("delivered");
    }
    assert_eq!((a.stats().records, b.stats().records), (50, 100));
    close(a).await;
    close(b).await;
}

/// A program may wait for deliveries on every thread that its runtime has for what blocks.
#[test]
fn the_compressor_needs_no_thread_that_waits_for_it() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).max_blocking_threads(1).enable_all().build().expect("a runtime");
    let waiting = async {
        let cluster = cluster("orders", 1).await;
        let producer = connect(config(&cluster).compression(Compression::Snappy)).await;
        let (give, given) = std::sync::mpsc::channel::<Delivery>();
        let (waits, is_waiting) = futures::channel::oneshot::channel();
        let waiting = tokio::task::spawn_blocking(move || {
            waits.send(()).expect("somebody is told");
            futures::executor::block_on(given.recv().expect("it is sent"))
        });
        is_waiting.await.expect("it has the only thread");
        give.send(producer.send(Record::to("orders").value("v")).await.expect("accepted")).expect("it waits");
        waiting.await.expect("no panic").expect("delivered");
        close(producer).await;
    };
    let waited = runtime.block_on(async { tokio::time::timeout(HANG, waiting).await });
    waited.expect("the compressor waits for who waits for it");
}

/// Longer than anything takes that ends.
const HANG: Duration = Duration::from_secs(60);
