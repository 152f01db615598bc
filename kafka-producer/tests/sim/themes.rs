//! Narrow plans: each brings a kind of trouble about that general plans seldom meet in the right order.
//!
//! A general plan spreads some faults over some seconds, and most bugs in the numbers need two or three of them to strike
//! one batch. So every other seed has a theme; the scenarios of `docs/reliability.md` are seeds of one theme.

use std::time::Duration;

use kafka_wire::ErrorCode;

use super::plan::{
    Act, Fault, Setup, Step, VALUE_HEAD, Way, draw_astray, draw_lag, draw_setup, moment, pick,
};
use crate::purge::Purge;

/// What a plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Batches that were held up are sent shortly before they expire, and their answers come late or never.
    LateAnswers,
    /// A batch that may have been written is refused when it is sent again.
    DoubtThenRefusal,
    /// Leaders move all the time, to brokers that refuse and with metadata that is old.
    ElectionStorm,
    /// Brokers refuse for a long while, before or after the append.
    TooFewReplicas,
    /// The first batches that a broker sees of a producer are refused.
    Strangers,
    /// Sequences wrap, mostly with nothing wrong.
    Wrap,
    /// Bumps near the last epoch.
    LastEpochs,
    /// Batches are too large, with several in flight.
    Splits,
    /// Sockets take large batches piece by piece while their leaders move and their time runs out.
    HeldUp,
    /// Brokers die and come back.
    Crash,
    /// Brokers are stopped and continued.
    Freeze,
    /// Connections break after any number of bytes.
    Cuts,
    /// A topic is not there for a while.
    UnknownTopic,
    /// Topics are deleted and made again.
    Recreation,
    /// Leaders are elected that lack what the old ones had acknowledged.
    UncleanElection,
    /// A batch expires while the one behind it, which lives longer, is out; both were appended, and neither is answered.
    TwoDeadlines,
    /// A leader moves after it appended a batch and before it answers, and the new one refuses the batch.
    MovedUnderWay,
    /// One batch of many in a row is in doubt, while the others are acknowledged.
    OneInDoubt,
    /// Leaders restart after they appended batches and before their answers arrive.
    Restart,
    /// Addresses of brokers lead to another cluster for a while.
    Astray,
    /// The cluster is begun anew under the same addresses, with batches under way; others write to it, too.
    Wiped,
    /// Brokers do not know what others know.
    Lagging,
    /// A controller is among the servers, and some nodes refuse a producer id without a reason.
    Controllers,
    /// Requests that fail come again together, with more batches than fit into one.
    SentAgain,
    /// Memory is short, batches linger longer than anybody waits for it, and some back off.
    Pressure,
    /// Topics are made again with fewer partitions, and grow to what they were.
    Shrunk,
}

/// What half of the seeds are about.
pub(crate) const ALL: &[Theme] = &[
    Theme::LateAnswers,
    Theme::DoubtThenRefusal,
    Theme::ElectionStorm,
    Theme::TooFewReplicas,
    Theme::Strangers,
    Theme::Wrap,
    Theme::LastEpochs,
    Theme::Splits,
    Theme::HeldUp,
    Theme::Crash,
    Theme::Freeze,
    Theme::Cuts,
    Theme::UnknownTopic,
    Theme::Recreation,
    Theme::UncleanElection,
];

/// What some seeds of their own are about.
pub(crate) const LATER: &[Theme] =
    &[Theme::TwoDeadlines, Theme::MovedUnderWay, Theme::OneInDoubt, Theme::Restart];

/// What some seeds of the others are about.
pub(crate) const LATEST: &[Theme] = &[
    Theme::Lagging,
    Theme::Controllers,
    Theme::SentAgain,
    Theme::Pressure,
    Theme::Astray,
    Theme::Wiped,
    Theme::Shrunk,
];

impl Theme {
    /// Settings, what happens, and for how long.
    pub(crate) fn draw(self, rng: &mut fastrand::Rng) -> (Setup, Vec<Step>, Duration) {
        let mut setup = draw_setup(rng);
        narrow(&mut setup, rng);
        self.adjust(&mut setup, rng);
        let time = millis(rng.u64(500..5_000));
        let mut steps = Vec::new();
        sends(&mut steps, &setup, time, rng);
        for _ in 0..self.blocks(rng) {
            let at = moment(rng, time);
            self.block(&mut steps, &setup, at, rng);
        }
        (setup, steps, time)
    }

    fn adjust(self, setup: &mut Setup, rng: &mut fastrand::Rng) {
        let slack = rng.u64(5..400);
        let tight = setup.request_timeout + setup.linger + millis(slack);
        match self {
            Self::LateAnswers => setup.delivery_timeout = tight,
            Self::DoubtThenRefusal => {
                setup.max_in_flight = pick(rng, &[1, 1, 2, 5]) as usize;
                if rng.u32(..3) == 0 {
                    (setup.acks, setup.idempotent) = (if rng.bool() { -1 } else { 1 }, false);
                }
            }
            Self::ElectionStorm => setup.brokers = rng.u16(2..5),
            Self::TooFewReplicas => setup.max_in_flight = pick(rng, &[1, 3, 5, 5]) as usize,
            Self::Strangers => setup.max_in_flight = rng.usize(2..6),
            Self::Wrap => setup.first_sequence = i32::MAX - rng.i32(0..30),
            Self::LastEpochs => setup.first_epoch = i16::MAX - rng.i16(0..3),
            Self::Splits => {
                setup.max_in_flight = pick(rng, &[1, 2, 5, 5]) as usize;
                setup.compress = rng.u32(..3) == 0;
                setup.buffer_memory = pick(rng, &[4, 16, 64]) as usize * (16 << 10);
            }
            Self::HeldUp => {
                setup.brokers = rng.u16(1..4);
                setup.batch_size = pick(rng, &[600, 4_000, 16_384]) as usize;
                setup.max_request_size = (64 << 10).max(setup.batch_size);
                setup.send_buffer = pick(rng, &[500, 500, 4_000]) as usize;
                if rng.bool() {
                    setup.delivery_timeout = tight;
                }
            }
            Self::Freeze if rng.bool() => setup.delivery_timeout = tight,
            Self::UnknownTopic => {
                setup.topics = vec![rng.i32(1..3), rng.i32(1..3)];
                setup.last_is_late = true;
            }
            Self::UncleanElection => setup.brokers = rng.u16(2..4),
            Self::TwoDeadlines => {
                (setup.brokers, setup.topics) = (1, vec![1]);
                setup.max_in_flight = rng.usize(2..6);
                setup.linger = millis(pick(rng, &[0, 1, 5]));
                let slack = setup.linger + millis(rng.u64(300..1_500));
                setup.delivery_timeout = setup.request_timeout + slack;
            }
            Self::MovedUnderWay => {
                (setup.brokers, setup.topics) = (rng.u16(2..4), vec![rng.i32(2..4)]);
                setup.request_timeout = millis(rng.u64(400..1_200));
                setup.linger = millis(pick(rng, &[0, 1, 5]));
                setup.latency = [(0, 1), (1, 5)][rng.usize(..2)];
                setup.delivery_timeout =
                    setup.request_timeout + setup.linger + millis(pick(rng, &[50, 2_000]));
            }
            Self::OneInDoubt => {
                (setup.topics, setup.max_in_flight) = (vec![1], rng.usize(3..6));
                setup.batch_size = pick(rng, &[300, 600]) as usize;
            }
            Self::Restart => {
                setup.max_in_flight = rng.usize(2..6);
                setup.batch_size = pick(rng, &[300, 600, 1_000]) as usize;
            }
            _ => self.adjust_latest(setup, rng),
        }
    }

    fn adjust_latest(self, setup: &mut Setup, rng: &mut fastrand::Rng) {
        match self {
            Self::Astray => setup.brokers = rng.u16(2..5),
            Self::Shrunk => {
                setup.topics = vec![rng.i32(2..5)];
                (setup.produce_version, setup.metadata_version) = (13, 13);
                setup.delivery_timeout = setup.request_timeout + setup.linger + LONG;
            }
            Self::Pressure => {
                (setup.brokers, setup.topics) = (rng.u16(1..4), vec![rng.i32(2..8)]);
                setup.buffer_memory = pick(rng, &[2, 3, 4]) as usize * (16 << 10);
                (setup.linger, setup.max_block) = (LONG, millis(rng.u64(300..2_000)));
                setup.delivery_timeout = setup.request_timeout + setup.linger + LONG;
                setup.compress = false;
            }
            Self::SentAgain => {
                (setup.brokers, setup.topics) = (1, vec![rng.i32(3..8)]);
                setup.max_in_flight = rng.usize(2..6);
                setup.batch_size = pick(rng, &[300, 600, 1_000]) as usize;
                setup.max_request_size = setup.batch_size * pick(rng, &[2, 3]) as usize;
            }
            Self::Wiped => {
                // Without ids in Metadata epochs that begin anew look like old news.
                setup.metadata_version = setup.metadata_version.max(10);
                setup.max_in_flight = rng.usize(1..6);
                setup.brokers = rng.u16(1..4);
            }
            Self::Lagging => {
                setup.brokers = rng.u16(1..4);
                setup.topics = vec![rng.i32(1..5)];
                setup.delivery_timeout = setup.request_timeout + setup.linger + LONG;
            }
            Self::Controllers => {
                (setup.brokers, setup.controllers) = (rng.u16(1..3), rng.u16(1..3));
                setup.delivery_timeout = setup.request_timeout + setup.linger + LONG;
            }
            _ => {}
        }
    }

    fn blocks(self, rng: &mut fastrand::Rng) -> usize {
        match self {
            Self::Wrap => rng.usize(..2),
            Self::ElectionStorm | Self::Cuts => rng.usize(5..25),
            Self::UnknownTopic | Self::Recreation | Self::UncleanElection => rng.usize(1..5),
            Self::TwoDeadlines | Self::MovedUnderWay | Self::Wiped | Self::Shrunk => rng.usize(1..3),
            Self::Controllers => rng.usize(..3),
            Self::SentAgain => rng.usize(2..6),
            Self::Pressure => rng.usize(..4),
            _ => rng.usize(2..10),
        }
    }

    /// A group of faults that belong together.
    #[expect(clippy::too_many_lines, reason = "a table: a few lines for each theme")]
    fn block(self, steps: &mut Vec<Step>, setup: &Setup, at: Duration, rng: &mut fastrand::Rng) {
        let timeout = setup.request_timeout.as_millis() as u64;
        let broker = rng.u16(..setup.brokers);
        let topic = rng.usize(..setup.topics.len());
        let partition = rng.u32(..setup.topics[topic] as u32);
        let inject = |fault, count| Act::Inject { broker: None, fault, count };
        let refuse = |code, count| inject(Fault::Refuse { partition: None, code }, count);
        let mut then = |after: u64, act| steps.push(Step { at: at + millis(after), act });
        match self {
            Self::LateAnswers => {
                let most = setup.delivery_timeout.as_millis() as u64;
                let time = rng.u64(1..most);
                then(0, held_up(broker, millis(time), rng));
                let after = rng.u64(..=time);
                then(after, unanswered(broker, timeout, rng));
                if rng.u32(..4) == 0 {
                    then(after + rng.u64(1..timeout), Act::Purge { what: Purge::InFlight });
                }
            }
            Self::DoubtThenRefusal => {
                then(0, doubtful(broker, timeout, rng));
                if rng.u32(..3) == 0 {
                    then(0, refuse(ErrorCode::MESSAGE_TOO_LARGE, 1));
                    then(0, refuse(ErrorCode::INVALID_RECORD, 2));
                    return;
                }
                for _ in 0..rng.usize(1..4) {
                    then(0, refuse(LATER_REFUSALS[rng.usize(..LATER_REFUSALS.len())], 1));
                }
            }
            Self::ElectionStorm => {
                let to = rng.u16(..setup.brokers);
                match rng.u32(..8) {
                    0 => then(0, unanswered(broker, timeout, rng)),
                    1 => then(0, inject(Fault::StaleMetadata, rng.u32(1..4))),
                    2 => then(0, refuse(LATER_REFUSALS[rng.usize(..LATER_REFUSALS.len())], 1)),
                    _ => {}
                }
                then(rng.u64(..30), Act::MoveLeader { topic, partition, to });
                if rng.bool() {
                    let code = LATER_REFUSALS[rng.usize(..LATER_REFUSALS.len())];
                    let fault = Fault::Refuse { partition: None, code };
                    then(rng.u64(..30), Act::Inject { broker: Some(to), fault, count: rng.u32(1..3) });
                }
            }
            Self::TooFewReplicas => {
                let count = rng.u32(1..6) * pick(rng, &[1, 1, 10, 60]) as u32;
                let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
                then(
                    0,
                    match rng.bool() {
                        true => refuse(ErrorCode::NOT_ENOUGH_REPLICAS, count),
                        false => inject(Fault::AppendThenFail { partition: None, code }, count),
                    },
                );
            }
            Self::Strangers => {
                let code = LATER_REFUSALS[rng.usize(..LATER_REFUSALS.len())];
                let fault = Fault::Refuse { partition: None, code };
                let refusal = Act::Inject { broker: None, fault, count: 1 };
                let mut at = if rng.bool() { Duration::ZERO } else { at };
                match rng.u32(..3) {
                    0 => {
                        at += FORGETFUL + millis(rng.u64(..2_000));
                        let size = setup.batch_size / 3;
                        steps.push(Step { at, act: Act::ForgetProducers });
                        steps.push(Step { at, act: Act::Send { topic, partition, count: 12, size } });
                    }
                    1 => {
                        let to = rng.u16(..setup.brokers);
                        steps.push(Step { at, act: Act::MoveLeader { topic, partition, to } });
                    }
                    _ => {}
                }
                steps.push(Step { at, act: refusal });
            }
            Self::Wrap => then(0, unanswered(broker, timeout, rng)),
            Self::LastEpochs => {
                if rng.u32(..3) == 0 {
                    then(0, doubtful(broker, timeout, rng));
                }
                then(rng.u64(..20), refuse(BUMPS[rng.usize(..BUMPS.len())], rng.u32(1..3)));
            }
            Self::Splits => {
                if rng.u32(..4) == 0 {
                    then(0, doubtful(broker, timeout, rng));
                }
                let bytes = rng.usize(150..setup.batch_size + 100);
                then(
                    0,
                    match rng.bool() {
                        true => refuse(ErrorCode::MESSAGE_TOO_LARGE, rng.u32(1..6)),
                        false => Act::LimitMessages { topic, bytes },
                    },
                );
            }
            Self::HeldUp => {
                let time = millis(rng.u64(1..timeout * 2));
                then(0, Act::Stall { broker, way: Way::Up, time });
                let to = rng.u16(..setup.brokers);
                let after = rng.u64(1..timeout);
                match rng.u32(..3) {
                    0 => then(after, Act::Purge { what: Purge::InFlight }),
                    1 => then(after, held_up(broker, time, rng)),
                    _ => then(after, Act::MoveLeader { topic, partition, to }),
                }
            }
            Self::Crash => {
                let time = millis(rng.u64(20..4_000));
                then(0, Act::Crash { broker, time, refuses: rng.bool(), leaves: rng.bool() });
            }
            Self::Freeze => {
                then(0, Act::Freeze { broker, time: millis(rng.u64(20..timeout * 3)) });
                if rng.u32(..3) == 0 {
                    let way = Way::Down;
                    then(rng.u64(1..timeout), Act::Cut { broker, way, after: 0, delivers: true });
                }
            }
            Self::Cuts => {
                let way = if rng.bool() { Way::Up } else { Way::Down };
                let most = pick(rng, &[8, 200, 2_000]);
                let after = rng.u64(..most);
                then(0, Act::Cut { broker, way, after, delivers: rng.bool() });
            }
            Self::UnknownTopic => {
                let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
                match rng.u32(..4) {
                    0 => then(0, refuse(code, rng.u32(1..5))),
                    1 => then(0, inject(Fault::AppendThenFail { partition: None, code }, rng.u32(1..3))),
                    _ => {
                        let partitions = rng.bool();
                        then(0, inject(Fault::MetadataError { code, partitions }, rng.u32(1..10)));
                    }
                }
            }
            Self::Recreation => {
                if rng.bool() {
                    then(0, unanswered(broker, timeout, rng));
                }
                then(rng.u64(..50), Act::Recreate { topic });
            }
            Self::UncleanElection => {
                if rng.bool() {
                    then(0, unanswered(broker, timeout, rng));
                }
                let (to, batches) = (rng.u16(..setup.brokers), rng.usize(1..6));
                then(rng.u64(..50), Act::UncleanElection { topic, partition, to, batches });
            }
            Self::Astray => {
                if rng.bool() {
                    then(0, unanswered(broker, timeout, rng));
                }
                then(rng.u64(..50), draw_astray(rng, setup));
            }
            Self::Wiped => {
                if rng.bool() {
                    then(0, unanswered(broker, timeout, rng));
                }
                let (count, size) = (rng.u32(1..12), setup.batch_size / 2);
                then(1, Act::Send { topic, partition, count, size });
                let wiped = rng.u64(2..100);
                then(wiped, Act::Wipe { strangers: rng.bool() });
                let at = wiped + rng.u64(..timeout);
                then(at, Act::Stranger { topic, partition, count: rng.u32(1..8) });
            }
            Self::Lagging => {
                // Some for longer than a run lasts.
                let longer = pick(rng, &[1, 1, 10]) as u32;
                then(
                    0,
                    match draw_lag(rng, setup) {
                        Act::Lag { broker, unheard, time } => {
                            Act::Lag { broker, unheard, time: time * longer }
                        }
                        other => other,
                    },
                );
                // Makes it ask.
                then(rng.u64(..200), refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER, 1));
                if rng.u32(..4) == 0 {
                    then(rng.u64(..200), Act::MoveLeader { topic, partition, to: rng.u16(..setup.brokers) });
                }
            }
            Self::Controllers => {
                let code = UNEXPECTED[rng.usize(..UNEXPECTED.len())];
                steps.push(Step { at: Duration::ZERO, act: inject(Fault::NoProducerId { code }, 1) });
            }
            Self::Shrunk => {
                let partitions = rng.i32(1..setup.topics[0]);
                then(0, Act::Shrink { topic, partitions });
                let after = rng.u64(..2_000);
                (0..rng.u64(..3)).for_each(|number| then(after + number * 10, Act::Grow { topic }));
                let size = VALUE_HEAD;
                (0..setup.topics[0] as u32)
                    .for_each(|partition| then(1, Act::Send { topic: 0, partition, count: 1, size }));
            }
            Self::Pressure => {
                let code = ErrorCode::NOT_ENOUGH_REPLICAS;
                let fault = Fault::Refuse { partition: Some(partition as i32), code };
                then(0, inject(fault, rng.u32(5..60)));
            }
            Self::SentAgain => {
                let (count, size) = (rng.u32(2..6), setup.batch_size / 2);
                (0..setup.topics[0] as u32)
                    .for_each(|partition| then(0, Act::Send { topic: 0, partition, count, size }));
                let all = rng.u32(3..6);
                match rng.u32(..3) {
                    0 => then(0, Act::Stall { broker, way: Way::Down, time: millis(timeout * 2) }),
                    1 => then(0, inject(Fault::HangUpAfter, all)),
                    _ => then(0, inject(Fault::HangUpBefore, all)),
                }
            }
            Self::TwoDeadlines => two_deadlines(steps, setup, at, broker, rng),
            Self::MovedUnderWay => moved_under_way(steps, setup, at, rng),
            Self::OneInDoubt => {
                let size = setup.batch_size / 3;
                then(0, doubtful(broker, timeout, rng));
                then(rng.u64(..5), Act::Send { topic, partition, count: rng.u32(20..60), size });
            }
            Self::Restart => {
                let lasts = rng.u64(10..timeout);
                then(0, Act::Stall { broker, way: Way::Down, time: millis(lasts) });
                let (count, size) = (rng.u32(3..12), setup.batch_size / 2);
                then(1, Act::Send { topic, partition, count, size });
                let time = millis(rng.u64(1..1_000));
                let leaves = rng.u32(..4) == 0;
                then(rng.u64(2..lasts), Act::Crash { broker, time, refuses: rng.bool(), leaves });
            }
        }
    }
}

/// A broker wants a pause that lasts until a batch has little time left and the next one has just begun. It appends both, and
/// answers neither.
fn two_deadlines(steps: &mut Vec<Step>, setup: &Setup, at: Duration, broker: u16, rng: &mut fastrand::Rng) {
    let mut then = |after: u64, act| steps.push(Step { at: at + millis(after), act });
    let (topic, partition) = (0, rng.u32(..setup.topics[0] as u32));
    let send = |count| Act::Send { topic, partition, count, size: VALUE_HEAD };
    let slack = (setup.delivery_timeout - setup.request_timeout).as_millis() as u64;
    let pause = slack + rng.u64(100..500);
    let inject = |fault, count| Act::Inject { broker: Some(broker), fault, count };
    then(0, inject(Fault::Throttle { time: pause as u32 }, 1));
    then(0, send(1));
    then(100, inject(Fault::Mute, rng.u32(2..4)));
    then(100, send(1));
    // The first one is closed by then: the next is one of its own.
    then(pause - 60, Act::Flush);
    then(pause - rng.u64(1..50), send(rng.u32(1..3)));
}

/// A broker appends a batch and takes long to say so; meanwhile another one leads, of which the producer hears by the way.
fn moved_under_way(steps: &mut Vec<Step>, setup: &Setup, at: Duration, rng: &mut fastrand::Rng) {
    let timeout = setup.request_timeout.as_millis() as u64;
    let (topic, old, new) = (0, 0, 1);
    let lead = |partition, to| Act::MoveLeader { topic, partition, to };
    steps.push(Step { at: Duration::ZERO, act: lead(0, old) });
    steps.push(Step { at: Duration::ZERO, act: lead(1, new) });
    let mut then = |after: u64, act| steps.push(Step { at: at + millis(after), act });
    let send = |partition, rng: &mut fastrand::Rng| Act::Send {
        topic,
        partition,
        count: rng.u32(1..4),
        size: VALUE_HEAD,
    };
    let refuse = |partition, code, count| {
        let fault = Fault::Refuse { partition, code };
        Act::Inject { broker: Some(new), fault, count }
    };
    then(0, Act::Slow { broker: old, time: millis(timeout), by: (timeout / 2, timeout) });
    then(1, send(0, rng));
    let moved = rng.u64(12..40);
    then(moved, lead(0, new));
    // What another partition is told makes the producer look who leads.
    then(moved, refuse(None, ErrorCode::NOT_LEADER_OR_FOLLOWER, 1));
    then(moved, send(1, rng));
    match rng.u32(..3) {
        0 => then(moved, refuse(Some(0), ErrorCode::NOT_ENOUGH_REPLICAS, 60)),
        1 => then(moved + rng.u64(10..60), Act::Purge { what: Purge::All }),
        _ => {
            let code = LATER_REFUSALS[rng.usize(..LATER_REFUSALS.len())];
            then(moved, refuse(Some(0), code, rng.u32(1..4)));
        }
    }
    then(timeout * 2, lead(0, old));
}

/// One topic, few partitions, everything near everything.
fn narrow(setup: &mut Setup, rng: &mut fastrand::Rng) {
    setup.brokers = rng.u16(1..3);
    setup.topics = vec![rng.i32(1..3)];
    setup.last_is_late = false;
    (setup.acks, setup.idempotent) = (-1, true);
    setup.retries = u32::MAX >> 1;
    setup.request_timeout = millis(rng.u64(100..1_200));
    setup.delivery_timeout = setup.request_timeout + setup.linger + millis(pick(rng, &[300, 2_000, 20_000]));
    setup.buffer_memory = 64 * (16 << 10);
    setup.latency = [(0, 1), (0, 1), (1, 5), (1, 40)][rng.usize(..4)];
    setup.compress = rng.u32(..8) == 0;
    (setup.produce_version, setup.metadata_version) = [(13, 13), (13, 13), (11, 12)][rng.usize(..3)];
    (setup.first_epoch, setup.first_sequence) = (0, 0);
}

fn sends(steps: &mut Vec<Step>, setup: &Setup, time: Duration, rng: &mut fastrand::Rng) {
    let largest = setup.batch_size / pick(rng, &[2, 4, 20]) as usize;
    for _ in 0..rng.usize(10..80) {
        let topic = rng.usize(..setup.topics.len());
        let partition = rng.u32(..setup.topics[topic] as u32);
        let count = if rng.u32(..4) == 0 { rng.u32(1..30) } else { rng.u32(1..4) };
        let size = rng.usize(VALUE_HEAD..largest.max(VALUE_HEAD + 1));
        steps.push(Step { at: moment(rng, time), act: Act::Send { topic, partition, count, size } });
    }
    // And some before anything happens.
    let size = largest.max(VALUE_HEAD);
    steps.push(Step { at: Duration::ZERO, act: Act::Send { topic: 0, partition: 0, count: 20, size } });
}

/// What keeps batches from being sent, or from being taken.
fn held_up(broker: u16, time: Duration, rng: &mut fastrand::Rng) -> Act {
    let count = rng.u32(1..8);
    match rng.u32(..5) {
        0 => Act::Crash { broker, time, refuses: rng.bool(), leaves: false },
        1 => Act::Stall { broker, way: Way::Up, time },
        2 => Act::Inject {
            broker: None,
            fault: Fault::MetadataError { code: ErrorCode::LEADER_NOT_AVAILABLE, partitions: true },
            count,
        },
        _ => {
            let fault = Fault::Refuse { partition: None, code: ErrorCode::NOT_ENOUGH_REPLICAS };
            Act::Inject { broker: None, fault, count }
        }
    }
}

/// What keeps an answer from coming in time.
fn unanswered(broker: u16, timeout: u64, rng: &mut fastrand::Rng) -> Act {
    let time = millis(rng.u64(1..timeout * 2));
    match rng.u32(..6) {
        0 => Act::Freeze { broker, time },
        1 => Act::Slow { broker, time: time * 2, by: (0, timeout) },
        2 => Act::Stall { broker, way: Way::Down, time },
        _ => doubtful(broker, timeout, rng),
    }
}

/// What leaves a batch in doubt that was appended.
fn doubtful(broker: u16, timeout: u64, rng: &mut fastrand::Rng) -> Act {
    let fault = match rng.u32(..7) {
        0 => Fault::Mute,
        1 => Fault::Omit,
        2 => Fault::Garbage,
        3 => return Act::Slow { broker, time: millis(timeout * 2), by: (timeout / 2, timeout * 2) },
        4 => Fault::HangUpAfter,
        _ => Fault::AppendThenFail { partition: None, code: DOUBTS[rng.usize(..DOUBTS.len())] },
    };
    Act::Inject { broker: None, fault, count: rng.u32(1..4) }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// After so long the producer relies on no broker to know it.
const FORGETFUL: Duration = Duration::from_secs(90);

/// What a broker may say of a batch that it has.
const DOUBTS: &[ErrorCode] = &[
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
];

/// What a broker may say of a batch that it has not, or has already.
const LATER_REFUSALS: &[ErrorCode] = &[
    ErrorCode::INVALID_RECORD,
    ErrorCode::INVALID_RECORD,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::CORRUPT_MESSAGE,
    ErrorCode::THROTTLING_QUOTA_EXCEEDED,
    ErrorCode::UNKNOWN_PRODUCER_ID,
    ErrorCode::INVALID_PRODUCER_EPOCH,
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
];

/// What no broker says to who asks for a producer id, but for those that do.
const UNEXPECTED: &[ErrorCode] =
    &[ErrorCode::UNKNOWN_SERVER_ERROR, ErrorCode::INVALID_REQUEST, ErrorCode::INVALID_PRODUCER_EPOCH];

/// Time enough for everything.
const LONG: Duration = Duration::from_secs(60);

/// What makes a bump necessary.
const BUMPS: &[ErrorCode] = &[
    ErrorCode::INVALID_RECORD,
    ErrorCode::INVALID_PRODUCER_EPOCH,
    ErrorCode::UNKNOWN_PRODUCER_ID,
    ErrorCode::INVALID_TIMESTAMP,
    ErrorCode::MESSAGE_TOO_LARGE,
];
