//! Leaders that come, go and are replaced; topics that are made again.

use std::time::Duration;

use kafka_wire::{
    ErrorCode, NodeId, PartitionId, TopicId,
    messages::{ProduceResponse, TopicProduceResponse},
};

use super::{
    super::LaneId,
    rig::{A, B, Rig, answer, offset, result},
};
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
    assert_eq!(rig.sender.leader_of(LaneId(0)).and_then(|it| it.0), Some(B));
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
    assert_eq!(
        rig.sender.leader_of(LaneId(0)),
        Some((Some(B), Some(1))),
        "its epochs rise from where they began"
    );
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
    assert_eq!(error.timeline().waited()[0].reason, WaitReason::PartitionGone);

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
    let view = rig.sender.view();
    assert!(rig.sender.outbox.nodes().all(|(node, is_used)| view.brokers.contains_key(&node) || is_used));
}

/// How often metadata is asked for in so many seconds, a look each tenth of a second.
fn questions(rig: &mut Rig, seconds: u64) -> usize {
    let mut questions = 0;
    for _ in 0..seconds * 10 {
        rig.advance(Duration::from_millis(100));
        for node in [A, B] {
            while let Some(call) = rig.sender.control_call(node) {
                questions += 1;
                rig.answer_control(node, call);
            }
        }
        rig.settle_effects();
    }
    questions
}

#[test]
fn a_broker_that_names_fewer_partitions_takes_no_leader_away() {
    let mut rig = Rig::new(3);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    let deliveries = rig.batch(2, 1);
    let all = std::mem::replace(&mut rig.leaders, vec![(A, 1)]);
    rig.refresh();
    rig.leaders = all;
    assert_eq!(leader(&rig, 2), Some(A));
    let request = rig.request(A).expect("it is led by the one that led it");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&deliveries[0]), Some(0));
}

#[test]
fn what_waits_for_a_leader_has_metadata_asked_for_whether_the_view_has_its_partition_or_not() {
    for is_in_ledger in [true, false] {
        let mut rig = Rig::new(3);
        let deliveries = rig.batch(2, 1);
        let request = is_in_ledger.then(|| rig.request(A).expect("ready"));
        rig.topic_id = TopicId([9; 16]);
        let all = rig.leaders.clone();
        rig.leaders.truncate(1);
        rig.refresh();
        if let Some(request) = request {
            rig.answer(request, &[(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1)]);
        } else {
            rig.sender.want_leaders([LaneId(2)], rig.now);
        }
        let mut asked = 0;
        for _ in 0..20 {
            asked += questions(&mut rig, 1);
            if !is_in_ledger {
                // The driver says so in each turn.
                rig.sender.want_leaders([LaneId(2)], rig.now);
            }
        }
        assert!((15..=40).contains(&asked), "{asked} times in twenty seconds");
        // It comes back.
        rig.leaders = all;
        questions(&mut rig, 2);
        let request = rig.request(A).expect("it has a leader");
        rig.answer(request, &[(OK, 0)]);
        assert_eq!(offset(&deliveries[0]), Some(0));
        assert_eq!(questions(&mut rig, 20), 0, "nothing waits any more");
    }
}

#[test]
fn a_batch_of_a_partition_that_is_no_more_says_so() {
    let mut rig = Rig::new(3);
    let lost = rig.batch(2, 1);
    let request = rig.request(A).expect("ready");
    rig.topic_id = TopicId([9; 16]);
    rig.leaders.truncate(1);
    rig.refresh();
    rig.answer(request, &[(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1)]);
    questions(&mut rig, 121);
    let error = result(&lost[0]).expect("expired").expect_err("expired");
    assert!(error.to_string().contains("ms the partition does not exist any more"), "{error}");
}

#[test]
fn a_batch_of_a_topic_that_is_no_more_says_so() {
    let mut rig = Rig::new(1);
    let lost = rig.batch(0, 1);
    rig.topic_error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    for _ in 0..1300 {
        rig.advance(Duration::from_millis(100));
        rig.answer_controls();
        if let Some(request) = rig.request(A) {
            rig.answer(request, &[(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1)]);
        }
    }
    let error = result(&lost[0]).expect("expired").expect_err("expired");
    assert!(error.to_string().contains("ms the topic does not exist any more"), "{error}");
}

#[test]
fn a_topic_that_metadata_forgot_waits_for_it_and_is_named_by_its_id() {
    let mut rig = Rig::new(1);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    for _ in 0..4 {
        rig.advance(Duration::from_secs(200));
        rig.answer_controls();
    }
    assert!(rig.sender.view().topic("orders").is_none(), "nobody wanted it for so long");
    let deliveries = rig.batch(0, 1);
    let drained = rig.drain(A);
    rig.seal(drained);
    let calls: Vec<_> = std::iter::from_fn(|| match rig.sender.poll_call(A, rig.now) {
        kafka_net::Next::Call(call) => Some(call),
        _ => None,
    })
    .collect();
    for call in calls {
        assert!(matches!(call, super::super::Call::Metadata(_)), "{call:?}");
        rig.answer_control(A, call);
    }
    rig.settle_effects();
    rig.answer_controls();
    let request = rig.request(A).expect("metadata has come");
    assert_eq!(request.call.parts[0].topic_id, TopicId([1; 16]));
    rig.respond_with(request, response_by_id(TopicId([1; 16]), OK, 4));
    assert_eq!(offset(&deliveries[0]), Some(4));
}

/// How many requests two brokers get in a second that name each other as the leader, each time of a newer epoch.
fn sent_back_and_forth(rig: &mut Rig, batches: usize) -> usize {
    drop((0..batches).map(|_| rig.batch(0, 1)).collect::<Vec<_>>());
    let (mut sent, mut epoch, end) = (0, 1, rig.now + Duration::from_secs(1));
    while rig.now < end {
        let before = sent;
        for (node, other) in [(A, B), (B, A)] {
            for request in rig.requests(node) {
                (sent, epoch) = (sent + 1, epoch + 1);
                assert!(sent < 1000, "again and again");
                rig.respond(request, vec![super::rig::moved(PartitionId(0), other, epoch)]);
                rig.leaders[0].0 = other;
            }
        }
        if sent == before {
            rig.advance(Duration::from_millis(10));
        }
    }
    sent
}

#[test]
fn leaders_that_name_each_other_are_asked_with_pauses() {
    let sent = sent_back_and_forth(&mut Rig::new(1), 1);
    assert!((10..=40).contains(&sent), "{sent} times in a second");
}

/// Without numbers several are in flight, and what one of them hears ends no pause of another.
#[test]
fn leaders_that_name_each_other_are_asked_with_pauses_also_without_numbers() {
    let mut rig = Rig::with(1, |settings| settings.idempotent = false);
    let sent = sent_back_and_forth(&mut rig, 3);
    assert!((10..=120).contains(&sent), "{sent} times in a second");
}

#[test]
fn a_topic_that_metadata_forgot_loses_no_partition_to_a_broker_that_lags() {
    let mut rig = Rig::new(3);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    for _ in 0..4 {
        rig.advance(Duration::from_secs(200));
        rig.answer_controls();
    }
    assert!(rig.sender.view().topic("orders").is_none(), "nobody wanted it for so long");
    let deliveries = rig.batch(2, 1);
    let drained = rig.drain(A);
    rig.seal(drained);
    let all = rig.leaders.clone();
    rig.leaders.truncate(1);
    rig.answer_controls();
    rig.leaders = all;
    let request = rig.request(A).expect("it is led by the one that led it");
    rig.respond_with(
        request,
        ProduceResponse {
            responses: vec![TopicProduceResponse {
                topic_id: TopicId([1; 16]),
                partition_responses: vec![answer(PartitionId(2), OK, 4)],
                ..Default::default()
            }],
            ..Default::default()
        },
    );
    assert_eq!(offset(&deliveries[0]), Some(4));
    assert!(questions(&mut rig, 1) > 0, "asked for until it is whole");
    assert_eq!(rig.sender.view().topic("orders").expect("known").partitions.len(), 3);
    assert_eq!(questions(&mut rig, 20), 0);
}

/// It has as many as it was told of under its id, not as many as the one before it.
#[test]
fn a_topic_made_again_with_fewer_partitions_has_no_more_when_it_is_told_of_once_more() {
    let mut rig = Rig::new(3);
    rig.topic_id = TopicId([1; 16]);
    rig.refresh();
    assert_eq!(rig.counted, 3);
    rig.topic_id = TopicId([2; 16]);
    rig.leaders = vec![(A, 0)];
    rig.refresh();
    assert_eq!(rig.counted, 1);
    // Its leader moves.
    rig.leaders = vec![(B, 1)];
    rig.refresh();
    assert_eq!((leader(&rig, 0), rig.counted), (Some(B), 1));
    assert_eq!(questions(&mut rig, 20), 0, "nothing is missing");
}
