//! Brokers at the far ends of pipes: the mock cluster, and everything that can happen on the way there.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt};
use kafka_batch::BatchReader;
use kafka_mock::{Answer, Cluster, ClusterConfig, Now, Then};
use kafka_net::io::{BoxStream, Connect, Target};
use kafka_wire::{
    Acks, ApiKey, ErrorCode, NodeId, PartitionId, frame,
    messages::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
    sync::Notify,
    time::sleep,
};

use super::{
    pipe::{End, Grip, Weather, pipe},
    plan::Plan,
    watch::{Arrivals, Leaders, Watch},
};
use crate::io::now;

mod answers;
mod clusters;

/// The simulated cluster and the network in front of it. Clones are the same one.
#[derive(Clone)]
pub(super) struct Net {
    state: Arc<Mutex<State>>,
    /// Told whenever a broker's mode changes.
    changed: Arc<Notify>,
}

/// What a broker does to those who come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It works.
    Up,
    /// Nobody listens.
    Down,
    /// It is stopped: connections stand, and nothing is answered.
    Frozen,
    /// Nobody answers a call for a connection.
    Unreachable,
}

/// An answer to Produce that is not the cluster's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refuse {
    pub(super) code: ErrorCode,
    /// Whether the records are written nevertheless.
    pub(super) is_applied: bool,
}

/// A record as it stands in a log.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) value: Bytes,
}

struct State {
    cluster: Cluster,
    modes: BTreeMap<i32, Mode>,
    pipes: Vec<(i32, Grip)>,
    rng: fastrand::Rng,
    /// Brokers that moved, and what they are called now.
    moved: BTreeMap<i32, String>,
    /// What new pipes are like, to the broker and back.
    weather: [Weather; 2],
    /// New pipes break after so many bytes, in one direction or the other.
    cuts: Option<(u64, u64)>,
    /// How long a broker thinks at most.
    think: Duration,
    /// The next answers to Produce, of any broker or of one.
    refusals: VecDeque<(Option<NodeId>, Refuse)>,
    epoch: Instant,
    dials: BTreeMap<i32, VecDeque<Instant>>,
    dialled: u64,
    asked: VecDeque<Instant>,
    violations: Vec<String>,
    transcript: Vec<String>,
    watch: Option<Watch>,
    plan: Option<Arc<Plan>>,
    arrivals: Arrivals,
    leaders: Leaders,
    /// How many of the next answers to Metadata name leaders of long ago.
    recalls: usize,
    /// The epoch of the first producer id, and the first sequence of the partitions; until they are given.
    first_epoch: Option<i16>,
    first_sequence: Option<i32>,
    /// Nodes in the list of servers that are no brokers.
    controllers: Vec<i32>,
    clusters: clusters::Clusters,
}

impl Net {
    pub(super) fn new(brokers: u16, rng: fastrand::Rng) -> Self {
        Self::with_controllers(brokers, 0, rng)
    }

    pub(super) fn with_controllers(brokers: u16, controllers: u16, rng: fastrand::Rng) -> Self {
        let config = ClusterConfig::default().brokers(brokers).controllers(controllers);
        let modes = config.nodes().map(|node| (node.0, Mode::Up)).collect();
        let mut cluster = Cluster::new(config.clone());
        config.nodes().for_each(|node| cluster.set_address(node, &format!("broker-{}", node.0), 9092));
        let state = State {
            cluster,
            modes,
            pipes: Vec::new(),
            moved: BTreeMap::new(),
            rng,
            weather: [Weather::FAIR; 2],
            cuts: None,
            think: Duration::ZERO,
            refusals: VecDeque::new(),
            epoch: now(),
            dials: BTreeMap::new(),
            dialled: 0,
            asked: VecDeque::new(),
            violations: Vec::new(),
            transcript: Vec::new(),
            watch: None,
            plan: None,
            arrivals: Arrivals::default(),
            leaders: Leaders::default(),
            recalls: 0,
            first_epoch: None,
            first_sequence: None,
            controllers: config.controller_nodes().map(|node| node.0).collect(),
            clusters: clusters::Clusters::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(Notify::new()) }
    }

    /// From now on it is checked what reaches brokers.
    pub(super) fn watch(&self, watch: Watch, plan: Arc<Plan>, (epoch, sequence): (i16, i32)) {
        let mut state = self.lock();
        state.watch = Some(watch);
        state.plan = Some(plan);
        (state.first_epoch, state.first_sequence) = (Some(epoch), Some(sequence));
        state.clusters.may_end = state.plan.as_ref().is_some_and(|plan| plan.may_end());
        state.note_leaders();
    }

    pub(super) fn watched(&self) -> Option<Watch> {
        self.lock().watch.clone()
    }

    /// The brokers to ask first.
    pub(super) fn bootstrap(&self) -> Vec<String> {
        let state = self.lock();
        let nodes = state.modes.keys().chain(&state.controllers);
        nodes.map(|node| format!("broker-{node}:9092")).collect()
    }

    pub(super) fn nodes(&self) -> Vec<i32> {
        self.lock().modes.keys().copied().collect()
    }

    pub(super) fn cluster<R>(&self, f: impl FnOnce(&mut Cluster) -> R) -> R {
        f(&mut self.lock().cluster)
    }

    /// How often anybody was dialled.
    pub(super) fn dials(&self) -> u64 {
        self.lock().dialled
    }

    /// How many connections nobody has let go of.
    pub(super) fn open_pipes(&self) -> usize {
        self.lock().pipes.iter().filter(|(_, grip)| grip.is_connected()).count()
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.lock().epoch)
    }

    /// Adds a line to the transcript.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let mut state = self.lock();
        let at = now().saturating_duration_since(state.epoch);
        if state.transcript.len() < MAX_TRANSCRIPT {
            state.transcript.push(format!("{:>12.6} {}", at.as_secs_f64(), what()));
        }
    }

    pub(super) fn transcript(&self) -> Vec<String> {
        self.lock().transcript.clone()
    }

    /// What the producer did to the network that it must not do.
    pub(super) fn violations(&self) -> Vec<String> {
        let mut state = self.lock();
        if state.pipes.iter().any(|(_, grip)| grip.is_spinning()) {
            state.violate("a pump turns without time passing (I9)".to_owned());
        }
        state.violations.clone()
    }

    pub(super) fn set_mode(&self, node: i32, mode: Mode) {
        self.note(|| format!("broker {node} is {mode:?}"));
        let mut state = self.lock();
        state.modes.insert(node, mode);
        if mode == Mode::Down {
            state.pipes.iter().filter(|(at, _)| *at == node).for_each(|(_, grip)| grip.cut());
            // What it had not on its disk is gone.
            let _ = state.cluster.restart_broker(NodeId(node));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A broker moves to another host, whose name ends as its own does. Nobody is at the old one.
    pub(super) fn move_to(&self, node: i32, host: &str) {
        let mut state = self.lock();
        state.cluster.set_address(NodeId(node), host, 9092);
        state.moved.insert(node, host.to_owned());
        drop(state);
        self.cut(Some(node));
    }

    /// What pipes that are opened from now on are like.
    pub(super) fn set_weather(&self, weather: [Weather; 2], cuts: Option<(u64, u64)>, think: Duration) {
        let mut state = self.lock();
        (state.weather, state.cuts, state.think) = (weather, cuts, think);
    }

    /// Breaks the open connections of a broker, or of all.
    pub(super) fn cut(&self, node: Option<i32>) {
        self.note(|| format!("connections of {node:?} are cut"));
        self.grips(node).iter().for_each(Grip::cut);
    }

    /// Holds up one direction of the open connections.
    pub(super) fn stall(&self, node: Option<i32>, to_broker: bool, time: Option<Duration>) {
        self.note(|| format!("connections of {node:?} stall, to broker: {to_broker}, for {time:?}"));
        self.grips(node).iter().for_each(|grip| grip.stall(to_broker, time));
    }

    /// The next answers to Produce.
    pub(super) fn refuse(&self, refusals: impl IntoIterator<Item = Refuse>) {
        self.lock().refusals.extend(refusals.into_iter().map(|refuse| (None, refuse)));
    }

    /// The next answers to Produce of one broker.
    pub(super) fn refuse_at(&self, node: i32, refusals: impl IntoIterator<Item = Refuse>) {
        self.lock().refusals.extend(refusals.into_iter().map(|refuse| (Some(NodeId(node)), refuse)));
    }

    /// No answer to Produce is but the cluster's own.
    pub(super) fn accept(&self) {
        self.lock().refusals.clear();
    }

    /// The next answers to Metadata name leaders of long ago.
    pub(super) fn recall_past(&self, answers: usize) {
        self.lock().recalls += answers;
    }

    /// Moves every partition a broker leads to others that are up.
    pub(super) fn elect(&self, topics: &[(String, i32)], away_from: i32) {
        let mut state = self.lock();
        let up: Vec<i32> = state
            .modes
            .iter()
            .filter(|(node, mode)| **node != away_from && **mode == Mode::Up)
            .map(|(node, _)| *node)
            .collect();
        if up.is_empty() {
            return;
        }
        for (topic, count) in topics {
            for partition in 0..*count {
                let leader = state.cluster.leader(topic, PartitionId(partition)).map(|(node, _)| node.0);
                if leader == Some(away_from) {
                    let to = up[state.rng.usize(..up.len())];
                    let moved = state.cluster.move_leader(topic, PartitionId(partition), NodeId(to));
                    debug_assert!(moved.is_ok(), "{moved:?}");
                }
            }
        }
        state.note_leaders();
    }

    /// All brokers work, and everything that was held up moves.
    pub(super) fn clear(&self) {
        self.note(|| "the weather clears".to_owned());
        self.end_confusion();
        let mut state = self.lock();
        state.modes.values_mut().for_each(|mode| *mode = Mode::Up);
        (state.weather, state.cuts, state.think) = ([Weather::FAIR; 2], None, Duration::ZERO);
        state.refusals.clear();
        state.recalls = 0;
        let grips: Vec<_> = state.pipes.iter().map(|(_, grip)| grip.clone()).collect();
        drop(state);
        grips.iter().for_each(Grip::clear);
        self.changed.notify_waiters();
    }

    /// What is in a partition's log, oldest first.
    pub(super) fn log(&self, topic: &str, partition: i32) -> Vec<Stored> {
        let batches =
            self.lock().cluster.batches(topic, PartitionId(partition)).unwrap_or_default().into_iter();
        let batches = batches.flat_map(BatchReader::new).map(|batch| batch.expect("the cluster checked it"));
        batches
            .flat_map(|batch| {
                let base = batch.header().base_offset;
                let records: Vec<_> =
                    batch.records().expect("a codec").map(|read| read.expect("a record")).collect();
                records.into_iter().map(move |read| Stored {
                    offset: base + i64::from(read.offset_delta),
                    timestamp: read.record.timestamp,
                    value: read.record.value.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// The times of a partition's records.
    pub(super) fn timestamps(&self, topic: &str, partition: i32) -> Vec<i64> {
        self.log(topic, partition).into_iter().map(|stored| stored.timestamp).collect()
    }

    fn grips(&self, node: Option<i32>) -> Vec<Grip> {
        let state = self.lock();
        let grips = state.pipes.iter().filter(|(at, _)| node.is_none_or(|node| node == *at));
        grips.map(|(_, grip)| grip.clone()).collect()
    }

    fn mode(&self, node: i32) -> Mode {
        let state = self.lock();
        let absent = if state.controllers.contains(&node) { Mode::Up } else { Mode::Unreachable };
        state.modes.get(&node).copied().unwrap_or(absent)
    }

    /// Waits until a broker is in none of these modes.
    async fn leaves(&self, node: i32, modes: &[Mode]) {
        loop {
            let changed = self.changed.notified();
            if !modes.contains(&self.mode(node)) {
                return;
            }
            changed.await;
        }
    }

    async fn open(&self, host: &str) -> io::Result<BoxStream> {
        let node: i32 = host.rsplit('-').next().and_then(|id| id.parse().ok()).unwrap_or(-1);
        self.lock().dialled(node);
        self.note(|| format!("broker {node} is dialled"));
        let latency = self.lock().latency();
        sleep(latency).await;
        self.leaves(node, &[Mode::Unreachable]).await;
        let is_elsewhere = self.lock().moved.get(&node).is_some_and(|moved| moved != host);
        if self.mode(node) == Mode::Down || is_elsewhere {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut state = self.lock();
        let mut weather = state.weather;
        if let Some((from, to)) = state.cuts {
            let after = state.rng.u64(from..=to);
            weather[usize::from(state.rng.bool())].cut_after = Some(after);
        }
        let rng = state.rng.fork();
        let (near, far, grip) = pipe(weather[0], weather[1], rng);
        state.pipes.retain(|(_, grip)| grip.is_open());
        state.pipes.push((node, grip));
        let near = near.metered(state.watch.as_ref().map(Watch::meter));
        drop(state);
        self.note(|| format!("broker {node} is connected to"));
        Handle::current().spawn(self.clone().serve(NodeId(node), far));
        Ok(Box::new(near))
    }

    /// One connection, from the broker's side.
    async fn serve(self, node: NodeId, mut stream: End) {
        let mut input = BytesMut::new();
        let machine = self.machine(node);
        loop {
            while let Ok(Some(frame)) = frame::split(&mut input, MAX_FRAME) {
                let think = self.lock().thinks();
                if !think.is_zero() {
                    sleep(think).await;
                }
                self.leaves(node.0, &[Mode::Frozen]).await;
                // What came to the machine that had the address before comes to nobody.
                if self.machine(node) != machine {
                    return;
                }
                let Some(answer) = self.answer(node, frame) else { return };
                let mut answer = answer;
                while answer.has_remaining() {
                    if stream.write_all_buf(&mut answer).await.is_err() {
                        return;
                    }
                }
            }
            self.leaves(node.0, &[Mode::Frozen]).await;
            if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
    }

    fn machine(&self, node: NodeId) -> u64 {
        self.lock().clusters.machines.get(&node.0).copied().unwrap_or(0)
    }

    /// The answer to a frame, empty if there is none to be given; none if the broker hangs up.
    fn answer(&self, node: NodeId, frame: Bytes) -> Option<Bytes> {
        let Ok((header, body)) = kafka_wire::decode_request_header(&frame) else {
            self.lock().violate("a frame that is no request reached a broker (bytes)".to_owned());
            return None;
        };
        if header.api_key != ApiKey::PRODUCE {
            let mut state = self.lock();
            if header.api_key != ApiKey::API_VERSIONS {
                state.dials.remove(&node.0);
            }
            state.asked_something(header.api_key);
            state.check_cluster(node, header.api_key);
            let answer = state.handle(node, frame.clone());
            state.check_leaders();
            let answer = answer.map(|answer| state.distort(&header, answer));
            if let (ApiKey::INIT_PRODUCER_ID, Some(answer)) = (header.api_key, &answer) {
                state.note_given(&header, answer);
            }
            return answer;
        }
        let Ok(request) = kafka_wire::decode_request::<ProduceRequest>(&header, body) else {
            self.lock().violate("a Produce request that cannot be read reached a broker (bytes)".to_owned());
            return None;
        };
        self.note(|| format!("broker {} gets {}", node.0, describe(&request)));
        let mut state = self.lock();
        state.dials.remove(&node.0);
        state.check_cluster(node, header.api_key);
        state.check_given(&request);
        state.arrived(&request);
        let Some(refuse) = state.refusal(node) else {
            let answer = state.handle(node, frame.clone())?;
            state.check_answer(&header, &answer);
            state.note_vouched(&frame, &answer);
            return Some(answer);
        };
        let applied = if refuse.is_applied { Some(state.handle(node, frame.clone())?) } else { None };
        drop(state);
        self.note(|| format!("and is answered {refuse:?}"));
        if request.acks == Acks::NONE {
            return Some(Bytes::new());
        }
        if let Some(answer) = applied {
            let answer = answers::deny(&header, answer, refuse.code);
            self.lock().note_vouched(&frame, &answer);
            return Some(answer);
        }
        let refused = |index| PartitionProduceResponse {
            index,
            error_code: refuse.code,
            base_offset: -1,
            ..PartitionProduceResponse::default()
        };
        let responses = request.topic_data.iter().map(|topic| TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: topic.partition_data.iter().map(|it| refused(it.index)).collect(),
        });
        let response = ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() };
        let frame = kafka_wire::encode_response(&response, header.api_version, header.correlation_id);
        Some(frame.expect("it is of the request's version").into_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connect for Net {
    fn connect<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, io::Result<BoxStream>> {
        self.open(target.endpoint.host()).boxed()
    }
}

impl State {
    fn handle(&mut self, node: NodeId, frame: Bytes) -> Option<Bytes> {
        let at = self.now();
        match self.cluster.handle(node, frame, at) {
            Answer::Reply(frame) => Some(frame.into_bytes()),
            Answer::Silence => Some(Bytes::new()),
            Answer::Close(_) => None,
            // Of scripts, what changes an answer and no more. A broker that throttles a client reads nothing from it meanwhile;
            // this one does, so that it is seen who asks nevertheless.
            Answer::Scripted(scripted) if matches!(scripted.then(), Then::GoOn | Then::Pause(_)) => {
                assert_eq!(scripted.delay(), Duration::ZERO);
                Some(scripted.frame().cloned().unwrap_or_default())
            }
            other => panic!("a producer is not told {other:?}"),
        }
    }

    fn now(&self) -> Now {
        let at = now();
        let wall = WALL + i64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(0);
        Now::new(at, wall)
    }

    fn latency(&mut self) -> Duration {
        let (from, to) = self.weather[0].latency;
        from + (to - from).mul_f64(self.rng.f64())
    }

    fn thinks(&mut self) -> Duration {
        self.think.mul_f64(self.rng.f64())
    }

    fn violate(&mut self, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// I9: a broker that cannot be reached is not run down. One that is asked something was: where connections are cut
    /// again and again, each was of use, and the next one comes without much of a back-off.
    fn dialled(&mut self, node: i32) {
        self.dialled += 1;
        let count = within_window(self.dials.entry(node).or_default());
        if count > MAX_DIALS {
            self.violate(format!("{count} attempts to connect to broker {node} within {WINDOW:?} (I9)"));
        }
    }

    /// I9: brokers are not asked all the time for what they just said.
    fn asked_something(&mut self, api: ApiKey) {
        let count = within_window(&mut self.asked);
        if count > MAX_ASKED {
            self.violate(format!("{count} questions within {WINDOW:?}, the last one {api} (I9)"));
        }
    }
}

/// Adds this moment to those of a window, and counts them.
fn within_window(times: &mut VecDeque<Instant>) -> usize {
    let at = now();
    times.push_back(at);
    while times.front().is_some_and(|first| *first + WINDOW < at) {
        times.pop_front();
    }
    times.len()
}

/// The batches of a request, in a line.
fn describe(request: &ProduceRequest) -> String {
    let mut line = format!("Produce acks={}", request.acks.0);
    for topic in &request.topic_data {
        for partition in &topic.partition_data {
            let bytes = partition.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
            let _ = match BatchReader::new(bytes).next() {
                Some(Ok(batch)) => {
                    let header = batch.header();
                    let (id, epoch) = (header.producer_id.0, header.producer_epoch.0);
                    let (first, count) = (header.base_sequence, header.record_count);
                    write!(line, "; {}: {id}/{epoch} {first}+{count}", partition.index)
                }
                other => write!(line, "; {}: {other:?}", partition.index),
            };
        }
    }
    line
}

/// The time of day at which every simulation begins.
pub(super) const WALL: i64 = 1_750_000_000_000;

const MAX_FRAME: usize = 16 << 20;
const MAX_TRANSCRIPT: usize = 20_000;
const MAX_VIOLATIONS: usize = 20;

/// What is counted, is counted over this long.
const WINDOW: Duration = Duration::from_secs(10);
/// With a back-off of 50 ms that doubles up to 1 s, and a connection by address beside the one by number.
const MAX_DIALS: usize = 60;
/// Metadata and producer ids: a few each second while nothing works.
const MAX_ASKED: usize = 300;
