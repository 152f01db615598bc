//! Do the invariants notice? Each planted bug must be found within a thousand seeds.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

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
    let found = on_all_cores(bugs, |bug| find(bug, seeds));
    println!("| planted bug | layer | seed | invariant | what it says |\n|---|---|---|---|---|");
    let mut missed = Vec::new();
    for (bug, found) in found {
        match found {
            Some((seed, Violation { invariant, what })) => {
                let what = what.lines().next().unwrap_or_default();
                println!("| `{bug:?}` | 1 | {seed} | {invariant} | {what} |");
            }
            None => {
                println!("| `{bug:?}` | 1 | not in {seeds} | | |");
                missed.push(bug);
            }
        }
    }
    missed
}

/// What is found out about each bug, in their order.
pub(crate) fn on_all_cores<T: Send>(bugs: &[Bug], ask: impl Fn(Bug) -> T + Sync) -> Vec<(Bug, T)> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = ask(bug);
                    answers.lock().expect("nobody panics here").push((bug, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().expect("nobody panics here");
    answers.sort_by_key(|(bug, _)| bugs.iter().position(|it| it == bug));
    answers
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
