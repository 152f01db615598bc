//! Narrow plans for the shell: each makes a kind of trouble likely that general plans seldom meet in the right order.
//!
//! As in the layer below (`tests/sim/themes.rs`), and for the same reason: most bugs in the numbers need two or three faults to
//! strike one batch.

use std::{sync::Arc, time::Duration};

use kafka_wire::ErrorCode;
use tokio::{runtime::Handle, time::sleep};

use super::{
    net::{Net, Refuse},
    pipe::Weather,
    plan::{self, Plan, Trouble, pick},
    watch::Watch,
};
use crate::{Acks, Compression, purge::Purge};

/// What a plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    /// Batches that may have been written are refused when they are sent again, split, or found to be duplicates.
    Doubts,
    /// Batches are held up until some have little time left, then all are appended and none is answered.
    LateAnswers,
    /// Leaders move while what they appended is unanswered; some hear of leaders of long ago.
    Moves,
    /// The last epochs, and sequences that wrap; mostly with nothing wrong.
    LastNumbers,
    /// Large batches leave piece by piece, and are given up in the middle.
    HeldUp,
    /// Addresses of brokers lead to another cluster for a while.
    Astray,
    /// The cluster is begun anew under the same addresses, and others write to it, too.
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

/// All of them.
const ALL: &[Theme] = &[Theme::Doubts, Theme::LateAnswers, Theme::Moves, Theme::LastNumbers, Theme::HeldUp];

/// Those that came later, which have seeds of their own.
const LATER: &[Theme] = &[
    Theme::Lagging,
    Theme::Controllers,
    Theme::SentAgain,
    Theme::Astray,
    Theme::Wiped,
    Theme::Pressure,
    Theme::Shrunk,
];

impl Theme {
    /// The theme of a seed, if it has one: that which is asked for, or what is its own.
    pub(super) fn of(seed: u64) -> Option<Self> {
        if let Ok(name) = std::env::var("LINGER_SIM_THEME") {
            let mut themes = [ALL, LATER].into_iter().flatten().copied();
            return themes.find(|theme| format!("{theme:?}") == name);
        }
        if seed % THEMED_LATER == THEMED_LATER - 2 {
            return Some(LATER[(seed / THEMED_LATER) as usize % LATER.len()]);
        }
        (seed % THEMED == THEMED - 1).then(|| ALL[(seed / THEMED) as usize % ALL.len()])
    }

    /// The seed of this theme at a place among its own.
    pub(super) fn seed(self, at: u64) -> u64 {
        let place = |list: &[Self]| list.iter().position(|theme| *theme == self).map(|place| place as u64);
        if let Some(place) = place(LATER) {
            return (at * LATER.len() as u64 + place) * THEMED_LATER + THEMED_LATER - 2;
        }
        (at * ALL.len() as u64 + place(ALL).unwrap_or(0)) * THEMED + THEMED - 1
    }

    pub(super) fn adjust(self, plan: &mut Plan, rng: &mut fastrand::Rng) {
        plan.is_fair = self == Self::LastNumbers && rng.u8(..3) != 0;
        plan.steps = rng.u32(40..120);
        plan.max_message = None;
        plan.max_block = millis(60_000);
        (plan.acks, plan.is_idempotent) = (Acks::ALL, true);
        if plan.is_fair {
            (plan.trouble, plan.delivery_timeout) = (Duration::ZERO, plan.request_timeout + millis(60_000));
            return;
        }
        // Trouble is to strike somebody: users go on for about as long.
        plan.trouble = millis(rng.u64(5_000..40_000));
        plan.rest = millis(rng.u64(20..500));
        plan.request_timeout = millis(rng.u64(500..2_000));
        let slack = millis(rng.u64(300..20_000));
        plan.delivery_timeout = plan.linger + plan.request_timeout + slack;
        match self {
            Self::Doubts => {
                // Faults that follow one another are to strike one batch, or its neighbours.
                plan.topics = vec![("topic-0".to_owned(), rng.i32(1..=2))];
                (plan.steps, plan.rest) = (rng.u32(80..160), millis(rng.u64(1..100)));
                plan.max_in_flight = *pick(rng, &[1, 2, 5, 5]);
                plan.batch_size = *pick(rng, &[1, 200, 1_000, 4_000]);
                if rng.u8(..3) == 0 {
                    (plan.acks, plan.is_idempotent) = (*pick(rng, &[Acks::ALL, Acks::LEADER]), false);
                }
            }
            Self::LateAnswers => {
                plan.max_in_flight = rng.u32(2..=5);
                plan.batch_size = *pick(rng, &[1, 200, 1_000]);
                plan.delivery_timeout = plan.linger + plan.request_timeout + millis(rng.u64(500..3_000));
            }
            Self::Moves | Self::Astray => plan.brokers = rng.u16(2..=3),
            Self::LastNumbers | Self::Wiped | Self::Lagging => {}
            Self::Controllers => plan.controllers = rng.u16(1..=2),
            Self::Shrunk => {
                plan.topics = vec![("topic-0".to_owned(), rng.i32(2..=6))];
                // Batches are open, and take records, when their partitions go.
                (plan.linger, plan.batch_size) = (millis(*pick(rng, &[100, 1_000, 3_000])), 16_384);
                plan.rest = millis(rng.u64(1..50));
                plan.buffer_memory = 64 * kafka_batch::CHUNK_SIZE;
                plan.delivery_timeout = plan.linger + plan.request_timeout + slack;
            }
            Self::Pressure => {
                plan.brokers = *pick(rng, &[1, 1, 2]);
                plan.topics = vec![("topic-0".to_owned(), rng.i32(2..=5))];
                (plan.users, plan.rest) = (rng.u16(4..=6), millis(rng.u64(300..2_000)));
                plan.buffer_memory = *pick(rng, &[2, 2, 3]) * kafka_batch::CHUNK_SIZE;
                (plan.linger, plan.max_block) = (millis(10_000), millis(rng.u64(100..400)));
                plan.delivery_timeout = plan.linger + plan.request_timeout + millis(60_000);
                (plan.compression, plan.batch_size) = (Compression::None, 16_384);
            }
            Self::SentAgain => {
                (plan.brokers, plan.topics) = (1, vec![("topic-0".to_owned(), rng.i32(3..=8))]);
                (plan.batch_size, plan.max_request_size) = (4_000, 10_000);
                (plan.steps, plan.rest) = (rng.u32(80..160), millis(rng.u64(1..50)));
                plan.buffer_memory = 64 * kafka_batch::CHUNK_SIZE;
                plan.max_in_flight = rng.u32(2..=5);
            }
            Self::HeldUp => {
                plan.users = rng.u16(1..=2);
                plan.batch_size = 16_384;
                plan.request_timeout = millis(rng.u64(3_000..20_000));
                plan.delivery_timeout = plan.linger + plan.request_timeout + millis(rng.u64(0..2_000));
            }
        }
    }

    /// The epoch that the first producer id comes with, and the sequence that partitions begin with.
    pub(super) fn first_numbers(self, rng: &mut fastrand::Rng) -> (i16, i32) {
        match self {
            Self::LastNumbers => (i16::MAX - rng.i16(0..3), i32::MAX - rng.i32(0..60)),
            _ => (0, 0),
        }
    }

    /// A group of faults that belong together, from the first to the last.
    pub(super) async fn trouble(self, net: &Net, watch: &Watch, plan: &Plan, rng: &mut fastrand::Rng) {
        let timeout = plan.request_timeout;
        let part = |rng: &mut fastrand::Rng| timeout.mul_f64(rng.f64());
        match self {
            Self::Doubts => {
                let doubt = |code| Refuse { code, is_applied: true };
                let refusal = |code| Refuse { code, is_applied: false };
                net.refuse((0..rng.usize(1..4)).map(|_| doubt(*pick(rng, DOUBTS))).collect::<Vec<_>>());
                net.refuse((0..rng.usize(..4)).map(|_| refusal(*pick(rng, REFUSALS))).collect::<Vec<_>>());
                sleep(millis(rng.u64(..500))).await;
            }
            Self::LateAnswers => {
                let held_up = plan.delivery_timeout - timeout + part(rng);
                let code = ErrorCode::NOT_ENOUGH_REPLICAS;
                net.refuse(std::iter::repeat_n(Refuse { code, is_applied: false }, 10_000));
                sleep(held_up).await;
                net.accept();
                net.stall(None, false, Some(timeout * 2));
                sleep(timeout * 2 + millis(rng.u64(..2_000))).await;
            }
            Self::Moves => {
                let node = *pick(rng, &net.nodes());
                if rng.u8(..3) == 0 {
                    net.recall_past(rng.usize(1..4));
                }
                net.stall(Some(node), false, Some(timeout * 2));
                sleep(millis(rng.u64(20..200))).await;
                net.elect(&plan.topics, node);
                let refusal = |code| Refuse { code, is_applied: false };
                for other in net.nodes().into_iter().filter(|other| *other != node) {
                    // What another partition is told makes the producer look who leads.
                    net.refuse_at(other, [refusal(ErrorCode::NOT_LEADER_OR_FOLLOWER)]);
                    let refusals: Vec<_> =
                        (0..rng.usize(1..5)).map(|_| refusal(*pick(rng, REFUSALS))).collect();
                    net.refuse_at(other, refusals);
                }
                sleep(timeout * 2 + millis(rng.u64(..1_000))).await;
            }
            Self::LastNumbers => {
                let code = *pick(rng, &[ErrorCode::INVALID_RECORD, ErrorCode::INVALID_PRODUCER_EPOCH]);
                net.refuse([Refuse { code, is_applied: false }]);
                sleep(millis(rng.u64(..3_000))).await;
            }
            Self::Astray | Self::Wiped | Self::Lagging => self.confuse(net, plan, rng).await,
            Self::Shrunk => {
                let topic = &plan.topics[0];
                net.make_again(topic, rng.i32(1..topic.1));
                sleep(millis(rng.u64(100..8_000))).await;
                net.grow_back(topic);
                sleep(millis(rng.u64(..5_000))).await;
            }
            Self::Pressure => {
                let (_, partitions) = plan.topics[0];
                net.lack_replicas(rng.i32(0..partitions), rng.u64(5..40));
                sleep(millis(rng.u64(500..3_000))).await;
            }
            Self::SentAgain => {
                net.stall(None, false, Some(timeout * 2));
                sleep(millis(rng.u64(..2_000))).await;
                net.cut(None);
                sleep(millis(rng.u64(..1_000))).await;
            }
            Self::Controllers => {
                net.refuse_producer_id(*pick(rng, UNEXPECTED));
                sleep(millis(rng.u64(100..10_000))).await;
            }
            Self::HeldUp => {
                let slow = Weather {
                    capacity: *pick(rng, &[100, 1_000]),
                    trickle: Some((rng.usize(50..500), millis(rng.u64(1..20)))),
                    ..Weather::FAIR
                };
                net.set_weather([slow, Weather::FAIR], None, Duration::ZERO);
                net.cut(None);
                for _ in 0..rng.u32(1..6) {
                    sleep(millis(rng.u64(50..3_000))).await;
                    watch.purge(*pick(rng, &[Purge::InFlight, Purge::All]));
                }
            }
        }
    }
}

impl Theme {
    /// Something that clusters or views are taken for, with what makes the producer look.
    async fn confuse(self, net: &Net, plan: &Plan, rng: &mut fastrand::Rng) {
        let refusal = Refuse { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, is_applied: false };
        let nodes = net.nodes();
        match self {
            Self::Astray => befall(net, plan, plan::astray(rng, &nodes)),
            Self::Wiped => {
                if rng.bool() {
                    net.stall(Some(*pick(rng, &nodes)), false, Some(plan.request_timeout));
                    sleep(millis(rng.u64(..200))).await;
                }
                befall(net, plan, Trouble::Wipe { strangers: rng.bool() });
                sleep(millis(rng.u64(..2_000))).await;
                befall(net, plan, plan::stranger(rng, plan));
            }
            _ => {
                befall(net, plan, plan::lag(rng, plan, &nodes));
                sleep(millis(rng.u64(..500))).await;
                net.refuse([refusal]);
            }
        }
        sleep(millis(rng.u64(500..10_000))).await;
    }
}

/// Begins it; it ends by itself.
fn befall(net: &Net, plan: &Plan, trouble: Trouble) {
    Handle::current().spawn(super::befall(net.clone(), Arc::new(plan.clone()), trouble));
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What a broker may say of a batch that it has.
const DOUBTS: &[ErrorCode] = &[
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
];

/// What a broker may say of a batch that it has not, or has already.
const REFUSALS: &[ErrorCode] = &[
    ErrorCode::INVALID_RECORD,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::CORRUPT_MESSAGE,
];

/// What no broker says to who asks for a producer id, but for those that do.
const UNEXPECTED: &[ErrorCode] =
    &[ErrorCode::UNKNOWN_SERVER_ERROR, ErrorCode::INVALID_REQUEST, ErrorCode::INVALID_PRODUCER_EPOCH];

/// One seed in so many has a theme.
const THEMED: u64 = 4;

/// One seed in so many has a theme that came later.
const THEMED_LATER: u64 = 8;
