//! `cargo xtask chaos`: real brokers under fire, and every record accounted for.

mod admin;
mod check;
mod field;
mod load;
mod proxy;
#[cfg_attr(not(test), expect(dead_code, reason = "what the load program needs of it"))]
mod record;
mod recovery;
mod report;
mod scenario;
mod stop;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::check::{Answers, Checker};
use self::field::{Field, PATIENCE};
use self::report::{Outcome, Report};
use self::scenario::{Before, Scenario};
use self::stop::Stop;
use crate::args::Args;
use crate::clock::{Stopwatch, milliseconds};
use crate::{jars, shell};

const HELP: &str = "\
Real brokers under fire: a cluster of three, a load, faults, and every record looked for afterwards.

usage: cargo xtask chaos [--minutes N] [--scenario S]... [--rate R] [--seconds S] [--seed X] [--port P]

  --minutes N    with --scenario: these, again and again, as long as there is time; alone: from 20 minutes on all
                 scenarios in random order, again and again; in less time a few, shortened to fit
                 Without it: each scenario once
  --scenario S   this one; can be repeated, or several with commas between
  --rate R       records a second (default 20000)
  --seconds S    how long faults go on in each scenario (default 60)
  --seed X       of what is left to chance (default: the time)
  --port P       of the first broker (default: free ports)

Each scenario has a topic of its own, with replicas on all brokers, two of which must have a record before it is
acknowledged. One producer, with default settings, serves them all. Afterwards kcat reads every partition, and each
record must be where it was said to be: acknowledged and missing, doubled, out of order, at another offset, failed as
\"not persisted\" and yet there, or failed although a retry could have saved it, is a violation. So are memory that grows,
and a producer that is busy while all brokers are gone. The report is also written to target/chaos/report.md.
Ctrl-C ends everything that was started.
";

/// `cargo xtask chaos`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        print!("{HELP}");
        for scenario in &scenario::ALL {
            println!("  {:<18} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    let plan = Plan::parse(&mut args)?;
    args.finish()?;
    jars::need_java()?;
    shell::need("kcat", "it reads back what was produced (Debian: apt-get install kcat)")?;
    let stop = Stop::on_signals()?;
    let mut report = Report::new(plan.seed, plan.rate);
    let ran = run(&plan, &stop, &mut report);
    let text = report.text();
    println!("{text}");
    let file = dir()?.join("report.md");
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("the report is in {}", file.display());
    ran?;
    ensure!(report.is_clean(), "promises were broken: the report has them");
    Ok(())
}

/// What somebody asked for.
struct Plan {
    scenarios: Vec<&'static Scenario>,
    /// Again and again, in an order left to chance.
    mix: bool,
    time: Option<Duration>,
    rate: u64,
    length: Duration,
    seed: u64,
    port: Option<u16>,
}

impl Plan {
    fn parse(args: &mut Args) -> Result<Self> {
        let minutes: Option<u64> = args.value("--minutes")?;
        let names = args.all("--scenario")?;
        let names: Vec<&str> = names.iter().flat_map(|names| names.split(',')).collect();
        let seconds: Option<u64> = args.value("--seconds")?;
        let time = minutes.map(|minutes| Duration::from_secs(60 * minutes));
        let named = |name: &str| {
            let known = scenario::ALL.iter().find(|scenario| scenario.name == name);
            known.with_context(|| format!("there is no scenario {name}; --help lists them"))
        };
        let is_short = time.is_some_and(|time| time < MIX_FROM);
        let scenarios = match names[..] {
            [] if is_short => scenario::SHORT.iter().map(|name| named(name)).collect::<Result<Vec<_>>>()?,
            [] => scenario::ALL.iter().collect(),
            _ => names.iter().map(|name| named(name)).collect::<Result<_>>()?,
        };
        let length = match (seconds, time) {
            (Some(seconds), _) => Duration::from_secs(seconds),
            (None, Some(time)) if is_short => {
                let count = u32::try_from(scenarios.len())?;
                (time.saturating_sub(START) / count).saturating_sub(AROUND).clamp(SHORTEST, LENGTH)
            }
            (None, _) => LENGTH,
        };
        Ok(Self {
            mix: names.is_empty() && !is_short && time.is_some(),
            scenarios,
            time,
            rate: args.value("--rate")?.unwrap_or(20_000),
            length,
            seed: args.value("--seed")?.unwrap_or_else(milliseconds),
            port: args.value("--port")?,
        })
    }
}

fn run(plan: &Plan, stop: &Stop, report: &mut Report) -> Result<()> {
    let watch = Stopwatch::start();
    eprintln!("seed {}", plan.seed);
    let mut field = Field::start(stop, plan.port, plan.rate, plan.seed)?;
    let mut turn = 0;
    loop {
        let next = if plan.mix {
            usize::try_from(field.dice(plan.scenarios.len() as u64))?
        } else {
            turn % plan.scenarios.len()
        };
        let scenario = plan.scenarios[next];
        let length = plan.length.max(scenario.least);
        match plan.time {
            None if turn >= plan.scenarios.len() => return Ok(()),
            // The first ones are run in any case: that nothing was run must not look like success.
            Some(time)
                if watch.elapsed() + length + AROUND > time && (plan.mix || turn >= plan.scenarios.len()) =>
            {
                return Ok(());
            }
            _ => {}
        }
        turn += 1;
        stop.check()?;
        eprintln!("{}, {} s: {}", scenario.name, length.as_secs(), scenario.about);
        let ran = scenario_run(&mut field, scenario, turn, length);
        stop.check()?;
        let spoilt = scenario.before == Before::SmallDisk || ran.is_err();
        report.add(ran.unwrap_or_else(|error| Outcome::broken(scenario.name, &error, &field)));
        if spoilt && (plan.time.is_some() || turn < plan.scenarios.len()) {
            // The old ones end first: their ports are wanted.
            drop(field);
            field = Field::start(stop, plan.port, plan.rate, plan.seed.wrapping_add(turn as u64))?;
        }
    }
}

/// One scenario from its topic to its verdict.
fn scenario_run(field: &mut Field, scenario: &Scenario, turn: usize, length: Duration) -> Result<Outcome> {
    field.begin(format!("chaos-{turn}-{}", scenario.name), length);
    match scenario.before {
        Before::Nothing => {}
        Before::ThroughProxy => field.interpose()?,
        Before::SmallDisk => {
            field.add_small_disk(scenario::SMALL_DISK, scenario::SMALL_DISK_SIZE)?;
        }
    }
    let outcome = under_load(field, scenario, length);
    if scenario.before == Before::ThroughProxy {
        field.straighten()?;
    }
    outcome
}

fn under_load(field: &mut Field, scenario: &Scenario, length: Duration) -> Result<Outcome> {
    field.create_topic(scenario::PARTITIONS)?;
    let file = dir()?.join(format!("{}.answers", field.topic));
    field.load.run(&field.topic, field.rate, &file)?;
    ensure!(
        field.await_flow(PATIENCE)?,
        "the load does not come up to its rate: {:?}",
        field.load.progress()
    );
    field.start_watch();
    // What became of the records is wanted, whatever became of the scenario.
    let ran = (scenario.run)(field);
    field.stop.check()?;
    let healed = field.heal();
    field.stop.check()?;
    let flows = field.await_flow(PATIENCE)?;
    let sent = field.load.stop(&field.stop, ANSWERS_WITHIN)?;
    for error in [ran, healed].into_iter().filter_map(Result::err) {
        field.broken.push(format!("{error:#}"));
    }
    if !flows {
        field.broken.push(format!("the load did not come back to its rate within {} s", PATIENCE.as_secs()));
    }
    eprintln!("  {sent} records; reading them back");
    let answers = Answers::read(&file, sent)?;
    let mut checker = Checker::new(answers, field.may_fail(), field.gone.clone());
    check::read_back(&field.cluster.bootstrap(), &field.topic, &mut checker)?;
    let (verdict, answers) = checker.finish();
    let outcome = Outcome::new(scenario.name, length, field, verdict, &answers);
    if outcome.is_clean() {
        fs::remove_file(&file)?;
    } else {
        eprintln!("  what the producer said of each record is kept in {}", file.display());
    }
    field.admin.insist(&format!("delete {}", field.topic))?;
    Ok(outcome)
}

fn dir() -> Result<PathBuf> {
    let dir = shell::target().join("chaos");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// How long faults go on in a scenario, if nobody says otherwise.
const LENGTH: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(15);
/// From here on, everything in random order is worth the time.
const MIX_FROM: Duration = Duration::from_secs(20 * 60);
/// What a cluster takes to start, about.
const START: Duration = Duration::from_secs(30);
/// What a scenario takes beside its length, about: a topic, healing, reading back.
const AROUND: Duration = Duration::from_secs(25);
/// Every record is answered within its delivery time-out, which is two minutes.
const ANSWERS_WITHIN: Duration = Duration::from_secs(150);
