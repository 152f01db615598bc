//! The world of a run: a virtual clock, what happens next, and everybody's moves.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::Sink;
use kafka_net::{
    Connection, Demand, Endpoint, Event as ConnectionEvent, FrameSink, KafkaCodec, Life, NetConfig, NetError,
    Next, Reconnect, Status,
};
use kafka_wire::{NodeId, TopicName};
use tokio_util::codec::Decoder;

use super::{
    brokers::{Brokers, SERVICE, Served, address, name, node, produce_request},
    client::{Accepted, Client},
    invariants::{Checker, Promises, Tally, Told, Violation},
    net::{Conn, Link, NetSettings, Socket, Weather, Weathers},
    plan::{Act, Plan, Way},
};
use crate::{
    delivery::{Bystander, Counts, Outcome},
    error::{EndedBy, FailureKind, Persistence},
    plane::{Job, gate::End},
    planted::planted,
};

/// A run while it happens.
pub(crate) struct World {
    plan: Plan,
    start: Instant,
    pub(crate) now: Instant,
    events: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    happened: BTreeMap<u64, Event>,
    rng: fastrand::Rng,
    pub(crate) client: Client,
    pumps: Vec<Pump>,
    net: NetSettings,
    turn_at: Option<Instant>,
    conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    weathers: Weathers,
    pub(crate) brokers: Brokers,
    frozen: BTreeMap<NodeId, Instant>,
    slow: BTreeMap<NodeId, (Instant, (u64, u64))>,
    /// Dials to a broker that is down hang until they time out.
    hangs: BTreeMap<NodeId, bool>,
    pub(crate) checker: Checker,
    flushes: Vec<Flush>,
    transcript: Option<Vec<String>>,
    /// Moves since the clock last moved.
    moves: u64,
    dials: BTreeMap<NodeId, (u64, u64)>,
    close_by: Option<Instant>,
    healed: Option<Instant>,
    /// Until when a batch in doubt held up a partition.
    held_up: BTreeMap<(TopicName, i32), Instant>,
    pub(crate) steps: u64,
    /// Those of them that are no bytes that arrive.
    busy: u64,
}

/// When, and which of `happened`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    at: Instant,
    number: u64,
}

enum Event {
    Act(usize),
    Turn,
    Pump(usize),
    Dialled { pump: usize, attempt: u64, result: Result<(), io::ErrorKind> },
    Arrive { conn: u64, way: Way },
    Serve { conn: u64 },
    Answer { conn: u64, served: Served },
    Done(Job),
    Revive(NodeId),
    Thaw(NodeId),
    LeadBack(NodeId),
    CatchUp(NodeId),
    LookAtBlocked,
}

/// A flush that is not over: how many records there were, and whose answers it waits for.
struct Flush {
    count: u64,
    outcomes: Vec<(Arc<Outcome>, u32)>,
}

/// The task of one broker's connection.
struct Pump {
    gate: usize,
    node: NodeId,
    endpoint: Endpoint,
    reconnect: Reconnect,
    stage: Stage,
    timer: Option<Instant>,
    attempts: u64,
    dialled: Instant,
    setup_by: Instant,
    is_ready: bool,
}

enum Stage {
    Rest,
    Dialling,
    Backoff(Instant),
    Up(Box<Link>),
    Ended,
}

/// What a run was like.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    /// Those of them that are no bytes that arrive.
    pub(crate) busy: u64,
    pub(crate) records: u64,
    pub(crate) virtual_time: Duration,
    pub(crate) tally: Tally,
    pub(crate) transcript: Vec<String>,
}

/// A run that went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    pub(crate) violation: Violation,
    pub(crate) transcript: Vec<String>,
}

macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if $world.transcript.is_some() {
            let text = format!($($text)*);
            $world.note(text);
        }
    };
}

mod acts;
mod checks;
mod pumps;

impl World {
    pub(crate) fn new(plan: Plan, transcribes: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(plan.seed);
        let setup = &plan.setup;
        let mut net = NetConfig::default();
        net.max_in_flight = setup.max_in_flight;
        net.request_timeout = setup.request_timeout;
        net.setup_timeout = SETUP_TIMEOUT;
        net.setup_timeout_max = SETUP_TIMEOUT * 2;
        net.max_response_size = 1 << 20;
        let start = start();
        let promises = Promises {
            exactly_once: setup.idempotent,
            acknowledged: setup.acks != 0,
            max_unresolved: setup.max_in_flight.min(5),
            max_request_size: setup.max_request_size,
            delivery_timeout: setup.delivery_timeout,
            is_calm: plan.steps.iter().all(|step| step.act.is_harmless())
                && setup.request_timeout > Duration::from_millis(setup.latency.1) * 8,
            by_id: setup.produce_version >= 13,
            ids_may_change: setup.first_epoch > 0,
        };
        let weather = Weather { latency: setup.latency, piece: None, stalled_until: None };
        let nodes = || (0..setup.nodes()).map(node);
        let weathers = nodes()
            .flat_map(|node| [((node, Way::Up), weather.clone()), ((node, Way::Down), weather.clone())])
            .collect();
        let mut world = Self {
            client: Client::new(setup, &mut rng, start),
            brokers: Brokers::new(setup, rng.fork()),
            checker: Checker::new(promises),
            start,
            now: start,
            events: BinaryHeap::new(),
            scheduled: 0,
            happened: BTreeMap::new(),
            rng,
            pumps: Vec::new(),
            net: Arc::new(net),
            turn_at: None,
            conns: BTreeMap::new(),
            next_conn: 0,
            weathers,
            frozen: BTreeMap::new(),
            slow: BTreeMap::new(),
            hangs: BTreeMap::new(),
            flushes: Vec::new(),
            transcript: transcribes.then(Vec::new),
            moves: 0,
            dials: BTreeMap::new(),
            close_by: None,
            healed: None,
            held_up: BTreeMap::new(),
            steps: 0,
            busy: 0,
            plan,
        };
        for (index, step) in world.plan.steps.iter().enumerate() {
            let at = start + step.at;
            world.scheduled += 1;
            world.events.push(Reverse(Scheduled { at, number: world.scheduled }));
            world.happened.insert(world.scheduled, Event::Act(index));
        }
        world
    }

    /// Lets everything happen, and then some: faults end, everything is resolved, every partition takes one more record.
    pub(crate) fn run(mut self) -> Result<Report, Wrong> {
        let end = self.start + self.plan.steps.last().map_or(Duration::ZERO, |step| step.at) + SETTLE;
        let result = self.run_until(Some(end)).and_then(|()| self.finish());
        match result {
            Ok(()) => Ok(Report {
                steps: self.steps,
                busy: self.busy,
                records: self.checker.count(),
                virtual_time: self.now - self.start,
                tally: std::mem::take(&mut self.checker.tally),
                transcript: self.transcript.unwrap_or_default(),
            }),
            Err(violation) => {
                say!(self, "VIOLATION {violation:?}");
                Err(Wrong { violation, transcript: self.transcript.unwrap_or_default() })
            }
        }
    }

    fn finish(&mut self) -> Result<(), Violation> {
        self.last_look_at_less()?;
        self.heal();
        let limit = self.now + self.plan.setup.delivery_timeout + self.plan.setup.max_block + PATIENCE;
        self.run_while(limit, |world| !world.is_quiet())?;
        if !self.is_quiet() {
            let open = self.checker.first_open(u64::MAX);
            let what = format!(
                "record {open:?} ({}) has no answer long after its time, drained: {}, blocked: {}",
                open.map_or_else(String::new, |id| self.checker.describe(id)),
                self.client.is_drained(),
                self.client.blocked.len(),
            );
            return Err(Violation { invariant: "I8", what });
        }
        if let Some(code) = self.client.fatal() {
            let what = format!("the producer is done for ({code:?}), and brokers are well");
            return Err(Violation { invariant: "I10", what });
        }
        if !self.client.is_closed() {
            self.probe()?;
        }
        let is_lied_to = self.plan.steps.iter().any(|step| step.act.refuses_what_is_next());
        self.checker.check_counters(self.client.plane.look().sender.counters(), is_lied_to);
        self.hang_up();
        self.check()?;
        self.tally_up();
        Ok(())
    }

    /// Every partition must take one more record, and soon.
    fn probe(&mut self) -> Result<(), Violation> {
        let by = self.now + self.recovery();
        loop {
            let (before, wanted) = (self.checker.count(), self.send_everywhere());
            self.run_while(by, |world| !world.is_quiet())?;
            let accepted = self.checker.count() - before;
            if self.is_quiet() && accepted == wanted {
                return Ok(());
            }
            // Who gave up waiting for room or for a topic tries again.
            if self.is_quiet() && self.now < by {
                continue;
            }
            let what = format!(
                "of {wanted} records sent after all faults {accepted} are accepted, and {} have no answer after {:?}",
                self.checker.open(),
                self.recovery(),
            );
            return Err(Violation { invariant: "I10", what });
        }
    }

    /// One record to each partition; how many that are.
    fn send_everywhere(&mut self) -> u64 {
        let mut count = 0;
        for topic in 0..self.plan.setup.topics.len() {
            self.brokers.create(topic);
            for partition in 0..self.brokers.partitions(topic) {
                self.send(topic, partition as u32, 1, 40);
                count += 1;
            }
        }
        count
    }

    /// How long it may take until everything works again after the last fault.
    fn recovery(&self) -> Duration {
        let setup = &self.plan.setup;
        // A request that nobody will answer, a connection that cannot be set up, and some rounds of back-off.
        setup.request_timeout + SETUP_TIMEOUT * 4 + setup.retry_backoff * 40 + setup.linger + LATE
    }

    fn heal(&mut self) {
        say!(self, "all faults end");
        self.healed = Some(self.now);
        self.brokers.heal();
        self.brokers.astray().into_iter().for_each(|node| self.lead_back(node));
        let thawed = std::mem::take(&mut self.frozen);
        self.slow.clear();
        self.hangs.clear();
        for weather in self.weathers.values_mut() {
            weather.piece = None;
            weather.stalled_until = None;
            weather.latency = (0, 20);
        }
        // Also what no time-out would be long enough for: large requests, a few bytes in a round trip.
        self.plan.setup.send_buffer = self.plan.setup.send_buffer.max(WIDE);
        for node in thawed.into_keys() {
            self.schedule(self.now, Event::Thaw(node));
        }
        self.brokers.create(self.plan.setup.topics.len() - 1);
        // Partitions that went with a topic come back with its successor.
        let at = self.brokers.now(self.now, self.wall());
        for topic in 0..self.plan.setup.topics.len() {
            while self.brokers.partitions(topic) < self.plan.setup.topics[topic] {
                self.brokers.grow(topic, at);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.client.is_drained() && self.checker.open() == 0 && self.client.blocked.is_empty()
    }

    /// The end of every connection, after which all memory must be back.
    fn hang_up(&mut self) {
        self.client.close(self.now);
        self.client.abort(FailureKind::Ended(EndedBy::Handle), self.now);
        for pump in 0..self.pumps.len() {
            if let Stage::Up(mut link) = std::mem::replace(&mut self.pumps[pump].stage, Stage::Ended) {
                link.connection.abort(self.now);
                self.drain_events(pump, &mut link);
            }
        }
        self.conns.clear();
        self.client.forget_kept();
        self.happened.clear();
        let used = self.client.plane.pool.used();
        if used > 0 || self.client.plane.pool.waiting() > 0 {
            self.checker.violated("I7", format!("{used} bytes of memory did not come back"));
        }
    }

    fn run_until(&mut self, limit: Option<Instant>) -> Result<(), Violation> {
        self.run_while(limit.unwrap_or(self.now), |_| true)
    }

    fn run_while(&mut self, limit: Instant, goes_on: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        self.move_client()?;
        loop {
            if !goes_on(self) {
                return Ok(());
            }
            let Some(&Reverse(next)) = self.events.peek() else { break };
            if next.at > limit {
                break;
            }
            self.events.pop();
            let Some(event) = self.happened.remove(&next.number) else { continue };
            if next.at > self.now {
                self.moves = 0;
                self.now = next.at;
            }
            self.count(&event)?;
            self.happen(event);
            self.move_client()?;
        }
        self.now = self.now.max(limit.min(self.now + Duration::from_secs(3600)));
        Ok(())
    }

    /// I9: nobody is busy in vain, and so a run has no more steps than there is something to be done.
    fn count(&mut self, event: &Event) -> Result<(), Violation> {
        self.steps += 1;
        self.busy += u64::from(!matches!(event, Event::Arrive { .. }));
        let (busy, arrived) = (self.busy, self.steps - self.busy);
        if busy <= MAX_BUSY && arrived <= MAX_ARRIVALS {
            return Ok(());
        }
        let what = format!("a run of {busy} steps, and {arrived} pieces that arrived");
        Err(Violation { invariant: "I9", what })
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(index) => {
                let act = self.plan.steps[index].act.clone();
                self.act(act);
            }
            Event::Turn if self.turn_at == Some(self.now) => {
                self.turn_at = None;
                self.client.signal = true;
            }
            Event::Turn => {}
            Event::Pump(pump) if self.pumps[pump].timer.is_some_and(|time| time <= self.now) => {
                self.pumps[pump].timer = None;
                self.client.set_woken(self.pumps[pump].gate, true);
            }
            Event::Pump(_) => {}
            Event::Dialled { pump, attempt, result } => self.dialled(pump, attempt, result),
            Event::Arrive { conn, way } => self.arrive(conn, way),
            Event::Serve { conn } => self.serve(conn),
            Event::Answer { conn, served } => self.answer(conn, served),
            Event::Done(job) => self.client.done(job, self.now),
            Event::Revive(node) => {
                say!(self, "{node} is up again");
                self.brokers.revive(node);
                self.hangs.remove(&node);
            }
            Event::Thaw(node) => {
                if self.frozen.get(&node).is_none_or(|until| *until <= self.now) {
                    self.frozen.remove(&node);
                    // In any order: threads of their own read from each connection.
                    let mut conns: Vec<u64> = self.conns_of(node);
                    self.rng.shuffle(&mut conns);
                    conns.into_iter().for_each(|conn| self.serve_next(conn));
                }
            }
            Event::LeadBack(node) => self.lead_back(node),
            Event::CatchUp(node) => self.brokers.catch_up(node),
            Event::LookAtBlocked => {}
        }
    }

    // -- The client ---------------------------------------------------------------------------------------------------

    /// Everything the client does before time goes on, and the checks after it.
    fn move_client(&mut self) -> Result<(), Violation> {
        loop {
            self.moves += 1;
            if self.moves > MAX_MOVES {
                return Err(Violation { invariant: "I9", what: "the client is busy without end".to_owned() });
            }
            if self.client.signal {
                self.turn();
            } else if let Some(pump) = self.woken_pump() {
                self.poll_pump(pump);
            } else {
                break;
            }
            self.start_jobs();
            self.look_at_blocked();
        }
        self.look_at_blocked();
        self.check()
    }

    fn turn(&mut self) {
        let due = self.client.turn(self.now);
        self.see_to_pumps();
        if self.close_by.is_some_and(|by| by <= self.now) {
            self.close_by = None;
            if !self.client.is_drained() {
                say!(self, "the user waits no longer");
                self.client.abort(FailureKind::Ended(EndedBy::Handle), self.now);
            }
        }
        let due = due.into_iter().chain(self.close_by).min();
        self.turn_at = due.map(|due| due.max(self.now));
        if let Some(due) = self.turn_at {
            // What is due already waits for something that ends with a signal; the expiry of what is in flight does not.
            let due = if due <= self.now { self.now + TICK } else { due };
            self.turn_at = Some(due);
            self.schedule(due, Event::Turn);
        }
    }

    fn start_jobs(&mut self) {
        for job in std::mem::take(&mut self.client.jobs) {
            let after = Duration::from_micros(self.rng.u64(..5_000));
            self.schedule(self.now + after, Event::Done(job));
        }
    }

    /// Records that waited for memory, or for their partition.
    fn look_at_blocked(&mut self) {
        self.checker.now = self.now - self.start;
        for _ in 0..self.client.blocked.len() {
            let Some(mut blocked) = self.client.blocked.pop_front() else { break };
            if blocked.until <= self.now {
                if blocked.ticket.is_some() {
                    self.checker.tally.add("waits for memory in vain", 1);
                    self.check_pressure();
                }
                self.client.cancel(&blocked);
                self.checker.tally.add("sends timed out", 1);
                continue;
            }
            // Who has a ticket is looked at when woken, as a task would be.
            let is_asleep = blocked.ticket.as_ref().is_some_and(|(_, flag)| !flag.is_set());
            let accepted = if is_asleep {
                Accepted::Blocked
            } else {
                self.client.try_send(&mut blocked, self.now, &mut self.checker)
            };
            match accepted {
                Accepted::Yes | Accepted::Refused => {}
                Accepted::Blocked => self.client.blocked.push_back(blocked),
            }
        }
    }

    // -- The network and the brokers ----------------------------------------------------------------------------------

    fn conns_of(&self, node: NodeId) -> Vec<u64> {
        self.conns.iter().filter(|(_, conn)| conn.node == node).map(|(id, _)| *id).collect()
    }

    /// Bytes go on their way.
    fn travel(&mut self, id: u64, way: Way, bytes: Bytes) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let weather = &self.weathers[&(conn.node, way)];
        let pieces = weather.pieces(bytes, self.now, &mut self.rng);
        let pipe = conn.pipe(way);
        let mut times = Vec::new();
        for piece in pieces {
            pipe.held += piece.len();
            pipe.pieces.push_back(piece);
            pipe.last_arrival = pipe.last_arrival.max(weather.arrival(self.now, &mut self.rng));
            times.push(pipe.last_arrival);
        }
        for time in times {
            self.schedule(time, Event::Arrive { conn: id, way });
        }
    }

    fn arrive(&mut self, id: u64, way: Way) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if let Some(until) = self.weathers[&(conn.node, way)].stalled(now) {
            return self.schedule(until, Event::Arrive { conn: id, way });
        }
        let pipe = conn.pipe(way);
        let Some(mut piece) = pipe.pieces.pop_front() else { return };
        pipe.held -= piece.len();
        let mut is_cut = false;
        if let Some(left) = &mut pipe.cut_after {
            if piece.len() as u64 > *left {
                piece.truncate(*left as usize);
                is_cut = true;
            }
            *left -= piece.len() as u64;
        }
        match way {
            Way::Up => {
                conn.read.extend_from_slice(&piece);
                if conn.client {
                    // There is room to write again.
                    self.client.set_woken(conn.gate, true);
                }
                let ended = conn.up.ends && conn.up.pieces.is_empty();
                self.read_requests(id);
                if ended {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.broker = false;
                    }
                }
            }
            Way::Down => {
                let ended = conn.down.ends && conn.down.pieces.is_empty();
                let gate = conn.gate;
                if let Some(link) = self.link_of(id) {
                    link.read.extend_from_slice(&piece);
                    if ended {
                        link.broken = Some(io::ErrorKind::UnexpectedEof);
                    }
                    self.client.set_woken(gate, true);
                }
            }
        }
        if is_cut {
            say!(self, "c{id} is cut");
            self.checker.tally.add("connections cut", 1);
            self.break_conn(id, true);
        }
        self.bury(id);
    }

    fn link_of(&mut self, id: u64) -> Option<&mut Link> {
        self.pumps.iter_mut().find_map(|pump| match &mut pump.stage {
            Stage::Up(link) if link.conn == id => Some(&mut **link),
            _ => None,
        })
    }

    /// Both ends are told that the connection is gone. `delivers`: what the client sent arrives nevertheless.
    fn break_conn(&mut self, id: u64, delivers: bool) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.down.pieces.clear();
        conn.client = false;
        if !delivers {
            conn.up.pieces.clear();
            conn.broker = false;
        }
        conn.up.ends = true;
        let gate = conn.gate;
        if let Some(link) = self.link_of(id) {
            link.broken = Some(io::ErrorKind::ConnectionReset);
            self.client.set_woken(gate, true);
        }
        self.bury(id);
    }

    fn bury(&mut self, id: u64) {
        if self.conns.get(&id).is_some_and(Conn::is_over) {
            self.conns.remove(&id);
        }
    }

    fn read_requests(&mut self, id: u64) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        loop {
            match kafka_wire::frame::split(&mut conn.read, 64 << 20) {
                Ok(Some(frame)) => conn.requests.push_back(frame),
                Ok(None) => break,
                Err(error) => {
                    return self.checker.violated("bytes", format!("a broker cannot read a frame: {error}"));
                }
            }
        }
        self.serve_next(id);
    }

    /// A broker works on the next request of a connection, unless it works on one.
    fn serve_next(&mut self, id: u64) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let node = conn.node;
        if conn.busy || conn.requests.is_empty() || !self.brokers.is_up(node) {
            return;
        }
        if self.frozen.contains_key(&node) {
            return;
        }
        conn.busy = true;
        let after = Duration::from_micros(self.rng.u64(..SERVICE.as_micros() as u64));
        self.schedule(self.now + after, Event::Serve { conn: id });
    }

    fn serve(&mut self, id: u64) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let node = conn.node;
        if let Some(&until) = self.frozen.get(&node) {
            return self.schedule(until, Event::Serve { conn: id });
        }
        let Some(frame) = conn.requests.pop_front() else {
            conn.busy = false;
            return;
        };
        let wall = self.wall();
        self.checker.second = (now - self.start).as_secs();
        let served = self.brokers.serve(node, frame, now, wall, &mut self.checker);
        say!(self, "{node} served c{id}:{}{}", served.note, if served.hangs_up { ", hangs up" } else { "" });
        let slow = self.slow.get(&node).filter(|(until, _)| *until > now).map(|(_, by)| *by);
        let (least, most) = slow.unwrap_or((0, 1));
        let after = Duration::from_micros(self.rng.u64(least * 1000..=most * 1000));
        self.schedule(now + after, Event::Answer { conn: id, served });
    }

    fn wall(&self) -> i64 {
        WALL + (self.now - self.start).as_millis() as i64
    }

    fn answer(&mut self, id: u64, served: Served) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if let Some(&until) = self.frozen.get(&conn.node) {
            return self.schedule(until, Event::Answer { conn: id, served });
        }
        conn.busy = false;
        if served.hangs_up {
            conn.requests.clear();
            return self.break_conn(id, false);
        }
        if let (Some(reply), true) = (served.reply, conn.client) {
            self.travel(id, Way::Down, reply);
        }
        self.serve_next(id);
        self.bury(id);
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse(Scheduled { at, number: self.scheduled }));
        self.happened.insert(self.scheduled, event);
    }

    fn note(&mut self, text: String) {
        let time = (self.now - self.start).as_micros();
        if let Some(transcript) = &mut self.transcript {
            transcript.push(format!("{:>9}.{:03} {text}", time / 1000, time % 1000));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do: only differences are seen")]
fn start() -> Instant {
    Instant::now()
}

/// Wall time at the start.
const WALL: i64 = 1_700_000_000_000;
const SETUP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the world goes on after the last thing happened, before faults end.
const SETTLE: Duration = Duration::from_secs(2);
/// What a run may take longer than any time-out says.
const PATIENCE: Duration = Duration::from_secs(60);
/// A window for the largest requests.
const WIDE: usize = 1 << 20;
const LATE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(1);
const MAX_MOVES: u64 = 20_000;
/// Steps of a run that are no bytes that arrive: what users and faults do, turns of the driver, timers of pumps, dials,
/// requests served, answers sent, batches sealed elsewhere. There are some hundred records in a run, of few attempts each, and who
/// waits looks again after a back-off at the earliest: the most steps among the first 20 000 seeds are 2 013. Who looks each
/// millisecond in vain takes as many as this in twenty seconds, and a run takes half a minute at least.
const MAX_BUSY: u64 = 20_000;
/// Pieces that arrive in a run. Each is a byte at least, so what is sent is a bound; the most among the first 20 000 seeds, in a
/// trickle of single bytes, are 125 232. Requests that are made again and again are found here when they carry no batch, whose
/// attempts are counted.
const MAX_ARRIVALS: u64 = 1_000_000;
/// Dials to one broker in a second.
const MAX_DIALS: u64 = 40;
/// The heads of the requests that one connection may hold, and batches so small that they are copied.
const HEADS: usize = 4 * 1024;
