//! What brokers say about the cluster: scenarios 29 to 33.

use std::time::Duration;

use kafka_mock::{Change, Lag, Rule};
use kafka_producer::{Record, partitioner::partition_for_key};
use kafka_wire::{ApiKey, ErrorCode, NodeId, VersionRange};

use crate::{Run, close, connect, numbers, soon};

#[tokio::test]
async fn s29_no_leader_for_any_partition_for_a_while() {
    let mut run = Run::new(3).await;
    let rule = || Rule::on(ApiKey::METADATA).error(ErrorCode::LEADER_NOT_AVAILABLE);
    run.cluster.add_rule(rule().named("at first").times(5));
    let producer = run.connect().await;
    run.send(&producer, 30).await;
    soon(producer.flush()).await.expect("open");
    assert_eq!(run.cluster.fired("at first"), 5);
    // And in the middle of it: nobody leads, and nobody takes a batch.
    run.cluster.add_rule(rule().named("later"));
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).error(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    run.send(&producer, 30).await;
    soon(run.cluster.until(|cluster| cluster.fired("later") >= 5)).await;
    run.cluster.clear_script();
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s29_a_broker_that_has_failed_within_is_no_judge_of_a_topic() {
    let mut run = Run::new(3).await;
    let rule = Rule::on(ApiKey::METADATA).named("unwell").times(3);
    run.cluster.add_rule(rule.error(ErrorCode::UNKNOWN_SERVER_ERROR));
    let producer = run.connect().await;
    run.send(&producer, 30).await;
    soon(producer.flush()).await.expect("open");
    assert_eq!(run.cluster.fired("unwell"), 3);
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s29_metadata_of_yesterday() {
    let mut run = Run::new(2).await;
    let producer = run.connect().await;
    run.send(&producer, 20).await;
    soon(producer.flush()).await.expect("open");
    // The old leader says where the new one is; every broker's metadata is behind.
    run.cluster.add_rule(Rule::on(ApiKey::METADATA).named("behind").stale_leaders());
    for _ in 0..5 {
        run.cluster
            .carry_out(Change::MoveLeader { topic: "orders".into(), partition: None, to: None })
            .expect("exists");
        run.send(&producer, 20).await;
        soon(producer.flush()).await.expect("open");
    }
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s30_one_of_very_many_unknown_topics_comes_into_being() {
    let run = Run::new(1).await;
    let producer = run.connect().await;
    // Nobody waits for these, and the producer forgets most of the names.
    for number in 0..3000 {
        let name = format!("nothing-{number}");
        producer.try_send(Record::to(name.as_str()).value("v")).expect_err("nobody knows it");
    }
    run.cluster.create_topic("nothing-0", 1).expect("legal");
    let before = run.cluster.requests(ApiKey::METADATA);
    let delivery = soon(producer.send(Record::to("nothing-0").value("v"))).await.expect("accepted");
    assert_eq!(soon(delivery).await.expect("delivered").offset(), Some(0));
    // Another one is heard of while nobody has its name at hand.
    run.cluster.create_topic("nothing-1", 1).expect("legal");
    soon(run.cluster.until(|cluster| cluster.requests(ApiKey::METADATA) >= before + 10)).await;
    let delivery = soon(producer.send(Record::to("nothing-1").value("v"))).await.expect("accepted");
    assert_eq!(soon(delivery).await.expect("delivered").offset(), Some(0));
    close(producer).await;
}

#[tokio::test]
async fn s30_an_unknown_topic_that_comes_into_being() {
    let run = Run::new(1).await;
    let producer = run.connect().await;
    let before = run.cluster.requests(ApiKey::METADATA);
    let sending = producer.send(Record::to("late").value("v"));
    let creating = async {
        run.cluster.until(|cluster| cluster.requests(ApiKey::METADATA) >= before + 4).await;
        run.cluster.create_topic("late", 1).expect("legal");
    };
    let (delivery, ()) = soon(async { tokio::join!(sending, creating) }).await;
    assert_eq!(soon(delivery.expect("accepted")).await.expect("delivered").offset(), Some(0));
    close(producer).await;
}

#[tokio::test]
async fn s30_a_topic_that_never_exists() {
    let run = Run::new(1).await;
    let producer = connect(run.config().max_block(Duration::from_millis(300))).await;
    let error = soon(producer.send(Record::to("never").value("v"))).await.expect_err("nobody has it");
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("\"never\""), "{error}");
    close(producer).await;
}

#[tokio::test]
async fn s31_partitions_appear_while_keys_flow() {
    const KEYS: usize = 40;
    let run = Run::new(4).await;
    let producer = connect(run.config().metadata_max_age(Duration::from_millis(100))).await;
    let topic = producer.topic("orders").await.expect("known");
    let mut deliveries = Vec::new();
    let mut rounds_after = 0;
    let mut round = 0;
    while rounds_after < 3 {
        for key in 0..KEYS {
            let (name, value) = (format!("key {key}"), format!("{round}:{key}"));
            let record = Record::to(&topic).key(&name).value(&value);
            let delivery = soon(producer.send(record)).await.expect("accepted");
            deliveries.push((name, delivery));
        }
        soon(producer.flush()).await.expect("open");
        if round == 2 {
            run.cluster.grow_topic("orders", 8).expect("more");
        }
        rounds_after += usize::from(topic.partition_count() == 8);
        round += 1;
    }
    let count = deliveries.len();
    let last = deliveries.len() - KEYS;
    for (index, (key, delivery)) in deliveries.into_iter().enumerate() {
        let partition = soon(delivery).await.expect("delivered").partition;
        let expected = if index < last { [4, 8].as_slice() } else { &[8] };
        let fits = |&partitions: &u32| partition_for_key(key.as_bytes(), partitions) as i32 == partition;
        assert!(expected.iter().any(fits), "{key} went to {partition}");
    }
    // Each key's values are in order, in each of its partitions, and all of them are there.
    let mut found = 0;
    for partition in 0..8 {
        let mut last = std::collections::BTreeMap::new();
        for stored in run.cluster.records("orders", partition) {
            let value = String::from_utf8(stored.record.value.expect("a value").to_vec()).expect("text");
            let (round, key) = value.split_once(':').expect("two parts");
            let round: usize = round.parse().expect("a number");
            assert!(last.insert(key.to_owned(), round).is_none_or(|before| before < round), "{value}");
            found += 1;
        }
    }
    assert_eq!(found, count);
    run.retries_are_identical();
    close(producer).await;
}

#[tokio::test]
async fn s31_a_partition_that_comes_while_somebody_waits_for_it() {
    let run = Run::new(4).await;
    // Not seen by age: that is five minutes.
    let producer = run.connect().await;
    let topic = producer.topic("orders").await.expect("known");
    let before = run.cluster.requests(ApiKey::METADATA);
    let sending = producer.send(Record::to(&topic).partition(7).value("v"));
    let growing = async {
        // Asked for nothing: the one that is counted last may still see what comes now, the one before it did not.
        run.cluster.until(|cluster| cluster.requests(ApiKey::METADATA) >= before + 2).await;
        run.cluster.grow_topic("orders", 8).expect("more");
    };
    let (delivery, ()) = soon(async { tokio::join!(sending, growing) }).await;
    assert_eq!(soon(delivery.expect("accepted")).await.expect("delivered").partition, 7);
    close(producer).await;
}

#[tokio::test]
async fn s32_a_topic_is_deleted_and_made_anew_with_requests_in_flight() {
    let mut run = Run::new(2).await;
    let producer = connect(run.config().batch_size(300)).await;
    run.send(&producer, 50).await;
    soon(producer.flush()).await.expect("open");
    let anew = Change::RecreateTopic { topic: "orders".into(), partitions: None };
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).nth(3).named("anew").change(anew));
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(6).delay(Duration::from_millis(20)));
    run.send(&producer, 100).await;
    soon(run.cluster.until(|cluster| cluster.fired("anew") == 1)).await;
    let after = 150;
    run.send(&producer, 100).await;
    let settled = run.settle().await;
    // What the old topic had is gone with it. What is in the new one is there once, in order, and what was sent since then is
    // acknowledged truthfully.
    let mut places = std::collections::BTreeMap::new();
    for partition in 0..2 {
        let mut last = None;
        for (offset, number) in numbers(&run.cluster, partition) {
            assert!(last < Some(number), "{number} is behind {last:?}");
            last = Some(number);
            assert!(number >= 50, "{number} was written before");
            places.insert(number, offset);
        }
    }
    for (number, settled) in settled.iter().enumerate().skip(after) {
        let offset = settled.result.as_ref().unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(places.get(&number).copied(), *offset, "record {number}");
    }
    run.retries_are_identical();
    close(producer).await;
}

#[tokio::test]
async fn s33_ten_thousand_partitions_of_which_few_are_used() {
    let run = Run::with(1, |builder| builder.topic("wide", 10_000)).await;
    let producer = run.connect().await;
    let topic = producer.topic("wide").await.expect("known");
    for round in 0..3 {
        let mut deliveries = Vec::new();
        for partition in (0..10_000).step_by(100) {
            let record = Record::to(&topic).partition(partition).value("v");
            deliveries.push(soon(producer.send(record)).await.expect("accepted"));
        }
        for delivery in deliveries {
            assert_eq!(soon(delivery).await.expect("delivered").offset(), Some(round));
        }
    }
    // One answer has it all, and a move of one leader takes one more.
    assert!(run.cluster.requests(ApiKey::METADATA) <= 3, "{}", run.cluster.requests(ApiKey::METADATA));
    run.cluster.move_leader("wide", 0, NodeId(2)).expect("exists");
    let delivery = soon(producer.send(Record::to(&topic).partition(0).value("v"))).await.expect("accepted");
    assert_eq!(soon(delivery).await.expect("delivered").offset(), Some(3));
    assert!(run.cluster.requests(ApiKey::METADATA) <= 6, "{}", run.cluster.requests(ApiKey::METADATA));
    close(producer).await;
}

#[tokio::test]
async fn s32_a_topic_made_again_with_fewer_partitions_gets_records_where_it_has_some() {
    let run = Run::new(8).await;
    let settings = run.config().metadata_max_age(Duration::from_millis(50)).linger(Duration::from_secs(20));
    let producer = connect(settings.batch_size(300).max_block(Duration::from_secs(2))).await;
    let topic = producer.topic("orders").await.expect("known");
    let value = [b'v'; 60];
    let record = || Record::to(&topic).value(&value);
    // A batch is open in a partition that goes away.
    let lost = loop {
        let delivery = soon(producer.send(record())).await.expect("accepted");
        if delivery.partition() >= 2 {
            break delivery;
        }
        soon(producer.flush()).await.expect("open");
    };
    let anew = Change::RecreateTopic { topic: "orders".into(), partitions: Some(2) };
    run.cluster.carry_out(anew).expect("exists");
    soon(async {
        while topic.partition_count() != 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut deliveries = Vec::new();
    for _ in 0..20 {
        let delivery = soon(producer.send(record())).await.expect("accepted");
        assert!(delivery.partition() < 2, "{} is no more", delivery.partition());
        deliveries.push(delivery);
    }
    for key in 0..20 {
        let key = format!("key {key}");
        let delivery = soon(producer.send(record().key(&key))).await.expect("accepted");
        assert_eq!(delivery.partition() as u32, partition_for_key(key.as_bytes(), 2));
    }
    // Full batches are sent at once; of the others no more than one is open in each partition.
    for delivery in deliveries.drain(..10) {
        soon(delivery).await.expect("delivered");
    }
    let error = soon(producer.send(record().partition(5))).await.expect_err("there is no such partition");
    assert!(error.to_string().contains("has no partition 5 after"), "{error}");
    assert!(lost.peek().is_none(), "it waits");
    // With as many as before, it goes out after all, and so does what is new.
    run.cluster.grow_topic("orders", 8).expect("more");
    soon(async {
        while topic.partition_count() != 8 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let again = soon(producer.send(record().partition(lost.partition()))).await.expect("accepted");
    soon(producer.flush()).await.expect("open");
    soon(lost).await.expect("delivered");
    soon(again).await.expect("delivered");
    close(producer).await;
}

/// Each of them, so that it does not matter which is asked.
#[tokio::test]
async fn brokers_that_know_of_fewer_partitions_take_no_leader_away() {
    let mut run = Run::new(3).await;
    let producer = connect(run.config().metadata_max_age(Duration::from_millis(20))).await;
    run.send(&producer, 3).await;
    soon(producer.flush()).await.expect("open");
    for broker in [1, 2, 3] {
        let lag = Lag::Partitions { topic: "orders".into(), count: 1 };
        run.cluster.carry_out(Change::LagBehind { broker: NodeId(broker), lag }).expect("exists");
    }
    let before = run.cluster.requests(ApiKey::METADATA);
    soon(run.cluster.until(|cluster| cluster.requests(ApiKey::METADATA) >= before + 4)).await;
    run.send(&producer, 30).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn a_broker_that_does_not_know_another_one_does_not_have_us_hang_up_on_it() {
    let mut run = Run::new(3).await;
    let producer = connect(run.config().metadata_max_age(Duration::from_millis(20))).await;
    run.send(&producer, 3).await;
    soon(producer.flush()).await.expect("open");
    let lag = Lag::Broker(NodeId(2));
    run.cluster.carry_out(Change::LagBehind { broker: NodeId(1), lag }).expect("exists");
    let before = run.cluster.requests(ApiKey::METADATA);
    soon(run.cluster.until(|cluster| cluster.requests(ApiKey::METADATA) >= before + 20)).await;
    run.send(&producer, 30).await;
    let stats = producer.stats();
    let second = stats.brokers.iter().find(|broker| broker.node == 2).expect("known");
    assert_eq!(second.dials, 1, "it was well all the time");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn controllers_among_the_bootstrap_servers_are_passed_over() {
    let run = Run::with(1, |builder| builder.controllers(2)).await;
    let controllers = |run: &Run| {
        let addresses = [4, 5].map(|node| run.cluster.address(NodeId(node)).expect("a controller"));
        addresses.join(",")
    };
    // Which one is asked first is drawn.
    for _ in 0..10 {
        let servers = format!("{},{}", controllers(&run), run.cluster.bootstrap_servers());
        let producer = connect(crate::config(&servers)).await;
        let delivery = soon(producer.send(Record::to("orders").value("v"))).await.expect("accepted");
        soon(delivery).await.expect("delivered");
        close(producer).await;
    }
    // With nobody else, it is said what they are.
    let producer = connect(crate::config(&controllers(&run))).await;
    let error = soon(producer.send(Record::to("orders").value("v"))).await.expect_err("no broker");
    assert!(error.to_string().contains("is this the controller's listener? use a broker's"), "{error}");
    close(producer).await;
}

#[tokio::test]
async fn a_topic_that_metadata_forgot_is_not_produced_to_by_name() {
    let mut run = Run::new(2).await;
    let versions = VersionRange::new(13, 13);
    run.cluster.carry_out(Change::LimitVersions { api: ApiKey::PRODUCE, versions }).expect("known");
    let settings = run.config().metadata_max_idle(Duration::from_secs(5));
    let producer = connect(settings.metadata_max_age(Duration::from_millis(50))).await;
    run.send(&producer, 2).await;
    soon(producer.flush()).await.expect("open");
    let names_none = |cluster: &kafka_mock::MockCluster| {
        let recorded = cluster.recorded();
        let last = recorded.iter().rev().find(|request| request.api == ApiKey::METADATA);
        last.is_some_and(|request| request.topics.is_empty())
    };
    soon(run.cluster.until(names_none)).await;
    run.send(&producer, 2).await;
    run.finish_delivered(producer).await;
}
