//! Do the invariants notice? Each planted bug must be found within some hundred seeds.

use super::{
    invariants::Violation,
    plan,
    run::{number, run},
};
use crate::planted::{self, Bug};

/// The bugs that this layer must find. Those of wake-ups between threads, of lanes and of waiters belong to the other one.
const ALL: &[Bug] = &[
    Bug::ReuseSequence,
    Bug::BumpWhileOut,
    Bug::RenumberInDoubt,
    Bug::ResolveTwice,
    Bug::AnswerOfAnother,
    Bug::LostWakeUp,
    Bug::BufferReused,
    Bug::FlushMisses,
    Bug::StaleLeader,
    Bug::MemoryKept,
    Bug::RetryOutOfOrder,
    Bug::SixthBatch,
    Bug::EarlyCredit,
    Bug::DoubtForgotten,
    Bug::SplitInDoubt,
    Bug::PartsWithoutDoubt,
    Bug::NoBumpAfterLoss,
    Bug::PipelineToStrangers,
    Bug::WrapTooEarly,
    Bug::EpochWraps,
    Bug::DuplicateIsFailure,
    Bug::SplitOffsets,
    Bug::NoBackoff,
    Bug::NeverExpires,
    Bug::MoveLeavesNoDoubt,
];

/// The first seed that finds a bug, and how.
fn find(bug: Bug, seeds: u64) -> Option<(u64, Violation)> {
    planted::with(Some(bug), || {
        (0..seeds).find_map(|seed| Some((seed, run(plan::draw(seed), false).err()?.violation)))
    })
}

/// Prints the table, and says which bugs were not found.
fn table(bugs: &[Bug], seeds: u64) -> Vec<Bug> {
    println!("| planted bug | found by seed | invariant | what it says |\n|---|---|---|---|");
    let mut missed = Vec::new();
    for &bug in bugs {
        match find(bug, seeds) {
            Some((seed, Violation { invariant, what })) => {
                println!("| {bug:?} | {seed} | {invariant} | {what} |");
            }
            None => {
                println!("| {bug:?} | not in {seeds} | | |");
                missed.push(bug);
            }
        }
    }
    missed
}

/// In an ordinary test run the bugs that few seeds find; all of them with `cargo xtask sim --planted`, which takes minutes.
#[test]
fn planted_bugs_are_found() {
    let (bugs, seeds) = match number("LINGER_SIM_PLANTED") {
        Some(seeds) => (ALL, seeds),
        None => (QUICK, QUICK_SEEDS),
    };
    let missed = table(bugs, seeds);
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
}

const QUICK: &[Bug] = &[Bug::ReuseSequence, Bug::ResolveTwice, Bug::MemoryKept, Bug::RetryOutOfOrder];
const QUICK_SEEDS: u64 = 60;
