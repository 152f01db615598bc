//! What a seed makes of a simulation: the cluster, the settings, the weather, and how it ends.

use std::time::Duration;

use kafka_mock::Lag;
use kafka_wire::{ErrorCode, NodeId};

use super::{net::Net, pipe::Weather, themes::Theme};
use crate::{Acks, Compression, Producer, ProducerConfig, io::Host};

/// Everything about a run that is decided before it begins.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) brokers: u16,
    /// Topics with their numbers of partitions.
    pub(super) topics: Vec<(String, i32)>,
    pub(super) users: u16,
    /// How many things each user does.
    pub(super) steps: u32,
    /// How long users rest at most after each.
    pub(super) rest: Duration,
    /// Nothing ever goes wrong: then nothing may fail, or take long.
    pub(super) is_fair: bool,
    /// How long things go wrong.
    pub(super) trouble: Duration,
    pub(super) ending: Ending,
    pub(super) acks: Acks,
    pub(super) is_idempotent: bool,
    pub(super) compression: Compression,
    pub(super) batch_size: usize,
    /// What the batches of one request have together.
    pub(super) max_request_size: usize,
    pub(super) linger: Duration,
    pub(super) buffer_memory: usize,
    pub(super) max_block: Duration,
    pub(super) delivery_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) max_in_flight: u32,
    /// `max.message.bytes` of the first topic: less than a batch, so that batches are split.
    pub(super) max_message: Option<usize>,
    /// The runtime ends while its task of this number is started.
    pub(super) ends_at_start: Option<u32>,
    /// What it is about, if it is about one thing.
    pub(super) theme: Option<Theme>,
    /// Controllers in the list of servers.
    pub(super) controllers: u16,
    /// Seeds what clusters and views are taken for, where that is part of a general run.
    pub(super) confusion: Option<u64>,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// When all users are done: closed, with time for everything.
    Close,
    /// While users send: closed, with little time or none.
    CloseEarly { after: Duration, timeout: Duration },
    /// When all users are done: every handle is dropped.
    Drop,
    /// While users send: the runtime is shut down.
    Shutdown { after: Duration },
}

impl Plan {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let millis = Duration::from_millis;
        let topics = (0..rng.i32(1..=2)).map(|at| (format!("topic-{at}"), rng.i32(1..=5))).collect();
        let is_fair = rng.u8(..4) == 0;
        let request_timeout = millis(rng.u64(500..=30_000));
        let linger = millis(*pick(rng, &[0, 0, 1, 5, 20, 100]));
        let delivery_timeout = linger + request_timeout + millis(rng.u64(0..=90_000));
        let is_idempotent = rng.u8(..8) != 0;
        let batch_size = *pick(rng, &[1, 200, 1_000, 4_000, 16_384]);
        let ending = match rng.u8(..6) {
            0 => Ending::CloseEarly { after: millis(rng.u64(0..8_000)), timeout: millis(rng.u64(0..3_000)) },
            1 => Ending::Shutdown { after: millis(rng.u64(0..8_000)) },
            2 => Ending::Drop,
            _ => Ending::Close,
        };
        Self {
            brokers: rng.u16(1..=3),
            topics,
            users: rng.u16(1..=5),
            steps: rng.u32(5..=60),
            rest: Duration::ZERO,
            is_fair,
            trouble: if is_fair { Duration::ZERO } else { millis(rng.u64(1_000..=60_000)) },
            ending,
            acks: if is_idempotent { Acks::ALL } else { *pick(rng, &[Acks::ALL, Acks::LEADER, Acks::NONE]) },
            is_idempotent,
            compression: if rng.u8(..6) == 0 { Compression::Snappy } else { Compression::None },
            batch_size,
            max_request_size: 30_000,
            linger,
            buffer_memory: *pick(rng, &[2, 3, 4, 8, 64]) * kafka_batch::CHUNK_SIZE,
            max_block: if is_fair { millis(60_000) } else { millis(*pick(rng, &[0, 200, 5_000, 60_000])) },
            delivery_timeout: if is_fair { millis(60_000).max(delivery_timeout) } else { delivery_timeout },
            request_timeout,
            max_in_flight: rng.u32(1..=5),
            max_message: (rng.u8(..6) == 0).then_some(batch_size / 2 + 150).filter(|_| !is_fair),
            ends_at_start: None,
            theme: None,
            controllers: 0,
            confusion: None,
        }
    }

    /// Whether topics may have fewer partitions for a while, or brokers not know all of them.
    pub(super) fn may_lag(&self) -> bool {
        matches!(self.theme, Some(Theme::Lagging | Theme::Shrunk)) || self.confusion.is_some()
    }

    /// Whether its cluster may be begun anew.
    pub(super) fn may_end(&self) -> bool {
        self.theme == Some(Theme::Wiped) || self.confusion.is_some()
    }

    /// Whether it ends while users send.
    pub(super) fn ends_early(&self) -> bool {
        matches!(self.ending, Ending::CloseEarly { .. } | Ending::Shutdown { .. })
    }

    pub(super) fn producer(&self, net: &Net, host: &Host) -> Producer {
        let config = ProducerConfig::new(net.bootstrap())
            .connector(net.clone())
            .batch_size(self.batch_size)
            .linger(self.linger)
            .buffer_memory(self.buffer_memory)
            .max_block(self.max_block)
            .max_request_size(self.max_request_size)
            .compression(self.compression)
            .acks(self.acks)
            .enable_idempotence(self.is_idempotent)
            .max_in_flight_requests_per_connection(self.max_in_flight)
            .delivery_timeout(self.delivery_timeout)
            .request_timeout(self.request_timeout);
        config.start(None, || host.clone()).expect("settings that fit each other")
    }
}

/// One thing that goes wrong.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// What new connections are like.
    Weather { weather: [Weather; 2], cuts: Option<(u64, u64)>, think: Duration },
    /// Open connections break.
    Cut { node: Option<i32> },
    /// Open connections are held up in one direction.
    Stall { node: Option<i32>, to_broker: bool, time: Option<Duration> },
    /// A broker dies; others take over, and it comes back.
    Kill { node: i32, election: Duration, back: Duration },
    /// A broker is stopped, and continued.
    Freeze { node: i32, time: Duration },
    /// A broker cannot be reached, and what was connected is not answered.
    Isolate { node: i32, time: Duration },
    /// All brokers are gone for a time.
    Blackout { time: Duration },
    /// Somebody sets the wall clock.
    Clock { milliseconds: i64 },
    /// Leaders move for no reason.
    Elect { node: i32 },
    /// The address of a broker leads to another cluster.
    Astray { node: i32, time: Duration },
    /// A new cluster begins under the old addresses.
    Wipe { strangers: bool },
    /// Somebody else writes.
    Stranger { topic: usize, partition: i32, count: u32 },
    /// A broker's metadata lacks something.
    Lag { node: i32, lag: Lag, time: Duration },
    /// Produce is answered with an error.
    Refuse { code: ErrorCode, is_applied: bool, count: usize },
}

impl Trouble {
    pub(super) fn draw(rng: &mut fastrand::Rng, nodes: &[i32]) -> Self {
        let any = |rng: &mut fastrand::Rng| nodes[rng.usize(..nodes.len())];
        let some = |rng: &mut fastrand::Rng| if rng.bool() { None } else { Some(any(rng)) };
        match rng.u8(..13) {
            0 | 1 => Self::Weather {
                weather: [weather(rng), weather(rng)],
                cuts: (rng.u8(..2) == 0).then(|| (1, *pick(rng, &[200, 2_000, 20_000, 200_000]))),
                think: Duration::from_millis(*pick(rng, &[0, 5, 50, 800])),
            },
            2 | 3 => Self::Cut { node: some(rng) },
            4 => Self::Stall {
                node: some(rng),
                to_broker: rng.bool(),
                time: (rng.u8(..3) != 0).then(|| seconds(rng, 40.0)),
            },
            5 | 6 => Self::Kill { node: any(rng), election: seconds(rng, 3.0), back: seconds(rng, 10.0) },
            7 => Self::Freeze { node: any(rng), time: seconds(rng, 45.0) },
            8 => Self::Isolate { node: any(rng), time: seconds(rng, 30.0) },
            9 => Self::Blackout { time: seconds(rng, 20.0) },
            10 => Self::Elect { node: any(rng) },
            // No more than brokers tolerate in a record's time.
            11 => Self::Clock { milliseconds: rng.i64(-600_000..600_000) },
            _ => {
                let (code, is_applied) = *pick(
                    rng,
                    &[
                        (ErrorCode::NOT_LEADER_OR_FOLLOWER, false),
                        (ErrorCode::NOT_ENOUGH_REPLICAS, false),
                        (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, true),
                        (ErrorCode::REQUEST_TIMED_OUT, true),
                        (ErrorCode::REQUEST_TIMED_OUT, false),
                        (ErrorCode::KAFKA_STORAGE_ERROR, false),
                        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
                        (ErrorCode::INVALID_RECORD, false),
                    ],
                );
                Self::Refuse { code, is_applied, count: rng.usize(1..6) }
            }
        }
    }
}

/// How clusters and views are taken for others.
pub(super) fn confusion(rng: &mut fastrand::Rng, plan: &Plan, nodes: &[i32]) -> Trouble {
    match rng.u8(..4) {
        0 => astray(rng, nodes),
        1 if plan.is_idempotent => Trouble::Wipe { strangers: rng.bool() },
        2 => stranger(rng, plan),
        _ => lag(rng, plan, nodes),
    }
}

pub(super) fn astray(rng: &mut fastrand::Rng, nodes: &[i32]) -> Trouble {
    Trouble::Astray { node: *pick(rng, nodes), time: seconds(rng, 30.0) }
}

pub(super) fn stranger(rng: &mut fastrand::Rng, plan: &Plan) -> Trouble {
    let topic = rng.usize(..plan.topics.len());
    Trouble::Stranger { topic, partition: rng.i32(0..plan.topics[topic].1), count: rng.u32(1..8) }
}

pub(super) fn lag(rng: &mut fastrand::Rng, plan: &Plan, nodes: &[i32]) -> Trouble {
    let (topic, partitions) = pick(rng, &plan.topics);
    let topic = topic.as_str().into();
    let lag = match rng.u8(..6) {
        0..=2 => Lag::Partitions { topic, count: rng.i32(0..*partitions) },
        3 => Lag::Topic(topic),
        4 => Lag::Broker(NodeId(*pick(rng, nodes))),
        _ => Lag::View,
    };
    Trouble::Lag { node: *pick(rng, nodes), lag, time: seconds(rng, 30.0) }
}

fn weather(rng: &mut fastrand::Rng) -> Weather {
    let from = Duration::from_millis(*pick(rng, &[0, 0, 1, 20, 200]));
    Weather {
        latency: (from, from + Duration::from_millis(*pick(rng, &[0, 1, 10, 400]))),
        capacity: *pick(rng, &[100, 2_000, 64 * 1024]),
        trickle: (rng.u8(..4) == 0).then(|| (rng.usize(20..2_000), Duration::from_millis(rng.u64(0..20)))),
        cut_after: None,
        is_choppy: rng.bool(),
    }
}

fn seconds(rng: &mut fastrand::Rng, most: f64) -> Duration {
    // Short ones are more likely.
    Duration::from_secs_f64(most * rng.f64() * rng.f64())
}

pub(super) fn pick<'a, T>(rng: &mut fastrand::Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(..of.len())]
}
