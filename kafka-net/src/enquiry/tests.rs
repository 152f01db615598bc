//! Scenarios under virtual time, with brokers that a test connects and disconnects.

use kafka_wire::ErrorCode;

use super::*;

/// The brokers of a test.
struct Town {
    ready: BTreeSet<NodeId>,
    connecting: BTreeSet<NodeId>,
    controller: Option<NodeId>,
}

impl Town {
    fn of(ready: &[i32]) -> Self {
        let ready = ready.iter().copied().map(NodeId).collect();
        Self { ready, connecting: BTreeSet::new(), controller: None }
    }

    fn reach(&mut self, node: NodeId, may_ask: &dyn Fn(NodeId) -> bool) -> Pick {
        match self.ready.contains(&node) {
            true if may_ask(node) => Pick::Ready(node),
            true => Pick::Nobody,
            false if self.connecting.insert(node) => Pick::Connect(node),
            false => Pick::Wait,
        }
    }

    fn connect(&mut self, node: NodeId) {
        self.connecting.remove(&node);
        self.ready.insert(node);
    }
}

impl Brokers for Town {
    fn pick(&mut self, to: To, may_ask: &dyn Fn(NodeId) -> bool, _: Instant) -> Pick {
        match to {
            To::Any => match self.ready.iter().find(|node| may_ask(**node)) {
                Some(node) => Pick::Ready(*node),
                None if self.connecting.is_empty() => Pick::Nobody,
                None => Pick::Wait,
            },
            To::Controller => self.controller.map_or(Pick::Nobody, |node| self.reach(node, may_ask)),
            To::Node(node) => self.reach(node, may_ask),
        }
    }

    fn is_connecting(&self) -> bool {
        !self.connecting.is_empty()
    }
}

/// An enquiry whose answer is wanted since the beginning.
struct Bench {
    enquiry: Enquiry,
    town: Town,
    wanted: Option<Instant>,
    now: Instant,
    rng: fastrand::Rng,
}

const PATIENCE: Duration = Duration::from_secs(2);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Pauses of 100 ms and more, to be compared by their least: there is a fifth of jitter.
fn rules() -> EnquiryRules {
    EnquiryRules { patience: PATIENCE, max_asked: 2, backoff: Backoff::new(ms(100), ms(1000)) }
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
    fn new(to: To, ready: &[i32]) -> Self {
        let now = Instant::now();
        Self {
            enquiry: Enquiry::new(to, rules()),
            town: Town::of(ready),
            wanted: Some(now),
            now,
            rng: fastrand::Rng::with_seed(1),
        }
    }

    fn poll(&mut self) -> Option<Pick> {
        self.enquiry.poll(self.wanted, &mut self.town, self.now)
    }

    /// The node that is asked now.
    fn ask(&mut self) -> (i32, Ticket) {
        match self.poll() {
            Some(Pick::Ready(node)) => (node.0, self.enquiry.ask(node, (), self.now)),
            other => panic!("{other:?} instead of a question"),
        }
    }

    /// The time until the enquiry is due.
    fn wait(&self) -> Option<Duration> {
        self.enquiry.due(self.wanted).map(|at| at.saturating_duration_since(self.now))
    }

    /// Waits until the enquiry is due, for at least so long, and half as long again at the most.
    fn wait_about(&mut self, least: Duration) {
        let wait = self.wait().expect("a time");
        assert!(wait >= least && wait <= least * 3 / 2, "{wait:?} instead of about {least:?}");
        assert_eq!(self.poll(), None, "not yet");
        self.now += wait;
    }

    fn give_up(&mut self, ticket: Ticket) -> bool {
        self.enquiry.give_up(|question| question.ticket == ticket, |_| true, self.now, &mut self.rng)
    }
}

#[test]
fn a_second_node_is_asked_when_patience_is_over_and_no_third_one() {
    let mut bench = Bench::new(To::Any, &[1, 2, 3]);
    let (first, ticket) = bench.ask();
    assert_eq!(bench.poll(), None);
    assert!(!bench.enquiry.is_silent(NodeId(first), bench.now));
    assert_eq!(bench.wait(), Some(PATIENCE));
    bench.now += PATIENCE;
    assert!(bench.enquiry.is_silent(NodeId(first), bench.now));
    let (second, later) = bench.ask();
    assert_ne!(first, second);
    assert_eq!(bench.wait(), None);
    bench.now += 10 * PATIENCE;
    assert_eq!(bench.poll(), None);
    // The first answer counts, whichever it is.
    assert!(bench.enquiry.question(ticket).is_some());
    bench.enquiry.forget_until(later);
    assert!(bench.enquiry.question(ticket).is_none() && bench.enquiry.questions().is_empty());
}

#[test]
fn nothing_is_asked_unless_an_answer_is_wanted() {
    let mut bench = Bench::new(To::Any, &[1]);
    bench.wanted = None;
    assert_eq!((bench.poll(), bench.wait()), (None, None));
    bench.wanted = Some(bench.now + ms(30));
    assert_eq!((bench.poll(), bench.wait()), (None, Some(ms(30))));
    bench.now += ms(30);
    bench.ask();
}

#[test]
fn pauses_after_failures_grow_until_there_is_an_answer() {
    let mut bench = Bench::new(To::Any, &[1]);
    for least in [80, 160, 320] {
        let (_, ticket) = bench.ask();
        assert!(bench.give_up(ticket));
        assert!(!bench.give_up(ticket), "told already");
        bench.wait_about(ms(least));
    }
    let (_, ticket) = bench.ask();
    bench.enquiry.forget_until(ticket);
    bench.enquiry.succeed();
    let (_, ticket) = bench.ask();
    assert!(bench.give_up(ticket));
    bench.wait_about(ms(80));
}

#[test]
fn a_refusal_is_no_failure_while_another_node_has_the_question() {
    let mut bench = Bench::new(To::Any, &[1, 2]);
    let (_, silent) = bench.ask();
    bench.now += PATIENCE;
    let (_, refused) = bench.ask();
    assert!(!bench.give_up(refused));
    assert_eq!(bench.enquiry.failures(), 0);
    assert!(bench.give_up(silent));
    assert_eq!(bench.enquiry.failures(), 1);
}

#[test]
fn a_question_whose_connection_is_gone_is_asked_elsewhere_at_once() {
    let mut bench = Bench::new(To::Any, &[1, 2]);
    let (first, ticket) = bench.ask();
    bench.town.ready.remove(&NodeId(first));
    bench.enquiry.handle_down(NodeId(first));
    assert!(bench.enquiry.question(ticket).is_none());
    assert_eq!(bench.wait(), Some(Duration::ZERO));
    assert_ne!(bench.ask().0, first);
}

#[test]
fn a_node_that_cannot_answer_is_asked_again_over_another_connection_only() {
    let mut bench = Bench::new(To::Any, &[1]);
    let (first, ticket) = bench.ask();
    bench.enquiry.pass_over(NodeId(first));
    bench.give_up(ticket);
    bench.wait_about(ms(80));
    for _ in 0..3 {
        assert_eq!(bench.poll(), Some(Pick::Nobody));
        bench.now += PATIENCE;
    }
    bench.enquiry.handle_down(NodeId(first));
    assert!(!bench.enquiry.is_passed_over(NodeId(first)));
    assert_eq!(bench.ask().0, first);
}

#[test]
fn a_node_that_answers_nonsense_is_asked_last_and_a_connection_is_waited_for_in_its_place() {
    let mut bench = Bench::new(To::Any, &[1, 2]);
    let (first, ticket) = bench.ask();
    bench.enquiry.ask_last(NodeId(first), bench.now);
    bench.give_up(ticket);
    bench.wait_about(ms(80));
    let (second, ticket) = bench.ask();
    assert_ne!(first, second);
    let since = bench.now;
    bench.enquiry.ask_last(NodeId(second), since);
    bench.give_up(ticket);
    bench.town.connecting.insert(NodeId(3));
    bench.wait_about(ms(160));
    assert_eq!(bench.poll(), Some(Pick::Wait), "the third one may do better");
    // It does not come.
    assert_eq!(bench.enquiry.elsewhere_until(), Some(since + PATIENCE));
    bench.now = since + PATIENCE;
    assert_eq!(bench.ask().0, first);
    assert_eq!(bench.enquiry.elsewhere_until(), None);
}

#[test]
fn what_starts_over_is_due_at_once_whatever_was_asked_or_refused_before() {
    let mut bench = Bench::new(To::Any, &[1]);
    let (_, ticket) = bench.ask();
    bench.enquiry.pass_over(NodeId(1));
    bench.give_up(ticket);
    assert!(bench.wait() > Some(Duration::ZERO));
    bench.enquiry.start_over();
    assert_eq!((bench.wait(), bench.enquiry.failures()), (Some(Duration::ZERO), 0));
    bench.ask();
}

#[test]
fn the_controller_alone_is_asked_however_long_it_takes() {
    let mut bench = Bench::new(To::Controller, &[1, 2, 3]);
    assert_eq!(bench.poll(), Some(Pick::Nobody), "it is not known");
    bench.town.controller = Some(NodeId(2));
    assert_eq!(bench.ask().0, 2);
    bench.now += 10 * PATIENCE;
    assert_eq!((bench.poll(), bench.wait()), (None, None));
}

/// What a transaction needs: a look-up that any broker answers, and then a request to the broker it named.
struct Coordinated {
    lookup: Bench,
    request: Bench,
    coordinator: Option<NodeId>,
    asked: Vec<i32>,
}

impl Coordinated {
    fn new(ready: &[i32]) -> Self {
        let (lookup, request) = (Bench::new(To::Any, ready), Bench::new(To::Any, ready));
        let mut it = Self { lookup, request, coordinator: None, asked: Vec::new() };
        it.at(it.request.now.max(it.lookup.now));
        it
    }

    /// Asks which broker is the coordinator; the answer is this one.
    fn look_up(&mut self, coordinator: i32) {
        let (asked, ticket) = self.lookup.ask();
        self.asked.push(asked);
        self.lookup.enquiry.forget_until(ticket);
        self.lookup.enquiry.succeed();
        self.coordinator = Some(NodeId(coordinator));
        self.request.enquiry.redirect(To::Node(NodeId(coordinator)));
    }

    /// Asks the coordinator, which answers with this code.
    fn call(&mut self, code: ErrorCode) {
        let (asked, ticket) = self.request.ask();
        assert_eq!(Some(NodeId(asked)), self.coordinator);
        self.asked.push(asked);
        match code {
            ErrorCode::NONE => {
                self.request.enquiry.forget_until(ticket);
                self.request.enquiry.succeed();
                self.request.wanted = None;
            }
            ErrorCode::NOT_COORDINATOR => {
                assert!(self.request.give_up(ticket));
                self.coordinator = None;
                self.lookup.wanted = Some(self.request.now);
            }
            _ => assert!(self.request.give_up(ticket)),
        }
    }

    fn at(&mut self, now: Instant) {
        (self.lookup.now, self.request.now) = (now, now);
    }
}

#[test]
fn a_coordinator_is_looked_up_connected_to_and_asked_again_while_it_loads() {
    let mut it = Coordinated::new(&[1, 2]);
    it.look_up(3);
    // The broker it named has no connection, and no other one is asked in its place.
    assert_eq!(it.request.poll(), Some(Pick::Connect(NodeId(3))));
    assert_eq!(it.request.poll(), Some(Pick::Wait));
    it.request.town.connect(NodeId(3));
    for least in [80, 160, 320] {
        it.call(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        it.request.wait_about(ms(least));
    }
    it.call(ErrorCode::NONE);
    assert_eq!(it.asked, [1, 3, 3, 3, 3]);
    assert_eq!(it.request.wait(), None);
}

#[test]
fn a_coordinator_that_has_moved_is_looked_up_again_and_the_pauses_grow_on() {
    let mut it = Coordinated::new(&[1, 2, 3]);
    it.look_up(3);
    it.call(ErrorCode::NOT_COORDINATOR);
    it.look_up(2);
    it.request.wait_about(ms(80));
    it.at(it.request.now);
    // The look-up was answered by a broker that lags behind.
    it.call(ErrorCode::NOT_COORDINATOR);
    it.look_up(3);
    it.request.wait_about(ms(160));
    it.call(ErrorCode::NONE);
    assert_eq!(it.asked, [1, 3, 1, 2, 1, 3]);
}

#[test]
fn a_coordinator_whose_connection_breaks_is_looked_up_again_and_its_late_answer_does_not_count() {
    let mut it = Coordinated::new(&[1, 2, 3]);
    it.look_up(3);
    let (_, ticket) = it.request.ask();
    it.request.town.ready.remove(&NodeId(3));
    it.request.enquiry.handle_down(NodeId(3));
    it.look_up(2);
    assert!(it.request.enquiry.question(ticket).is_none());
    it.call(ErrorCode::NONE);
    assert_eq!(it.asked, [1, 1, 2]);
    assert!(it.request.enquiry.questions().is_empty());
}
