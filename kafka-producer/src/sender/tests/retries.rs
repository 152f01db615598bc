//! What is sent again, when, where, and when no more.

use std::time::Duration;

use kafka_wire::{ErrorCode, PartitionId};

use super::rig::{A, B, Rig, moved, offset, result};
use crate::error::{EndedBy, FailureKind, Persistence};

const OK: ErrorCode = ErrorCode::NONE;

#[test]
fn one_request_takes_one_batch_of_each_partition_and_each_gets_its_own_answer() {
    let mut rig = Rig::new(3);
    let deliveries: Vec<_> = (0..3).map(|partition| rig.batch(partition, 4).remove(3)).collect();
    let request = rig.request(A).expect("three batches are ready");
    assert_eq!(request.seen.len(), 3);
    rig.answer(
        request,
        &[(OK, 10), (ErrorCode::INVALID_TIMESTAMP, -1), (ErrorCode::NOT_ENOUGH_REPLICAS, -1)],
    );
    assert_eq!(offset(&deliveries[0]), Some(13));
    let error = result(&deliveries[1]).expect("answered").expect_err("refused");
    assert_eq!(
        (error.code(), error.persistence()),
        (Some(ErrorCode::INVALID_TIMESTAMP), Persistence::NotPersisted)
    );
    assert!(result(&deliveries[2]).is_none(), "it is sent again");
    assert!(rig.request(A).is_none(), "but not before its back-off is over");
    rig.advance(Duration::from_millis(130));
    let request = rig.request(A).expect("now");
    rig.answer(request, &[(OK, 5)]);
    assert_eq!(offset(&deliveries[2]), Some(8));
}

#[test]
fn no_more_than_five_batches_of_a_partition_are_unresolved() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let request = rig.request(A).expect("the first goes alone");
    assert!(rig.requests(A).is_empty());
    rig.answer(request, &[(OK, 0)]);
    for _ in 0..8 {
        drop(rig.batch(0, 1));
    }
    let mut requests = rig.requests(A);
    assert_eq!(requests.len(), 5);
    let first = requests.pop_front().expect("five");
    rig.answer(first, &[(OK, 1)]);
    assert_eq!(rig.requests(A).len(), 1, "one answer makes room for one");
}

#[test]
fn until_the_brokers_know_the_producer_a_second_batch_waits() {
    let mut rig = Rig::new(1);
    let deliveries = [rig.batch(0, 2), rig.batch(0, 2)];
    let first = rig.request(A).expect("the first");
    assert!(rig.request(A).is_none());
    rig.answer(first, &[(ErrorCode::INVALID_RECORD, -1)]);
    let second = rig.request(A).expect("the second, under a new epoch");
    assert_eq!((second.seen[0].epoch, second.seen[0].sequence), (1, 0));
    rig.answer(second, &[(OK, 0)]);
    assert!(result(&deliveries[0][0]).is_some_and(|result| result.is_err()));
    assert_eq!(offset(&deliveries[1][1]), Some(1));
}

#[test]
fn a_request_is_bounded_and_the_next_begins_where_it_ended() {
    let mut rig = Rig::with(3, |settings| settings.max_request_size = 600);
    for partition in 0..3 {
        drop(rig.batch(partition, 10));
    }
    let partitions =
        |request: &super::rig::Request| -> Vec<_> { request.seen.iter().map(|it| it.partition).collect() };
    let first = rig.request(A).expect("two fit");
    assert_eq!(partitions(&first), [0, 1]);
    for _ in 0..2 {
        drop(rig.batch(0, 10));
    }
    let second = rig.request(A).expect("the third");
    assert!(partitions(&second).contains(&2), "{second:?}");
}

/// It was counted among what goes into the next request, at each look, and so a healthy partition waited for as long.
#[test]
fn what_backs_off_takes_no_room_from_what_can_be_sent() {
    let mut rig = Rig::with(2, |settings| settings.max_request_size = 600);
    drop(rig.batch(0, 10));
    let request = rig.request(A).expect("it is ready");
    let delivery = rig.batch(1, 20).remove(0);
    rig.answer(request, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    let request = rig.request(A).expect("the other one is ready, and fits into a request of its own");
    assert_eq!(request.seen.iter().map(|seen| seen.partition).collect::<Vec<_>>(), [1]);
    rig.answer(request, &[(OK, 3)]);
    assert_eq!(offset(&delivery), Some(3));
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_numbers() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 3);
    let request = rig.request(A).expect("ready");
    let seen = request.seen.clone();
    rig.lose(request, true);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("sent again");
    assert_eq!(again.seen, seen);
    rig.answer(again, &[(ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1)]);
    let metadata = result(&deliveries[0]).expect("answered").expect("it is in the log");
    assert_eq!(metadata.offset, None, "where, the broker does not know");
}

#[test]
fn what_may_have_been_written_stays_doubtful_after_a_refusal() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.lose(request, true);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("sent again");
    rig.answer(again, &[(ErrorCode::TOPIC_AUTHORIZATION_FAILED, -1)]);
    let error = result(&deliveries[0]).expect("answered").expect_err("refused");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
    assert_eq!(error.timeline().len(), 2);
}

#[test]
fn what_was_never_written_is_surely_not_persisted() {
    let mut rig = Rig::with(1, |settings| settings.retries = 0);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.lose(request, false);
    let error = result(&deliveries[0]).expect("no retries").expect_err("lost");
    assert_eq!(error.persistence(), Persistence::NotPersisted);
}

#[test]
fn what_waits_too_long_expires_and_says_what_is_known() {
    let mut rig = Rig::new(2);
    let sent = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    let unsent = rig.batch(1, 1);
    drop(rig.drain(A));
    rig.advance(Duration::from_secs(121));
    let error = |delivery| result(delivery).expect("expired").expect_err("expired");
    assert!(error(&sent[0]).is_timeout() && error(&unsent[0]).is_timeout());
    assert_eq!(error(&sent[0]).persistence(), Persistence::PossiblyPersisted);
    assert_eq!(error(&unsent[0]).persistence(), Persistence::NotPersisted);
    rig.answer(request, &[(OK, 0)]);
    assert!(result(&sent[0]).expect("expired").is_err(), "a late answer changes nothing");
}

#[test]
fn what_is_overdue_is_not_sent_even_if_nobody_kept_the_time() {
    let mut rig = Rig::new(1);
    let sent = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.lose(request, false);
    rig.now += Duration::from_secs(121);
    assert!(rig.request(A).is_none());
    rig.settle_effects();
    let error = result(&sent[0]).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::NotPersisted);
}

#[test]
fn a_named_leader_is_sent_to_at_once() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    let seen = request.seen.clone();
    rig.leaders[0] = (B, 2);
    rig.respond(request, vec![moved(PartitionId(0), B, 2)]);
    let again = rig.request(B).expect("without back-off and metadata");
    assert_eq!(again.seen, seen);
    rig.answer(again, &[(OK, 4)]);
    assert_eq!(offset(&deliveries[0]), Some(4));
}

#[test]
fn a_named_leader_that_is_not_newer_is_not_believed() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let request = rig.request(A).expect("ready");
    rig.respond(request, vec![moved(PartitionId(0), B, 1)]);
    assert!(rig.sender.view().leader("orders", PartitionId(0)) == Some(A));
}

#[test]
fn a_new_leader_gets_what_is_still_out_at_the_old_one_whose_answer_no_longer_counts() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 2);
    let old = rig.request(A).expect("ready");
    rig.leaders[0] = (B, 2);
    rig.refresh();
    let new = rig.request(B).expect("sent to the new leader at once");
    assert_eq!(new.seen, old.seen, "with the same numbers");
    rig.answer(old, &[(ErrorCode::INVALID_RECORD, -1)]);
    assert!(result(&deliveries[0]).is_none());
    rig.answer(new, &[(OK, 9)]);
    assert_eq!(offset(&deliveries[1]), Some(10));
}

#[test]
fn without_idempotence_nothing_is_numbered_and_the_old_leader_is_waited_for() {
    let mut rig = Rig::with(1, |settings| settings.idempotent = false);
    let deliveries = rig.batch(0, 2);
    let old = rig.request(A).expect("ready");
    assert_eq!((old.seen[0].epoch, old.seen[0].sequence), (-1, -1));
    rig.leaders[0] = (B, 2);
    rig.refresh();
    assert!(rig.request(B).is_none(), "it might be doubled");
    rig.answer(old, &[(OK, 0)]);
    assert_eq!(offset(&deliveries[0]), Some(0));
}

#[test]
fn a_partition_that_the_response_leaves_out_is_sent_again() {
    let mut rig = Rig::new(2);
    let deliveries = [rig.batch(0, 1), rig.batch(1, 1)];
    let request = rig.request(A).expect("ready");
    rig.respond(request, vec![super::rig::answer(PartitionId(1), OK, 3)]);
    assert_eq!(offset(&deliveries[1][0]), Some(3));
    assert!(result(&deliveries[0][0]).is_none());
    rig.advance(Duration::from_millis(200));
    assert!(rig.request(A).is_some());
}

#[test]
fn everything_can_be_given_up_and_each_batch_says_what_is_known() {
    let mut rig = Rig::new(2);
    let sent = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    let waiting = rig.batch(1, 1);
    drop(rig.drain(A));
    rig.sender.abort(FailureKind::Ended(EndedBy::Handle), rig.now);
    rig.settle_effects();
    let persistence = |delivery| result(delivery).expect("given up").expect_err("given up").persistence();
    assert_eq!(persistence(&sent[0]), Persistence::PossiblyPersisted);
    assert_eq!(persistence(&waiting[0]), Persistence::NotPersisted);
    assert!(rig.sender.is_drained());
    rig.answer(request, &[(OK, 0)]);
}

#[test]
fn an_error_that_no_batch_escapes_is_told() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.answer(request, &[(ErrorCode::CLUSTER_AUTHORIZATION_FAILED, -1)]);
    assert_eq!(rig.fatal, Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    assert!(result(&deliveries[0]).expect("refused").is_err());
    drop(rig.batch(0, 1));
    assert!(rig.drain(A).is_empty(), "nothing more is taken");
}
