//! What a broker remembers of a producer: five batches, and not for ever.

use std::{collections::VecDeque, time::Duration};

use kafka_wire::{ErrorCode, NodeId};

use super::rig::{A, B, Request, Rig, offset, result};
use crate::{delivery::Delivery, error::Persistence};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
const AFTER_APPEND: ErrorCode = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;

/// The first batch may have been appended, the four behind it were acknowledged, and five more wait.
fn one_in_doubt(rig: &mut Rig) -> Vec<Delivery> {
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let mut deliveries: Vec<_> = (0..5).map(|_| rig.batch(0, 1).remove(0)).collect();
    for (request, code) in rig.requests(A).into_iter().zip([AFTER_APPEND, OK, OK, OK, OK]) {
        rig.answer(request, &[(code, 2)]);
    }
    deliveries.extend((0..5).map(|_| rig.batch(0, 1).remove(0)));
    deliveries
}

fn sequences(requests: &VecDeque<Request>) -> Vec<i32> {
    requests.iter().map(|request| request.seen[0].sequence).collect()
}

#[test]
fn a_batch_in_doubt_is_not_pushed_out_of_the_brokers_memory() {
    let mut rig = Rig::new(1);
    let deliveries = one_in_doubt(&mut rig);
    for code in [ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::REQUEST_TIMED_OUT, OK] {
        rig.advance(Duration::from_millis(200));
        let mut requests = rig.requests(A);
        assert_eq!(
            sequences(&requests),
            [1],
            "with a sixth behind it, the broker would not know it any more"
        );
        rig.answer(requests.pop_front().expect("one"), &[(code, 1)]);
    }
    assert_eq!(sequences(&rig.requests(A)), [6, 7, 8, 9, 10]);
    assert_eq!(offset(&deliveries[0]), Some(1));
}

#[test]
fn a_later_acknowledgement_proves_what_came_before() {
    let mut rig = Rig::new(1);
    let deliveries = one_in_doubt(&mut rig);
    rig.advance(Duration::from_secs(121));
    let error = result(&deliveries[0]).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::Persisted);
    assert!(error.to_string().ends_with("; it is in the log"), "{error}");
}

#[test]
fn what_is_proven_to_be_in_the_log_is_not_sent_under_other_numbers() {
    let mut rig = Rig::new(1);
    let deliveries = one_in_doubt(&mut rig);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("asked for again");
    rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    let metadata = result(&deliveries[0]).expect("answered").expect("it is in the log");
    assert_eq!(metadata.offset, None, "where, nobody knows any more");
    assert_eq!(sequences(&rig.requests(A)), [6, 7, 8, 9, 10], "under the same epoch");
}

#[test]
fn after_a_quiet_minute_one_batch_goes_first() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    rig.advance(Duration::from_secs(59));
    drop([rig.batch(0, 1), rig.batch(0, 1)]);
    let requests = rig.requests(A);
    assert_eq!(requests.len(), 2, "the broker was here a moment ago");
    for (request, offset) in requests.into_iter().zip(1..) {
        rig.answer(request, &[(OK, offset)]);
    }
    rig.advance(Duration::from_secs(61));
    drop([rig.batch(0, 1), rig.batch(0, 1)]);
    let mut requests = rig.requests(A);
    assert_eq!(requests.len(), 1, "it may have forgotten the producer, and would take any number");
    rig.answer(requests.pop_front().expect("one"), &[(OK, 3)]);
    assert_eq!(rig.requests(A).len(), 1);
}

#[test]
fn a_new_leader_is_sent_one_batch_first_then_the_others_with_their_numbers() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries: Vec<_> = (0..5).map(|_| rig.batch(0, 1).remove(0)).collect();
    assert_eq!(sequences(&rig.requests(A)), [1, 2, 3, 4, 5]);
    rig.leaders[0] = (B, 2);
    rig.refresh();
    let mut requests = rig.requests(B);
    assert_eq!(sequences(&requests), [1], "elected out of turn, it may know nothing of the producer");
    rig.answer(requests.pop_front().expect("one"), &[(OK, 1)]);
    let requests = rig.requests(B);
    assert_eq!(sequences(&requests), [2, 3, 4, 5]);
    for (request, offset) in requests.into_iter().zip(2..) {
        rig.answer(request, &[(OK, offset)]);
    }
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), (1..6).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_ledger_is_looked_at_for_expired_batches_once_in_a_delivery_time_out() {
    let mut rig = Rig::new(100);
    for round in 0..10 {
        for partition in 0..100 {
            drop(rig.batch(partition, 1));
        }
        for request in rig.requests(A) {
            let answers: Vec<_> = request.seen.iter().map(|_| (OK, round)).collect();
            rig.answer(request, &answers);
        }
        rig.advance(Duration::from_secs(1));
    }
    assert_eq!(rig.sender.expiries.len(), 100, "one for each partition, not for each batch");
    rig.advance(Duration::from_secs(121));
    assert!(rig.sender.expiries.is_empty(), "and none without batches");
    assert!(rig.sender.is_drained());
}

#[test]
fn the_topics_of_unresolved_batches_are_asked_for_however_long_they_take() {
    let mut rig = Rig::new(1);
    rig.settings.delivery_timeout = Duration::from_secs(3600);
    // Lanes are made with the settings of the moment.
    rig.leaders.push((A, 1));
    rig.refresh();
    let deliveries = rig.batch(1, 1);
    let request = rig.request(A).expect("ready");
    rig.leaders[1] = (NodeId(-1), 2);
    rig.refresh();
    rig.lose(request, false);
    for _ in 0..20 {
        rig.advance(Duration::from_secs(60));
        rig.answer_controls();
    }
    rig.leaders[1] = (B, 3);
    rig.advance(Duration::from_secs(2));
    rig.answer_controls();
    let again = rig.request(B).expect("the new leader is known");
    rig.answer(again, &[(OK, 3)]);
    assert_eq!(offset(&deliveries[0]), Some(3));
}
