//! What a run is made of: settings, and what happens when. Drawn from a seed, so that it can be replayed and cut down.

use std::time::Duration;

use kafka_wire::ErrorCode;

use super::themes::{self, Theme};
use crate::purge::Purge;

/// A run before it happens.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Seeds the network's and the brokers' chance, and the producer's.
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    /// In the order of their times.
    pub(crate) steps: Vec<Step>,
}

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) act: Act,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) brokers: u16,
    /// Controllers in the list of servers, behind the brokers.
    pub(crate) controllers: u16,
    /// Partitions of each topic; topics are numbered.
    pub(crate) topics: Vec<i32>,
    /// The last topic does not exist at first.
    pub(crate) last_is_late: bool,
    pub(crate) acks: i16,
    pub(crate) idempotent: bool,
    pub(crate) max_in_flight: usize,
    pub(crate) retries: u32,
    pub(crate) batch_size: usize,
    pub(crate) max_request_size: usize,
    pub(crate) buffer_memory: usize,
    pub(crate) linger: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) max_block: Duration,
    /// Batches are compressed, elsewhere and after a while.
    pub(crate) compress: bool,
    /// The newest version of Produce and Metadata that brokers know.
    pub(crate) produce_version: i16,
    pub(crate) metadata_version: i16,
    /// The same of ApiVersions: of 5 brokers are told which cluster is meant.
    pub(crate) versions_version: i16,
    /// The epoch that the first producer id comes with.
    pub(crate) first_epoch: i16,
    /// The sequence that each partition begins with.
    pub(crate) first_sequence: i32,
    /// Bytes a socket takes before they have arrived.
    pub(crate) send_buffer: usize,
    /// One way, in milliseconds.
    pub(crate) latency: (u64, u64),
}

/// One thing that a user, a broker, the network or the cluster does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    // The user.
    Send {
        topic: usize,
        partition: u32,
        count: u32,
        size: usize,
    },
    /// Stops looking at the answers of the youngest records.
    DropDeliveries {
        count: usize,
    },
    /// Gives up the oldest records that wait for memory.
    CancelBlocked {
        count: usize,
    },
    Flush,
    Purge {
        what: Purge,
    },
    /// No more records; everything is given up after the time.
    Close {
        patience: Duration,
    },
    // The cluster.
    MoveLeader {
        topic: usize,
        partition: u32,
        to: u16,
    },
    /// A leader is elected that lacks the last batches.
    UncleanElection {
        topic: usize,
        partition: u32,
        to: u16,
        batches: usize,
    },
    CreateLateTopic,
    Recreate {
        topic: usize,
    },
    /// Deleted and made again with so many partitions.
    Shrink {
        topic: usize,
        partitions: i32,
    },
    Grow {
        topic: usize,
    },
    /// `max.message.bytes` of a topic.
    LimitMessages {
        topic: usize,
        bytes: usize,
    },
    /// Brokers forget producers that did not write for long, if nothing is on its way.
    ForgetProducers,
    /// All of it ends, and a new cluster begins under the same addresses, to which somebody else writes first, perhaps.
    Wipe {
        strangers: bool,
    },
    /// Somebody else writes to a partition.
    Stranger {
        topic: usize,
        partition: u32,
        count: u32,
    },
    // A broker.
    /// Its address leads to another cluster.
    Astray {
        broker: u16,
        time: Duration,
    },
    /// Its metadata lacks something.
    Lag {
        broker: u16,
        unheard: Unheard,
        time: Duration,
    },
    Crash {
        broker: u16,
        time: Duration,
        refuses: bool,
        leaves: bool,
    },
    Freeze {
        broker: u16,
        time: Duration,
    },
    Slow {
        broker: u16,
        time: Duration,
        by: (u64, u64),
    },
    Inject {
        broker: Option<u16>,
        fault: Fault,
        count: u32,
    },
    // The network.
    Cut {
        broker: u16,
        way: Way,
        after: u64,
        delivers: bool,
    },
    Stall {
        broker: u16,
        way: Way,
        time: Duration,
    },
    Trickle {
        broker: u16,
        way: Way,
        piece: usize,
        time: Duration,
    },
}

/// What a broker has not heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// The partitions of a topic from this one on.
    Partitions {
        topic: usize,
        from: u32,
    },
    Topic(usize),
    Broker(u16),
    /// Whatever is new.
    News,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// From the client to the broker.
    Up,
    Down,
}

/// What a broker does to the next requests of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refuses a partition's batch, in some request: it is not appended.
    Refuse { partition: Option<i32>, code: ErrorCode },
    /// Appends it and says otherwise.
    AppendThenFail { partition: Option<i32>, code: ErrorCode },
    /// Hangs up instead of doing what a Produce request asks.
    HangUpBefore,
    /// Hangs up after it did it.
    HangUpAfter,
    /// Does it and never answers.
    Mute,
    /// Answers with a throttle time.
    Throttle { time: u32 },
    /// Leaves a partition out of its answer.
    Omit,
    /// Answers with another correlation id.
    WrongCorrelation,
    /// Answers with half a frame, and more garbage after it.
    Garbage,
    /// Announces a frame that is far too long.
    HugeFrame,
    /// Answers Metadata with this error for each topic or partition.
    MetadataError { code: ErrorCode, partitions: bool },
    /// Answers Metadata as it would have some time ago.
    StaleMetadata,
    /// Does not give a producer id.
    NoProducerId { code: ErrorCode },
}

impl Setup {
    /// How many addresses there are.
    pub(crate) fn nodes(&self) -> u16 {
        self.brokers + self.controllers
    }
}

impl Act {
    /// Whether brokers say of a batch that others are missing before it, although none are.
    pub(crate) fn refuses_what_is_next(&self) -> bool {
        let code = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        matches!(self, Self::Inject { fault: Fault::Refuse { code: refusal, .. }, .. } if *refusal == code)
    }

    /// Whether it is an ordinary thing to do, after which nothing may go wrong.
    pub(crate) fn is_harmless(&self) -> bool {
        matches!(
            self,
            Self::Send { .. } | Self::Flush | Self::DropDeliveries { .. } | Self::CancelBlocked { .. }
        )
    }

    /// Whether it takes from the producer nothing that it knew: the leaders of partitions that are not named stay what they are,
    /// also where it is made to ask.
    pub(crate) fn is_less_of_the_same(&self) -> bool {
        let is_lag = matches!(self, Self::Lag { unheard: Unheard::Partitions { .. }, .. });
        let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let is_question = matches!(
            self,
            Self::Inject { fault: Fault::Refuse { code: refusal, .. }, .. } if *refusal == code
        );
        self.is_harmless() || is_lag || is_question
    }
}

/// Draws a run.
///
/// Themes that came later have seeds of their own, so that the others kept what they are about.
pub(crate) fn draw(seed: u64) -> Plan {
    if seed % LATEST == 0 {
        return draw_about(themes::LATEST[(seed / LATEST) as usize % themes::LATEST.len()], seed);
    }
    if seed % LATER == LATER - 1 {
        let at = (seed / LATER) as usize % themes::LATER.len();
        return draw_about(themes::LATER[at], seed);
    }
    let mut rng = fastrand::Rng::with_seed(seed);
    let theme = rng.bool().then(|| themes::ALL[rng.usize(..themes::ALL.len())]);
    let mut plan = match theme {
        Some(theme) => draw_theme(theme, rng),
        None => draw_general(rng),
    };
    plan.setup.versions_version = newest_of_versions(&plan.setup, seed);
    if theme.is_none() {
        // A generator of their own, so that what was drawn before stays.
        draw_confusion(&mut fastrand::Rng::with_seed(!seed), &mut plan);
    }
    plan
}

/// Brokers that know no ids in Produce know no cluster ids in ApiVersions either; of the others half do.
fn newest_of_versions(setup: &Setup, seed: u64) -> i16 {
    if setup.produce_version >= 13 && seed % 4 < 2 { 5 } else { 4 }
}

/// Now and then clusters are taken for one another, or brokers do not know what others know.
fn draw_confusion(rng: &mut fastrand::Rng, plan: &mut Plan) {
    let setup = &plan.setup;
    if rng.u32(..6) > 0 {
        return;
    }
    let last = plan.steps.last().map_or(Duration::ZERO, |step| step.at);
    for _ in 0..rng.usize(1..3) {
        let at = moment(rng, last);
        let act = match rng.u32(..3) {
            0 if setup.brokers > 1 => draw_astray(rng, setup),
            // Without ids in Metadata epochs that begin anew look like old news.
            1 if setup.metadata_version >= 10 && setup.idempotent => Act::Wipe { strangers: rng.bool() },
            _ => draw_lag(rng, setup),
        };
        plan.steps.push(Step { at, act });
    }
    plan.steps.sort_by_key(|step| step.at);
}

pub(crate) fn draw_astray(rng: &mut fastrand::Rng, setup: &Setup) -> Act {
    let time = Duration::from_millis(rng.u64(100..20_000));
    Act::Astray { broker: rng.u16(..setup.brokers), time }
}

pub(crate) fn draw_lag(rng: &mut fastrand::Rng, setup: &Setup) -> Act {
    let topic = rng.usize(..setup.topics.len());
    let unheard = match rng.u32(..6) {
        0..=2 => Unheard::Partitions { topic, from: rng.u32(..setup.topics[topic] as u32) },
        3 => Unheard::Topic(topic),
        4 => Unheard::Broker(rng.u16(..setup.brokers)),
        _ => Unheard::News,
    };
    let time = Duration::from_millis(rng.u64(100..20_000));
    Act::Lag { broker: rng.u16(..setup.brokers), unheard, time }
}

/// Draws a run of which it is known what it is about.
pub(crate) fn draw_about(theme: Theme, seed: u64) -> Plan {
    let mut plan = draw_theme(theme, fastrand::Rng::with_seed(seed));
    plan.setup.versions_version = newest_of_versions(&plan.setup, seed);
    plan
}

fn draw_theme(theme: Theme, mut rng: fastrand::Rng) -> Plan {
    let (setup, mut steps, time) = theme.draw(&mut rng);
    draw_user(&mut rng, time, &mut steps);
    if setup.last_is_late {
        steps.push(Step { at: moment(&mut rng, time), act: Act::CreateLateTopic });
    }
    steps.sort_by_key(|step| step.at);
    Plan { seed: rng.u64(..), setup, steps }
}

fn draw_general(mut rng: fastrand::Rng) -> Plan {
    let mut setup = draw_setup(&mut rng);
    let mut steps = Vec::new();
    let time = Duration::from_millis(rng.u64(500..12_000));
    draw_sends(&mut rng, &setup, time, &mut steps);
    let faults = match rng.u32(..10) {
        0 => 0,
        1..=4 => rng.usize(1..4),
        5..=8 => rng.usize(3..12),
        _ => rng.usize(10..40),
    };
    for _ in 0..faults {
        let at = moment(&mut rng, time);
        let act = draw_fault(&mut rng, &mut setup);
        steps.push(Step { at, act });
    }
    draw_user(&mut rng, time, &mut steps);
    if setup.last_is_late {
        steps.push(Step { at: moment(&mut rng, time), act: Act::CreateLateTopic });
    }
    steps.sort_by_key(|step| step.at);
    Plan { seed: rng.u64(..), setup, steps }
}

pub(crate) fn draw_setup(rng: &mut fastrand::Rng) -> Setup {
    let topics: Vec<i32> = (0..rng.usize(1..3)).map(|_| rng.i32(1..5)).collect();
    let (acks, idempotent) = match rng.u32(..20) {
        0 => (0, false),
        1 => (1, false),
        2 => (-1, false),
        _ => (-1, true),
    };
    let max_in_flight = rng.usize(1..6);
    let request_timeout = Duration::from_millis(rng.u64(300..8_000));
    let linger = pick(rng, &[0, 0, 1, 5, 20, 100]);
    let batch_size = [300, 600, 1_000, 4_000, 16_384][rng.usize(..5)];
    Setup {
        brokers: rng.u16(1..5),
        controllers: 0,
        versions_version: 4,
        last_is_late: topics.len() > 1 && rng.u32(..4) == 0,
        topics,
        acks,
        idempotent,
        max_in_flight,
        retries: if rng.u32(..8) == 0 { rng.u32(..4) } else { u32::MAX >> 1 },
        batch_size,
        max_request_size: [1_200, 4_000, 64 << 10, 1 << 20][rng.usize(..4)].max(batch_size),
        buffer_memory: [2, 4, 16, 64, 512][rng.usize(..5)] * (16 << 10),
        linger: Duration::from_millis(linger),
        delivery_timeout: request_timeout
            + Duration::from_millis(linger + [200, 1_000, 5_000, 20_000, 60_000, 120_000][rng.usize(..6)]),
        request_timeout,
        retry_backoff: Duration::from_millis(pick(rng, &[10, 50, 100, 100])),
        max_block: Duration::from_millis(rng.u64(100..10_000)),
        compress: rng.u32(..4) == 0,
        produce_version: [13, 13, 13, 12, 11, 9, 7, 3][rng.usize(..8)],
        metadata_version: [13, 13, 13, 12, 9, 7, 4][rng.usize(..7)],
        first_epoch: if rng.u32(..6) == 0 { i16::MAX - rng.i16(0..3) } else { 0 },
        first_sequence: if rng.u32(..5) == 0 { i32::MAX - rng.i32(0..60) } else { 0 },
        send_buffer: [500, 4_000, 64 << 10, 1 << 20][rng.usize(..4)],
        latency: [(0, 1), (1, 5), (1, 60), (20, 400)][rng.usize(..4)],
    }
}

fn draw_sends(rng: &mut fastrand::Rng, setup: &Setup, time: Duration, steps: &mut Vec<Step>) {
    let largest = if rng.u32(..4) == 0 { setup.batch_size * 3 / 2 } else { setup.batch_size / 2 };
    for _ in 0..rng.usize(3..60) {
        let topic = rng.usize(..setup.topics.len());
        // Now and then a partition that does not exist, or does not exist yet.
        let beyond = u32::from(rng.u32(..10) == 0);
        let partition = rng.u32(..setup.topics[topic] as u32 + beyond);
        let count = if rng.u32(..3) == 0 { rng.u32(1..30) } else { rng.u32(1..5) };
        let size = rng.usize(VALUE_HEAD..largest.max(VALUE_HEAD + 1));
        steps.push(Step { at: moment(rng, time), act: Act::Send { topic, partition, count, size } });
    }
}

fn draw_user(rng: &mut fastrand::Rng, time: Duration, steps: &mut Vec<Step>) {
    let mut some = |of: u32, act: fn(&mut fastrand::Rng) -> Act| {
        for _ in 0..if rng.u32(..of) == 0 { rng.usize(1..4) } else { 0 } {
            let at = moment(rng, time);
            let act = act(rng);
            steps.push(Step { at, act });
        }
    };
    some(2, |_| Act::Flush);
    some(4, |rng| Act::DropDeliveries { count: rng.usize(1..20) });
    some(4, |rng| Act::CancelBlocked { count: rng.usize(1..5) });
    some(12, |rng| Act::Purge { what: [Purge::Queued, Purge::InFlight, Purge::All][rng.usize(..3)] });
    // Who flushes does so when he has sent something, so batches are on their way from hand to hand.
    if rng.u32(..2) == 0 {
        let sent = |step: &&Step| matches!(step.act, Act::Send { .. });
        let times: Vec<_> = steps.iter().filter(sent).map(|step| step.at).collect();
        for at in times.into_iter().filter(|_| rng.u32(..8) == 0).collect::<Vec<_>>() {
            let at = at + Duration::from_micros(rng.u64(..6_000));
            steps.push(Step { at, act: Act::Flush });
        }
    }
    if rng.u32(..5) == 0 {
        let patience = Duration::from_millis(rng.u64(..20_000));
        steps.push(Step { at: time, act: Act::Close { patience } });
    }
}

fn draw_fault(rng: &mut fastrand::Rng, setup: &mut Setup) -> Act {
    let broker = rng.u16(..setup.brokers);
    let topic = rng.usize(..setup.topics.len());
    let way = if rng.bool() { Way::Up } else { Way::Down };
    let time = Duration::from_millis(match rng.u32(..3) {
        0 => rng.u64(1..200),
        1 => rng.u64(100..2_000),
        _ => rng.u64(1_000..20_000),
    });
    match rng.u32(..30) {
        0..=3 => Act::MoveLeader {
            topic,
            partition: rng.u32(..setup.topics[topic] as u32),
            to: rng.u16(..setup.brokers),
        },
        // Without ids a topic that was recreated is one whose epochs went back: nobody can tell it from old news.
        4 if setup.metadata_version >= 10 => Act::Recreate { topic },
        5 => Act::Grow { topic },
        6 => Act::LimitMessages { topic, bytes: rng.usize(150..setup.batch_size * 2) },
        7 => Act::ForgetProducers,
        8..=9 => Act::Crash { broker, time, refuses: rng.bool(), leaves: rng.bool() },
        10..=11 => Act::Freeze { broker, time },
        12..=13 => {
            let most = rng.u64(2..3_000);
            Act::Slow { broker, time, by: (0, most) }
        }
        14..=16 => Act::Cut { broker, way, after: rng.u64(..3_000), delivers: rng.bool() },
        17..=18 => Act::Stall { broker, way, time },
        19 => Act::Trickle { broker, way, piece: rng.usize(1..40), time },
        _ => Act::Inject {
            broker: rng.bool().then_some(broker),
            fault: draw_injection(rng, setup.topics[topic]),
            count: rng.u32(1..4),
        },
    }
}

fn draw_injection(rng: &mut fastrand::Rng, partitions: i32) -> Fault {
    let partition = rng.bool().then(|| rng.i32(0..partitions));
    match rng.u32(..22) {
        0..=3 => Fault::Refuse { partition, code: REFUSALS[rng.usize(..REFUSALS.len())] },
        4..=6 => Fault::AppendThenFail { partition, code: DOUBTS[rng.usize(..DOUBTS.len())] },
        7..=8 => Fault::HangUpBefore,
        9..=11 => Fault::HangUpAfter,
        12 => Fault::Mute,
        13 => Fault::Throttle { time: rng.u32(1..2_000) },
        14 => Fault::Omit,
        15 => Fault::WrongCorrelation,
        16 => Fault::Garbage,
        17 => Fault::HugeFrame,
        18 => Fault::MetadataError {
            code: METADATA_ERRORS[rng.usize(..METADATA_ERRORS.len())],
            partitions: rng.bool(),
        },
        19..=20 => Fault::StaleMetadata,
        _ => Fault::NoProducerId { code: ID_ERRORS[rng.usize(..ID_ERRORS.len())] },
    }
}

pub(crate) fn moment(rng: &mut fastrand::Rng, time: Duration) -> Duration {
    Duration::from_micros(rng.u64(..time.as_micros() as u64 + 1))
}

pub(crate) fn pick(rng: &mut fastrand::Rng, choices: &[u64]) -> u64 {
    choices[rng.usize(..choices.len())]
}

/// Codes that a broker gives before it appends anything.
const REFUSALS: &[ErrorCode] = &[
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::CORRUPT_MESSAGE,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::THROTTLING_QUOTA_EXCEEDED,
    ErrorCode::INVALID_RECORD,
    ErrorCode::INVALID_TIMESTAMP,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::INVALID_RECORD,
    ErrorCode::UNKNOWN_PRODUCER_ID,
    ErrorCode::INVALID_PRODUCER_EPOCH,
    ErrorCode::UNKNOWN_SERVER_ERROR,
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ErrorCode(999),
];

/// Codes that a broker may give after it appended a batch.
const DOUBTS: &[ErrorCode] = &[
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::UNKNOWN_SERVER_ERROR,
    ErrorCode::KAFKA_STORAGE_ERROR,
    // An older broker's answer when it has the batch and does not remember where.
    ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
    ErrorCode(999),
];

const METADATA_ERRORS: &[ErrorCode] = &[
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::REPLICA_NOT_AVAILABLE,
];

const ID_ERRORS: &[ErrorCode] = &[
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::NOT_COORDINATOR,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::REQUEST_TIMED_OUT,
];

/// One seed in so many is about a theme that came later.
const LATER: u64 = 12;

/// One seed in so many is about one of the themes that came last.
const LATEST: u64 = 10;

/// Bytes of a value that say which record it is.
pub(crate) const VALUE_HEAD: usize = 24;
