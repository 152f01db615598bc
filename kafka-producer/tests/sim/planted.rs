//! Do the invariants notice? Each planted bug must be found within a thousand seeds.

use std::{io::Write as _, ops::ControlFlow, sync::Mutex};

use super::{
    invariants::Violation,
    plan::{self, Plan},
    run::{self, run},
    seeds::{number, on_all_cores, rate, started},
    themes::Theme,
};
use crate::planted::{self, Bug};

/// The bugs that this layer must find, and a theme whose seeds soon do. Those of wake-ups between threads, of lanes and of waiters
/// belong to the other one.
const BUGS: &[(Bug, Theme)] = &[
    (Bug::ReuseSequence, Theme::LateAnswers),
    (Bug::BumpWhileOut, Theme::TwoDeadlines),
    (Bug::RenumberInDoubt, Theme::TooFewReplicas),
    (Bug::ResolveTwice, Theme::Cuts),
    (Bug::AnswerOfAnother, Theme::MovedUnderWay),
    (Bug::LostWakeUp, Theme::Splits),
    (Bug::BufferReused, Theme::Freeze),
    (Bug::FlushMisses, Theme::Splits),
    (Bug::StaleLeader, Theme::ElectionStorm),
    (Bug::MemoryKept, Theme::Cuts),
    (Bug::RetryOutOfOrder, Theme::Strangers),
    (Bug::SixthBatch, Theme::OneInDoubt),
    (Bug::EarlyCredit, Theme::HeldUp),
    (Bug::DoubtForgotten, Theme::DoubtThenRefusal),
    (Bug::GapIsFinal, Theme::Restart),
    (Bug::SplitInDoubt, Theme::DoubtThenRefusal),
    (Bug::PartsWithoutDoubt, Theme::DoubtThenRefusal),
    (Bug::NoBumpAfterLoss, Theme::UncleanElection),
    (Bug::PipelineToStrangers, Theme::UnknownTopic),
    (Bug::WrapTooEarly, Theme::Wrap),
    (Bug::EpochWraps, Theme::LastEpochs),
    (Bug::DuplicateIsFailure, Theme::OneInDoubt),
    (Bug::SplitOffsets, Theme::Splits),
    (Bug::NoBackoff, Theme::TooFewReplicas),
    (Bug::NeverExpires, Theme::LateAnswers),
    (Bug::MoveLeavesNoDoubt, Theme::MovedUnderWay),
    (Bug::ClusterUnchecked, Theme::Astray),
    (Bug::NumbersOutliveCluster, Theme::Wiped),
    (Bug::DoubtOutlivesCluster, Theme::Wiped),
    (Bug::LeaderlessUnasked, Theme::Shrunk),
    (Bug::LaggingBelieved, Theme::Lagging),
];

/// What is wrong in a run with a bug planted.
fn violation(bug: Bug, plan: &Plan) -> Option<Found> {
    let wrong = planted::with(Some(bug), || run(plan.clone(), false)).err()?;
    // What is wrong without it, too, was not found by it.
    run(plan.clone(), false).ok()?;
    let Violation { invariant, what } = wrong.violation;
    Some(Found { invariant: invariant.to_owned(), what })
}

/// What gave a bug away.
pub(crate) struct Found {
    pub(crate) invariant: String,
    pub(crate) what: String,
}

/// The bugs that are asked for by name, or all of these.
pub(crate) fn asked(bugs: &[Bug]) -> Vec<Bug> {
    let Ok(name) = std::env::var("LINGER_SIM_BUG") else { return bugs.to_vec() };
    let Some(bug) = Bug::named(&name) else {
        panic!("no bug is called {name}; there are {:?}", Bug::ALL);
    };
    if !bugs.contains(&bug) {
        println!("{bug:?} cannot act in this layer");
    }
    bugs.iter().copied().filter(|it| *it == bug).collect()
}

/// Searches bug after bug, prints a row for each as soon as it is found or given up, and says which were not found.
///
/// Rows go to the standard output; how fast seeds were run, which is no part of the table, to the standard error.
pub(crate) fn search(
    layer: u32,
    bugs: &[Bug],
    seeds: u64,
    violation: impl Fn(Bug, u64) -> Option<Found> + Sync,
) -> Vec<Bug> {
    println!("| planted bug | layer | seed | invariant | what it says |\n|---|---|---|---|---|");
    let mut missed = Vec::new();
    for &bug in bugs {
        let began = started();
        let (first, runs) = first(seeds, |seed| violation(bug, seed));
        match first {
            Some((seed, Found { invariant, what })) => {
                let what = what.lines().next().unwrap_or_default();
                println!("| `{bug:?}` | {layer} | {seed} | {invariant} | {what} |");
            }
            None => {
                println!("| `{bug:?}` | {layer} | not in {seeds} | | |");
                missed.push(bug);
            }
        }
        // Nothing depends on whether anybody listens.
        let _ = std::io::stdout().flush();
        eprintln!("{bug:?}: {runs} seeds, {:.1} a second", rate(runs, began));
    }
    missed
}

/// The first seed in which something is wrong, and how many seeds were run. All cores run seeds.
fn first(seeds: u64, violation: impl Fn(u64) -> Option<Found> + Sync) -> (Option<(u64, Found)>, u64) {
    let from = number("LINGER_SIM_FIRST").unwrap_or(0);
    let first: Mutex<Option<(u64, Found)>> = Mutex::new(None);
    let runs = on_all_cores(from..from + seeds, None, |seed| {
        let Some(found) = violation(seed) else { return ControlFlow::Continue(()) };
        let mut first = first.lock().expect("nobody panics here");
        if first.as_ref().is_none_or(|(other, _)| seed < *other) {
            *first = Some((seed, found));
        }
        ControlFlow::Break(())
    });
    (first.into_inner().expect("nobody panics here"), runs)
}

/// All of them, with any seed, with `cargo xtask sim --planted`; in an ordinary test run with seeds of their themes.
#[test]
fn planted_bugs_are_found() {
    let bugs: Vec<Bug> = BUGS.iter().map(|(bug, _)| *bug).collect();
    let (missed, seeds) = match number("LINGER_SIM_PLANTED") {
        Some(seeds) => {
            (search(1, &asked(&bugs), seeds, |bug, seed| violation(bug, &run::asked(seed))), seeds)
        }
        None => {
            let theme = |bug| BUGS.iter().find(|(other, _)| *other == bug).map(|(_, theme)| *theme);
            let draw = |bug, seed| Some(plan::draw_about(theme(bug)?, seed));
            (search(1, &bugs, QUICK_SEEDS, |bug, seed| violation(bug, &draw(bug, seed)?)), QUICK_SEEDS)
        }
    };
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
}

const QUICK_SEEDS: u64 = 40;
