//! What a broker remembers of a producer: five batches, and not for ever.

use std::{collections::VecDeque, time::Duration};

use kafka_wire::{ErrorCode, NodeId};

use super::rig::{A, B, Request, Rig, offset, result};
use crate::{
    delivery::Delivery,
    error::{FailureKind, Persistence},
    purge::Purge,
};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
const AFTER_APPEND: ErrorCode = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;

/// The first batch may have been appended, the four behind it were acknowledged, and five more wait.
fn one_in_doubt(rig: &mut Rig) -> Vec<Delivery> {
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let mut deliveries: Vec<_> = (0..5).map(|_| rig.batch(0, 1).remove(0)).collect();
    let answers = [(AFTER_APPEND, -1), (OK, 2), (OK, 3), (OK, 4), (OK, 5)];
    for (request, answer) in rig.requests(A).into_iter().zip(answers) {
        rig.answer(request, &[answer]);
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

/// A broker that was restarted remembers the last batch of a producer, and no other.
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

/// Batches in flight to a broker whose answers were lost, and that is asked again, one after the other.
fn in_doubt(batches: usize) -> (Rig, Vec<Delivery>) {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries = (0..batches).map(|_| rig.batch(0, 1).remove(0)).collect();
    for request in rig.requests(A) {
        rig.lose(request, true);
    }
    rig.advance(Duration::from_millis(200));
    (rig, deliveries)
}

/// All of them were appended before the broker was restarted.
#[test]
fn a_restarted_broker_that_knows_the_last_batch_has_those_before_it() {
    let (mut rig, deliveries) = in_doubt(4);
    let requests = rig.requests(A);
    assert_eq!(sequences(&requests), [1, 2, 3, 4]);
    for (request, code) in requests.into_iter().zip([OUT_OF_ORDER, OUT_OF_ORDER, OUT_OF_ORDER, OK]) {
        rig.answer(request, &[(code, 4)]);
    }
    assert_eq!(offset(&deliveries[3]), Some(4));
    rig.advance(Duration::from_millis(200));
    while let Some(again) = rig.request(A) {
        assert!(again.seen[0].sequence > 0 && again.seen[0].epoch == 0, "not sent anew");
        rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    }
    for delivery in &deliveries[..3] {
        assert_eq!(result(delivery).expect("answered").expect("in the log").offset, None);
    }
}

/// What is refused behind them, since the broker is busy, is another matter.
#[test]
fn what_is_proven_to_be_in_the_log_stays_proven_when_later_batches_are_refused() {
    let (mut rig, deliveries) = in_doubt(2);
    drop([rig.batch(0, 1), rig.batch(0, 1)]);
    let requests = rig.requests(A);
    assert_eq!(sequences(&requests), [1, 2, 3, 4]);
    let answers = [OUT_OF_ORDER, OK, ErrorCode::THROTTLING_QUOTA_EXCEEDED, OUT_OF_ORDER];
    for (request, code) in requests.into_iter().zip(answers) {
        rig.answer(request, &[(code, 2)]);
    }
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("in doubt");
    assert_eq!((again.seen[0].epoch, again.seen[0].sequence), (0, 1));
    rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    assert!(result(&deliveries[0]).expect("answered").is_ok());
    assert_eq!(rig.sender.counters().losses, 0);
}

/// The same, asked one at a time since another broker leads meanwhile.
#[test]
fn a_new_leader_that_was_restarted_is_asked_for_all_before_anything_is_sent_anew() {
    let (mut rig, deliveries) = in_doubt(3);
    drop(rig.requests(A));
    rig.leaders[0] = (B, 2);
    rig.refresh();
    for (sequence, code) in [(1, OUT_OF_ORDER), (2, OK), (3, OK), (1, OUT_OF_ORDER)] {
        rig.advance(Duration::from_millis(200));
        let request = rig.request(B).expect("asked for");
        assert_eq!((request.seen[0].epoch, request.seen[0].sequence), (0, sequence));
        rig.answer(request, &[(code, i64::from(sequence))]);
    }
    let offsets: Vec<_> = deliveries.iter().map(offset).collect();
    assert_eq!(offsets, [None, Some(2), Some(3)]);
    assert!(deliveries.iter().all(|delivery| result(delivery).expect("answered").is_ok()));
}

/// Brokers that know no topic ids take a batch for the topic of the same name, and any number there.
#[test]
fn an_offset_that_goes_back_is_of_another_log_and_proves_nothing() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 10)]);
    let deliveries: Vec<_> = (0..2).map(|_| rig.batch(0, 1).remove(0)).collect();
    let mut requests = rig.requests(A);
    rig.answer(requests.pop_front().expect("two"), &[(AFTER_APPEND, -1)]);
    rig.answer(requests.pop_front().expect("two"), &[(OK, 0)]);
    assert_eq!(offset(&deliveries[1]), Some(0));
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("asked for");
    rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    assert!(result(&deliveries[0]).is_none(), "it is not in this log");
    rig.advance(Duration::from_millis(200));
    let anew = rig.request(A).expect("sent anew");
    assert_eq!((anew.seen[0].epoch, anew.seen[0].sequence), (1, 0));
    rig.answer(anew, &[(OK, 1)]);
    assert_eq!(offset(&deliveries[0]), Some(1));
}

/// One that was given up could have been the last one, which the broker knows.
#[test]
fn before_a_batch_given_up_in_doubt_a_gap_proves_nothing() {
    let (mut rig, deliveries) = in_doubt(2);
    let mut requests = rig.requests(A);
    rig.lose(requests.pop_front().expect("two"), true);
    let purged = rig.sender.purge(Purge::InFlight, FailureKind::Purged, rig.now);
    assert_eq!(purged.in_flight, 1);
    for _ in 0..3 {
        rig.advance(Duration::from_millis(200));
        let again = rig.request(A).expect("asked for, since it is in doubt");
        assert_eq!((again.seen[0].epoch, again.seen[0].sequence), (0, 1), "its old numbers");
        rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    }
    rig.advance(Duration::from_secs(121));
    let error = result(&deliveries[0]).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
}

/// Neither could be appended any more when the one right behind it was refused.
#[test]
fn what_is_refused_right_behind_a_batch_given_up_shows_that_it_is_not_the_last_one() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    drop((0..3).map(|_| rig.batch(0, 1)).collect::<Vec<_>>());
    let answers = [(AFTER_APPEND, -1), (ErrorCode::UNKNOWN_SERVER_ERROR, -1), (OUT_OF_ORDER, -1)];
    for (request, answer) in rig.requests(A).into_iter().zip(answers) {
        rig.answer(request, &[answer]);
    }
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("in doubt");
    assert_eq!((again.seen[0].epoch, again.seen[0].sequence), (0, 1));
    rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let anew: Vec<_> = rig.requests(A).iter().map(|it| (it.seen[0].epoch, it.seen[0].sequence)).collect();
    assert_eq!(anew, [(1, 0), (1, 1)], "none of them is in the log");
}

/// The partition's head is asked for without end, and refused, until it expires.
fn is_never_settled(rig: &mut Rig, head: &Delivery) {
    for _ in 0..3 {
        rig.advance(Duration::from_millis(200));
        let again = rig.request(A).expect("asked for, since it is in doubt");
        assert_eq!((again.seen[0].epoch, again.seen[0].sequence), (0, 1), "its old numbers");
        rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    }
    rig.advance(Duration::from_secs(121));
    let error = result(head).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
}

/// The lost attempt of the one that was given up arrives afterwards; then the broker is restarted, and knows it alone.
#[test]
fn a_batch_given_up_that_may_still_arrive_may_become_the_last_one() {
    let (mut rig, deliveries) = in_doubt(2);
    drop(rig.batch(0, 1));
    let answers = [AFTER_APPEND, ErrorCode::TOPIC_AUTHORIZATION_FAILED, OUT_OF_ORDER];
    for (request, code) in rig.requests(A).into_iter().zip(answers) {
        rig.answer(request, &[(code, -1)]);
    }
    is_never_settled(&mut rig, &deliveries[0]);
}

/// Both in front were appended after it had been refused; then the broker is restarted, and knows the second alone.
#[test]
fn what_was_refused_before_a_batch_was_sent_once_more_says_nothing_of_it() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries: Vec<_> = (0..3).map(|_| rig.batch(0, 1).remove(0)).collect();
    let mut requests = rig.requests(A);
    rig.answer(requests.pop_front().expect("three"), &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    rig.answer(requests.pop_front().expect("three"), &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(50));
    rig.answer(requests.pop_front().expect("three"), &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(50));
    let mut requests = rig.requests(A);
    assert_eq!(sequences(&requests), [1, 2], "the third one still backs off");
    rig.answer(requests.pop_front().expect("two"), &[(AFTER_APPEND, -1)]);
    rig.answer(requests.pop_front().expect("two"), &[(ErrorCode::UNKNOWN_SERVER_ERROR, -1)]);
    is_never_settled(&mut rig, &deliveries[0]);
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
    assert_eq!(rig.sender.expiries.lanes().count(), 100, "one for each partition, not for each batch");
    rig.advance(Duration::from_secs(121));
    assert!(rig.sender.expiries.lanes().next().is_none(), "and none without batches");
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
