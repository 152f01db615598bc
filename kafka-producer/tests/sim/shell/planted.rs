//! Do the promises notice? Each planted bug must be found within a thousand seeds, those of the layer below as well.

use super::{ends_in_a_turn, run, themes::Theme};
use crate::{
    planted::Bug,
    sim::{Found, asked, number, search},
};

/// The bugs that live in the tasks and between them: nothing else finds them.
const SHELL: &[Bug] = &[
    Bug::DeafPump,
    Bug::DeafWaiter,
    Bug::DeafTopic,
    Bug::PlaceKept,
    Bug::FlushMissesLane,
    Bug::SilentResolve,
    Bug::ReleasedKept,
    Bug::EndUnseen,
];

/// Here somebody else does what they leave undone: who waits for a partition asks for it, whoever else does not.
const MASKED: &[Bug] = &[Bug::LeaderlessUnasked];

/// Others that show whether themes and checks of this layer still do what they are there for, and a theme whose seeds soon find
/// them.
const THEMED: &[(Bug, Theme)] = &[
    (Bug::SixthBatch, Theme::Doubts),
    (Bug::SplitInDoubt, Theme::Doubts),
    (Bug::RenumberInDoubt, Theme::LateAnswers),
    (Bug::MoveLeavesNoDoubt, Theme::Moves),
    (Bug::StaleLeader, Theme::Moves),
    (Bug::WrapTooEarly, Theme::LastNumbers),
    (Bug::EpochWraps, Theme::LastNumbers),
    (Bug::BufferReused, Theme::HeldUp),
    (Bug::EarlyCredit, Theme::HeldUp),
    (Bug::PressureUnheard, Theme::Pressure),
    (Bug::GoneTakesRecords, Theme::Shrunk),
    (Bug::ClusterUnchecked, Theme::Astray),
    (Bug::NumbersOutliveCluster, Theme::Wiped),
    (Bug::DoubtOutlivesCluster, Theme::Wiped),
    (Bug::LaggingBelieved, Theme::Lagging),
];

/// What is wrong in the run of a seed, with a bug planted.
fn violation(bug: Bug, seed: u64) -> Option<Found> {
    let what = run(seed, Some(bug)).err()?.wrong.into_iter().next().unwrap_or_default();
    // What is wrong without it, too, was not found by it.
    run(seed, None).ok()?;
    let named = INVARIANTS.iter().filter_map(|name| Some((what.rfind(&format!("({name})"))?, *name)));
    let invariant = named.max().map_or("panic", |(_, name)| name).to_owned();
    Some(Found { invariant, what })
}

/// All of them with `LINGER_SIM_PLANTED=n` seeds; in an ordinary test run those of the shell with a few, and some with the first
/// seeds of their themes.
#[test]
fn planted_bugs_are_found() {
    let (missed, seeds) = match number("LINGER_SIM_PLANTED") {
        Some(seeds) => {
            let others = Bug::ALL.iter().filter(|bug| !SHELL.contains(bug) && !MASKED.contains(bug));
            let bugs: Vec<Bug> = SHELL.iter().chain(others).copied().collect();
            (search(2, &asked(&bugs), seeds, violation), seeds)
        }
        None => {
            let mut missed = search(2, SHELL, QUICK_SEEDS, violation);
            // One seed in twelve ends so.
            missed.extend(search(2, &[Bug::RuntimeEndUnseen], 20 * QUICK_SEEDS, |bug, seed| {
                if ends_in_a_turn(seed) { violation(bug, seed) } else { None }
            }));
            for (bug, theme) in THEMED {
                missed.extend(search(2, &[*bug], THEMED_SEEDS, |bug, at| violation(bug, theme.seed(at))));
            }
            (missed, QUICK_SEEDS)
        }
    };
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
}

/// What is wrong names one of these, in parentheses.
const INVARIANTS: &[&str] = &[
    "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "numbers", "five", "bytes", "leader",
    "cluster", "size", "pressure", "sticky",
];

const QUICK_SEEDS: u64 = 20;

/// Of a theme. Most bugs are found in the first few.
const THEMED_SEEDS: u64 = 100;
