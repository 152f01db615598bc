//! Brokers that lag behind, and topics that were made again.

use super::*;

const OTHER: TopicId = TopicId([8; 16]);

/// Knows brokers 0 to 2, is connected to all of them, and knows the topic "t" with three partitions.
fn three() -> Bench {
    let mut bench = Bench::known();
    for node in [1, 2] {
        bench.status(node, Status::Ready);
    }
    bench.metadata.request_update();
    bench.answer(whole());
    bench.pass(ms(10_000));
    bench
}

fn whole() -> MetadataResponse {
    response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5), (2, 5)])])
}

fn fewer() -> MetadataResponse {
    response(&[0, 1, 2], vec![topic("t", &[(0, 5)])])
}

fn with_id(mut response: MetadataResponse, id: TopicId) -> MetadataResponse {
    response.topics[0].topic_id = id;
    response
}

impl Bench {
    fn count(&self) -> usize {
        self.metadata.view().topic("t").map_or(0, |topic| topic.partitions.len())
    }

    fn id(&self) -> TopicId {
        self.metadata.view().topic("t").expect("known").id
    }

    /// Somebody is asked now, and answers.
    fn answered(&mut self, response: MetadataResponse) -> NodeId {
        let (node, ticket, _) = question(self);
        self.metadata.handle_response(ticket, response, self.now);
        // Were it not for what it said, it would be the next one as well.
        self.least_busy = Some(node);
        node
    }

    /// The next question comes after a back-off, and not at once; it is answered.
    fn answered_later(&mut self, response: MetadataResponse) -> NodeId {
        assert_eq!(self.action(), None, "not without a pause");
        let wait = self.wait();
        assert!(wait >= ms(80) && wait <= ms(1000), "{wait:?}");
        self.pass(wait);
        self.answered(response)
    }

    /// Nothing is asked any more but by age.
    fn is_content(&mut self) -> bool {
        self.pass(ms(2000));
        self.action().is_none() && self.wait() > ms(100_000)
    }
}

#[test]
fn an_answer_with_fewer_partitions_takes_none_away_and_another_broker_is_asked() {
    let mut bench = three();
    bench.metadata.request_update();
    let first = bench.answered(fewer());
    assert_eq!((bench.count(), bench.leader(1), bench.leader(2)), (3, Some(1), Some(2)));
    let second = bench.answered_later(fewer());
    assert_ne!(first, second, "another one first");
    assert_eq!((bench.count(), bench.leader(2)), (3, Some(2)), "however many lag");
    let third = bench.answered_later(fewer());
    assert!(third != first && third != second);
    // What it does say is taken.
    bench.answered_later(response(&[0, 1, 2], vec![topic("t", &[(2, 6)])]));
    assert_eq!((bench.count(), bench.leader(0), bench.leader(2)), (3, Some(2), Some(2)));
    bench.answered_later(response(&[0, 1, 2], vec![topic("t", &[(2, 6), (1, 5), (0, 6)])]));
    assert_eq!(bench.leader(2), Some(0));
    assert!(bench.is_content());
}

#[test]
fn another_broker_is_connected_to_before_one_that_lags_is_asked_again() {
    let mut bench = Bench::known();
    bench.metadata.request_update();
    let first = bench.answered(response(&[0, 1, 2], vec![topic("t", &[(0, 5)])]));
    assert_eq!(bench.action(), None);
    bench.pass(bench.wait());
    let Some(Action::Connect(second)) = bench.action() else { panic!("nobody to connect to") };
    assert_ne!(first, second);
    bench.down(second.0, ms(60_000));
    let Some(Action::Connect(third)) = bench.action() else { panic!("nobody to connect to") };
    bench.down(third.0, ms(60_000));
    // Where no other one can be asked, it is asked again.
    assert_eq!(bench.answered(response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])])), first);
    assert!(bench.is_content());
}

#[test]
fn without_ids_fewer_partitions_are_believed_when_a_second_broker_says_the_same() {
    let mut bench = three();
    bench.metadata.config.max_age = ms(600_000);
    let without = |response| with_id(response, TopicId::ZERO);
    // From nowhere: known without an id.
    bench.metadata.topics.clear();
    bench.metadata.request_update();
    bench.answered(response(&[0, 1, 2], vec![]));
    bench.metadata.want(&"t".into(), bench.now);
    bench.answered(without(whole()));
    assert_eq!((bench.count(), bench.id()), (3, TopicId::ZERO));
    bench.pass(ms(10_000));
    bench.metadata.request_update();
    bench.answered(without(fewer()));
    assert_eq!((bench.count(), bench.leader(2)), (3, Some(2)));
    // Another number is not the same.
    bench.answered_later(without(response(&[0, 1, 2], vec![topic("t", &[(0, 5), (1, 5)])])));
    assert_eq!(bench.count(), 3);
    // One that has them all says that the others lag.
    bench.answered_later(without(whole()));
    bench.pass(ms(10_000));
    bench.metadata.request_update();
    bench.answered(without(fewer()));
    assert_eq!(bench.count(), 3);
    bench.answered_later(without(fewer()));
    assert_eq!((bench.count(), bench.leader(0), bench.leader(2)), (1, Some(0), None));
    assert!(bench.is_content());
}

/// Brokers were upgraded meanwhile, or the topic was made again.
#[test]
fn where_the_id_was_not_known_fewer_partitions_need_a_second_broker_as_well() {
    let mut bench = three();
    bench.metadata.topics.clear();
    bench.metadata.request_update();
    bench.answered(response(&[0, 1, 2], vec![]));
    bench.metadata.want(&"t".into(), bench.now);
    bench.answered(with_id(whole(), TopicId::ZERO));
    bench.pass(ms(10_000));
    bench.metadata.request_update();
    bench.answered(fewer());
    assert_eq!((bench.count(), bench.id()), (3, TopicId::ZERO));
    bench.answered_later(fewer());
    assert_eq!((bench.count(), bench.id()), (1, ID));
    assert!(bench.is_content());
}

#[test]
fn without_ids_the_only_broker_there_is_has_to_say_it_twice() {
    let mut bench = Bench::new();
    bench.connect();
    bench.metadata.want(&"t".into(), bench.now);
    let one = |partitions| with_id(response(&[0], vec![topic("t", partitions)]), TopicId::ZERO);
    bench.answer(one(&[(0, 5), (0, 5)]));
    bench.status(0, Status::Ready);
    bench.pass(ms(10_000));
    bench.metadata.request_update();
    bench.answered(one(&[(0, 5)]));
    assert_eq!(bench.count(), 2);
    bench.answered_later(one(&[(0, 5)]));
    assert_eq!(bench.count(), 1);
}

#[test]
fn an_answer_without_an_id_does_not_take_the_id_away() {
    let mut bench = three();
    bench.metadata.request_update();
    bench.answered(with_id(whole(), TopicId::ZERO));
    assert_eq!(bench.id(), ID, "a broker that knows no ids");
    assert!(bench.is_content());
}

#[test]
fn an_id_that_was_replaced_comes_back_only_when_two_brokers_say_so() {
    let mut bench = three();
    bench.metadata.request_update();
    // Made again: this is believed at once, and its epochs and its number of partitions are its own.
    bench.answered(with_id(response(&[0, 1, 2], vec![topic("t", &[(1, 0), (1, 0)])]), OTHER));
    assert_eq!((bench.count(), bench.id(), bench.leader(0)), (2, OTHER, Some(1)));
    // A broker that lags still has the old one.
    bench.pass(ms(10_000));
    bench.metadata.request_update();
    let first = bench.answered(whole());
    assert_eq!((bench.count(), bench.id(), bench.leader(0)), (2, OTHER, Some(1)));
    let second =
        bench.answered_later(with_id(response(&[0, 1, 2], vec![topic("t", &[(1, 0), (2, 1)])]), OTHER));
    assert_ne!(first, second, "another one first");
    assert_eq!((bench.id(), bench.leader(1)), (OTHER, Some(2)));
    assert!(bench.is_content());
    // Where it was the other way round, and the first view was the newer one, the cluster says so soon.
    bench.pass(ms(10_000));
    bench.metadata.request_update();
    bench.answered(whole());
    bench.answered_later(whole());
    assert_eq!((bench.count(), bench.id()), (3, ID));
    assert!(bench.is_content());
}

#[test]
fn a_broker_that_does_not_know_the_topic_is_not_asked_again_before_the_others() {
    let mut bench = three();
    let unknown = || {
        let mut unknown = topic("t", &[]);
        unknown.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        unknown.topic_id = TopicId::ZERO;
        response(&[0, 1, 2], vec![unknown])
    };
    bench.metadata.request_update();
    let first = bench.answered(unknown());
    assert_eq!((bench.count(), bench.leader(2)), (3, Some(2)));
    let second = bench.answered_later(unknown());
    let third = bench.answered_later(whole());
    assert!(first != second && first != third && second != third);
    assert!(bench.is_content());
}

#[test]
fn a_broker_that_does_not_know_a_leader_yet_is_not_asked_again_before_the_others() {
    let mut bench = three();
    bench.metadata.request_update();
    let first = bench.answered(response(&[0, 1], vec![topic("t", &[(0, 5), (1, 5), (1, 4)])]));
    assert_eq!((bench.leader(0), bench.leader(2)), (Some(0), Some(2)), "it is connected to");
    let second = bench.answered_later(whole());
    assert_ne!(first, second);
    assert_eq!(bench.leader(2), Some(2));
    assert!(bench.is_content());
    // A second one that does not know it either.
    bench.metadata.request_update();
    bench.answered(response(&[0, 1], vec![topic("t", &[(0, 5), (1, 5), (1, 4)])]));
    bench.answered_later(response(&[0, 1], vec![topic("t", &[(0, 5), (1, 5), (1, 4)])]));
    assert_eq!((bench.leader(2), bench.metadata.view().brokers.len()), (None, 2));
    bench.answered_later(response(&[0, 1], vec![topic("t", &[(0, 6), (1, 6), (1, 6)])]));
    assert!(bench.is_content());
}

#[test]
fn a_broker_that_knows_only_itself_does_not_keep_us_from_asking_the_others() {
    let mut bench = three();
    bench.metadata.request_update();
    let alone = || response(&[0], vec![topic("t", &[(0, 5), (0, 4), (0, 4)])]);
    bench.answered(alone());
    assert_eq!((bench.leader(1), bench.metadata.view().brokers.len()), (Some(1), 3));
    bench.answered_later(whole());
    assert!(bench.is_content());
    // Nor if there is no connection to any other one yet.
    let mut bench = Bench::known();
    bench.metadata.request_update();
    bench.answered(response(&[0], vec![topic("t", &[(0, 5), (0, 4)])]));
    assert_eq!(bench.action(), None);
    bench.pass(bench.wait());
    assert!(matches!(bench.action(), Some(Action::Connect(NodeId(1 | 2)))));
}

#[test]
fn a_broker_that_is_not_named_again_and_cannot_be_reached_is_gone() {
    let mut bench = three();
    bench.down(2, ms(60_000));
    bench.answered(response(&[0, 1], vec![topic("t", &[(0, 5), (1, 5), (1, 6)])]));
    assert_eq!(bench.metadata.view().brokers.len(), 3);
    assert!(bench.is_content(), "nothing is missing");
    bench.metadata.request_update();
    bench.answered(response(&[0, 1], vec![topic("t", &[(0, 5), (1, 5), (1, 6)])]));
    assert_eq!(bench.metadata.view().brokers.len(), 2);
}

/// In-sync replicas come and go, or a broker makes them up.
#[test]
fn answers_that_differ_each_time_are_spaced_out_as_well() {
    for backoff in [ms(100), ms(0)] {
        let mut bench = three();
        bench.metadata.refresh =
            Refresh::new(ms(300_000), Backoff::new(backoff, backoff), fastrand::Rng::with_seed(1));
        let (mut epoch, mut answers, end) = (5, 0, bench.now + ms(1000));
        while bench.now < end {
            bench.metadata.request_update();
            if bench.action().is_some() {
                let ticket = bench.metadata.enquiry.questions()[0].ticket;
                (epoch, answers) = (epoch + 1, answers + 1);
                let changed = response(&[0, 1, 2], vec![topic("t", &[(0, epoch), (1, epoch), (2, epoch)])]);
                bench.metadata.handle_response(ticket, changed, bench.now);
                assert!(answers < 1000, "again and again");
            } else {
                bench.pass(ms(1));
            }
        }
        let most = if backoff.is_zero() { 103 } else { 13 };
        assert!((3..=most).contains(&answers), "{answers} with {backoff:?}");
    }
}

/// A bootstrap list that leads to brokers nobody can connect to: their addresses are wrong.
#[test]
fn between_the_bootstrap_list_and_brokers_out_of_reach_there_is_a_pause() {
    let mut bench = Bench::new();
    bench.metadata.want(&"t".into(), bench.now);
    let (mut answers, end) = (0, bench.now + ms(10_000));
    while bench.now < end {
        match bench.action() {
            Some(Action::Connect(node)) if node.0 < 0 => bench.status(node.0, Status::Ready),
            Some(Action::Connect(node)) => bench.down(node.0, ms(50)),
            Some(Action::Ask { ticket, .. }) => {
                answers += 1;
                assert!(answers < 1000, "again and again");
                bench.metadata.handle_response(
                    ticket,
                    response(&[0], vec![topic("t", &[(0, 5)])]),
                    bench.now,
                );
                // There is a batch for it.
                bench.status(0, Status::Connecting);
                bench.down(0, ms(50));
            }
            Some(Action::HangUp | Action::HangUpOn(_)) => {}
            None => bench.pass(ms(1)),
        }
    }
    // The pauses grow to a second.
    assert!((10..=20).contains(&answers), "{answers} times in ten seconds");
}

/// A cluster that sends us back to the bootstrap list for ever.
#[test]
fn between_one_rebootstrap_and_the_next_there_is_a_pause() {
    let mut bench = Bench::new();
    bench.metadata.refresh =
        Refresh::new(ms(300_000), Backoff::new(ms(0), ms(0)), fastrand::Rng::with_seed(1));
    let (mut asked, end) = (0, bench.now + ms(1000));
    while bench.now < end {
        match bench.action() {
            Some(Action::Connect(node)) => bench.status(node.0, Status::Ready),
            Some(Action::Ask { node, ticket, .. }) => {
                asked += 1;
                assert!(asked < 1000, "again and again");
                let answer = match node.0 < 0 {
                    true => response(&[0], vec![]),
                    false => MetadataResponse {
                        error_code: ErrorCode::REBOOTSTRAP_REQUIRED,
                        ..response(&[0], vec![])
                    },
                };
                bench.metadata.handle_response(ticket, answer, bench.now);
                bench.metadata.request_update();
            }
            Some(Action::HangUp | Action::HangUpOn(_)) => {}
            None => bench.pass(ms(1)),
        }
    }
    assert!((3..=205).contains(&asked), "{asked} times in a second");
}

#[test]
fn an_address_of_the_bootstrap_list_is_known_again_as_the_broker_that_it_is() {
    for seed in 0..8 {
        let mut bench = Bench::new();
        let bootstrap = [0, 1, 2].map(|node| Endpoint::new(format!("broker{node}"), 9092));
        bench.metadata = Metadata::new(&bootstrap, MetadataConfig::default(), fastrand::Rng::with_seed(seed));
        bench.metadata.want(&"t".into(), bench.now);
        let asked = bench.connect();
        bench.answer(response(&[0, 1, 2], vec![topic("t", &[(0, 5)])]));
        // Somebody looks for another partition of it.
        bench.metadata.request_update_elsewhere();
        let Some(Action::Connect(next)) = bench.action() else { panic!("nobody to connect to") };
        assert_ne!(next.0, -1 - asked.0, "seed {seed}");
    }
}
