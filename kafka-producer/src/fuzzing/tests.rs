//! Does the fuzz target notice? Planted bugs must be found by lists drawn from some seeds.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use super::sender_ops;
use crate::planted::{self, Bug};

/// A life as it is most of the time, with a fault now and then.
fn draw(seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut restarts = fastrand::Rng::with_seed(!seed);
    let mut ahead = fastrand::Rng::with_seed(seed.rotate_left(32));
    let mut data = vec![rng.u8(..8), rng.u8(..)];
    for _ in 0..rng.usize(10..80) {
        let node = rng.u8(..3);
        for _ in 0..rng.u8(1..4) {
            // Partitions and nodes have the same number at first.
            data.extend([0, rng.u8(..8) * 3 + node, 2, node, 3, 0, 4, node]);
        }
        if restarts.u8(..8) == 0 {
            data.extend([255, restarts.u8(..6) * 3 + node, 17, node, 11, 20, 4, node]);
        }
        for _ in 0..ahead.u8(..8).saturating_sub(5) {
            data.extend([246, node]);
        }
        match rng.u8(..10) {
            0..5 => data.extend([6, node, 6, node]),
            5 => data.extend([8, rng.u8(..), 15, 0]),
            6 => data.extend([9, rng.u8(..12), 17, node, 11, 20, 4, node]),
            7 => data.extend([10, rng.u8(..128), 11, rng.u8(..)]),
            8 => data.extend([13, rng.u8(..9), 19, 0, 11, 60, 4, 0, 4, 1, 4, 2, 14, 7, 14, 7]),
            _ => data.extend([rng.u8(..), rng.u8(..), 14, rng.u8(..), 12, 0]),
        }
    }
    data
}

#[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
fn find(bug: Option<Bug>, seeds: u64) -> Option<u64> {
    planted::with(bug, || {
        let start = Instant::now();
        let is_bad = |seed: &u64| catch_unwind(AssertUnwindSafe(|| sender_ops(&draw(*seed), start))).is_err();
        (0..seeds).find(is_bad)
    })
}

#[test]
fn planted_bugs_are_found() {
    assert_eq!(find(None, SEEDS), None, "nothing is wrong where nothing is planted");
    let missed: Vec<_> = BUGS.iter().filter(|bug| find(Some(**bug), SEEDS).is_none()).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

/// Those that few lists find. The simulation looks for all.
const BUGS: &[Bug] = &[
    Bug::ReuseSequence,
    Bug::ResolveTwice,
    Bug::AnswerOfAnother,
    Bug::MemoryKept,
    Bug::RetryOutOfOrder,
    Bug::DoubtForgotten,
    Bug::PipelineToStrangers,
    Bug::SplitOffsets,
];
const SEEDS: u64 = 200;
