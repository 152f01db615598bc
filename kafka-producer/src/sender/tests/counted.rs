//! How often a batch is sent, in which order and how long is waited in between; what is counted of it, and what is passed on of an
//! answer.

use std::time::Duration;

use kafka_batch::Compressor;
use kafka_net::Backoff;
use kafka_wire::{
    ErrorCode, PartitionId,
    messages::{BatchIndexAndErrorMessage, PartitionProduceResponse},
};

use super::{
    super::Drained,
    rig::{A, B, Rig, answer, result},
};
use crate::stats::BrokerStats;

const OK: ErrorCode = ErrorCode::NONE;

fn broker(rig: &Rig) -> BrokerStats {
    rig.sender.broker_stats().into_iter().find(|broker| broker.node == A.0).expect("it is known")
}

#[test]
fn a_batch_is_sent_again_as_often_as_retries_says_and_each_time_counts() {
    for retries in [0, 1, 3] {
        let mut rig = Rig::with(1, |settings| settings.retries = retries);
        let deliveries = rig.batch(0, 2);
        for sent in 0..=retries {
            let request = rig.request(A).unwrap_or_else(|| panic!("retries={retries}, sent {sent} times"));
            assert_eq!(rig.sender.counters().retries, u64::from(sent));
            assert!(result(&deliveries[0]).is_none());
            rig.answer(request, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
            rig.advance(Duration::from_secs(1));
        }
        let error = result(&deliveries[0]).expect("given up").expect_err("refused each time");
        assert!(error.to_string().contains("out of retries, last NOT_ENOUGH_REPLICAS"), "{error}");
        assert!(rig.request(A).is_none(), "retries={retries}");
        assert_eq!((rig.sender.counters().failed, rig.sender.counters().batches), (2, 1));
    }
}

#[test]
fn the_wait_before_each_attempt_is_twice_the_last_one_up_to_its_longest() {
    let millis = Duration::from_millis;
    let mut rig = Rig::with(1, |settings| settings.retry_backoff = Backoff::new(millis(100), millis(1000)));
    let _deliveries = rig.batch(0, 1);
    for wait in [100, 200, 400, 800, 1000, 1000] {
        let request = rig.request(A).expect("its time has come");
        rig.answer(request, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
        // A fifth more or less, at random.
        rig.advance(millis(wait * 8 / 10 - 2));
        assert!(rig.request(A).is_none(), "before {wait} ms are over");
        rig.advance(millis(wait * 4 / 10 + 4));
    }
}

#[test]
fn what_is_delivered_and_what_stays_unanswered_is_counted_by_record_and_by_request() {
    let mut rig = Rig::new(1);
    let _deliveries = (rig.batch(0, 3), rig.batch(0, 4));
    let request = rig.request(A).expect("ready");
    rig.advance(Duration::from_millis(10));
    rig.lose(request, true);
    assert_eq!((broker(&rig).unanswered, broker(&rig).requests, broker(&rig).in_flight), (1, 1, 0));
    rig.advance(Duration::from_millis(200));
    for (sent, delivered) in [(2, 3), (3, 7)] {
        let request = rig.request(A).expect("ready");
        assert_eq!((broker(&rig).requests, broker(&rig).in_flight), (sent, 1));
        rig.advance(Duration::from_millis(10));
        rig.answer(request, &[(OK, delivered)]);
        let counters = rig.sender.counters();
        assert_eq!((counters.delivered, counters.latency.count()), (delivered as u64, delivered as u64));
    }
    assert_eq!((broker(&rig).unanswered, broker(&rig).round_trip.count()), (1, 2));
    assert_eq!(broker(&rig).max_in_flight, 1);
    let counters = rig.sender.counters();
    assert_eq!((counters.requests, counters.requested_batches, counters.retries), (3, 3, 1));
    assert_eq!((counters.batches, counters.failed), (2, 0));
}

/// Three batches come back; the second fits into no request that has another one, and must not be passed over for ever.
#[test]
fn what_does_not_fit_into_a_request_begins_the_next_one() {
    let mut rig = Rig::with(3, |settings| settings.max_request_size = 600);
    let mut requests = Vec::new();
    for (partition, records) in [(0, 10), (1, 26), (2, 10)] {
        drop(rig.batch(partition, records));
        requests.push(rig.request(A).expect("one by one"));
    }
    for request in requests {
        rig.answer(request, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    }
    rig.advance(Duration::from_secs(1));
    let requests = rig.requests(A);
    let partitions =
        requests.iter().map(|it| it.seen.iter().map(|batch| batch.partition).collect::<Vec<_>>());
    assert_eq!(partitions.collect::<Vec<_>>(), [[0], [1], [2]]);
}

/// So many batches may be sealed at a time, of all brokers together.
#[test]
fn who_stopped_for_want_of_room_to_seal_is_woken_when_there_is_some() {
    let mut rig = Rig::with(2, |settings| settings.max_sealing = 1);
    rig.leaders[1] = (B, 2);
    rig.refresh();
    drop((rig.batch(0, 1), rig.batch(1, 1)));
    let Drained { lane, key, batch, stamp } = rig.drain(A).remove(0);
    assert!(rig.drain(B).is_empty());
    rig.settle_effects();
    rig.sender.handle_sealed(lane, key, batch.seal(stamp, &mut Compressor::none()), rig.now);
    assert!(rig.sender.take_effects().wake.contains(&B));
    assert_eq!(rig.drain(B).len(), 1);
}

#[test]
fn what_a_broker_says_of_a_batch_and_of_its_records_is_passed_on() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 2);
    let request = rig.request(A).expect("ready");
    let blamed =
        BatchIndexAndErrorMessage { batch_index: 1, batch_index_error_message: Some("this one".to_owned()) };
    let answer = PartitionProduceResponse {
        record_errors: vec![blamed],
        error_message: Some("one of them".to_owned()),
        ..answer(PartitionId(0), ErrorCode::INVALID_RECORD, -1)
    };
    rig.respond(request, vec![answer]);
    let [innocent, guilty] =
        [0, 1].map(|at: usize| result(&deliveries[at]).expect("answered").expect_err("refused"));
    assert!(guilty.to_string().contains("(this one)"), "{guilty}");
    assert!(innocent.to_string().contains("(one of them)"), "{innocent}");
}
