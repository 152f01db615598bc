//! What bounds a send, however many things it waits for one after the other; and what a batch does not wait for.

use std::time::Duration;

use futures::future::{join, join_all};
use kafka_wire::PartitionId;
use tokio::time::sleep;

use super::{
    lifecycle::{SECOND, config, play, start},
    net::Mode,
};
use crate::{Record, io::now};

#[test]
fn max_block_is_for_all_that_a_send_waits_for_together() {
    play(|net| async move {
        let memory = 2 * kafka_batch::CHUNK_SIZE;
        let producer = start(config(&net).buffer_memory(memory).max_block(SECOND * 10));
        let order = |value| Record::to("orders").partition(0).value(value);
        producer.send(order("warm")).await.expect("accepted").await.expect("delivered");
        let (leader, _) = net.cluster(|cluster| cluster.leader("orders", PartitionId(0))).expect("a leader");
        net.set_mode(leader.0, Mode::Frozen);
        let all_there_is = "x".repeat(17_000);
        let accepted = producer.send(order(&all_there_is)).await.expect("accepted");

        // First for its topic, then for room.
        let began = now();
        let sending = producer.send(Record::to("late").value("v"));
        let making = async {
            sleep(SECOND * 6).await;
            net.cluster(|cluster| cluster.create_topic("late", 1)).expect("legal");
        };
        let (sent, ()) = join(sending, making).await;
        let (error, took) = (sent.expect_err("there is no room"), now() - began);
        assert!(error.is_no_room(), "{error}");
        assert!(took >= SECOND * 10 && took < SECOND * 10 + Duration::from_millis(100), "{took:?}");

        net.clear();
        accepted.await.expect("delivered");
        producer.close(SECOND).await.expect("nothing is left");
    });
}

/// A batch is full when a record comes that does not fit. It leaves then, also where the record goes elsewhere or opens a batch
/// that lingers itself.
#[test]
fn a_full_batch_leaves_at_once_however_long_the_linger() {
    play(|net| async move {
        let producer = start(config(&net).batch_size(4_000).linger(SECOND * 30));
        let value = "x".repeat(1_500);
        let record = Record::to("orders").value(&value);
        // Each batch holds two.
        for record in [record.partition(1), record.key("k"), record] {
            drop(producer.send(record).await.expect("accepted"));
            producer.flush().await.expect("open");
            let began = now();
            let full = join_all((0..2).map(|_| producer.send(record))).await;
            drop(producer.send(record).await.expect("accepted"));
            let answers = join_all(full.into_iter().map(|sent| sent.expect("accepted"))).await;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            assert!(now() - began < SECOND, "it waited for {:?}", now() - began);
        }
        producer.close(SECOND).await.expect("closing ends the linger");
    });
}

/// With adaptive partitioning, records without a key go where they are taken; without it, everywhere alike.
#[test]
fn a_broker_that_takes_nothing_gets_fewer_records_if_partitioning_is_adaptive() {
    for adaptive in [true, false] {
        play(|net| async move {
            let config = config(&net).batch_size(1_000).partitioner_adaptive_partitioning(adaptive);
            let producer = start(config);
            for partition in 0..3 {
                let record = Record::to("orders").partition(partition).value("warm");
                producer.send(record).await.expect("accepted").await.expect("delivered");
            }
            let (leader, _) =
                net.cluster(|cluster| cluster.leader("orders", PartitionId(0))).expect("a leader");
            net.set_mode(leader.0, Mode::Frozen);
            // Each record fills a batch.
            let value = "x".repeat(900);
            let mut deliveries = Vec::new();
            for _ in 0..600 {
                let record = Record::to("orders").value(&value);
                deliveries.push(producer.send(record).await.expect("accepted"));
                sleep(Duration::from_millis(5)).await;
            }
            let stuck = deliveries.iter().filter(|delivery| delivery.partition() == 0).count();
            let is_right = if adaptive { stuck < 60 } else { (150..250).contains(&stuck) };
            assert!(is_right, "{stuck} of 600, adaptive: {adaptive}");
            net.clear();
            for answer in join_all(deliveries).await {
                answer.expect("delivered");
            }
            producer.close(SECOND).await.expect("nothing is left");
        });
    }
}
