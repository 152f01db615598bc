//! What bounds a send, however many things it waits for one after the other.

use std::time::Duration;

use futures::future::join;
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
