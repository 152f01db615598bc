//! Small worlds by seed: addresses lead to this cluster, to another, or nowhere, and brokers lag behind. Whatever happens, another
//! cluster is believed only by the rule, nobody is asked without a pause, and in the end all is known.

use std::collections::BTreeSet;

use super::*;

const PATIENCE: Duration = ms(20_000);

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    To(usize),
    Nowhere,
    /// It takes connections and says nothing.
    Silent,
}

#[derive(Debug)]
enum Event {
    /// An attempt to connect ends.
    Dialled(NodeId, Endpoint, u64, Option<Expectation>),
    /// An answer arrives over a connection.
    Answered(NodeId, u64, Ticket),
    /// A pump dials again: its broker leads partitions.
    Redial(NodeId),
}

struct World {
    metadata: Metadata,
    rng: fastrand::Rng,
    now: Instant,
    leads: BTreeMap<Endpoint, Leads>,
    /// The number of a node's connection, where that leads, and whether it is established.
    connections: BTreeMap<NodeId, (u64, Leads, bool)>,
    events: BTreeMap<(Instant, u64), Event>,
    last_number: u64,
    failures: BTreeMap<NodeId, u32>,
    /// Brokers answer as they should.
    is_calm: bool,
    actions: u64,
    changes: u64,
    /// When the kept cluster was last heard, and what each address has said since.
    heard: Instant,
    said: BTreeMap<Endpoint, usize>,
    /// The brokers last known.
    known: BTreeSet<Endpoint>,
}

/// The ids of two clusters, whose brokers have the same ids; one address is theirs alone.
const IDS: [&str; 2] = [clusters::OURS, clusters::THEIRS];

fn list() -> [Endpoint; 2] {
    [Endpoint::new("a", 1), Endpoint::new("b", 2)]
}

fn broker(node: i32) -> Endpoint {
    Endpoint::new(format!("broker{node}"), 9092)
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let config = MetadataConfig { rebootstrap_trigger: PATIENCE, ..MetadataConfig::default() };
        let metadata = Metadata::new(&list(), config, rng.fork());
        let addresses = list().into_iter().chain((0..3).map(broker));
        Self {
            metadata,
            rng,
            now: Instant::now(),
            leads: addresses.map(|address| (address, Leads::To(0))).collect(),
            connections: BTreeMap::new(),
            events: BTreeMap::new(),
            last_number: 0,
            failures: BTreeMap::new(),
            is_calm: true,
            actions: 0,
            changes: 0,
            heard: Instant::now(),
            said: BTreeMap::new(),
            known: BTreeSet::new(),
        }
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn later(&mut self, after: Duration, event: Event) {
        let number = self.number();
        self.events.insert((self.now + after, number), event);
    }

    fn kept(&self) -> Option<usize> {
        IDS.iter().position(|id| self.metadata.view().cluster_id.as_deref() == Some(*id))
    }

    /// An address has answered for a cluster.
    fn note(&mut self, address: &Endpoint, cluster: usize) {
        if self.kept().is_none_or(|kept| kept == cluster) {
            self.heard = self.now;
            self.said.clear();
        } else {
            self.said.insert(address.clone(), cluster);
        }
    }

    fn dial(&mut self, node: NodeId) {
        let Some(broker) = self.metadata.view().brokers.get(&node) else { return };
        let (address, number) = (broker.endpoint.clone(), self.number());
        if self.connections.contains_key(&node) {
            return;
        }
        let leads = self.leads[&address];
        self.connections.insert(node, (number, leads, false));
        self.metadata.handle_status(node, &Status::Connecting, self.now);
        let after = if leads == Leads::Silent { ms(3000) } else { ms(self.rng.u64(0..5)) };
        let expectation = self.metadata.expectation().filter(|_| node.0 >= 0);
        self.later(after, Event::Dialled(node, address, number, expectation));
    }

    /// The connection of a node is over, if there is one.
    fn end(&mut self, node: NodeId, kind: Kind, address: &Endpoint) {
        if self.connections.remove(&node).is_none() {
            return;
        }
        let place = Place { node, address: address.to_string().into() };
        let (error, failures) = (NetError::at(kind, &place), self.failures.entry(node).or_default());
        let retry_after = ms(50 << (*failures).min(4));
        *failures += 1;
        self.metadata.handle_status(node, &Status::Down { error, retry_after }, self.now);
        if node.0 >= 0 {
            self.later(retry_after, Event::Redial(node));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Redial(node) => self.dial(node),
            Event::Dialled(node, address, number, expectation) => {
                if self.connections.get(&node).is_none_or(|it| it.0 != number) {
                    return;
                }
                let broken = Kind::Disconnected { during_setup: true, source: None };
                let Leads::To(cluster) = self.connections[&node].1 else {
                    return self.end(node, broken, &address);
                };
                let found: Arc<str> = IDS[cluster].into();
                match expectation {
                    Some(Expectation { cluster: expected, for_good }) if expected != found => {
                        if self.kept().is_some_and(|kept| IDS[kept] == &*expected) {
                            self.note(&address, cluster);
                        }
                        let other = Other { expected, found: Some(found), for_good };
                        self.end(node, Kind::OtherCluster(Box::new(other)), &address);
                    }
                    expectation => {
                        if expectation.is_some() {
                            self.note(&address, cluster);
                            self.metadata.handle_proof(node);
                        }
                        self.failures.remove(&node);
                        self.connections.insert(node, (number, Leads::To(cluster), true));
                        self.metadata.handle_status(node, &Status::Ready, self.now);
                    }
                }
            }
            Event::Answered(node, number, ticket) => match self.connections.get(&node) {
                Some(&(current, Leads::To(cluster), true)) if current == number => {
                    self.answer(node, cluster, ticket);
                }
                _ => {
                    let error = NetError::new(Kind::Disconnected { during_setup: false, source: None });
                    self.metadata.handle_failure(ticket, &error, self.now);
                }
            },
        }
    }

    fn answer(&mut self, node: NodeId, cluster: usize, ticket: Ticket) {
        let is_odd = !self.is_calm && self.rng.u8(..4) == 0;
        let partitions: &[(i32, i32)] = if is_odd { &[(1, 4)] } else { &[(0, 5), (1, 5), (2, 5)] };
        let mut topic = topic("t", partitions);
        topic.topic_id = TopicId([cluster as u8 + 1; 16]);
        let brokers: &[i32] = if is_odd { &[0, 1] } else { &[0, 1, 2] };
        let is_null = !self.is_calm && self.rng.u8(..8) == 0;
        let cluster_id = (!is_null).then(|| IDS[cluster].to_owned());
        let response = MetadataResponse { cluster_id, ..response(brokers, vec![topic]) };
        let address = self.metadata.view().brokers.get(&node).map(|broker| broker.endpoint.clone());
        let address = address.expect("those that are gone have no connection");
        let (kept, heard) = (self.kept(), self.heard);
        // What comes late says nothing.
        if self.metadata.enquiry.question(ticket).is_some() {
            if is_null {
                self.said.remove(&address);
            } else {
                self.note(&address, cluster);
            }
        }
        let update = self.metadata.handle_response(ticket, response, self.now);
        if let Some(change) = update.cluster {
            assert_eq!(kept.map(|kept| IDS[kept]), Some(&*change.from));
            let mut known = self.known.clone();
            known.extend(list());
            let is_taken_over = known.iter().all(|address| self.said.get(address) == Some(&cluster));
            let is_unheard = self.now - heard >= PATIENCE;
            assert!(is_taken_over || is_unheard, "{:?} of {known:?} after {:?}", self.said, self.now - heard);
            self.changes += 1;
            self.heard = self.now;
            self.said.clear();
            self.hang_up();
        }
        self.leave_lost();
    }

    fn hang_up(&mut self) {
        for node in self.connections.keys().copied().collect::<Vec<_>>() {
            self.hang_up_on(node);
        }
    }

    fn hang_up_on(&mut self, node: NodeId) {
        self.failures.remove(&node);
        if self.connections.remove(&node).is_some() {
            let error = NetError::new(Kind::Aborted);
            self.metadata.handle_status(node, &Status::Down { error, retry_after: ms(0) }, self.now);
        }
    }

    /// Connections of brokers that are not in the view are over; all others are dialled.
    fn leave_lost(&mut self) {
        let view = Arc::clone(self.metadata.view());
        if !view.is_bootstrap() {
            self.known = view.brokers.values().map(|broker| broker.endpoint.clone()).collect();
        }
        self.connections.retain(|node, _| view.brokers.contains_key(node));
        for node in view.brokers.keys().filter(|node| node.0 >= 0) {
            if !self.failures.contains_key(node) {
                self.dial(*node);
            }
        }
    }

    fn act(&mut self) {
        for turn in 0.. {
            assert!(turn < 100, "there is no end to what is to be done now");
            let connections = &self.connections;
            let load = |node| connections.get(&node).filter(|it| it.2).map(|_| 0);
            let Some(action) = self.metadata.poll_action(load, self.now) else { break };
            self.actions += 1;
            match action {
                Action::Connect(node) => self.dial(node),
                Action::Ask { node, ticket, .. } => {
                    let number = self.connections.get(&node).map_or(0, |it| it.0);
                    let after = ms(self.rng.u64(0..if self.is_calm { 5 } else { 3000 }));
                    self.later(after, Event::Answered(node, number, ticket));
                }
                Action::HangUp => self.hang_up(),
                Action::HangUpOn(node) => self.hang_up_on(node),
            }
            self.leave_lost();
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.act();
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wake = self.metadata.poll_timeout(self.now);
            assert!(wake.is_none_or(|wake| wake > self.now), "it wants to be asked, and has nothing to say");
            let next = [event, wake].into_iter().flatten().min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if let Some(first) = self.events.first_entry().filter(|first| first.key().0 <= self.now) {
                let event = first.remove();
                self.handle(event);
            }
        }
    }

    /// Some address leads elsewhere from now on; what leads there is cut.
    fn lead(&mut self, address: &Endpoint, leads: Leads) {
        self.leads.insert(address.clone(), leads);
        let view = Arc::clone(self.metadata.view());
        let at = view.brokers.values().filter(|it| it.endpoint == *address).map(|it| it.node);
        for node in at {
            self.end(node, Kind::Disconnected { during_setup: false, source: None }, address);
        }
    }

    fn trouble(&mut self) {
        let addresses: Vec<Endpoint> = self.leads.keys().cloned().collect();
        let leads = match self.rng.u8(..8) {
            0..=2 => Leads::To(0),
            3..=5 => Leads::To(1),
            6 => Leads::Nowhere,
            _ => Leads::Silent,
        };
        if self.rng.u8(..4) == 0 {
            addresses.iter().for_each(|address| self.lead(address, leads));
        } else {
            let address = &addresses[self.rng.usize(..addresses.len())];
            self.lead(address, leads);
        }
        self.metadata.request_update();
    }
}

#[test]
fn whatever_addresses_lead_to_the_rule_holds_and_in_the_end_all_is_known() {
    let mut changes = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        world.metadata.want(&"t".into(), world.now);
        world.run(ms(1000));
        assert_eq!(world.kept(), Some(0));
        world.is_calm = false;
        let began = world.now;
        for _ in 0..world.rng.u32(1..12) {
            world.trouble();
            let time = ms(world.rng.u64(1..15_000));
            world.run(time);
        }
        let (actions, time) = (world.actions, world.now - began);
        assert!(actions <= 100 + 30 * time.as_secs(), "seed {seed}: {actions} things to do in {time:?}");
        // All lead to one cluster again, whichever it is.
        world.is_calm = true;
        let last = world.rng.usize(..2);
        for address in list().into_iter().chain((0..3).map(broker)) {
            world.lead(&address, Leads::To(last));
        }
        world.run(ms(5000));
        world.metadata.want(&"t".into(), world.now);
        world.metadata.request_update();
        world.run(ms(60_000));
        assert_eq!(world.kept(), Some(last), "seed {seed}");
        let view = Arc::clone(world.metadata.view());
        let leaders: Vec<_> = (0..3).map(|partition| view.leader("t", PartitionId(partition))).collect();
        assert_eq!(leaders, [0, 1, 2].map(|node| Some(NodeId(node))), "seed {seed}");
        assert_eq!(view.topic("t").map(|topic| topic.id), Some(TopicId([last as u8 + 1; 16])), "seed {seed}");
        let before = world.actions;
        world.run(ms(60_000));
        assert!(
            world.actions - before <= 2,
            "seed {seed}: nothing is missing, and {} were done",
            world.actions - before
        );
        changes += world.changes;
    }
    assert!(changes > 100, "only {changes} changes");
}
