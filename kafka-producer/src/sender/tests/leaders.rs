//! Leaders that come, go and are replaced; topics that are made again.

use std::time::Duration;

use kafka_wire::{
    ErrorCode, NodeId, PartitionId, TopicId,
    messages::{ProduceResponse, TopicProduceResponse},
};

use super::rig::{A, B, Rig, answer, offset, result};
use crate::timeline::WaitReason;

const OK: ErrorCode = ErrorCode::NONE;
const NOBODY: NodeId = NodeId(-1);

fn leader(rig: &Rig, partition: i32) -> Option<NodeId> {
    rig.sender.view().leader("orders", PartitionId(partition))
}

#[test]
fn a_broker_that_lags_behind_does_not_take_us_back_to_an_old_leader() {
    let mut rig = Rig::new(1);
    rig.leaders[0] = (B, 5);
    rig.refresh();
    assert_eq!(leader(&rig, 0), Some(B));
    rig.leaders[0] = (A, 4);
    rig.refresh();
    assert_eq!(leader(&rig, 0), Some(B));
    assert_eq!(rig.sender.partitions[0].leader, Some(B));
}

#[test]
fn a_broker_that_answers_no_batch_is_asked_for_nothing_else() {
    let mut rig = Rig::new(2);
    rig.leaders[1] = (B, 2);
    rig.refresh();
    // A has one request and is silent about it; B has two, and answers.
    drop(rig.batch(0, 1));
    let silent = rig.request(A).expect("ready");
    rig.advance(Duration::from_secs(1));
    drop(rig.batch(1, 1));
    let first = rig.request(B).expect("ready");
    rig.answer(first, &[(OK, 0)]);
    for _ in 0..2 {
        drop(rig.batch(1, 1));
    }
    let mut busy = rig.requests(B);
    assert_eq!(busy.len(), 2);
    for offset in 1..5 {
        drop(rig.batch(1, 1));
        busy.push_back(rig.request(B).expect("there is room"));
        // What brings nothing new is asked again only after a while.
        rig.advance(Duration::from_secs(1));
        rig.answer(busy.pop_front().expect("two"), &[(OK, offset)]);
        rig.sender.want_topic(&super::rig::topic(), rig.now);
        assert!(rig.sender.control_call(A).is_none(), "it would wait there");
        let call = rig.sender.control_call(B).expect("asked");
        rig.answer_control(B, call);
        rig.settle_effects();
    }
    drop((silent, busy));
}

#[test]
fn a_newer_epoch_of_the_same_leader_ends_the_back_off() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.answer(request, &[(ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)]);
    rig.leaders[0] = (A, 2);
    rig.answer_controls();
    let again = rig.request(A).expect("without back-off");
    rig.answer(again, &[(OK, 7)]);
    assert_eq!(offset(&deliveries[0]), Some(7));
}

#[test]
fn a_topic_that_was_made_again_begins_with_its_own_epochs_and_one_batch() {
    let mut rig = Rig::new(1);
    rig.topic_id = TopicId([1; 16]);
    rig.leaders[0] = (A, 7);
    rig.refresh();
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.respond_with(first, response_by_id(TopicId([1; 16]), OK, 5));
    let old = [rig.batch(0, 1).remove(0), rig.batch(0, 1).remove(0)];
    let requests = rig.requests(A);
    assert_eq!(requests.len(), 2);

    // Deleted and made again while two requests are out.
    rig.topic_id = TopicId([2; 16]);
    rig.leaders[0] = (B, 0);
    for request in requests {
        rig.respond_with(request, response_by_id(TopicId([1; 16]), ErrorCode::UNKNOWN_TOPIC_ID, -1));
    }
    rig.refresh();
    assert_eq!(leader(&rig, 0), Some(B), "a lower epoch, but of another topic");
    let mut requests = rig.requests(B);
    assert_eq!(requests.len(), 1, "the new topic knows nobody");
    let request = requests.pop_front().expect("one");
    assert_eq!(request.call.parts[0].topic_id, TopicId([2; 16]));
    rig.respond_with(request, response_by_id(TopicId([2; 16]), OK, 0));
    let request = rig.request(B).expect("the second");
    rig.respond_with(request, response_by_id(TopicId([2; 16]), OK, 1));
    assert_eq!(old.iter().map(offset).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert_eq!(rig.sender.counters().losses, 0, "another topic's offsets begin at zero");

    rig.leaders[0] = (B, 1);
    rig.refresh();
    assert_eq!(rig.sender.partitions[0].leader_epoch, Some(1), "its epochs rise from where they began");
}

#[test]
fn an_answer_about_the_old_topic_of_the_same_name_is_not_taken_for_one_about_the_new() {
    let mut rig = Rig::new(1);
    rig.topic_id = TopicId([2; 16]);
    rig.refresh();
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.respond_with(request, response_by_id(TopicId([1; 16]), OK, 5));
    assert!(result(&deliveries[0]).is_none(), "nobody has said anything about it");
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("asked for again");
    rig.respond_with(again, response_by_id(TopicId([2; 16]), OK, 6));
    assert_eq!(offset(&deliveries[0]), Some(6));
}

/// Brokers that know no topic ids take what was on its way to the old topic, and any number. That it is there proves nothing.
#[test]
fn what_was_on_its_way_to_the_old_topic_proves_nothing_of_what_comes_before() {
    let mut rig = Rig::new(1);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries = [rig.batch(0, 1).remove(0), rig.batch(0, 1).remove(0)];
    let mut requests = rig.requests(A);
    rig.answer(requests.pop_front().expect("two"), &[(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1)]);
    rig.topic_id = TopicId([2; 16]);
    rig.leaders[0] = (A, 0);
    // The new topic takes the second one.
    rig.lose(requests.pop_front().expect("two"), true);
    rig.refresh();
    for (sequence, code) in [(1, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), (2, OK)] {
        let request = rig.request(A).expect("asked for");
        assert_eq!(request.seen[0].sequence, sequence);
        rig.answer(request, &[(code, 0)]);
    }
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("asked for again");
    rig.answer(again, &[(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1)]);
    rig.advance(Duration::from_millis(200));
    let anew = rig.request(A).expect("it is in no log");
    assert_eq!((anew.seen[0].epoch, anew.seen[0].sequence), (1, 0));
    rig.answer(anew, &[(OK, 1)]);
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [Some(1), Some(0)]);
}

/// Its offsets are of another log.
#[test]
fn an_answer_of_the_old_topic_that_comes_late_says_nothing_of_the_new_one() {
    let mut rig = Rig::new(1);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    let deliveries = [rig.batch(0, 1).remove(0), rig.batch(0, 1).remove(0)];
    let old = rig.request(A).expect("ready");
    rig.topic_id = TopicId([2; 16]);
    rig.leaders[0] = (A, 0);
    rig.refresh();
    rig.respond_with(old, response_by_id(TopicId([1; 16]), OK, 5));
    let new = rig.request(A).expect("the next one");
    rig.respond_with(new, response_by_id(TopicId([2; 16]), OK, 0));
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [Some(5), Some(0)]);
    assert_eq!(rig.sender.counters().losses, 0);
}

fn response_by_id(topic_id: TopicId, code: ErrorCode, base_offset: i64) -> ProduceResponse {
    let partition_responses = vec![answer(PartitionId(0), code, base_offset)];
    let responses = vec![TopicProduceResponse { topic_id, partition_responses, ..Default::default() }];
    ProduceResponse { responses, ..Default::default() }
}

#[test]
fn a_topic_made_again_with_fewer_partitions_leaves_the_others_without_leader() {
    let mut rig = Rig::new(3);
    let lost = rig.batch(2, 1);
    let request = rig.request(A).expect("ready");
    rig.topic_id = TopicId([9; 16]);
    rig.leaders.truncate(1);
    rig.refresh();
    rig.answer(request, &[(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1)]);
    for _ in 0..61 {
        rig.advance(Duration::from_secs(2));
        rig.answer_controls();
        assert!(rig.request(A).is_none(), "there is nobody to send it to");
    }
    let error = result(&lost[0]).expect("expired").expect_err("expired");
    assert_eq!(error.timeline().waited()[0].reason, WaitReason::Metadata);

    // And again with more: the lanes are there still.
    rig.topic_id = TopicId([10; 16]);
    rig.leaders = vec![(A, 0); 4];
    rig.refresh();
    let deliveries: Vec<_> = (0..4).map(|partition| rig.batch(partition, 1).remove(0)).collect();
    let request = rig.request(A).expect("all have a leader");
    assert_eq!(request.seen.len(), 4);
    rig.answer(request, &[(OK, 0), (OK, 1), (OK, 2), (OK, 3)]);
    assert_eq!(offset(&deliveries[3]), Some(3));
}

#[test]
fn partitions_that_appear_get_lanes() {
    let mut rig = Rig::new(1);
    rig.leaders = vec![(A, 1), (B, 1), (A, 1)];
    rig.refresh();
    drop([rig.batch(1, 1), rig.batch(2, 1)]);
    assert_eq!(rig.request(A).expect("ready").seen[0].partition, 2);
    assert_eq!(rig.request(B).expect("ready").seen[0].partition, 1);
}

#[test]
fn a_batch_waits_for_a_leader_and_goes_when_there_is_one() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    rig.leaders[0] = (NOBODY, 1);
    rig.answer(request, &[(ErrorCode::LEADER_NOT_AVAILABLE, -1)]);
    for _ in 0..15 {
        rig.advance(Duration::from_secs(2));
        rig.answer_controls();
    }
    assert_eq!(leader(&rig, 0), None);
    assert!(rig.request(A).is_none());
    rig.leaders[0] = (B, 2);
    rig.advance(Duration::from_secs(2));
    rig.answer_controls();
    let again = rig.request(B).expect("it was asked for all the time");
    rig.answer(again, &[(OK, 0)]);
    assert_eq!(offset(&deliveries[0]), Some(0));
}

#[test]
fn brokers_that_are_gone_are_forgotten() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    assert!(rig.request(A).is_some());
    let known = |rig: &Rig| rig.sender.broker_stats().iter().map(|it| it.node).collect::<Vec<_>>();
    assert!(known(&rig).contains(&1));
    assert!(
        rig.sender
            .nodes
            .keys()
            .all(|node| rig.sender.view().brokers.contains_key(node) || rig.sender.nodes[node].is_used())
    );
}
