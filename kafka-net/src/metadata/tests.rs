//! Scenarios under virtual time.

use std::time::Duration;

mod lagging;
mod worlds;

use kafka_wire::{
    PartitionId, TopicId,
    messages::{MetadataResponseBroker, MetadataResponsePartition},
};

use super::*;

mod clusters;

struct Bench {
    metadata: Metadata,
    now: Instant,
    /// All others have something to do.
    least_busy: Option<NodeId>,
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const ID: TopicId = TopicId([7; 16]);

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
    fn new() -> Self {
        let bootstrap = [Endpoint::new("a", 1), Endpoint::new("b", 2)];
        let metadata = Metadata::new(&bootstrap, MetadataConfig::default(), fastrand::Rng::with_seed(1));
        Self { metadata, now: Instant::now(), least_busy: None }
    }

    /// Knows brokers 0 to 2, connected to 0, and the topic "t" with two partitions led by 0 and 1.
    fn known() -> Self {
        let mut bench = Self::new();
        bench.connect();
        bench.metadata.want(&"t".into(), bench.now);
        bench.answer(response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])]));
        bench.status(0, Status::Connecting);
        bench.status(0, Status::Ready);
        assert_eq!(bench.action(), None);
        bench
    }

    fn action(&mut self) -> Option<Action> {
        let idle = self.least_busy;
        self.metadata.poll_action(|node| Some(usize::from(idle.is_some_and(|idle| idle != node))), self.now)
    }

    /// Whoever is to be connected to, is.
    fn connect(&mut self) -> NodeId {
        let Some(Action::Connect(node)) = self.action() else { panic!("nobody to connect to") };
        self.status(node.0, Status::Connecting);
        self.status(node.0, Status::Ready);
        node
    }

    fn status(&mut self, node: i32, status: Status) {
        self.metadata.handle_status(NodeId(node), &status, self.now);
    }

    fn down(&mut self, node: i32, retry_after: Duration) {
        let error = NetError::new(Kind::Disconnected { during_setup: true, source: None });
        self.status(node, Status::Down { error, retry_after });
    }

    /// The topics asked for; panics if nobody is asked.
    fn ask(&mut self) -> (Ticket, Vec<String>) {
        match self.action() {
            Some(Action::Ask { ticket, request, .. }) => {
                let topics = request.topics.expect("a list, since null would be all topics of the cluster");
                (ticket, topics.into_iter().map(|topic| topic.name.expect("by name").to_string()).collect())
            }
            other => panic!("{other:?} instead of a question"),
        }
    }

    fn hint(&mut self, hint: LeaderHint<'_>) -> Update {
        let (update, taken) = self.metadata.handle_leader_hints(&[hint]);
        assert_eq!(taken, [update != Update::default()]);
        update
    }

    fn answer(&mut self, response: MetadataResponse) -> Update {
        let (ticket, _) = self.ask();
        self.metadata.handle_response(ticket, response, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Time until the machine wants to be asked.
    fn wait(&self) -> Duration {
        self.metadata.poll_timeout(self.now).expect("a time").saturating_duration_since(self.now)
    }

    fn leader(&self, partition: i32) -> Option<i32> {
        self.metadata.view().leader("t", PartitionId(partition)).map(|node| node.0)
    }
}

fn response(brokers: &[i32], topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    let broker = |&node: &i32| MetadataResponseBroker {
        node_id: NodeId(node),
        host: format!("broker{node}"),
        port: 9092,
        rack: None,
    };
    MetadataResponse {
        brokers: brokers.iter().map(broker).collect(),
        controller_id: NodeId(brokers.first().copied().unwrap_or(-1)),
        topics,
        ..MetadataResponse::default()
    }
}

/// A topic by leaders and epochs; a leader below zero is an error.
fn topic(name: &str, partitions: &[(i32, i32)]) -> MetadataResponseTopic {
    let partition = |(index, &(leader, epoch)): (usize, &(i32, i32))| MetadataResponsePartition {
        error_code: if leader < 0 { ErrorCode::LEADER_NOT_AVAILABLE } else { ErrorCode::NONE },
        partition_index: PartitionId(index as i32),
        leader_id: NodeId(leader),
        leader_epoch: epoch,
        ..MetadataResponsePartition::default()
    };
    MetadataResponseTopic {
        name: Some(name.into()),
        topic_id: ID,
        partitions: partitions.iter().enumerate().map(partition).collect(),
        ..MetadataResponseTopic::default()
    }
}

#[test]
fn the_bootstrap_list_leads_to_the_brokers() {
    let mut bench = Bench::new();
    assert!(bench.metadata.view().is_bootstrap());
    assert_eq!(bench.metadata.view().brokers.keys().map(|node| node.0).collect::<Vec<_>>(), [-2, -1]);
    let node = bench.connect();
    assert!(node.0 < 0);
    let update = bench.answer(response(&[0, 1, 2], vec![]));
    assert!(update.brokers);
    let view = bench.metadata.view();
    assert!(!view.is_bootstrap() && view.generation == 1 && view.controller == Some(NodeId(0)));
    assert_eq!(view.brokers[&NodeId(2)].endpoint, Endpoint::new("broker2", 9092));
    assert_eq!(bench.action(), None);
}

#[test]
fn one_broker_is_dialled_at_a_time_until_patience_ends() {
    let mut bench = Bench::new();
    let Some(Action::Connect(first)) = bench.action() else { panic!("nobody") };
    assert_eq!(bench.action(), None);
    assert_eq!(bench.wait(), ms(1000));
    bench.pass(ms(1000));
    let Some(Action::Connect(second)) = bench.action() else { panic!("nobody") };
    assert_ne!(first, second);
    // Both are silent: nothing to do, and no hurry about it.
    bench.pass(ms(1000));
    assert_eq!(bench.action(), None);
    let later = bench.now + ms(1000);
    assert!(bench.metadata.poll_timeout(bench.now).is_none_or(|at| at > later));
    // The first that answers is asked.
    bench.status(first.0, Status::Ready);
    bench.ask();
}

#[test]
fn a_failed_address_is_followed_by_the_other_and_then_by_a_pause() {
    let mut bench = Bench::new();
    let Some(Action::Connect(first)) = bench.action() else { panic!("nobody") };
    bench.down(first.0, ms(50));
    let Some(Action::Connect(second)) = bench.action() else { panic!("nobody") };
    assert_ne!(first, second);
    bench.down(second.0, ms(70));
    assert_eq!(bench.action(), None);
    assert_eq!(bench.wait(), ms(50));
    bench.pass(ms(50));
    assert_eq!(bench.action(), Some(Action::Connect(first)));
}

#[test]
fn new_topics_are_asked_for_at_once_and_alone() {
    let mut bench = Bench::known();
    assert!(bench.metadata.want(&"u".into(), bench.now));
    assert!(!bench.metadata.want(&"u".into(), bench.now));
    let (ticket, topics) = bench.ask();
    assert_eq!(topics, ["u"]);
    // One that comes meanwhile is not lost.
    bench.metadata.want(&"v".into(), bench.now);
    assert_eq!(bench.action(), None);
    let update =
        bench.metadata.handle_response(ticket, response(&[0, 1, 2], vec![topic("u", &[(2, 0)])]), bench.now);
    assert_eq!(update, Update { topics: vec!["u".into()], ..Update::default() });
    assert_eq!(bench.leader(1), Some(1), "what was known before is kept");
    assert_eq!(bench.ask().1, ["v"]);
}

#[test]
fn a_failed_question_is_asked_again_after_a_pause() {
    let mut bench = Bench::known();
    bench.metadata.want(&"u".into(), bench.now);
    let (ticket, _) = bench.ask();
    bench.metadata.handle_failure(ticket, &NetError::new(Kind::NotReady), bench.now);
    assert_eq!(bench.action(), None);
    let wait = bench.wait();
    assert!(wait >= ms(80) && wait <= ms(120), "{wait:?}");
    bench.pass(wait);
    let (ticket, topics) = bench.ask();
    assert_eq!(topics, ["t", "u"]);
    // An answer to the first question comes too late.
    let stale = bench.metadata.handle_response(Ticket(ticket.0 - 1), response(&[0], vec![]), bench.now);
    assert_eq!(stale, Update::default());
    assert_eq!(bench.metadata.view().brokers.len(), 3);
    bench.metadata.handle_failure(ticket, &NetError::new(Kind::NotReady), bench.now);
    let wait = bench.wait();
    assert!(wait >= ms(160) && wait <= ms(240), "{wait:?}");
}

#[test]
fn a_broken_connection_fails_the_question_it_carried() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    bench.ask();
    bench.down(0, ms(50));
    bench.pass(ms(120));
    assert!(matches!(bench.action(), Some(Action::Connect(_))));
}

/// Knows three brokers, is connected to all, and has asked the first of them.
fn asked() -> (Bench, NodeId, Ticket) {
    let mut bench = Bench::known();
    for node in [1, 2] {
        bench.status(node, Status::Ready);
    }
    bench.metadata.request_update();
    let (node, ticket, _) = question(&mut bench);
    (bench, node, ticket)
}

fn question(bench: &mut Bench) -> (NodeId, Ticket, usize) {
    match bench.action() {
        Some(Action::Ask { node, ticket, request }) => (node, ticket, request.topics.expect("a list").len()),
        other => panic!("{other:?} instead of a question"),
    }
}

#[test]
fn a_question_without_an_answer_is_put_to_others_as_well() {
    let (mut bench, first, _) = asked();
    assert_eq!(bench.action(), None);
    assert_eq!(bench.wait(), ms(2000));
    bench.pass(ms(2000));
    let (second, ticket, topics) = question(&mut bench);
    assert!(second != first && topics == 1);
    assert_eq!((bench.action(), bench.wait()), (None, ms(2000)));
    bench.pass(ms(2000));
    let (third, late, _) = question(&mut bench);
    assert!(third != first && third != second);
    // No more than these, and no hurry.
    bench.pass(ms(10_000));
    assert_eq!(bench.action(), None);
    assert!(bench.wait() > ms(100_000));
    // The first answer counts, and ends the others' waits.
    let fresh = response(&[0, 1, 2], vec![topic("t", &[(2, 6), (1, 5)])]);
    let update = bench.metadata.handle_response(ticket, fresh, bench.now);
    assert_eq!((update.topics.len(), bench.leader(0)), (1, Some(2)));
    // One that comes late does no harm, be it of yesterday.
    let stale = response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])]);
    bench.metadata.handle_response(late, stale, bench.now);
    assert_eq!(bench.leader(0), Some(2));
    assert_eq!(bench.action(), None);
    assert!(bench.wait() > ms(200_000));
}

#[test]
fn with_nobody_else_to_ask_the_answer_is_waited_for() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    bench.ask();
    bench.pass(ms(2000));
    // Somebody is to be connected to first; nobody can be.
    let Some(Action::Connect(second)) = bench.action() else { panic!("nobody to connect to") };
    bench.down(second.0, ms(60_000));
    let Some(Action::Connect(third)) = bench.action() else { panic!("nobody to connect to") };
    bench.down(third.0, ms(60_000));
    assert_eq!(bench.action(), None);
    assert_eq!(bench.wait(), ms(60_000), "and no turns in vain");
    // One comes up after all.
    bench.status(third.0, Status::Ready);
    assert_eq!(question(&mut bench).0, third);
}

#[test]
fn a_topic_wanted_meanwhile_is_not_lost_to_an_answer_that_does_not_name_it() {
    let (mut bench, _, first) = asked();
    bench.metadata.want(&"u".into(), bench.now);
    bench.pass(ms(2000));
    let (_, second, topics) = question(&mut bench);
    assert_eq!(topics, 2, "one beside another is about everything");
    let without = response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])]);
    bench.metadata.handle_response(first, without, bench.now);
    let both = vec![topic("t", &[(0, 5), (1, 5)]), topic("u", &[(1, 0)])];
    let update = bench.metadata.handle_response(second, response(&[0, 1, 2], both), bench.now);
    assert_eq!(update.topics, ["u"]);
}

#[test]
fn while_one_question_is_out_another_may_fail() {
    let (mut bench, first, ticket) = asked();
    bench.pass(ms(2000));
    let (_, second, _) = question(&mut bench);
    bench.down(first.0, ms(50));
    bench.metadata.handle_failure(ticket, &NetError::new(Kind::NotReady), bench.now);
    let fresh = response(&[0, 1, 2], vec![topic("t", &[(2, 6), (1, 5)])]);
    bench.metadata.handle_response(second, fresh, bench.now);
    assert_eq!(bench.leader(0), Some(2));
    // With the last one gone, all is asked again after a pause.
    bench.metadata.request_update();
    bench.pass(ms(1000));
    let (node, ..) = question(&mut bench);
    bench.pass(ms(2000));
    let (other, ..) = question(&mut bench);
    bench.down(other.0, ms(50));
    bench.down(node.0, ms(50));
    bench.pass(ms(150));
    assert!(matches!(bench.action(), Some(Action::Ask { .. } | Action::Connect(_))));
}

#[test]
fn answers_with_nothing_new_are_spaced_out() {
    let mut bench = Bench::known();
    let same = || response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])]);
    let generation = bench.metadata.view().generation;
    bench.metadata.request_update();
    assert_eq!(bench.answer(same()), Update::default());
    for (low, high) in [(80, 120), (160, 240), (320, 480), (640, 960), (800, 1000), (800, 1000)] {
        bench.metadata.request_update();
        assert_eq!(bench.action(), None);
        let wait = bench.wait();
        assert!(wait >= ms(low) && wait <= ms(high), "{wait:?} not in {low}-{high}");
        bench.pass(wait);
        assert_eq!(bench.answer(same()), Update::default());
    }
    assert_eq!(bench.metadata.view().generation, generation);
    // Something new: the next one need not wait.
    bench.pass(ms(1000));
    bench.metadata.request_update();
    bench.answer(response(&[0, 1, 2], vec![topic("t", &[(2, 6), (1, 5)])]));
    bench.metadata.request_update();
    bench.ask();
}

#[test]
fn old_views_and_forgotten_topics() {
    let mut bench = Bench::known();
    bench.pass(ms(200_000));
    bench.metadata.want(&"t".into(), bench.now);
    bench.metadata.want(&"u".into(), bench.now);
    bench.answer(response(&[0, 1, 2], vec![topic("u", &[(0, 0)])]));
    // Only an answer about everything makes the view young again.
    assert_eq!(bench.wait(), ms(100_000));
    bench.pass(ms(100_000));
    let (ticket, topics) = bench.ask();
    assert_eq!(topics, ["t", "u"]);
    let both = vec![topic("t", &[(0, 5), (1, 5)]), topic("u", &[(0, 0)])];
    bench.metadata.handle_response(ticket, response(&[0, 1, 2], both), bench.now);
    bench.pass(ms(250_000));
    bench.metadata.want(&"u".into(), bench.now);
    bench.pass(ms(50_000));
    let (ticket, topics) = bench.ask();
    assert_eq!(topics, ["u"], "nobody has wanted t for 400 seconds");
    let update =
        bench.metadata.handle_response(ticket, response(&[0, 1, 2], vec![topic("u", &[(0, 0)])]), bench.now);
    assert_eq!(update.topics, ["t"]);
    assert!(!bench.metadata.is_wanted("t"));
}

#[test]
fn of_very_many_names_of_nothing_the_last_ones_used_are_kept() {
    let mut bench = Bench::known();
    // Who waits for a topic wants it once a second.
    let waited_for = TopicName::from("waited-for");
    for number in 0..20 * MAX_UNKNOWN {
        if number % 1000 == 0 {
            bench.metadata.want(&waited_for, bench.now);
        }
        bench.metadata.want(&format!("nothing-{number}").as_str().into(), bench.now);
        bench.pass(ms(1));
        // One that is known, and half as many new names as there may be before it is looked again.
        assert!(bench.metadata.topics.len() <= MAX_UNKNOWN + MAX_UNKNOWN / 2 + 1, "after {number}");
    }
    assert!(bench.metadata.is_wanted("waited-for"));
    assert!(bench.metadata.is_wanted("t"), "known, if not used for long");
    assert!(bench.metadata.is_wanted(&format!("nothing-{}", 20 * MAX_UNKNOWN - 1)));
    assert!(!bench.metadata.is_wanted("nothing-0"));
    let (_, asked) = bench.ask();
    assert!(asked.iter().any(|name| name == "waited-for"));
}

#[test]
fn a_broker_that_lags_behind_changes_nothing() {
    let mut bench = Bench::known();
    bench.status(1, Status::Ready);
    bench.metadata.request_update();
    bench.answer(response(&[0, 1, 2], vec![topic("t", &[(2, 6), (2, 4)])]));
    assert_eq!((bench.leader(0), bench.leader(1)), (Some(2), Some(1)));
    // Another topic of that name has epochs of its own.
    bench.metadata.request_update();
    let mut other = topic("t", &[(1, 0), (1, 0), (1, 0)]);
    other.topic_id = TopicId([8; 16]);
    bench.answer(response(&[0, 1, 2], vec![other]));
    assert_eq!((bench.leader(0), bench.leader(2)), (Some(1), Some(1)));
}

#[test]
fn a_partition_without_a_leader_keeps_the_questions_coming() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    bench.answer(response(&[0, 1, 2], vec![topic("t", &[(-1, 6), (9, 6)])]));
    assert_eq!((bench.leader(0), bench.leader(1)), (None, None), "9 is no broker of the view");
    let wait = bench.wait();
    assert!(wait >= ms(80) && wait <= ms(120), "{wait:?}");
    bench.pass(wait);
    bench.answer(response(&[0, 1, 2], vec![topic("t", &[(0, 7), (1, 7)])]));
    assert_eq!((bench.leader(0), bench.leader(1)), (Some(0), Some(1)));
    assert!(bench.wait() > ms(200_000));
}

#[test]
fn an_error_of_the_topic_keeps_its_partitions() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    let mut unknown = topic("t", &[]);
    unknown.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    unknown.topic_id = TopicId::ZERO;
    let update = bench.answer(response(&[0, 1, 2], vec![unknown]));
    assert_eq!(update.topics, ["t"]);
    let view = bench.metadata.view().topic("t").expect("known").clone();
    assert_eq!((view.error, view.id, view.partitions.len()), (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ID, 2));
}

#[test]
fn indices_from_the_network_take_no_memory() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    let mut odd = topic("t", &[(0, 9), (1, 9)]);
    odd.partitions[1].partition_index = PartitionId(i32::MAX);
    odd.partitions[0].partition_index = PartitionId(-5);
    bench.answer(response(&[0, 1, 2], vec![odd]));
    assert_eq!(bench.metadata.view().topic("t").expect("known").partitions.len(), 2);
    assert_eq!((bench.leader(0), bench.leader(1)), (None, None));
}

#[test]
fn a_hint_is_taken_if_it_is_newer() {
    let mut bench = Bench::known();
    let name = TopicName::from("t");
    let hint = |leader, leader_epoch, endpoint| LeaderHint {
        topic: &name,
        partition: PartitionId(0),
        leader: NodeId(leader),
        leader_epoch,
        endpoint,
    };
    let before = Arc::clone(bench.metadata.view());
    assert_eq!(bench.hint(hint(2, 5, None)), Update::default());
    assert_eq!(bench.hint(hint(9, 6, None)), Update::default());
    let update = bench.hint(hint(2, 6, None));
    assert_eq!(update, Update { topics: vec![name.clone()], ..Update::default() });
    assert_eq!((bench.leader(0), bench.leader(1)), (Some(2), Some(1)));
    assert_eq!(before.leader("t", PartitionId(0)), Some(NodeId(0)), "a view once taken does not change");
    let broker = Broker::named(NodeId(9), "broker9", 9092, None);
    assert!(bench.hint(hint(9, 7, broker)).brokers);
    assert_eq!(bench.leader(0), Some(9));
    // A hint that could not be taken asked for an update.
    bench.ask();
}

#[test]
fn one_view_comes_of_all_hints_of_an_answer() {
    let mut bench = Bench::known();
    let (known, unknown) = (TopicName::from("t"), TopicName::from("u"));
    let hint = |topic, partition, leader_epoch| LeaderHint {
        topic,
        partition: PartitionId(partition),
        leader: NodeId(2),
        leader_epoch,
        endpoint: None,
    };
    let before = bench.metadata.view().generation;
    let hints = [hint(&known, 0, 6), hint(&known, 0, 6), hint(&unknown, 0, 6), hint(&known, 1, 7)];
    let (update, taken) = bench.metadata.handle_leader_hints(&hints);
    assert_eq!(update, Update { topics: vec![known.clone()], ..Update::default() });
    assert_eq!(taken, [true, false, false, true], "the second says nothing new");
    assert_eq!((bench.leader(0), bench.leader(1)), (Some(2), Some(2)));
    assert_eq!(bench.metadata.view().generation, before + 1);
    let (update, taken) = bench.metadata.handle_leader_hints(&[]);
    assert_eq!((update, taken), (Update::default(), Vec::new()));
}

#[test]
fn a_hint_knows_where_a_broker_has_moved_to() {
    let mut bench = Bench::known();
    let name = TopicName::from("t");
    let broker = |port| Broker::named(NodeId(2), "elsewhere", port, Some("rack"));
    let hint = |leader_epoch, endpoint| LeaderHint {
        topic: &name,
        partition: PartitionId(0),
        leader: NodeId(2),
        leader_epoch,
        endpoint,
    };
    let update = bench.hint(hint(6, broker(9092)));
    assert!(update.brokers, "connections to where it was lead nowhere");
    assert_eq!(bench.metadata.view().brokers.get(&NodeId(2)), broker(9092).as_ref());
    // What is no news about the leader is none about its address.
    assert_eq!(bench.hint(hint(6, broker(9093))), Update::default());
    assert_eq!(bench.metadata.view().brokers.get(&NodeId(2)), broker(9092).as_ref());
}

#[test]
fn one_broker_without_hope_is_passed_over_and_only_all_of_them_are_told_about() {
    let mut bench = Bench::known();
    let count = bench.metadata.fatal_count();
    let too_old = || {
        let ours = kafka_wire::VersionRange::new(0, 13);
        NetError::new(Kind::Unsupported { api: kafka_wire::ApiKey::METADATA, ours, theirs: None })
    };
    bench.metadata.request_update();
    let (first, ticket, _) = question(&mut bench);
    bench.metadata.handle_failure(ticket, &too_old(), bench.now);
    assert!(bench.metadata.fatal_since(count).is_none(), "the others may be better");
    bench.pass(ms(120));
    for node in [1, 2] {
        let Some(Action::Connect(next)) = bench.action() else { panic!("nobody to connect to") };
        assert_ne!(next, first);
        bench.status(next.0, Status::Ready);
        let (asked, ticket, _) = question(&mut bench);
        assert_eq!(asked, next);
        bench.metadata.handle_failure(ticket, &too_old(), bench.now);
        assert_eq!(bench.metadata.fatal_since(count).is_some(), node == 2);
        bench.pass(ms(1000));
    }
    // They may have been upgraded since.
    let (_, ticket, _) = question(&mut bench);
    bench.metadata.handle_response(ticket, response(&[0, 1, 2], vec![]), bench.now);
    assert!(bench.metadata.last_failure().is_none());
}

/// A broker that fails within answers with a code for the whole, one that has just been started names no brokers.
#[test]
fn what_one_broker_cannot_describe_others_are_asked() {
    let unwell =
        || MetadataResponse { error_code: ErrorCode::UNKNOWN_SERVER_ERROR, ..response(&[0], vec![]) };
    let of_topic = || {
        let mut topic = topic("u", &[]);
        topic.error_code = ErrorCode::UNKNOWN_SERVER_ERROR;
        response(&[0, 1, 2], vec![topic])
    };
    let answers = [("unwell", unwell()), ("unwell there", of_topic()), ("no brokers", response(&[], vec![]))];
    for (what, useless) in answers {
        let mut bench = Bench::known();
        bench.metadata.want(&"u".into(), bench.now);
        let count = bench.metadata.fatal_count();
        bench.metadata.request_update();
        let mut asked = vec![];
        for _ in 0..2 {
            let (node, ticket, _) = question(&mut bench);
            bench.metadata.handle_response(ticket, useless.clone(), bench.now);
            assert!(bench.metadata.fatal_since(count).is_none(), "{what}: the others may be better");
            asked.push(node);
            bench.pass(ms(1200));
            let Some(Action::Connect(next)) = bench.action() else { panic!("{what}: the same one is asked") };
            assert!(!asked.contains(&next), "{what}");
            bench.status(next.0, Status::Ready);
        }
        let (node, ticket, _) = question(&mut bench);
        assert!(!asked.contains(&node), "{what}");
        bench.metadata.handle_response(ticket, response(&[0, 1, 2], vec![topic("t", &[(0, 5)])]), bench.now);
        assert!(bench.metadata.last_failure().is_none(), "{what}");
    }
}

#[test]
fn an_answer_without_brokers_is_a_failure() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    assert_eq!(bench.answer(response(&[], vec![])), Update::default());
    assert_eq!(bench.metadata.view().brokers.len(), 3);
    assert!(bench.metadata.last_failure().is_some());
    assert!(bench.wait() >= ms(80));
}

#[test]
fn when_every_broker_fails_the_bootstrap_list_is_tried() {
    let mut bench = Bench::known();
    for node in [0, 1, 2] {
        bench.down(node, ms(1000));
    }
    assert_eq!(bench.action(), Some(Action::HangUp));
    assert!(bench.metadata.view().is_bootstrap());
    assert_eq!((bench.leader(0), bench.leader(1)), (None, None));
    assert_eq!(bench.metadata.view().topic("t").expect("still known").partitions[0].leader_epoch, Some(5));
    bench.connect();
    bench.answer(response(&[0, 1, 2], vec![topic("t", &[(1, 6), (1, 6)])]));
    assert_eq!(bench.leader(0), Some(1));
}

#[test]
fn without_the_strategy_the_last_brokers_are_tried_for_ever() {
    let mut bench = Bench::known();
    bench.metadata.config.rebootstrap = false;
    for node in [0, 1, 2] {
        bench.down(node, ms(1000));
    }
    assert_eq!(bench.action(), None);
    bench.pass(ms(600_000));
    assert!(matches!(bench.action(), Some(Action::Connect(NodeId(0..)))));
}

#[test]
fn a_long_series_of_failures_returns_to_the_bootstrap_list() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    bench.ask();
    // Never answered, and never failed either; the others say nothing at all.
    assert_eq!(bench.wait(), ms(2000));
    bench.pass(ms(2000));
    bench.action();
    bench.pass(ms(298_000));
    assert_eq!(bench.action(), Some(Action::HangUp));
    assert!(bench.metadata.view().is_bootstrap());
}

#[test]
fn however_short_the_patience_there_is_time_for_an_answer() {
    let config = MetadataConfig { rebootstrap_trigger: Duration::ZERO, ..MetadataConfig::default() };
    let bootstrap = [Endpoint::new("a", 1), Endpoint::new("b", 2)];
    let mut bench = Bench::new();
    bench.metadata = Metadata::new(&bootstrap, config, fastrand::Rng::with_seed(1));
    bench.metadata.want(&"t".into(), bench.now);
    // From the bootstrap list there is no way back: an answer may take its time.
    for patience in [ms(5), ms(5000)] {
        bench.connect();
        let (ticket, _) = bench.ask();
        let waited = bench.wait();
        assert!(waited > Duration::ZERO, "it does not turn without pause");
        bench.pass(patience);
        bench.action();
        let answer = response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])]);
        bench.metadata.handle_response(ticket, answer, bench.now);
        assert_eq!(bench.leader(0), Some(0));
        // Back to the list, for the next round.
        let refusal =
            MetadataResponse { error_code: ErrorCode::REBOOTSTRAP_REQUIRED, ..MetadataResponse::default() };
        bench.metadata.request_update();
        bench.pass(ms(5000));
        bench.connect();
        bench.answer(refusal);
        assert_eq!(bench.action(), Some(Action::HangUp));
        bench.pass(ms(5000));
    }
    // From brokers that are known, it is a second at least.
    let mut bench = Bench::known();
    bench.metadata.config.rebootstrap_trigger = Duration::ZERO;
    bench.metadata.request_update();
    let (ticket, _) = bench.ask();
    bench.pass(ms(900));
    assert_eq!(bench.action(), None);
    bench.metadata.handle_response(ticket, response(&[0, 1], vec![]), bench.now);
    assert!(!bench.metadata.view().is_bootstrap());
}

#[test]
fn the_cluster_may_ask_for_it() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    let update = bench
        .answer(MetadataResponse { error_code: ErrorCode::REBOOTSTRAP_REQUIRED, ..response(&[0], vec![]) });
    assert!(update.brokers && bench.metadata.view().is_bootstrap());
    assert_eq!(bench.action(), Some(Action::HangUp));
}

#[test]
fn what_is_hopeless_is_told_once_to_who_waits() {
    let mut bench = Bench::new();
    let count = bench.metadata.fatal_count();
    let http = || Status::Down { error: NetError::new(Kind::SpeaksHttp), retry_after: ms(50) };
    bench.status(-1, http());
    assert!(bench.metadata.fatal_since(count).is_none(), "the other address may be better");
    bench.status(-2, http());
    assert!(bench.metadata.fatal_since(count).is_some_and(NetError::is_protocol));
    assert!(bench.metadata.fatal_since(bench.metadata.fatal_count()).is_none(), "a later wait tries again");
}

#[test]
fn the_least_busy_broker_is_asked() {
    let mut bench = Bench::known();
    for node in [1, 2] {
        bench.status(node, Status::Ready);
    }
    for _ in 0..5 {
        let pick = bench.metadata.pick(|node| Some(if node.0 == 1 { 0 } else { 4 }), bench.now);
        assert_eq!(pick, Pick::Ready(NodeId(1)));
        assert_eq!(bench.metadata.pick(|node| (node.0 == 2).then_some(9), bench.now), Pick::Ready(NodeId(2)));
    }
    // Equals take turns.
    let mut picks: Vec<_> = (0..3).map(|_| bench.metadata.pick(|_| Some(0), bench.now)).collect();
    picks.sort_by_key(|pick| if let Pick::Ready(node) = pick { node.0 } else { -1 });
    assert_eq!(picks, [0, 1, 2].map(|node| Pick::Ready(NodeId(node))));
}
