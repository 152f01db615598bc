//! What becomes of batches that fail, and what is told of their course.

use std::time::Duration;

use kafka_wire::{
    ErrorCode, NodeId, PartitionId,
    messages::{ProduceResponse, TopicProduceResponse},
};

use super::rig::{A, B, Rig, answer, offset, result, topic};
use crate::{
    delivery::Delivery,
    error::{DeliveryError, Persistence},
    timeline::WaitReason,
};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
const TOO_LARGE: ErrorCode = ErrorCode::MESSAGE_TOO_LARGE;

fn error(delivery: &Delivery) -> DeliveryError {
    result(delivery).expect("resolved").expect_err("failed")
}

/// The waits of the attempt with this index, or after the last one, in whole seconds.
fn waits(error: &DeliveryError, attempt: Option<usize>) -> Vec<(WaitReason, u64)> {
    let timeline = error.timeline();
    let waits = attempt.map_or_else(|| timeline.waited(), |at| &timeline[at].waits);
    waits.iter().map(|waited| (waited.reason, waited.time.as_secs())).collect()
}

#[test]
fn a_broker_is_never_given_no_time_at_all() {
    for (timeout, written) in [(1, 1), (999, 1), (1_000, 1), (1_999, 1), (2_000, 2)] {
        let mut rig = Rig::with(1, |settings| settings.request_timeout = Duration::from_micros(timeout));
        rig.batch(0, 1);
        let request = rig.request(A).expect("ready");
        assert_eq!(request.call.timeout_ms, written, "{timeout} us");
    }
}

#[test]
fn the_timeline_says_what_was_waited_for_before_each_attempt_and_in_the_end() {
    let mut rig = Rig::with(1, |settings| settings.linger = Duration::from_secs(1));
    let deliveries = rig.batch(0, 1);
    rig.advance(Duration::from_secs(3));
    let request = rig.request(A).expect("ready");
    rig.advance(Duration::from_secs(2));
    // Refused, with a pause of five seconds; then the leader is gone for ten, and the new one out of reach.
    let responses = vec![TopicProduceResponse {
        name: topic(),
        partition_responses: vec![answer(PartitionId(0), ErrorCode::NOT_ENOUGH_REPLICAS, -1)],
        ..Default::default()
    }];
    rig.respond_with(request, ProduceResponse { responses, throttle_time_ms: 5000, ..Default::default() });
    rig.advance(Duration::from_secs(5));
    let request = rig.request(A).expect("again");
    rig.leaders[0] = (NodeId(-1), 1);
    rig.answer(request, &[(ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)]);
    rig.answer_controls();
    rig.advance(Duration::from_secs(10));
    rig.leaders[0] = (B, 2);
    rig.answer_controls();
    rig.connection(B, false);
    rig.advance(Duration::from_secs(101));
    let error = error(&deliveries[0]);
    assert_eq!(error.timeline().len(), 2);
    assert_eq!(waits(&error, Some(0)), [(WaitReason::Gathering, 1), (WaitReason::InFlight, 2)]);
    assert_eq!(waits(&error, Some(1)), [(WaitReason::Throttled, 5)]);
    assert_eq!(waits(&error, None), [(WaitReason::Metadata, 10), (WaitReason::Connection, 101)]);
    assert_eq!(error.timeline()[0].took, Duration::from_secs(2));
    assert_eq!(
        error.to_string(),
        "record for orders-0 not acknowledged: delivery.timeout.ms is over; last attempt at broker 1 gave \
         NOT_LEADER_OR_FOLLOWER (6), then 101000 ms no connection; it may be in the log"
    );
    assert_eq!(
        error.timeline().to_string(),
        "3000 ms: sent to broker 1 after 1000 ms gathering records, 2000 ms others in flight; after 2000 ms it answered \
         NOT_ENOUGH_REPLICAS (19)\n\
         10000 ms: sent to broker 1 after 5000 ms throttled by the broker; after 0 ms it answered \
         NOT_LEADER_OR_FOLLOWER (6)\n\
         121000 ms: given up after 10000 ms no leader known, 101000 ms no connection"
    );
}

#[test]
fn a_back_off_is_told_as_such() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.answer(request, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    rig.advance(Duration::from_millis(100));
    let request = rig.request(A).expect("again");
    rig.answer(request, &[(ErrorCode::INVALID_RECORD, -1)]);
    let error = error(&deliveries[0]);
    let wait = error.timeline()[1].waits[0];
    assert_eq!((wait.reason, wait.time), (WaitReason::BackOff, Duration::from_millis(100)));
}

#[test]
fn a_batch_that_was_never_sent_says_what_it_waited_for() {
    let mut rig = Rig::new(1);
    rig.connection(A, false);
    let deliveries = rig.batch(0, 1);
    drop(rig.drain(A));
    rig.advance(Duration::from_secs(121));
    let error = error(&deliveries[0]);
    assert_eq!(waits(&error, None), [(WaitReason::Connection, 121)]);
    assert_eq!(
        error.to_string(),
        "record for orders-0 not acknowledged: delivery.timeout.ms is over; never sent: 121000 ms no connection; \
         it is not in the log"
    );
}

#[test]
fn a_batch_that_moves_to_another_leader_tells_so() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.leaders[0] = (B, 2);
    rig.refresh();
    let again = rig.request(B).expect("at once");
    rig.answer(again, &[(ErrorCode::INVALID_RECORD, -1)]);
    let error = error(&deliveries[0]);
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted, "the old leader may have it");
    assert_eq!(error.timeline()[0].error.as_deref(), Some("broker 2 leads the partition now"));
    drop(request);
}

#[test]
fn an_error_is_told_to_a_batch_without_numbers_and_to_nobody_else() {
    for code in [ErrorCode::CLUSTER_AUTHORIZATION_FAILED, ErrorCode::UNSUPPORTED_VERSION] {
        let mut rig = Rig::with(1, |settings| settings.idempotent = false);
        let refused = rig.batch(0, 1);
        let request = rig.request(A).expect("ready");
        rig.answer(request, &[(code, -1)]);
        assert_eq!(error(&refused[0]).code(), Some(code));
        assert_eq!(rig.fatal, None);
        let next = rig.batch(0, 1);
        let request = rig.request(A).expect("the producer goes on");
        rig.answer(request, &[(OK, 0)]);
        assert_eq!(offset(&next[0]), Some(0));
    }
}

#[test]
fn without_the_right_to_a_producer_id_what_waits_is_refused_and_what_comes_later_may_fare_better() {
    let mut rig = Rig::new(1);
    rig.sender.identity.set_wanted();
    rig.init = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    rig.advance(Duration::ZERO);
    rig.answer_controls();
    assert_eq!(rig.refused, Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    assert_eq!(rig.fatal, None);
    rig.init = OK;
    rig.producer_id = 78;
    rig.advance(Duration::from_secs(1));
    rig.answer_controls();
    let good = rig.batch(0, 1);
    let request = rig.request(A).expect("the right was granted");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&good[0]), Some(0));
}

#[test]
fn parts_of_a_batch_that_may_be_in_the_log_may_be_in_the_log() {
    let mut rig = Rig::with(1, |settings| settings.idempotent = false);
    let deliveries = rig.batch(0, 10);
    let request = rig.request(A).expect("ready");
    rig.lose(request, true);
    rig.advance(Duration::from_millis(200));
    let request = rig.request(A).expect("again");
    rig.answer(request, &[(TOO_LARGE, -1)]);
    rig.split();
    let part = rig.request(A).expect("the first part");
    rig.answer(part, &[(ErrorCode::INVALID_RECORD, -1)]);
    assert_eq!(error(&deliveries[0]).persistence(), Persistence::PossiblyPersisted);
}

#[test]
fn with_five_in_flight_the_first_is_split_down_to_the_one_record_that_is_too_large() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let whole = rig.batch(0, 8);
    let behind: Vec<_> = (0..4).map(|_| rig.batch(0, 1).remove(0)).collect();
    let requests = rig.requests(A);
    assert_eq!(requests.len(), 5);
    for (request, code) in
        requests.into_iter().zip([TOO_LARGE, OUT_OF_ORDER, OUT_OF_ORDER, OUT_OF_ORDER, OUT_OF_ORDER])
    {
        rig.answer(request, &[(code, -1)]);
    }
    // The broker takes batches in which record 3 is not, in order.
    let (mut next, mut epoch, mut log) = (0, 0, 1);
    for _ in 0..200 {
        rig.split();
        rig.advance(Duration::from_millis(200));
        for request in rig.requests(A) {
            let seen = request.seen[0];
            if seen.epoch > epoch {
                (epoch, next) = (seen.epoch, 0);
            }
            // Where the record would go that is too large, as long as it has no answer.
            let bad = result(&whole[BAD]).is_none().then_some(1 + BAD as i64);
            let too_large = bad.is_some_and(|bad| (log..log + i64::from(seen.count)).contains(&bad));
            if seen.epoch < epoch || seen.sequence != next {
                rig.answer(request, &[(OUT_OF_ORDER, -1)]);
            } else if too_large {
                rig.answer(request, &[(TOO_LARGE, -1)]);
            } else {
                rig.answer(request, &[(OK, log)]);
                next += seen.count;
                log += i64::from(seen.count);
            }
        }
    }
    for (index, delivery) in whole.iter().enumerate() {
        match index {
            BAD => assert_eq!(error(delivery).code(), Some(TOO_LARGE)),
            _ => assert_eq!(offset(delivery), Some(1 + index as i64 - i64::from(index > BAD))),
        }
    }
    assert_eq!(behind.iter().map(offset).collect::<Vec<_>>(), (8..12).map(Some).collect::<Vec<_>>());
    assert!(rig.sender.is_drained());
}

const BAD: usize = 3;

#[test]
fn batches_in_doubt_behind_one_that_is_split_are_settled_before_its_parts_are_sent() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    drop(rig.batch(0, 10));
    drop([rig.batch(0, 1), rig.batch(0, 1)]);
    let mut requests = rig.requests(A);
    rig.answer(requests.pop_front().expect("three"), &[(TOO_LARGE, -1)]);
    rig.split();
    for request in requests {
        rig.lose(request, true);
    }
    rig.advance(Duration::from_millis(200));
    let asked = rig.requests(A);
    let seen: Vec<_> =
        asked.iter().map(|request| (request.seen[0].epoch, request.seen[0].sequence)).collect();
    assert_eq!(seen, [(0, 11), (0, 12)], "with their old numbers");
    for request in asked {
        rig.answer(request, &[(OUT_OF_ORDER, -1)]);
    }
    rig.advance(Duration::from_millis(200));
    let mut expected = 0;
    while let Some(request) = rig.request(A) {
        assert_eq!((request.seen[0].epoch, request.seen[0].sequence), (1, expected));
        expected += request.seen[0].count;
        rig.answer(request, &[(OK, i64::from(expected))]);
    }
    assert_eq!(expected, 12);
}

#[test]
fn a_leader_that_does_not_know_the_producer_says_nothing_about_an_earlier_attempt() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.lose(request, true);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("again");
    rig.answer(again, &[(ErrorCode::UNKNOWN_PRODUCER_ID, -1)]);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("and again");
    assert_eq!((again.seen[0].epoch, again.seen[0].sequence), (0, 1), "with its old numbers");
    rig.answer(again, &[(ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1)]);
    assert!(result(&deliveries[0]).expect("answered").is_ok());
}

#[test]
fn a_broker_that_refuses_each_epoch_is_asked_at_the_pace_of_the_back_off_and_reached_in_the_end() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries: Vec<_> = (0..5).map(|_| rig.batch(0, 1).remove(0)).collect();
    let mut requests = 0;
    for _ in 0..1000 {
        for request in rig.requests(A) {
            requests += 1;
            rig.answer(request, &[(OUT_OF_ORDER, -1)]);
        }
        rig.advance(Duration::from_millis(10));
    }
    assert!((50..=600).contains(&requests), "{requests} requests in ten seconds, five batches, 100 ms each");
    let mut offset_of_next = 1;
    for _ in 0..10 {
        rig.advance(Duration::from_millis(100));
        for request in rig.requests(A) {
            assert!(request.seen[0].epoch > 10, "each refusal of the first makes an epoch");
            rig.answer(request, &[(OK, offset_of_next)]);
            offset_of_next += 1;
        }
    }
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), (1..6).map(Some).collect::<Vec<_>>());
}

#[test]
fn when_the_epochs_are_used_up_other_partitions_go_on_under_the_old_id() {
    let mut rig = Rig::new(2);
    let identity = rig.sender.identity.known().expect("known");
    let last = super::super::sequence::Identity { epoch: kafka_wire::ProducerEpoch(i16::MAX), ..identity };
    rig.sender.identity.set(super::super::identity::IdentityState::Known(last));
    drop([rig.batch(0, 1), rig.batch(1, 1)]);
    let request = rig.request(A).expect("ready");
    rig.answer(request, &[(ErrorCode::INVALID_RECORD, -1), (OK, 0)]);
    assert!(rig.wants_driver);
    let deliveries = [rig.batch(0, 1), rig.batch(1, 1)];
    let request = rig.request(A).expect("one of them");
    let seen: Vec<_> = request.seen.iter().map(|seen| (seen.partition, seen.epoch, seen.sequence)).collect();
    assert_eq!(seen, [(1, i16::MAX, 1)], "the other has no numbers until there is a new id");
    rig.answer(request, &[(OK, 1)]);
    rig.producer_id = 78;
    rig.advance(Duration::from_millis(1));
    rig.answer_controls();
    let request = rig.request(A).expect("now");
    assert_eq!((request.seen[0].partition, request.seen[0].epoch, request.seen[0].sequence), (0, 0, 0));
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&deliveries[0][0]), Some(0));
    drop(rig.batch(1, 1));
    let request = rig.request(A).expect("the other takes the new id too");
    assert_eq!((request.seen[0].partition, request.seen[0].epoch, request.seen[0].sequence), (1, 0, 0));
}
