//! Many runs: seeds, threads, replay, and what they were like in all.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    time::Duration,
};

use super::{
    invariants::Violation,
    plan::{self, Plan},
    seeds::{number, on_all_cores},
    themes,
    world::{Report, World, Wrong},
};

/// One run. A panic in it is a violation, too.
pub(crate) fn run(plan: Plan, transcribes: bool) -> Result<Report, Wrong> {
    let result = catch_unwind(AssertUnwindSafe(|| World::new(plan, transcribes).run()));
    result.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Err(Wrong { violation: Violation { invariant: "panic", what: text }, transcript: Vec::new() })
    })
}

/// What many runs were like.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) runs: u64,
    pub(crate) steps: u64,
    /// The most steps of a run that were no bytes that arrived, and the most that were; each with its seed.
    most: [(u64, u64); 2],
    pub(crate) records: u64,
    pub(crate) virtual_time: Duration,
    /// In how many runs something happened, and how often in all.
    happened: BTreeMap<&'static str, (u64, u64)>,
    pub(crate) failures: Vec<(u64, Violation)>,
}

impl Summary {
    fn add(&mut self, seed: u64, result: Result<Report, Wrong>) {
        self.runs += 1;
        match result {
            Ok(report) => {
                self.steps += report.steps;
                let steps = [report.busy, report.steps - report.busy];
                for (most, steps) in self.most.iter_mut().zip(steps) {
                    *most = (*most).max((steps, seed));
                }
                self.records += report.records;
                self.virtual_time += report.virtual_time;
                for (what, count) in report.tally.iter() {
                    let (runs, times) = self.happened.entry(what).or_default();
                    *runs += 1;
                    *times += count;
                }
            }
            Err(wrong) => self.failures.push((seed, wrong.violation)),
        }
    }

    pub(crate) fn has_happened(&self, what: &str) -> bool {
        self.happened.contains_key(what)
    }

    pub(crate) fn print(&self) {
        println!(
            "{} runs, {} steps, {} records, {:.0} s of virtual time",
            self.runs,
            self.steps,
            self.records,
            self.virtual_time.as_secs_f64()
        );
        let [(busy, by), (arrived, to)] = self.most;
        println!("at most {busy} steps in a run (seed {by}), and {arrived} pieces that arrived (seed {to})");
        println!("{:<28}{:>9}{:>12}", "what happened", "in runs", "times");
        for (what, (runs, times)) in &self.happened {
            println!("{what:<28}{runs:>9}{times:>12}");
        }
        for (seed, violation) in &self.failures {
            println!("seed {seed}: {}: {}", violation.invariant, violation.what);
        }
    }
}

/// Runs the plans of some seeds on all cores. Stops early after some failures. The first one is cut down.
pub(crate) fn run_plans(first: u64, count: u64, draw: impl Fn(u64) -> Plan + Sync) -> Summary {
    let all = Mutex::new(Summary::default());
    on_all_cores(first..first + count, Some(1), |seed| {
        let result = run(draw(seed), false);
        let mut all = all.lock().expect("what panics in a run is caught there");
        all.add(seed, result);
        if all.failures.len() < MAX_FAILURES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let mut all = all.into_inner().expect("as above");
    all.failures.sort_by_key(|(seed, _)| *seed);
    if let Some((seed, violation)) = all.failures.first() {
        let smallest = shrink(draw(*seed), violation.invariant);
        println!("seed {seed} cut down, {} is violated by: {smallest:#?}", violation.invariant);
    }
    all
}

/// Leaves out what a plan can do without and still violate the same invariant: halves, quarters, ..., single steps.
fn shrink(mut plan: Plan, invariant: &str) -> Plan {
    let mut size = plan.steps.len().div_ceil(2);
    let mut tries = 0;
    while size > 0 {
        let mut from = 0;
        while from < plan.steps.len() && tries < MAX_TRIES {
            tries += 1;
            let mut smaller = plan.clone();
            smaller.steps.drain(from..(from + size).min(plan.steps.len()));
            match run(smaller.clone(), false) {
                Err(wrong) if wrong.violation.invariant == invariant => plan = smaller,
                _ => from += size,
            }
        }
        size /= 2;
    }
    plan
}

/// The plan of a seed; with `LINGER_SIM_THEME` of the seed of that theme.
pub(crate) fn asked(seed: u64) -> Plan {
    let Ok(name) = std::env::var("LINGER_SIM_THEME") else { return plan::draw(seed) };
    let mut themes = [themes::ALL, themes::LATER, themes::LATEST].into_iter().flatten();
    let theme = themes.find(|theme| format!("{theme:?}") == name).expect("the name of a theme");
    plan::draw_about(*theme, seed)
}

/// Replays a seed, with everything there is to say about it.
fn replay(seed: u64) {
    let plan = asked(seed);
    println!("seed {seed}: {:#?}", plan.setup);
    match run(plan, true) {
        Ok(report) => {
            report.transcript.iter().for_each(|line| println!("{line}"));
            println!("nothing is wrong: {:?}", report.tally);
        }
        Err(wrong) => {
            wrong.transcript.iter().for_each(|line| println!("{line}"));
            panic!("seed {seed}: {:?}", wrong.violation);
        }
    }
}

#[test]
fn whatever_happens_the_promise_holds() {
    if let Some(seed) = number("LINGER_SIM_SEED") {
        return replay(seed);
    }
    let count = number("LINGER_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let first = number("LINGER_SIM_FIRST").unwrap_or(0);
    let summary = run_plans(first, count, asked);
    summary.print();
    assert!(summary.failures.is_empty(), "replay with LINGER_SIM_SEED=n");
    assert_eq!(summary.runs, count, "every seed was run");
    assert!(summary.records > count, "and did something");
}

const DEFAULT_SEEDS: u64 = 60;
/// Runs spent on cutting a plan down.
const MAX_TRIES: u32 = 400;
const MAX_FAILURES: usize = 20;
