//! Do the promises notice? Each bug of the shell must be found within a thousand seeds; which others are is shown.

use super::run;
use crate::{
    planted::Bug,
    sim::{Found, asked, is_found_without_tasks, number, search},
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

/// What cannot act here, and is found without tasks.
const ELSEWHERE: &[Bug] = &[];

/// What is wrong in the run of a seed, with a bug planted.
fn violation(bug: Bug, seed: u64) -> Option<Found> {
    let what = run(seed, Some(bug)).err()?.wrong.into_iter().next().unwrap_or_default();
    // What is wrong without it, too, was not found by it.
    run(seed, None).ok()?;
    // Each says at its end which invariant it violates.
    let named = what.rfind("(I").and_then(|at| what[at + 1..].split(')').next());
    let invariant = named.unwrap_or("panic").to_owned();
    Some(Found { invariant, what })
}

/// All of them with `LINGER_SIM_PLANTED=n` seeds; in an ordinary test run those of the shell with a few.
#[test]
fn planted_bugs_are_found() {
    assert!(ELSEWHERE.iter().all(|bug| is_found_without_tasks(*bug)), "some layer finds each");
    let (bugs, seeds) = match number("LINGER_SIM_PLANTED") {
        Some(seeds) => {
            let others = Bug::ALL.iter().filter(|bug| !SHELL.contains(bug) && !ELSEWHERE.contains(bug));
            (asked(&SHELL.iter().chain(others).copied().collect::<Vec<_>>()), seeds)
        }
        None => (SHELL.to_vec(), QUICK_SEEDS),
    };
    let mut missed = search(2, &bugs, seeds, violation);
    missed.retain(|bug| SHELL.contains(bug));
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
}

const QUICK_SEEDS: u64 = 20;
