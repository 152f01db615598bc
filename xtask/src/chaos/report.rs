//! What is printed in the end: tables in Markdown.

use std::fmt::Write;
use std::time::Duration;

use super::check::{Answers, Verdict};
use super::field::Field;
use super::load::BUFFER_KIB;
use super::recovery::{self, Fault, Recovery};

/// What came of one scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    name: &'static str,
    length: Duration,
    verdict: Verdict,
    faults: Vec<(Fault, Recovery)>,
    longest_stall: u64,
    /// Of the load program, in KiB: at the end of this scenario, and at most so far.
    memory: (u64, u64),
    notes: Vec<String>,
    broken: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(
        name: &'static str,
        length: Duration,
        field: &Field,
        verdict: Verdict,
        answers: &Answers,
    ) -> Self {
        let recoveries = recovery::recoveries(answers, &field.faults, field.rate);
        let faults: Vec<_> = field.faults.iter().cloned().zip(recoveries).collect();
        let mut broken = field.broken.clone();
        for (fault, recovery) in &faults {
            if recovery.first_ack.is_none() {
                broken.push(format!("no acknowledgement in some partition ever after: {}", fault.what));
            }
        }
        let memory = field.load.memory();
        let last = memory.last().map_or(0, |(_, size)| *size);
        let most = memory.iter().map(|(_, size)| *size).max().unwrap_or_default();
        if most > MOST_MEMORY_KIB {
            broken.push(format!("the producer's process took {most} KiB; {MOST_MEMORY_KIB} would be much"));
        }
        Self {
            name,
            length,
            verdict,
            faults,
            longest_stall: recovery::longest_stall(answers),
            memory: (last, most),
            notes: field.notes.clone(),
            broken,
        }
    }

    /// It could not be brought to an end.
    pub(crate) fn broken(name: &'static str, error: &anyhow::Error, field: &Field) -> Self {
        eprintln!("  {error:#}");
        Self {
            name,
            length: Duration::ZERO,
            verdict: Verdict::default(),
            faults: Vec::new(),
            longest_stall: 0,
            memory: (0, 0),
            notes: field.notes.clone(),
            broken: vec![format!("{error:#}")],
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.verdict.violations.sum() == 0 && self.broken.is_empty()
    }
}

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    rate: u64,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(seed: u64, rate: u64) -> Self {
        Self { seed, rate, outcomes: Vec::new() }
    }

    /// Adds one, and says in a line how it was.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        let Outcome { name, verdict, .. } = &outcome;
        let end = if outcome.is_clean() { "clean" } else { "BROKEN" };
        eprintln!(
            "  {name}: {end}; {} records, {} acknowledged, {} found in the log",
            verdict.sent, verdict.acked, verdict.found
        );
        for example in verdict.examples.iter().chain(&outcome.broken) {
            eprintln!("    {example}");
        }
        self.outcomes.push(outcome);
    }

    /// Something was run, and nothing was found.
    pub(crate) fn is_clean(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(Outcome::is_clean)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let sum = |count: fn(&Verdict) -> u64| self.outcomes.iter().map(|o| count(&o.verdict)).sum::<u64>();
        let end = if self.is_clean() { "no violation" } else { "VIOLATIONS" };
        writeln!(
            text,
            "Seed {}, {} records a second: {} records sent, {} acknowledged, {} read back; {end}.\n",
            self.seed,
            self.rate,
            sum(|verdict| verdict.sent),
            sum(|verdict| verdict.acked),
            sum(|verdict| verdict.found)
        )?;
        writeln!(
            text,
            "| scenario | s | records | acked | failed | violations | faults | longest stall s | first ack s | full rate s | RSS MiB, most |"
        )?;
        writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for outcome in &self.outcomes {
            let Outcome { name, length, verdict, faults, longest_stall, memory, .. } = outcome;
            let failed = verdict.failed_not_persisted + verdict.failed_possibly_persisted + verdict.refused;
            let worst = |time: fn(&Recovery) -> Option<u64>| {
                let times: Option<Vec<u64>> = faults.iter().map(|(_, recovery)| time(recovery)).collect();
                times.map_or_else(
                    || "never".into(),
                    |times| seconds(times.into_iter().max().unwrap_or_default()),
                )
            };
            writeln!(
                text,
                "| {name} | {} | {} | {} | {failed} | {} | {} | {} | {} | {} | {}, {} |",
                length.as_secs(),
                verdict.sent,
                verdict.acked,
                verdict.violations.sum() + outcome.broken.len() as u64,
                faults.len(),
                seconds(*longest_stall),
                worst(|recovery| recovery.first_ack),
                worst(|recovery| recovery.full_rate),
                memory.0 >> 10,
                memory.1 >> 10
            )?;
        }
        writeln!(text)?;
        for outcome in &self.outcomes {
            outcome.write(text)?;
        }
        Ok(())
    }
}

impl Outcome {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Self { name, verdict, .. } = self;
        let found: Vec<String> = (verdict.violations.all().into_iter().filter(|(_, count)| *count > 0))
            .map(|(name, count)| format!("**{count} {name}**"))
            .collect();
        if !found.is_empty() {
            writeln!(text, "* {name}: {}", found.join(", "))?;
            writeln!(
                text,
                "  ({} failed as not persisted, {} as possibly persisted, {} were refused)",
                verdict.failed_not_persisted, verdict.failed_possibly_persisted, verdict.refused
            )?;
        }
        for broken in &self.broken {
            writeln!(text, "* {name}: **{broken}**")?;
        }
        for example in &verdict.examples {
            writeln!(text, "  * {example}")?;
        }
        for (fault, recovery) in self.faults.iter().take(MAX_FAULTS) {
            let time = |time: Option<u64>| time.map_or_else(|| "never".into(), |time| seconds(time) + " s");
            writeln!(
                text,
                "* {name}: {}, {} s long; then the last partition's first acknowledgement after {}, the full rate after {}",
                fault.what,
                seconds(fault.ended - fault.began),
                time(recovery.first_ack),
                time(recovery.full_rate)
            )?;
        }
        for note in &self.notes {
            writeln!(text, "* {name}: {note}")?;
        }
        for (what, count) in [
            ("acknowledged without an offset", verdict.without_offset),
            ("acknowledged before their topic was deleted", verdict.went_with_topic),
        ] {
            if count > 0 {
                writeln!(text, "* {name}: {count} {what}")?;
            }
        }
        Ok(())
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// Faults of a scenario that are told one by one.
const MAX_FAULTS: usize = 8;
/// `buffer.memory`, and as much again and a little for the program itself and the deliveries that it waits for.
const MOST_MEMORY_KIB: u64 = 3 * BUFFER_KIB;
