//! Which cluster is believed, and when another one takes its place.

use std::collections::BTreeSet;

use super::*;

pub(super) const OURS: &str = "ours";
pub(super) const THEIRS: &str = "theirs";

fn of(cluster: Option<&str>, brokers: &[i32]) -> MetadataResponse {
    let topics = vec![topic("t", &[(0, 5), (1, 5)])];
    MetadataResponse { cluster_id: cluster.map(str::to_owned), ..response(brokers, topics) }
}

/// Brokers 0 to 2 of a cluster, connected to 0; the bootstrap list has two addresses of its own.
fn ours() -> Bench {
    ours_with(|_| {})
}

fn ours_with(change: impl FnOnce(&mut MetadataConfig)) -> Bench {
    let mut config = MetadataConfig::default();
    change(&mut config);
    let bootstrap = [Endpoint::new("a", 1), Endpoint::new("b", 2)];
    let mut bench = Bench::new();
    bench.metadata = Metadata::new(&bootstrap, config, fastrand::Rng::with_seed(1));
    bench.connect();
    bench.metadata.want(&"t".into(), bench.now);
    bench.answer(of(Some(OURS), &[0, 1, 2]));
    bench.status(0, Status::Connecting);
    bench.status(0, Status::Ready);
    assert_eq!(bench.action(), None);
    bench
}

impl Bench {
    /// Its connection finds out that it leads to another cluster.
    fn misled(&mut self, node: i32, found: Option<&str>, retry_after: Duration) {
        let other = Other { expected: OURS.into(), found: found.map(Arc::from), for_good: false };
        let place = Place { node: NodeId(node), address: "somewhere".into() };
        let error = NetError::at(Kind::OtherCluster(Box::new(other)), &place);
        self.status(node, Status::Down { error, retry_after });
    }

    fn cluster(&self) -> Option<&str> {
        self.metadata.view().cluster_id.as_deref()
    }

    /// The next one that is to be connected to, is, and is asked; gives who that is and the ticket. Pauses are waited out,
    /// hanging up is done.
    fn next(&mut self) -> (NodeId, Ticket) {
        for _ in 0..20 {
            match self.action() {
                Some(Action::Ask { node, ticket, .. }) => return (node, ticket),
                Some(Action::Connect(node)) => {
                    self.status(node.0, Status::Connecting);
                    self.status(node.0, Status::Ready);
                }
                Some(Action::HangUpOn(node)) => {
                    let error = NetError::new(Kind::Aborted);
                    self.status(node.0, Status::Down { error, retry_after: ms(0) });
                }
                Some(Action::HangUp) => {}
                None => {
                    let wait = self.wait();
                    assert!(wait > Duration::ZERO && wait < ms(2000), "{wait:?}");
                    self.pass(wait);
                }
            }
        }
        panic!("nobody is asked");
    }

    fn told(&mut self, ticket: Ticket, cluster: Option<&str>) -> Update {
        self.metadata.handle_response(ticket, of(cluster, &[0, 1, 2]), self.now)
    }
}

#[test]
fn the_first_id_is_kept_and_none_after_it_changes_nothing() {
    let mut bench = Bench::new();
    bench.connect();
    bench.answer(of(None, &[0, 1, 2]));
    assert!(bench.metadata.expectation().is_none() && bench.cluster().is_none());
    bench.status(0, Status::Ready);
    for cluster in [None, Some(OURS), None] {
        bench.metadata.request_update();
        bench.pass(ms(2000));
        assert!(bench.answer(of(cluster, &[0, 1, 2])).cluster.is_none());
    }
    assert_eq!(bench.cluster(), Some(OURS));
    let expectation = bench.metadata.expectation().expect("the one that is kept");
    assert_eq!((&*expectation.cluster, expectation.for_good), (OURS, false));
}

#[test]
fn an_answer_of_another_cluster_is_not_applied_and_others_are_asked() {
    let mut bench = ours();
    for node in [1, 2] {
        bench.status(node, Status::Ready);
    }
    bench.metadata.request_update();
    let (node, ticket, _) = question(&mut bench);
    let before = Arc::clone(bench.metadata.view());
    let stranger = MetadataResponse {
        cluster_id: Some(THEIRS.to_owned()),
        ..response(&[7], vec![topic("t", &[(7, 9), (7, 9), (7, 9)])])
    };
    assert_eq!(bench.metadata.handle_response(ticket, stranger, bench.now), Update::default());
    assert_eq!(**bench.metadata.view(), *before);
    let error = bench.metadata.last_failure().expect("it is told").clone();
    assert_eq!(error.clusters(), Some((OURS, Some(THEIRS))));
    assert_eq!(error.node(), Some(node));
    assert_eq!(bench.action(), Some(Action::HangUpOn(node)));
    let (second, ticket, topics) = question(&mut bench);
    assert!(second != node && topics == 1, "at once");
    bench.told(ticket, Some(OURS));
    assert!(bench.metadata.last_failure().is_none());
    assert_eq!(bench.cluster(), Some(OURS));
}

#[test]
fn one_that_was_found_to_be_of_another_cluster_is_left_alone_for_longer_and_longer() {
    let mut bench = ours_with(|config| config.rebootstrap = false);
    let mut pauses = Vec::new();
    for node in [1, 2] {
        bench.down(node, ms(1_000_000));
    }
    for _ in 0..6 {
        bench.metadata.request_update();
        let before = bench.now;
        let (node, ticket) = bench.next();
        assert_eq!(node, NodeId(0));
        pauses.push(bench.now - before);
        bench.told(ticket, Some(THEIRS));
    }
    assert_eq!(pauses[0], ms(0));
    assert!(pauses[1] >= ms(80) && pauses[1] <= ms(120), "{pauses:?}");
    assert!(pauses[5] >= ms(800) && pauses.is_sorted_by(|a, b| a < b || *b >= ms(800)), "{pauses:?}");
}

#[test]
fn one_broker_that_leads_elsewhere_is_no_reason_to_begin_anew() {
    let mut bench = ours();
    for _ in 0..1000 {
        bench.misled(2, Some(THEIRS), ms(1000));
        let (_, ticket) = bench.next();
        assert!(bench.told(ticket, Some(OURS)).cluster.is_none());
        bench.pass(ms(1000));
    }
    assert_eq!(bench.cluster(), Some(OURS));
    assert!(!bench.metadata.view().is_bootstrap());
}

/// All of the view answer for another cluster, so that the bootstrap list is returned to.
fn gone(bench: &mut Bench) {
    for node in [0, 1, 2] {
        bench.misled(node, Some(THEIRS), ms(50));
    }
    assert_eq!(bench.action(), Some(Action::HangUp));
    assert!(bench.metadata.view().is_bootstrap());
}

#[test]
fn another_cluster_is_accepted_when_every_address_has_answered_for_it() {
    let mut bench = ours();
    gone(&mut bench);
    let began = bench.now;
    let (first, ticket) = bench.next();
    assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none(), "one address is left");
    assert_eq!(bench.cluster(), Some(OURS));
    let (second, ticket) = bench.next();
    assert_ne!(first, second);
    let update = bench.told(ticket, Some(THEIRS));
    assert_eq!(update.cluster, Some(ClusterChange { from: OURS.into(), to: THEIRS.into() }));
    assert!(update.brokers);
    assert_eq!(bench.cluster(), Some(THEIRS));
    assert!(bench.now - began < ms(1000), "at once");
    // What it says of the others' topics is not held against what was known of them.
    assert_eq!(bench.leader(0), Some(0));
    assert_eq!(&*bench.metadata.expectation().expect("the new one").cluster, THEIRS);
}

#[test]
fn what_is_known_of_the_old_clusters_topics_is_forgotten() {
    let mut bench = ours();
    bench.metadata.want(&"u".into(), bench.now);
    let (ticket, _) = bench.ask();
    bench.metadata.handle_response(
        ticket,
        MetadataResponse {
            cluster_id: Some(OURS.to_owned()),
            ..response(&[0, 1, 2], vec![topic("u", &[(1, 9)])])
        },
        bench.now,
    );
    gone(&mut bench);
    let (_, ticket) = bench.next();
    bench.told(ticket, Some(THEIRS));
    let (_, ticket) = bench.next();
    // Its epochs are lower, and one topic is not there.
    let answer = MetadataResponse {
        cluster_id: Some(THEIRS.to_owned()),
        ..response(&[1], vec![topic("t", &[(1, 0)])])
    };
    let update = bench.metadata.handle_response(ticket, answer, bench.now);
    assert_eq!(update.topics, ["t", "u"]);
    let view = bench.metadata.view();
    assert_eq!(view.topic("t").expect("it is there").partitions.len(), 1);
    assert_eq!(view.topic("t").expect("it is there").partitions[0].leader_epoch, Some(0));
    assert!(view.topic("u").is_none());
    assert!(bench.metadata.is_wanted("u"));
}

#[test]
fn silence_proves_nothing() {
    let mut bench = ours();
    // One of the view was never dialled, and one address of the list is silent.
    for node in [0, 1] {
        bench.misled(node, Some(THEIRS), ms(1000));
    }
    bench.down(2, ms(1000));
    assert_eq!(bench.action(), Some(Action::HangUp));
    for _ in 0..50 {
        let (node, ticket) = bench.next();
        match node {
            // Address `b`, and broker 2 as it was last known.
            NodeId(-2) | NodeId(-5) => {
                bench.metadata.handle_failure(ticket, &NetError::new(Kind::NotReady), bench.now);
                bench.down(node.0, ms(1000));
            }
            _ => assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none(), "{node}"),
        }
    }
    assert_eq!(bench.cluster(), Some(OURS));
}

#[test]
fn the_addresses_last_known_are_asked_too_where_others_answer_for_another_cluster() {
    let mut bench = ours();
    for node in [0, 1, 2] {
        bench.down(node, ms(1000));
    }
    assert_eq!(bench.action(), Some(Action::HangUp));
    assert_eq!(bench.metadata.view().brokers.len(), 2, "the list, as ever");
    let (_, ticket) = bench.next();
    let update = bench.told(ticket, Some(THEIRS));
    assert!(update.brokers && bench.metadata.view().is_bootstrap());
    let addresses: Vec<_> =
        bench.metadata.view().brokers.values().map(|broker| broker.endpoint.to_string()).collect();
    assert_eq!(addresses, ["broker2:9092", "broker1:9092", "broker0:9092", "b:2", "a:1"]);
    // One of them knows better.
    let mut answered = BTreeSet::new();
    let update = loop {
        let (node, ticket) = bench.next();
        answered.insert(node);
        let update = bench.told(ticket, Some(if node == NodeId(-4) { OURS } else { THEIRS }));
        if bench.metadata.view().is_bootstrap() && answered.len() < 5 {
            assert!(update.cluster.is_none());
            continue;
        }
        break update;
    };
    assert!(update.cluster.is_none());
    assert_eq!((bench.cluster(), bench.leader(0)), (Some(OURS), Some(0)));
}

#[test]
fn addresses_that_answer_for_different_clusters_prove_nothing() {
    let mut bench = ours();
    gone(&mut bench);
    for _ in 0..50 {
        let (node, ticket) = bench.next();
        let cluster = if node == NodeId(-1) { "a third one" } else { THEIRS };
        assert!(bench.told(ticket, Some(cluster)).cluster.is_none());
    }
    // Nor does one that would not say of which it is.
    let mut bench = ours();
    bench.misled(0, None, ms(50));
    for node in [1, 2] {
        bench.misled(node, Some(THEIRS), ms(50));
    }
    for _ in 0..2 {
        let (_, ticket) = bench.next();
        assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none());
    }
}

#[test]
fn an_answer_of_the_cluster_begins_the_count_anew() {
    let mut bench = ours();
    gone(&mut bench);
    let (_, ticket) = bench.next();
    bench.told(ticket, Some(THEIRS));
    let (_, ticket) = bench.next();
    bench.told(ticket, Some(OURS));
    // What the others answered before that no longer counts.
    for node in [0, 1] {
        bench.misled(node, Some(THEIRS), ms(50));
    }
    bench.status(2, Status::Ready);
    let (_, ticket) = bench.next();
    assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none());
}

#[test]
fn what_was_unheard_for_too_long_gives_way_to_the_next_answer() {
    let mut bench = ours_with(|config| config.rebootstrap_trigger = ms(10_000));
    bench.pass(ms(100_000));
    // It is counted from the first attempt, not from the last answer.
    bench.down(0, ms(1_000_000));
    let began = bench.now;
    let mut is_changed = false;
    while !is_changed {
        let (node, ticket) = bench.next();
        // The address `a` is silent, and so are the brokers.
        if node == NodeId(-2) {
            is_changed = bench.told(ticket, Some(THEIRS)).cluster.is_some();
            assert_eq!(is_changed, bench.now - began >= ms(10_000), "after {:?}", bench.now - began);
        } else {
            bench.metadata.handle_failure(ticket, &NetError::new(Kind::NotReady), bench.now);
            bench.down(node.0, ms(1000));
        }
        assert!(bench.now - began < ms(20_000));
    }
    assert_eq!(bench.cluster(), Some(THEIRS));
}

#[test]
fn an_attempt_that_was_answered_is_not_counted() {
    let mut bench = ours_with(|config| config.rebootstrap_trigger = ms(10_000));
    for _ in 0..5 {
        bench.pass(ms(9_000));
        bench.metadata.request_update();
        let (_, ticket) = bench.next();
        bench.told(ticket, Some(OURS));
    }
    bench.metadata.request_update();
    let (_, ticket) = bench.next();
    assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none());
    // A connection that was checked counts as an answer.
    bench.pass(ms(9_000));
    bench.metadata.handle_proof(NodeId(1));
    bench.pass(ms(9_000));
    let (_, ticket) = bench.next();
    assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none());
}

#[test]
fn without_the_strategy_the_cluster_is_never_given_up_and_the_error_says_so() {
    let mut bench = ours_with(|config| config.rebootstrap = false);
    for _ in 0..20 {
        for node in [0, 1, 2] {
            bench.misled(node, Some(THEIRS), ms(50));
        }
        assert!(!matches!(bench.action(), Some(Action::HangUp)));
        bench.pass(ms(100_000));
    }
    bench.status(0, Status::Ready);
    let (_, ticket) = bench.next();
    assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none());
    let error = bench.metadata.last_failure().expect("it is told").to_string();
    assert!(error.contains("metadata.recovery.strategy=none"), "{error}");
    assert!(bench.metadata.expectation().is_some_and(|it| it.for_good));
}

#[test]
fn without_the_check_whatever_answers_is_believed_and_a_change_is_a_change() {
    let mut bench = ours_with(|config| config.cluster_check = false);
    assert!(bench.metadata.expectation().is_none());
    bench.metadata.request_update();
    let (_, ticket) = bench.next();
    let update = bench.told(ticket, Some(THEIRS));
    assert_eq!(update.cluster, Some(ClusterChange { from: OURS.into(), to: THEIRS.into() }));
}

#[test]
fn one_of_one_address_is_gone_with_its_first_answer() {
    let mut bench = Bench::new();
    let bootstrap = [Endpoint::new("broker0", 9092), Endpoint::new("broker0", 9092)];
    bench.metadata = Metadata::new(&bootstrap, MetadataConfig::default(), fastrand::Rng::with_seed(1));
    bench.connect();
    bench.answer(of(Some(OURS), &[0]));
    bench.misled(0, Some(THEIRS), ms(50));
    let (_, ticket) = bench.next();
    assert!(bench.metadata.handle_response(ticket, of(Some(THEIRS), &[0]), bench.now).cluster.is_some());
}

#[test]
fn a_list_that_leads_to_brokers_that_lead_elsewhere_is_not_returned_to_without_a_pause() {
    let mut bench = ours();
    bench.pass(ms(1000));
    let began = bench.now;
    for _ in 0..20 {
        gone(&mut bench);
        let (_, ticket) = bench.next();
        bench.told(ticket, Some(OURS));
    }
    assert!(bench.now - began >= ms(12_000), "{:?}", bench.now - began);
    assert_eq!(bench.cluster(), Some(OURS));
}

#[test]
fn of_an_address_of_the_list_nothing_is_asked_that_any_broker_could_answer() {
    let mut bench = Bench::new();
    bench.connect();
    assert_eq!(bench.metadata.pick(|_| Some(0), bench.now), Pick::Wait);
    bench.answer(of(Some(OURS), &[0]));
    assert_eq!(bench.metadata.pick(|_| Some(0), bench.now), Pick::Connect(NodeId(0)));
}

/// All were silent until the time was over, and nobody of the list has been asked yet: the first answer is not the last word.
#[test]
fn a_return_to_the_list_prefers_the_cluster_that_is_kept() {
    let mut bench = ours_with(|config| config.rebootstrap_trigger = ms(10_000));
    for node in [1, 2] {
        bench.status(node, Status::Ready);
    }
    bench.metadata.request_update();
    bench.pass(ms(1000));
    while !bench.metadata.view().is_bootstrap() {
        match bench.action() {
            Some(Action::HangUp | Action::Ask { .. }) => {}
            None => bench.pass(bench.wait()),
            other => panic!("{other:?}"),
        }
    }
    let (first, ticket) = bench.next();
    assert!(bench.told(ticket, Some(THEIRS)).cluster.is_none(), "the other address may know better");
    let (second, ticket) = bench.next();
    assert_ne!(first, second);
    assert!(bench.told(ticket, Some(OURS)).cluster.is_none());
    assert_eq!(bench.cluster(), Some(OURS));
}

/// Each return forgets how often brokers were dialled in vain, so it has a back-off of its own.
#[test]
fn a_list_that_leads_to_brokers_out_of_reach_is_returned_to_ever_less_often() {
    let mut bench = ours();
    let (mut returns, began) = (0, bench.now);
    let fail = |bench: &mut Bench| [0, 1, 2].into_iter().for_each(|node| bench.down(node, ms(50)));
    fail(&mut bench);
    while bench.now - began < ms(20_000) {
        match bench.action() {
            Some(Action::HangUp) => returns += 1,
            Some(Action::Ask { ticket, .. }) => {
                bench.told(ticket, Some(OURS));
                fail(&mut bench);
            }
            Some(Action::Connect(node)) if node.0 < 0 => bench.status(node.0, Status::Ready),
            Some(Action::Connect(node)) => bench.down(node.0, ms(50)),
            Some(other) => panic!("{other:?}"),
            None => bench.pass(bench.wait()),
        }
    }
    assert!((15..=30).contains(&returns), "{returns} in twenty seconds");
}

#[test]
fn one_that_was_the_last_of_the_view_is_hung_up_on_and_told_as_well() {
    let mut bench = ours();
    for node in [1, 2] {
        bench.misled(node, Some(THEIRS), ms(50));
    }
    bench.status(0, Status::Ready);
    let (_, ticket) = bench.next();
    bench.told(ticket, Some(THEIRS));
    assert!(bench.metadata.view().is_bootstrap());
    assert_eq!(bench.action(), Some(Action::HangUpOn(NodeId(0))));
    assert_eq!(bench.action(), Some(Action::HangUp));
}

/// Connections that were begun before the change are held against the cluster of then.
#[test]
fn what_was_found_against_the_cluster_of_before_counts_no_more() {
    let mut bench = ours();
    gone(&mut bench);
    for _ in 0..2 {
        let (_, ticket) = bench.next();
        bench.told(ticket, Some(THEIRS));
    }
    assert_eq!(bench.cluster(), Some(THEIRS));
    for node in [0, 1, 2] {
        bench.misled(node, Some(THEIRS), ms(0));
    }
    assert!(!matches!(bench.action(), Some(Action::HangUp)), "they are of the right one");
    assert!(!bench.metadata.view().is_bootstrap());
}

#[test]
fn without_the_strategy_a_broker_that_asks_for_a_return_to_the_list_is_only_passed_over() {
    let mut bench = ours_with(|config| config.rebootstrap = false);
    for node in [1, 2] {
        bench.status(node, Status::Ready);
    }
    bench.metadata.request_update();
    let (first, ticket) = bench.next();
    let asks = MetadataResponse { error_code: ErrorCode::REBOOTSTRAP_REQUIRED, ..response(&[0], vec![]) };
    assert_eq!(bench.metadata.handle_response(ticket, asks, bench.now), Update::default());
    assert!(!bench.metadata.view().is_bootstrap());
    assert_eq!(bench.metadata.last_failure().and_then(NetError::code), Some(ErrorCode::REBOOTSTRAP_REQUIRED));
    let (second, _) = bench.next();
    assert_ne!(first, second);
}

/// There is nothing to return to, and whoever asks for it may be of any cluster.
#[test]
fn an_address_of_the_list_that_asks_for_a_return_to_it_takes_no_question_from_another() {
    let mut bench = ours();
    gone(&mut bench);
    bench.status(-1, Status::Ready);
    bench.status(-2, Status::Ready);
    let (slow, ticket) = bench.next();
    bench.pass(ms(2000));
    let (other, misled) = bench.next();
    assert_ne!(slow, other);
    let asks = MetadataResponse { error_code: ErrorCode::REBOOTSTRAP_REQUIRED, ..response(&[0], vec![]) };
    bench.metadata.handle_response(misled, asks, bench.now);
    assert!(bench.told(ticket, Some(OURS)).brokers);
    assert!(!bench.metadata.view().is_bootstrap());
}
