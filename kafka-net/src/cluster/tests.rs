//! Scenarios under virtual time, with real metadata.

use kafka_wire::{
    ErrorCode,
    messages::{MetadataResponse, MetadataResponseBroker},
};

use super::*;
use crate::{
    backoff::Backoff,
    config::Endpoint,
    enquiry::EnquiryRules,
    error::{Kind, NetError},
    metadata::MetadataConfig,
};

/// What is called: about the cluster, which broker is the coordinator, or something of the coordinator.
#[derive(Debug)]
enum Asks {
    Metadata(Ticket),
    Coordinator(Ticket),
    End(Ticket),
}

/// A transaction that wants to end: its coordinator is looked up, and then asked.
struct Bench {
    cluster: Cluster<Asks>,
    now: Instant,
    rng: fastrand::Rng,
    /// The brokers there are.
    brokers: Vec<i32>,
    lookup: Enquiry,
    end: Enquiry,
    /// From when on the end is wanted.
    wanted: Option<Instant>,
    coordinator: Option<NodeId>,
    /// What was sent where, beside metadata.
    sent: Vec<(&'static str, i32)>,
}

const SILENT_AFTER: Duration = Duration::from_secs(1);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Bench {
    /// Knows these brokers, and has a connection to the first of them.
    #[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
    fn new(brokers: &[i32]) -> Self {
        let config = MetadataConfig { rebootstrap: false, ..MetadataConfig::default() };
        let metadata = Metadata::new(&[Endpoint::new("a", 1)], config, fastrand::Rng::with_seed(1));
        let backoff = Backoff::new(ms(100), ms(1000));
        let rules = EnquiryRules { patience: ms(2000), max_asked: 2, backoff };
        let mut bench = Self {
            cluster: Cluster::new(metadata, Some(SILENT_AFTER)),
            now: Instant::now(),
            rng: fastrand::Rng::with_seed(1),
            brokers: brokers.to_vec(),
            lookup: Enquiry::new(To::Any, rules),
            end: Enquiry::new(To::Any, rules),
            wanted: None,
            coordinator: None,
            sent: Vec::new(),
        };
        bench.turn();
        bench.connect(-1);
        bench.turn();
        assert!(!bench.cluster.view().is_bootstrap());
        bench.connect(brokers[0]);
        bench
    }

    fn status(&mut self, node: i32, status: Status) {
        self.cluster.handle_status(NodeId(node), &status, self.now);
    }

    fn connect(&mut self, node: i32) {
        self.status(node, Status::Connecting);
        self.status(node, Status::Ready);
    }

    fn down(&mut self, node: i32) {
        let error = NetError::new(Kind::Disconnected { during_setup: false, source: None });
        self.cluster.withdraw(NodeId(node), |_| true);
        self.lookup.handle_down(NodeId(node));
        self.end.handle_down(NodeId(node));
        self.status(node, Status::Down { error, retry_after: ms(50) });
    }

    /// Has the metadata and both enquiries do what they have to, answers questions about the cluster, and gives the first other
    /// call that goes to a broker with a connection.
    fn turn(&mut self) -> Option<(i32, Asks)> {
        loop {
            while let Some(duty) = self.cluster.poll_duty(self.now, |ticket, _| Asks::Metadata(ticket)) {
                assert!(matches!(duty, Duty::Wake(_)), "{duty:?}");
            }
            let (wanted, now) = (self.wanted, self.now);
            let lookup = wanted.filter(|_| self.coordinator.is_none());
            self.cluster.pursue(&mut self.lookup, (), lookup, now, Asks::Coordinator);
            let end = wanted.filter(|_| self.coordinator.is_some());
            self.cluster.pursue(&mut self.end, (), end, now, Asks::End);
            let nodes: Vec<_> = self.cluster.ready_nodes().collect();
            let call = nodes.into_iter().find_map(|node| Some((node, self.cluster.poll_call(node)?)));
            match call? {
                (_, Asks::Metadata(ticket)) => {
                    let response = self.describe();
                    self.cluster.metadata_mut().handle_response(ticket, response, now);
                }
                (node, call) => {
                    let name = if matches!(call, Asks::End(_)) { "end" } else { "lookup" };
                    self.sent.push((name, node.0));
                    return Some((node.0, call));
                }
            }
        }
    }

    /// The same, in as much time as it takes, up to ten seconds.
    fn call(&mut self) -> Asks {
        let call = (0..1000).find_map(|_| {
            let call = self.turn();
            if call.is_none() {
                self.now += ms(10);
            }
            call
        });
        call.expect("something is asked").1
    }

    fn describe(&self) -> MetadataResponse {
        let broker = |&node: &i32| MetadataResponseBroker {
            node_id: NodeId(node),
            host: format!("broker{node}"),
            port: 9092,
            rack: None,
        };
        let brokers = self.brokers.iter().map(broker).collect();
        MetadataResponse { brokers, controller_id: NodeId(self.brokers[0]), ..MetadataResponse::default() }
    }

    /// The look-up that is asked next names this coordinator.
    fn look_up(&mut self, coordinator: i32) {
        let call = self.call();
        let Asks::Coordinator(ticket) = call else { panic!("{call:?} instead of a look-up") };
        assert!(self.lookup.question(ticket).is_some());
        self.lookup.forget_until(ticket);
        self.lookup.succeed();
        self.coordinator = Some(NodeId(coordinator));
        self.end.redirect(To::Node(NodeId(coordinator)));
    }

    /// The coordinator is asked next, and answers with this code.
    fn ask(&mut self, code: ErrorCode) {
        let call = self.call();
        let Asks::End(ticket) = call else { panic!("{call:?} instead of the end") };
        match code {
            ErrorCode::NONE => {
                self.end.forget_until(ticket);
                self.end.succeed();
                self.wanted = None;
            }
            code => {
                if code == ErrorCode::NOT_COORDINATOR {
                    self.coordinator = None;
                }
                let has_failed =
                    self.end.give_up(|it| it.ticket == ticket, |_| true, self.now, &mut self.rng);
                assert!(has_failed);
            }
        }
    }
}

#[test]
fn a_coordinator_is_looked_up_connected_to_and_asked_again_while_it_loads_and_when_it_has_moved() {
    let mut bench = Bench::new(&[1, 2, 3]);
    assert!(bench.turn().is_none(), "nothing is wanted");
    bench.wanted = Some(bench.now);
    bench.look_up(3);
    assert!(bench.turn().is_none());
    assert!(bench.cluster.is_needed(NodeId(3)), "it has no connection");
    bench.connect(3);
    for least in [0, 80, 160] {
        let before = bench.now;
        bench.ask(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        assert!(bench.now - before >= ms(least), "with pauses that grow");
    }
    bench.connect(2);
    bench.ask(ErrorCode::NOT_COORDINATOR);
    bench.look_up(2);
    bench.ask(ErrorCode::NONE);
    let expected = [("lookup", 1), ("end", 3), ("end", 3), ("end", 3), ("end", 3)];
    assert_eq!(bench.sent[..5], expected);
    assert_eq!((bench.sent[5].0, bench.sent[6]), ("lookup", ("end", 2)));
    assert!(bench.turn().is_none());
}

#[test]
fn a_coordinator_that_the_view_does_not_have_is_found_by_an_update() {
    let mut bench = Bench::new(&[1, 2]);
    bench.wanted = Some(bench.now);
    bench.look_up(7);
    let before = bench.cluster.metadata().update_count();
    for _ in 0..100 {
        assert!(bench.turn().is_none());
        bench.now += ms(10);
    }
    let updates = bench.cluster.metadata().update_count() - before;
    assert!(updates > 1 && updates < 10, "{updates} updates in a second, with pauses");
    bench.brokers.push(7);
    for _ in 0..200 {
        assert!(bench.turn().is_none());
        bench.now += ms(10);
    }
    assert!(bench.cluster.is_needed(NodeId(7)));
    bench.connect(7);
    bench.ask(ErrorCode::NONE);
    assert_eq!(bench.sent, [("lookup", 1), ("end", 7)]);
}

#[test]
fn a_coordinator_whose_connection_breaks_is_dialled_again_after_its_pause() {
    let mut bench = Bench::new(&[1, 2]);
    bench.wanted = Some(bench.now);
    bench.look_up(2);
    bench.connect(2);
    let call = bench.call();
    let Asks::End(ticket) = call else { panic!("{call:?}") };
    bench.down(2);
    assert!(bench.end.question(ticket).is_none(), "a late answer does not count");
    assert!(bench.turn().is_none() && !bench.cluster.is_needed(NodeId(2)), "it rests");
    bench.now += ms(50);
    assert!(bench.turn().is_none() && bench.cluster.is_needed(NodeId(2)));
    bench.connect(2);
    bench.ask(ErrorCode::NONE);
    assert_eq!(bench.sent, [("lookup", 1), ("end", 2), ("end", 2)]);
}

#[test]
fn the_controller_is_the_one_of_the_view() {
    let mut bench = Bench::new(&[1, 2]);
    bench.connect(2);
    bench.wanted = Some(bench.now);
    bench.coordinator = Some(NodeId(1));
    bench.end.redirect(To::Controller);
    bench.ask(ErrorCode::NONE);
    assert_eq!(bench.sent, [("end", 1)]);
}

#[test]
fn the_load_is_what_waits_and_what_is_out_and_silence_counts_most() {
    let mut bench = Bench::new(&[1, 2]);
    bench.connect(2);
    let (now, cluster) = (bench.now, &mut bench.cluster);
    assert_eq!([1, 2].map(|node| cluster.load(NodeId(node), now)), [0, 0]);
    cluster.enqueue(NodeId(1), Asks::End(Ticket(0)));
    assert_eq!((cluster.load(NodeId(1), now), cluster.pick(now)), (1, Pick::Ready(NodeId(2))));
    assert!(cluster.poll_call(NodeId(1)).is_some());
    cluster.handle_sent(NodeId(1), now);
    assert_eq!((cluster.load(NodeId(1), now), cluster.in_flight(NodeId(1))), (1, 1));
    let later = now + SILENT_AFTER;
    assert!(cluster.load(NodeId(1), later) > SILENT_LOAD);
    assert_eq!(cluster.most_silent(later), Some((NodeId(1), SILENT_AFTER)));
    cluster.handle_answered(NodeId(1), later);
    assert_eq!((cluster.load(NodeId(1), later), cluster.most_silent(later)), (0, None));
}

#[test]
fn what_is_withdrawn_or_forgotten_is_handed_back_and_nothing_else() {
    let mut bench = Bench::new(&[1, 2]);
    let cluster = &mut bench.cluster;
    for number in 0..4 {
        cluster.enqueue(NodeId(1), Asks::End(Ticket(number)));
    }
    let number = |call: &Asks| match call {
        Asks::Metadata(ticket) | Asks::Coordinator(ticket) | Asks::End(ticket) => ticket.0,
    };
    let odd = cluster.withdraw(NodeId(1), |call| number(call) % 2 == 1);
    assert_eq!(odd.iter().map(number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(cluster.poll_call(NodeId(1)).as_ref().map(number), Some(0));
    assert_eq!(cluster.forget(NodeId(1)).iter().map(number).collect::<Vec<_>>(), [2]);
    assert!(!cluster.is_needed(NodeId(1)) && !cluster.is_ready(NodeId(1)));
}

#[test]
fn a_broker_that_left_the_view_is_kept_as_long_as_it_is_used() {
    let mut bench = Bench::new(&[1, 2]);
    let gone = NodeId(9);
    bench.cluster.handle_sent(gone, bench.now);
    bench.cluster.forget_unused();
    assert_eq!(bench.cluster.in_flight(gone), 1);
    bench.cluster.handle_answered(gone, bench.now);
    assert!(bench.cluster.nodes.contains_key(&gone));
    bench.cluster.forget_unused();
    assert!(!bench.cluster.nodes.contains_key(&gone) && bench.cluster.nodes.contains_key(&NodeId(1)));
}
