//! Do the promises notice? Which planted bugs this layer finds, and with how many seeds.

use super::{from_environment, run};
use crate::{planted::Bug, sim::on_all_cores};

/// The bugs that live in the tasks and between them: this layer must find them.
const SHELL: &[Bug] = &[
    Bug::DeafPump,
    Bug::DeafWaiter,
    Bug::DeafTopic,
    Bug::PlaceKept,
    Bug::FlushMissesLane,
    Bug::SilentResolve,
    Bug::ReleasedKept,
];

/// Others that reach here: how many of them are found is shown, and nothing is asked of it.
const OTHERS: &[Bug] = &[
    // Plans close when everything is resolved, or with little patience: neither shows it.
    Bug::EndUnseen,
    Bug::ReuseSequence,
    Bug::RenumberInDoubt,
    Bug::ResolveTwice,
    Bug::LostWakeUp,
    Bug::MemoryKept,
    Bug::RetryOutOfOrder,
    Bug::FlushMisses,
    Bug::NeverExpires,
];

/// The first seed that finds a bug, and what it says.
fn find(bug: Bug, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let failure = run(seed, Some(bug)).err()?;
        Some((seed, failure.wrong.into_iter().next().unwrap_or_default()))
    })
}

/// All of them with `LINGER_SIM_PLANTED=n` seeds, the others without being asked to be found; in an ordinary test
/// run those of the shell with a few.
#[test]
fn planted_bugs_are_found() {
    let asked = from_environment("LINGER_SIM_PLANTED");
    let seeds = asked.unwrap_or(QUICK_SEEDS);
    let others = if asked.is_some() { OTHERS } else { &[] };
    let bugs: Vec<Bug> = SHELL.iter().chain(others).copied().collect();
    let found = on_all_cores(&bugs, |bug| find(bug, seeds));
    println!("| planted bug | layer | seed | what it says |\n|---|---|---|---|");
    let mut missed = Vec::new();
    for (bug, found) in found {
        match found {
            Some((seed, what)) => {
                println!("| `{bug:?}` | 2 | {seed} | {} |", what.lines().next().unwrap_or_default());
            }
            None => {
                println!("| `{bug:?}` | 2 | not in {seeds} | |");
                missed.extend(SHELL.contains(&bug).then_some(bug));
            }
        }
    }
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
}

const QUICK_SEEDS: u64 = 20;
