//! Scenarios of `docs/reliability.md` about long times, at their full length: seconds and minutes are virtual here, and the
//! settings are the default ones where nothing else is said.
//!
//! Each ends as the runs of seeds do: what was acknowledged is in the log once, in order, where it was said to be; what
//! failed did so truthfully; nobody dialled or asked in vain; and no memory is held.

use std::{cell::Cell, time::Duration};

use kafka_mock::{Cluster, Rule};
use kafka_wire::{ApiKey, ErrorCode, NodeId, PartitionId};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::{
    book::{Book, Promise, value},
    lifecycle::{SECOND, config, down, play, start},
    net::{Mode, Net, Refuse},
    pipe::Weather,
};
use crate::{Delivery, DeliveryError, Producer, ProducerConfig, Record, io::now};

/// A producer, and what was sent with it.
struct Load {
    net: Net,
    producer: Producer,
    book: Book,
    sent: Cell<u32>,
}

impl Load {
    /// With connections to all brokers.
    async fn start(net: Net, config: ProducerConfig) -> Self {
        let load = Self { net, producer: start(config), book: Book::default(), sent: Cell::new(0) };
        load.one_each(SECOND * 5).await;
        load
    }

    async fn send(&self, partition: i32) -> Delivery {
        self.send_sized(partition, 100).await
    }

    async fn send_sized(&self, partition: i32, size: usize) -> Delivery {
        let id = (0, self.sent.replace(self.sent.get() + 1));
        let value = value(id, size);
        let record = Record::to("orders").partition(partition).value(&value);
        let delivery = self.producer.send(record).await.expect("accepted");
        self.book.accepted(id, &delivery, value.len());
        delivery
    }

    /// A record of each partition a few times a second, for so long.
    async fn flow(&self, time: Duration, every: Duration) -> Vec<Delivery> {
        let (until, mut deliveries) = (now() + time, Vec::new());
        while now() < until {
            for partition in 0..3 {
                deliveries.push(self.send(partition).await);
            }
            sleep(every).await;
        }
        deliveries
    }

    /// Each partition takes a record within this.
    async fn one_each(&self, limit: Duration) {
        for partition in 0..3 {
            let delivery = self.send(partition).await;
            let result = timeout(limit, delivery).await;
            result
                .unwrap_or_else(|_| panic!("partition {partition} takes nothing for {limit:?}"))
                .expect("delivered");
        }
    }

    fn leader(&self, partition: i32) -> i32 {
        self.net.cluster(|cluster| cluster.leader("orders", PartitionId(partition))).expect("a leader").0.0
    }

    fn broker(&self, node: i32) -> crate::BrokerStats {
        let brokers = self.producer.stats().brokers;
        brokers.into_iter().find(|broker| broker.node == node).expect("a broker")
    }

    /// Closes the producer, and compares what was told with the logs.
    async fn finish(self) {
        let stats = self.producer.clone();
        self.producer.close(SECOND * 130).await.expect("closed in time");
        assert_eq!(stats.stats().buffer_used, 0);
        let promise = Promise { is_idempotent: true, is_acknowledged: true };
        let wrong = self.book.verify(&self.net, &[("orders".to_owned(), 3)], promise);
        assert_eq!(wrong, Vec::<String>::new());
    }
}

/// All are acknowledged, within this.
async fn all_delivered(deliveries: Vec<Delivery>, limit: Duration) {
    let until = now() + limit;
    for delivery in deliveries {
        let left = until.saturating_duration_since(now());
        let result = timeout(left, delivery).await;
        result.unwrap_or_else(|_| panic!("something has no answer after {limit:?}")).expect("delivered");
    }
}

/// A batch that follows one that backs off was drained, could not be sent, and had taken the room in the request: whatever did not
/// fit beside it waited for the end of the back-off, too.
#[test]
fn what_follows_a_batch_that_backs_off_takes_no_room_from_others() {
    play(|net| async move {
        for partition in 0..3 {
            let moved =
                net.cluster(|cluster| cluster.move_leader("orders", PartitionId(partition), NodeId(1)));
            moved.expect("there is such a partition");
        }
        let load = Load::start(net.clone(), config(&net).max_request_size(2_000).batch_size(1_500)).await;
        let lacks_replicas = Rule::on(ApiKey::PRODUCE).partition(0).error(ErrorCode::NOT_ENOUGH_REPLICAS);
        net.cluster(|cluster| cluster.add_rule(lacks_replicas));
        let mut refused = vec![load.send_sized(0, 1_200).await];
        // By now a back-off lasts for about a second.
        sleep(SECOND * 3).await;
        for _ in 0..3 {
            // The round goes on behind what was taken last: partition 0 comes before 1.
            all_delivered(vec![load.send_sized(1, 1_200).await], SECOND / 20).await;
            refused.push(load.send_sized(0, 1_200).await);
            all_delivered(vec![load.send_sized(1, 1_200).await], SECOND / 20).await;
        }
        net.cluster(Cluster::clear_script);
        all_delivered(refused, SECOND * 10).await;
        load.finish().await;
    });
}

#[test]
fn s04_a_leader_stands_still_and_answers_late() {
    for pause in [5, 45] {
        play(|net| async move {
            let load = Load::start(net.clone(), config(&net)).await;
            let leader = load.leader(0);
            let before = load.broker(leader).unanswered;
            net.set_mode(leader, Mode::Frozen);
            let deliveries = load.flow(SECOND * pause, SECOND / 10).await;
            for (delivery, number) in deliveries.iter().zip(0..) {
                let (is_led, is_late) = (number % 3 == 0, number > 3 * (10 * pause - 10));
                let is_answered = delivery.peek().is_some();
                assert!(is_answered != is_led || is_late, "record {number} of partition {}", number % 3);
            }
            let is_given_up = load.broker(leader).unanswered > before;
            assert_eq!(is_given_up, pause > 30, "after request.timeout.ms");
            let end = |net: &Net| {
                net.cluster(|cluster| cluster.offsets("orders", PartitionId(0))).expect("exists").1
            };
            let had = end(&net);
            net.set_mode(leader, Mode::Up);
            if is_given_up {
                // It works on what it had read. The connection on which that came, and its answers belong, is gone.
                sleep(SECOND / 100).await;
                assert!(end(&net) > had, "written by a request that nobody waits for");
            }
            all_delivered(deliveries, SOON).await;
            load.finish().await;
        });
    }
}

#[test]
fn s05_all_brokers_are_gone_for_a_minute() {
    play(|net| async move {
        let load = Load::start(net.clone(), config(&net)).await;
        down(&net);
        let before = net.dials();
        let deliveries = load.flow(SECOND * 60, SECOND / 5).await;
        let count = net.dials() - before;
        // Each broker about once a second at the end, more often at first.
        assert!((100..300).contains(&count), "{count} attempts to connect");
        net.clear();
        all_delivered(deliveries, SOON).await;
        load.finish().await;
    });
}

#[test]
fn s06_a_broker_moves_to_another_host() {
    play(|net| async move {
        let load = Load::start(net.clone(), config(&net)).await;
        for host in ["elsewhere", "farther", "broker"] {
            for node in net.nodes() {
                net.move_to(node, &format!("{host}-{node}"));
                let deliveries = load.flow(SECOND, SECOND / 10).await;
                all_delivered(deliveries, SOON).await;
            }
        }
        load.finish().await;
    });
}

#[test]
fn s20_answers_take_up_to_twenty_seconds_with_five_in_flight() {
    play(|net| async move {
        let slow = Weather { latency: (SECOND * 2, SECOND * 20), ..Weather::FAIR };
        net.set_weather([Weather::FAIR, slow], None, Duration::ZERO);
        let settings = config(&net).socket_connection_setup_timeout(SECOND * 60);
        let settings = settings.socket_connection_setup_timeout_max(SECOND * 60).batch_size(200);
        // Five batches in twenty seconds, more or less: what is sent in a minute takes two.
        let settings = settings.delivery_timeout(SECOND * 240);
        let producer = start(settings);
        let load = Load { net: net.clone(), producer, book: Book::default(), sent: Cell::new(0) };
        // To get there takes one answer after the other: versions, metadata, versions, a producer id, a first batch.
        load.one_each(SECOND * 120).await;
        let deliveries = load.flow(SECOND * 60, SECOND).await;
        all_delivered(deliveries, SECOND * 240).await;
        assert_eq!(load.producer.stats().retries, 0, "none was too late");
        for partition in 0..3 {
            assert_eq!(load.broker(load.leader(partition)).max_in_flight, 5);
        }
        load.finish().await;
    });
}

#[test]
fn s22_a_black_hole_for_seconds_and_for_minutes() {
    for hole in [20, 60, 180] {
        play(|net| async move {
            // A batch has one deadline: with one record, it is the record's own.
            let load = Load::start(net.clone(), config(&net).batch_size(0)).await;
            net.nodes().into_iter().for_each(|node| net.set_mode(node, Mode::Unreachable));
            net.stall(None, true, None);
            net.stall(None, false, None);
            let began = now();
            let deliveries = load.flow(SECOND * hole, SECOND).await;
            let lost_before = began + (SECOND * hole).saturating_sub(SECOND * 120);
            net.clear();
            load.one_each(SOON).await;
            let (mut expired, mut number) = (0, 0u32);
            for delivery in deliveries {
                // When it was sent, or a little later.
                let sent = began + SECOND * (number / 3);
                number += 1;
                match timeout(SOON, delivery).await.expect("an answer") {
                    Ok(_) => assert!(sent + SECOND > lost_before, "{number} was given up in time"),
                    Err(error) => {
                        assert!(sent < lost_before + SOON && error.is_timeout(), "{number}: {error}");
                        expired += 1;
                    }
                }
            }
            assert_eq!(expired > 0, hole > 120, "{expired} outlived delivery.timeout.ms");
            load.finish().await;
        });
    }
}

#[test]
fn s23_a_megabit_a_second_where_ten_megabytes_are_offered() {
    play(|net| async move {
        let line = Weather { trickle: Some((1_250, SECOND / 100)), ..Weather::FAIR };
        net.set_weather([line, Weather::FAIR], None, Duration::ZERO);
        let settings = config(&net).buffer_memory(1 << 20).max_block(SECOND * 2);
        let producer = start(settings.request_timeout(SECOND * 3).delivery_timeout(SECOND * 5));
        producer.topic("orders").await.expect("known");
        let book = Book::default();
        let mut sending = Vec::new();
        for number in 0..5_000 {
            let (sender, book) = (producer.clone(), book.clone());
            sending.push(Handle::current().spawn(async move {
                let value = value((0, number), 10_000);
                let sent = sender.send(Record::to("orders").partition(0).value(&value)).await;
                match &sent {
                    // Who waited for room together is told in any order.
                    Ok(delivery) => book.accepted_late((0, number), delivery, value.len()),
                    Err(_) => book.kept((0, number)),
                }
                sent
            }));
            let stats = producer.stats();
            assert!(stats.buffer_used <= stats.buffer_limit, "memory is what it may be");
            sleep(SECOND / 1_000).await;
        }
        let (mut refused, mut accepted) = (0, Vec::new());
        for task in sending {
            match task.await.expect("no panic") {
                Ok(delivery) => accepted.push(delivery),
                Err(error) => {
                    assert!(error.is_no_room() && error.is_timeout(), "{error}");
                    assert!(error.to_string().contains("the brokers take less than is sent"), "{error}");
                    refused += 1;
                }
            }
        }
        // Seven seconds take 0.9 MB, and the buffer 1 MB.
        assert!(refused > 4_500, "{refused} of 5000 were held back for too long");
        let (mut delivered, mut expired) = (0, 0);
        for delivery in accepted {
            match delivery.await {
                Ok(_) => delivered += 1,
                Err(error) => {
                    expired += 1;
                    is_explained(&error);
                }
            }
        }
        assert!(delivered > 30 && expired > 30, "{delivered} delivered, {expired} expired");
        net.clear();
        let load = Load { net: net.clone(), producer, book, sent: Cell::new(10_000) };
        load.one_each(SOON).await;
        load.finish().await;
    });
}

/// A batch that expired says where all of its time went.
fn is_explained(error: &DeliveryError) {
    assert!(error.is_timeout(), "{error}");
    let timeline = error.timeline();
    let waits = timeline.attempts().iter().flat_map(|attempt| &attempt.waits).chain(timeline.waited());
    let waited: Duration = waits.map(|wait| wait.time).sum();
    let tried: Duration = timeline.attempts().iter().map(|attempt| attempt.took).sum();
    let (told, all) = (waited + tried, timeline.ended_after());
    assert!(all >= SECOND * 5 && told.abs_diff(all) < SECOND / 10, "{told:?} of {all:?}: {timeline:#?}");
}

#[test]
fn s24_connections_are_killed_every_second_for_ten_minutes() {
    play(|net| async move {
        let load = Load::start(net.clone(), config(&net)).await;
        let before = net.dials();
        let nodes = net.nodes().into_iter();
        let killers = nodes.map(|node| {
            let net = net.clone();
            Handle::current().spawn(async move {
                let mut rng = fastrand::Rng::with_seed(u64::from(node.unsigned_abs()));
                loop {
                    sleep(Duration::from_millis(rng.u64(500..=1_500))).await;
                    net.cut(Some(node));
                }
            })
        });
        let killers: Vec<_> = killers.collect();
        let deliveries = load.flow(SECOND * 600, SECOND / 20).await;
        killers.iter().for_each(tokio::task::JoinHandle::abort);
        all_delivered(deliveries, SOON).await;
        let dials = net.dials() - before;
        assert!(dials > 1_000, "{dials}: they were killed");
        load.finish().await;
    });
}

#[test]
fn s29_no_partition_has_a_leader_for_half_a_minute() {
    for is_known in [true, false] {
        play(|net| async move {
            let producer = start(config(&net));
            let load = Load { net: net.clone(), producer, book: Book::default(), sent: Cell::new(0) };
            if is_known {
                load.one_each(SECOND).await;
            }
            net.cluster(|cluster| {
                cluster.add_rule(
                    Rule::on(ApiKey::METADATA).named("asked").error(ErrorCode::LEADER_NOT_AVAILABLE),
                );
                cluster.add_rule(Rule::on(ApiKey::PRODUCE).error(ErrorCode::NOT_LEADER_OR_FOLLOWER));
            });
            let ends = async {
                sleep(SECOND * 30).await;
                let asked = net.cluster(|cluster| cluster.fired("asked"));
                assert!((20..60).contains(&asked), "{asked} times, about once a second");
                net.cluster(Cluster::clear_script);
                now()
            };
            // Whoever sends waits for the topic, if it is not known yet.
            let flows = load.flow(SECOND * 30, SECOND / 5);
            let (ended, deliveries) = futures::future::join(ends, flows).await;
            let left = (ended + SOON).saturating_duration_since(now());
            all_delivered(deliveries, left).await;
            load.finish().await;
        });
    }
}

#[test]
fn s30_a_topic_is_made_ten_seconds_late_or_never() {
    play(|net| async move {
        let producer = start(config(&net));
        let began = now();
        let sending = producer.send(Record::to("late").value("v"));
        let making = async {
            sleep(SECOND * 10).await;
            net.cluster(|cluster| cluster.create_topic("late", 1)).expect("legal");
        };
        let (sent, ()) = futures::future::join(sending, making).await;
        sent.expect("accepted").await.expect("delivered");
        assert!(now() - began < SECOND * 10 + SOON);
        let began = now();
        let error = producer.send(Record::to("never").value("v")).await.expect_err("nobody makes it");
        let took = now() - began;
        assert!(took >= SECOND * 60 && took < SECOND * 61, "max.block.ms: {took:?}");
        assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        assert!(
            error.to_string().contains("\"never\"") && error.to_string().contains("does not exist"),
            "{error}"
        );
        producer.close(SECOND).await.expect("nothing is left");
    });
}

#[test]
fn s47_a_broker_that_throttles_for_five_seconds_is_left_alone_meanwhile() {
    play(|net| async move {
        let load = Load::start(net.clone(), config(&net)).await;
        let (node, other) = (load.leader(0), load.leader(1));
        let rule = Rule::on(ApiKey::PRODUCE).broker(NodeId(node)).times(1).throttle(SECOND * 5);
        net.cluster(|cluster| cluster.add_rule(rule));
        load.send(0).await.await.expect("throttled without an error");
        let began = now();
        let before = (load.broker(node).requests, load.broker(other).requests);
        let deliveries = load.flow(SECOND * 5 - SECOND / 10, SECOND / 10).await;
        assert!(now() - began < SECOND * 5);
        assert_eq!(load.broker(node).requests, before.0, "it is not asked before its time");
        assert!(load.broker(other).requests > before.1 + 20, "the others are not concerned");
        assert_eq!(load.broker(node).throttled, SECOND * 5);
        all_delivered(deliveries, SECOND).await;
        assert!(load.broker(node).requests > before.0);
        load.finish().await;
    });
}

/// With two chunks of memory, one is held by a batch that backs off for minutes. Two wait for the other one in turn: when the first
/// has got it, its batch must not linger, although the pump there sleeps until the back-off ends.
#[test]
fn memory_pressure_reaches_a_pump_that_sleeps_until_a_back_off_ends() {
    // Where the batch lingers that is there first: beside the one that backs off, or at an idle leader.
    for idle in [1, 2] {
        play(|net| async move {
            let lead = |partition, node| {
                net.cluster(|cluster| cluster.move_leader("orders", PartitionId(partition), NodeId(node)))
                    .expect("it is there");
            };
            [(0, 1), (1, 1), (2, idle)].into_iter().for_each(|(partition, node)| lead(partition, node));
            let minute = SECOND * 60;
            let settings = config(&net).buffer_memory(2 * kafka_batch::CHUNK_SIZE).max_block(minute);
            let settings = settings.retry_backoff(minute * 3).retry_backoff_max(minute * 3);
            let producer = start(settings.linger(minute * 30).delivery_timeout(minute * 60));
            let send = |partition: i32, size: usize| {
                let producer = producer.clone();
                async move {
                    let value = "x".repeat(size);
                    producer.send(Record::to("orders").partition(partition).value(&value)).await
                }
            };
            for partition in 0..3 {
                let warm = send(partition, 10).await.expect("accepted");
                producer.flush().await.expect("open");
                warm.await.expect("delivered");
            }
            net.refuse([Refuse { code: ErrorCode::NOT_ENOUGH_REPLICAS, is_applied: false }]);
            let refused = send(0, 10).await.expect("accepted");
            assert!(timeout(SECOND, producer.flush()).await.is_err(), "it backs off");
            assert!(refused.peek().is_none());
            let first = send(2, 10).await.expect("accepted");
            // Both wait: the first batch goes, and makes room for one of them.
            let waiting = [send(1, 10_000), send(1, 10_000)].map(|sending| Handle::current().spawn(sending));
            for sending in waiting {
                let sent = timeout(SECOND * 5, sending).await.expect("room is made").expect("no panic");
                drop(sent.expect("accepted"));
            }
            first.await.expect("delivered");
        });
    }
}

/// How soon after the end of a fault everything works again: a few times the longest back-off, a second.
const SOON: Duration = Duration::from_secs(5);
