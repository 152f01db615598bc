//! Another cluster takes the place of the one that was produced to.

use std::time::Duration;

use kafka_wire::{Acks, ErrorCode, TopicId};

use super::{
    super::{Call, identity::IdentityState, log::Event},
    rig::{A, B, Rig, Seen, offset, result},
};
use crate::{delivery::Delivery, error::Persistence};

const OK: ErrorCode = ErrorCode::NONE;
const NOT_THERE: ErrorCode = ErrorCode::NOT_ENOUGH_REPLICAS;

impl Rig {
    /// The next answer to a question about the cluster comes from another one, whose epochs begin anew. A producer id is not
    /// given yet.
    fn change(&mut self) {
        (self.cluster_id, self.init) = ("second", ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        self.leaders.iter_mut().for_each(|(_, epoch)| *epoch = 0);
        self.refresh();
        assert_eq!(self.sender.counters().cluster_changes, 1);
        for node in [A, B] {
            self.connection(node, true);
        }
    }

    /// The new cluster gives a producer id, which it may have given before.
    fn give_id(&mut self) {
        self.init = OK;
        self.advance(Duration::from_secs(2));
        self.answer_controls();
        assert!(self.sender.is_identified());
    }
}

#[track_caller]
fn is_given_up(delivery: &Delivery) {
    let error = result(delivery).expect("told at once").expect_err("it is in no log of the new cluster");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
    assert!(error.is_cluster_change() && !error.is_timeout() && error.code().is_none());
    assert_eq!(error.clusters(), Some(("first", "second")));
    let text = error.to_string();
    assert!(text.contains("sent to cluster first, whose place cluster second has taken"), "{text}");
    assert!(text.ends_with("; it may be in the log"), "{text}");
}

fn seen(sequence: i32, count: i32) -> Vec<Seen> {
    vec![Seen { partition: 0, epoch: 0, sequence, count }]
}

#[test]
fn what_may_be_in_the_old_log_fails_at_once_and_the_rest_goes_on_in_order_under_new_numbers() {
    let mut rig = Rig::new(1);
    let first = rig.batch(0, 2).remove(0);
    let request = rig.request(A).expect("something to send");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&first), Some(0));
    let batches: Vec<Delivery> = (0..4).map(|_| rig.batch(0, 3).remove(0)).collect();
    let mut requests = rig.requests(A);
    assert_eq!(requests.len(), 4);
    // The second is in doubt, the others are refused by one who says that they are not there.
    rig.lose(requests.remove(1).expect("four"), true);
    for request in requests {
        rig.answer(request, &[(NOT_THERE, -1)]);
    }
    rig.change();
    is_given_up(&batches[1]);
    for at in [0, 2, 3] {
        assert!(result(&batches[at]).is_none(), "{at}: {:?}", result(&batches[at]));
    }
    assert!(rig.request(A).is_none(), "not before there is a new producer id");
    rig.give_id();
    let identity = rig.sender.identity.known().expect("known");
    assert_eq!(identity.id.0, 77, "the id is another one, if of the same number");
    // One at a time, until the new leader is known to know the producer: the first has number zero.
    for (place, at) in [0, 2, 3].into_iter().enumerate() {
        let request = rig.request(A).expect("they go on");
        assert_eq!(request.seen, seen(3 * place as i32, 3));
        if place == 0 {
            assert!(rig.request(A).is_none(), "nobody knows the producer there");
        }
        rig.answer(request, &[(OK, 3 * place as i64)]);
        assert_eq!(offset(&batches[at]), Some(3 * place as i64));
    }
    // Lower offsets than were told before are no losses: it is another log.
    assert_eq!(rig.sender.counters().losses, 0);
}

#[test]
fn what_is_on_its_way_fails_at_once_and_its_late_answer_is_nobodys() {
    let mut rig = Rig::new(1);
    let sent = rig.batch(0, 1).remove(0);
    let old = rig.request(A).expect("something to send");
    rig.change();
    is_given_up(&sent);
    rig.give_id();
    let next = rig.batch(0, 1).remove(0);
    let new = rig.request(A).expect("something to send");
    assert_eq!(new.seen, seen(0, 1));
    // It says whatever the old log was told.
    rig.answer(old, &[(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1)]);
    assert!(result(&next).is_none());
    assert_eq!(rig.sender.broker_stats()[0].in_flight, 1, "the new one");
    rig.answer(new, &[(OK, 0)]);
    assert_eq!(offset(&next), Some(0));
    assert_eq!(rig.sender.broker_stats()[0].in_flight, 0);
}

#[test]
fn without_numbers_what_may_be_in_the_old_log_fails_as_well() {
    for acks in [Acks::NONE, Acks::LEADER] {
        let mut rig = Rig::with(1, |settings| (settings.acks, settings.idempotent) = (acks, false));
        let sent = rig.batch(0, 1).remove(0);
        let old = rig.request(A).expect("something to send");
        let unsent = rig.batch(0, 1).remove(0);
        rig.change();
        is_given_up(&sent);
        let new = rig.request(A).expect("what was not sent is sent now");
        rig.lose(old, true);
        assert!(result(&unsent).is_none());
        rig.answer(new, &[(OK, 0)]);
        assert!(result(&unsent).expect("answered").is_ok());
    }
}

#[test]
fn a_producer_id_that_the_old_cluster_gives_late_is_not_taken() {
    let mut rig = Rig::new(1);
    rig.sender.identity.set_wanted();
    rig.advance(Duration::ZERO);
    let mut asked = None;
    for node in [A, B] {
        while let Some(call) = rig.sender.control_call(node) {
            assert!(matches!(call, Call::InitProducerId { .. }));
            asked = Some((node, call));
        }
    }
    let (node, call) = asked.expect("one is asked");
    rig.change();
    rig.init = OK;
    rig.answer_control(node, call);
    assert!(!rig.sender.is_identified(), "it is of the other cluster");
    rig.give_id();
}

#[test]
fn what_was_given_up_in_doubt_before_holds_nothing_up() {
    let mut rig = Rig::new(1);
    let lost = rig.batch(0, 1).remove(0);
    let request = rig.request(A).expect("something to send");
    rig.lose(request, true);
    rig.advance(Duration::from_secs(121));
    assert!(result(&lost).expect("expired").is_err());
    let waiting = rig.batch(0, 1).remove(0);
    rig.change();
    rig.give_id();
    let request = rig.request(A).expect("there is nothing to wait for");
    assert_eq!(request.seen, seen(0, 1));
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&waiting), Some(0));
}

#[test]
fn a_batch_that_is_sealed_meanwhile_gets_the_new_numbers() {
    let mut rig = Rig::new(1);
    let first = rig.batch(0, 5).remove(0);
    let request = rig.request(A).expect("something to send");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&first), Some(0));
    let second = rig.batch(0, 1).remove(0);
    let drained = rig.drain(A);
    assert_eq!((drained.len(), drained[0].stamp.base_sequence), (1, 5));
    rig.change();
    rig.seal(drained);
    assert!(result(&second).is_none());
    rig.give_id();
    let request = rig.request(A).expect("it is sealed");
    assert_eq!(request.seen, seen(0, 1));
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&second), Some(0));
}

#[test]
fn the_parts_of_a_batch_that_is_split_meanwhile_get_the_new_numbers() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 2);
    let request = rig.request(A).expect("something to send");
    rig.answer(request, &[(ErrorCode::MESSAGE_TOO_LARGE, -1)]);
    rig.change();
    rig.split();
    rig.give_id();
    for (sequence, delivery) in (0..).zip(&deliveries) {
        let request = rig.request(A).expect("its parts");
        assert_eq!(request.seen, seen(sequence, 1));
        rig.answer(request, &[(OK, i64::from(sequence))]);
        assert_eq!(offset(delivery), Some(i64::from(sequence)));
    }
}

#[test]
fn the_leaders_of_the_new_cluster_are_taken_whatever_their_epochs() {
    let mut rig = Rig::new(2);
    rig.leaders = vec![(B, 9), (A, 9)];
    rig.refresh();
    let gone = rig.batch(1, 1).remove(0);
    rig.leaders = vec![(A, 0)];
    rig.change();
    let lanes = [0, 1].map(super::super::LaneId);
    assert_eq!(rig.sender.leader_of(lanes[0]), Some((Some(A), Some(0))));
    assert_eq!(rig.sender.leader_of(lanes[1]).map(|(leader, _)| leader), Some(None), "it is not there");
    // It waits for its partition, as it would in one cluster.
    rig.give_id();
    assert!(result(&gone).is_none());
    rig.leaders = vec![(A, 0), (B, 0)];
    rig.refresh();
    let request = rig.request(B).expect("there it is");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&gone), Some(0));
}

#[test]
fn all_connections_are_hung_up_and_the_change_is_told_once() {
    let mut rig = Rig::new(1);
    rig.cluster_id = "second";
    rig.sender.want_topic(&super::rig::topic(), rig.now);
    rig.advance(Duration::from_secs(2));
    let mut told = 0;
    for node in [A, B] {
        while let Some(call) = rig.sender.control_call(node) {
            rig.answer_control(node, call);
            let effects = rig.sender.take_effects();
            told += effects.events.iter().filter(|event| matches!(event, Event::ClusterChanged(_))).count();
            assert_eq!(effects.begins_anew, told == 1);
        }
    }
    assert_eq!(told, 1);
    assert_eq!(rig.sender.counters().cluster_changes, 1);
    // An answer without an id is no change, nor is the same id again.
    rig.refresh();
    assert_eq!(rig.sender.counters().cluster_changes, 1);
    assert!(matches!(
        rig.sender.identity.state(),
        IdentityState::Wanted { old: None, .. } | IdentityState::Known(_)
    ));
}

#[test]
fn a_topic_has_the_partitions_that_the_new_cluster_names_and_no_more() {
    let mut rig = Rig::new(2);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    assert_eq!(rig.counted, 2);
    (rig.topic_id, rig.leaders) = (TopicId([2; 16]), vec![(A, 0)]);
    rig.change();
    assert_eq!(rig.counted, 1);
}
