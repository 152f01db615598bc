//! What is done to the cluster, and to the load.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::field::{BROKERS, Field, PATIENCE};
use super::load::METADATA_AGE;
use crate::clock::{Stopwatch, milliseconds};

/// One way to do harm.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// In a line.
    pub(crate) about: &'static str,
    /// Does the harm, until the scenario's time is over; leaves nothing broken that `Field::heal` does not mend.
    pub(crate) run: fn(&mut Field) -> Result<()>,
    /// How long it takes at least to show anything.
    pub(crate) least: Duration,
    /// What the cluster needs before the topic is made.
    pub(crate) before: Before,
}

/// What is to be done beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    /// A load program whose connections go through the fault proxy.
    ThroughProxy,
    /// A broker with a small disk; the cluster is not used after it.
    SmallDisk,
}

/// All of them.
pub(crate) const ALL: [Scenario; 16] = [
    scenario(
        "leader-kill",
        "kill -9 of the broker that leads most, started again after the election",
        leader_kill,
        20,
    ),
    scenario(
        "rolling-restart",
        "each broker ended in order and started again, one after the other",
        rolling_restart,
        45,
    ),
    scenario(
        "controller-kill",
        "kill -9 of the active controller, which is a broker too",
        controller_kill,
        20,
    ),
    scenario("pause-5", "SIGSTOP of a leader for 5 s: no election, late answers", pause_5, 15),
    scenario(
        "pause-45",
        "SIGSTOP of a leader for 45 s: an election, and a broker that wakes up with old news",
        pause_45,
        55,
    ),
    scenario(
        "two-frozen",
        "SIGSTOP of two of three brokers for 20 s: nothing can be written",
        two_frozen,
        25,
    ),
    scenario("election-storm", "new leaders for every partition, every 300 ms", election_storm, 10),
    scenario("reassignment", "every partition moved from broker to broker, with its data", reassignment, 20),
    scenario("partition-growth", "four partitions more, again and again", partition_growth, 15),
    scenario(
        "topic-recreation",
        "the topic deleted and made again, with records under way",
        topic_recreation,
        20,
    ),
    scenario("all-down", "kill -9 of all brokers, started again after a minute", all_down, 40),
    scenario("quota", "half as many bytes a second allowed as are sent, then no limit again", quota, 20),
    scenario("client-pause", "SIGSTOP of the program that produces, for 10 s and for 40 s", client_pause, 55),
    Scenario {
        before: Before::ThroughProxy,
        ..scenario(
            "cut-connections",
            "every connection reset after 0.5 s to 1.5 s, whatever is under way",
            cut_connections,
            10,
        )
    },
    Scenario {
        before: Before::ThroughProxy,
        ..scenario(
            "answers-lost",
            "no answer comes through for a second, then kill -9 of all brokers, started again",
            answers_lost,
            20,
        )
    },
    Scenario {
        before: Before::SmallDisk,
        ..scenario("disk-full", "no room on one broker's disk, a tmpfs", disk_full, 45)
    },
];

/// Those that make sense in a few minutes.
pub(crate) const SHORT: [&str; 3] = ["leader-kill", "election-storm", "cut-connections"];

const fn scenario(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Field) -> Result<()>,
    least: u64,
) -> Scenario {
    Scenario { name, about, run, least: Duration::from_secs(least), before: Before::Nothing }
}

fn leader_kill(field: &mut Field) -> Result<()> {
    while !field.left().is_zero() {
        let state = field.state()?;
        let led = |node| state.iter().filter(|partition| partition.leader == Some(node)).count();
        let node = (1..=BROKERS).max_by_key(|node| led(*node)).unwrap_or(1);
        kill_and_restart(field, node, "leader")?;
    }
    Ok(())
}

fn controller_kill(field: &mut Field) -> Result<()> {
    while !field.left().is_zero() {
        let node = field.admin.insist("controller")?.parse()?;
        kill_and_restart(field, node, "controller")?;
    }
    Ok(())
}

fn kill_and_restart(field: &mut Field, node: u16, what: &str) -> Result<()> {
    let led = field.led_by(node)?;
    let began = milliseconds();
    field.kill(node)?;
    let ended = field.await_leaders_without(node)?;
    field.fault(format!("kill -9 of {what} {node}"), began, ended, led);
    field.sleep(SECOND)?;
    field.start_broker(node)?;
    field.heal()?;
    field.sleep(2 * SECOND)
}

fn rolling_restart(field: &mut Field) -> Result<()> {
    for round in 1.. {
        for node in 1..=BROKERS {
            let led = field.led_by(node)?;
            let began = milliseconds();
            field.terminate(node)?;
            field.fault(format!("broker {node} ended in order"), began, milliseconds(), led);
            field.start_broker(node)?;
            field.heal()?;
        }
        // Twice at least, so that each broker has met the others' restarts.
        if round >= 2 && field.left().is_zero() {
            break;
        }
    }
    Ok(())
}

fn pause_5(field: &mut Field) -> Result<()> {
    while !field.left().is_zero() {
        let node = field.any_broker();
        let led = field.led_by(node)?;
        let began = milliseconds();
        field.signal(node, "STOP")?;
        field.sleep(5 * SECOND)?;
        field.signal(node, "CONT")?;
        field.fault(format!("broker {node} stopped for 5 s"), began, milliseconds(), led);
        field.sleep(6 * SECOND)?;
    }
    Ok(())
}

fn pause_45(field: &mut Field) -> Result<()> {
    while !field.left().is_zero() {
        let node = field.any_broker();
        let led = field.led_by(node)?;
        let began = milliseconds();
        field.signal(node, "STOP")?;
        // The administration client may itself wait for the broker that is stopped.
        let elected = field.await_leaders_without(node)?;
        field.fault(format!("broker {node} stopped for 45 s"), began, elected, led.clone());
        let passed = Duration::from_millis(milliseconds() - began);
        field.sleep((45 * SECOND).saturating_sub(passed))?;
        let began = milliseconds();
        field.signal(node, "CONT")?;
        field.fault(format!("broker {node} goes on"), began, began, led);
        field.heal()?;
    }
    Ok(())
}

fn two_frozen(field: &mut Field) -> Result<()> {
    while !field.left().is_zero() {
        let one = field.any_broker();
        let nodes = [one, one % BROKERS + 1];
        let began = milliseconds();
        for node in nodes {
            field.signal(node, "STOP")?;
        }
        field.sleep(20 * SECOND)?;
        for node in nodes {
            field.signal(node, "CONT")?;
        }
        let woken = milliseconds();
        field.fault(format!("brokers {nodes:?} stopped for 20 s"), began, woken, Vec::new());
        field.heal()?;
        field.sleep(5 * SECOND)?;
    }
    Ok(())
}

fn election_storm(field: &mut Field) -> Result<()> {
    let began = milliseconds();
    let (mut rounds, mut elected) = (0_u64, 0_u64);
    while !field.left().is_zero() {
        let round = milliseconds();
        elected += field.admin.insist(&format!("turn {}", field.topic))?.parse::<u64>()?;
        rounds += 1;
        let passed = Duration::from_millis(milliseconds() - round);
        field.sleep(STORM_EVERY.saturating_sub(passed))?;
    }
    field.fault(format!("{elected} elections in {rounds} rounds"), began, milliseconds(), Vec::new());
    ensure!(elected > rounds, "hardly a leader was elected: that was no storm");
    Ok(())
}

fn reassignment(field: &mut Field) -> Result<()> {
    let began = milliseconds();
    let mut moves = 0;
    while !field.left().is_zero() {
        for without in [1, 2, 3] {
            field.admin.insist(&format!("move {} {without}", field.topic))?;
            field.sleep(SECOND)?;
        }
        moves += 3;
    }
    field.admin.insist(&format!("move {} 0", field.topic))?;
    field.fault(format!("all partitions moved {moves} times"), began, milliseconds(), Vec::new());
    Ok(())
}

fn partition_growth(field: &mut Field) -> Result<()> {
    let mut partitions = field.state()?.len();
    let mut known = Vec::new();
    while !field.left().is_zero() && partitions < MOST_PARTITIONS {
        field.sleep(5 * SECOND)?;
        let fresh: Vec<i32> = (0..).skip(partitions).take(4).collect();
        partitions += 4;
        let began = milliseconds();
        field.admin.insist(&format!("grow {} {partitions}", field.topic))?;
        known.push((began, partitions, fresh));
    }
    for (began, partitions, fresh) in known {
        field.fault(format!("{partitions} partitions"), began, began, fresh);
    }
    // The last ones are used once the metadata is looked at again.
    field.sleep(METADATA_AGE + 5 * SECOND)
}

fn topic_recreation(field: &mut Field) -> Result<()> {
    let pause = field.at_most_part(10 * SECOND, 4);
    while !field.left().is_zero() {
        let (topic, began) = (field.topic.clone(), milliseconds());
        field.admin.ask(&format!("delete {topic}"))?;
        field.sleep(Duration::from_millis(500))?;
        field.create_topic(PARTITIONS)?;
        let ended = milliseconds();
        field.gone.push(began..ended);
        field.fault("topic deleted and made again", began, ended, Vec::new());
        field.sleep(pause)?;
    }
    // What the last topic is told must be there: let some flow.
    field.sleep(5 * SECOND)
}

fn all_down(field: &mut Field) -> Result<()> {
    let down = field.at_most_part(60 * SECOND, 1).max(35 * SECOND);
    let began = milliseconds();
    for node in 1..=BROKERS {
        field.kill(node)?;
    }
    // Until then the program has work: it fills its memory.
    let fill = down.saturating_sub(10 * SECOND).min(25 * SECOND);
    field.sleep(fill)?;
    let (cpu, connections, log) = (field.load.cpu()?, field.load.progress().connections, lines(field)?);
    let measured = down.saturating_sub(fill);
    field.sleep(measured)?;
    let seconds = measured.as_secs_f64();
    let cpu = (field.load.cpu()? - cpu).as_secs_f64() / seconds * 100.0;
    let attempts = (field.load.progress().connections - connections) as f64 / seconds;
    let lines = (lines(field)? - log) as f64 / seconds;
    field.notes.push(format!(
        "all brokers gone for {} s; in the last {seconds:.0} of them {cpu:.2} % of a core, {attempts:.1} attempts to \
         connect and {lines:.1} lines of log a second",
        down.as_secs()
    ));
    for (what, found, most) in [
        ("per cent of a core", cpu, MOST_CPU),
        ("attempts to connect a second", attempts, MOST_ATTEMPTS),
        ("lines of log a second", lines, MOST_LINES),
    ] {
        if found > most {
            field.broken.push(format!("{found:.2} {what} while all brokers were gone; {most} are too many"));
        }
    }
    start_all(field)?;
    let ended = milliseconds();
    field.fault(format!("all brokers gone for {} s", down.as_secs()), began, ended, Vec::new());
    Ok(())
}

/// Starts all brokers again, and waits until every partition has a leader.
fn start_all(field: &mut Field) -> Result<()> {
    for node in 1..=BROKERS {
        field.start_broker(node)?;
    }
    let stop = field.stop.clone();
    // On a busy machine three at once take their time.
    let led = stop.wait_until(3 * PATIENCE, || {
        Ok(field.cluster.unready().is_none()
            && field.state()?.iter().all(|partition| partition.leader.is_some()))
    })?;
    ensure!(led, "the brokers do not come back");
    Ok(())
}

/// Several batches of each partition are in the log, and nobody has heard of it; and a broker that is started again knows
/// only the last one of them.
fn answers_lost(field: &mut Field) -> Result<()> {
    while !field.left().is_zero() {
        let began = milliseconds();
        field.proxy()?.mute()?;
        field.sleep(SECOND)?;
        for node in 1..=BROKERS {
            field.kill(node)?;
        }
        let lost = field.proxy()?.reset()?;
        start_all(field)?;
        let what = format!("answers lost on {lost} connections, and all brokers killed");
        field.fault(what, began, milliseconds(), Vec::new());
        field.heal()?;
        field.sleep(5 * SECOND)?;
    }
    Ok(())
}

fn lines(field: &Field) -> Result<usize> {
    let text = std::fs::read(&field.load.log).context("the load's log")?;
    Ok(text.iter().filter(|byte| **byte == b'\n').count())
}

fn quota(field: &mut Field) -> Result<()> {
    // A third of the bytes goes to each broker.
    let bytes = field.rate * BYTES_A_RECORD / u64::from(BROKERS) / 2;
    let began = milliseconds();
    field.admin.insist(&format!("quota chaos-load {bytes}"))?;
    // What brokers average over, and what was accepted before.
    field.sleep(5 * SECOND)?;
    let (before, watch) = (field.load.progress().acked, Stopwatch::start());
    field.sleep(field.left().saturating_sub(10 * SECOND).max(10 * SECOND))?;
    // Over all the time, since throttled clients are answered in bursts.
    let acked = field.load.progress().acked.saturating_sub(before);
    let rate = acked * 1000 / u64::try_from(watch.elapsed().as_millis())?.max(1);
    field.admin.insist("quota chaos-load")?;
    field.fault(format!("{bytes} B/s for each broker"), began, milliseconds(), Vec::new());
    field.notes.push(format!("{rate} records a second under the limit"));
    ensure!(rate < field.rate * 8 / 10, "{rate} records a second: the limit limited nothing");
    field.sleep(field.left())
}

fn client_pause(field: &mut Field) -> Result<()> {
    for seconds in [10, 40] {
        let id = field.load.id().to_string();
        let signal =
            |name: &str| crate::shell::output(std::process::Command::new("kill").args([name, &id])).map(drop);
        let began = milliseconds();
        signal("-STOP")?;
        // Whatever happens, it must not stay so.
        let slept = field.stop.sleep(Duration::from_secs(seconds));
        signal("-CONT")?;
        slept?;
        field.fault(format!("the producer stopped for {seconds} s"), began, milliseconds(), Vec::new());
        field.sleep(4 * SECOND)?;
    }
    Ok(())
}

fn cut_connections(field: &mut Field) -> Result<()> {
    let began = milliseconds();
    let before = field.proxy()?.cut()?;
    field.sleep(field.left())?;
    let count = field.proxy()?.mend()? - before;
    field.fault(format!("{count} connections made, and cut"), began, milliseconds(), Vec::new());
    ensure!(count > 3, "only {count} connections were made: they were not cut");
    Ok(())
}

fn disk_full(field: &mut Field) -> Result<()> {
    let small = field.cluster.dir.join(format!("small-{SMALL_DISK}"));
    field.sleep(8 * SECOND)?;
    // A part of the broker's partitions is on its other disk, and stays there.
    let mut concerned = Vec::new();
    for entry in std::fs::read_dir(&small)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let partition = name.strip_prefix(&field.topic).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
        concerned.extend(partition.filter(|partition: &usize| *partition < PARTITIONS));
    }
    ensure!(!concerned.is_empty(), "no partition is on the small disk");
    let began = milliseconds();
    let mut filler = File::create(small.join("filler"))?;
    let block = vec![0; 1 << 20];
    let mut size = 0_u64;
    while filler.write_all(&block).is_ok() {
        size += 1;
        ensure!(size < 4096, "the small disk is not small");
    }
    // Down to the last byte.
    while filler.write_all(&[0; 512]).is_ok() {}
    let stop = field.stop.clone();
    let moved = stop.wait_until(PATIENCE, || {
        let state = field.state()?;
        let elsewhere =
            |partition: &usize| state[*partition].leader.is_some_and(|leader| leader != SMALL_DISK);
        Ok(concerned.iter().all(elsewhere))
    })?;
    ensure!(moved, "a broker whose disk is full still leads");
    let concerned = concerned.into_iter().filter_map(|partition| i32::try_from(partition).ok()).collect();
    field.fault(format!("disk of broker {SMALL_DISK} full"), began, milliseconds(), concerned);
    field.sleep(field.left())?;
    drop(filler);
    std::fs::remove_file(small.join("filler"))?;
    // A broker that has given up a folder takes it again when it is started.
    field.kill(SMALL_DISK)?;
    field.start_broker(SMALL_DISK)
}

/// The broker whose disk is small.
pub(crate) const SMALL_DISK: u16 = 3;
/// Its size, as `mount` takes it: many times what is sent meanwhile.
pub(crate) const SMALL_DISK_SIZE: &str = "1g";
/// Partitions of each topic.
pub(crate) const PARTITIONS: usize = 12;
const MOST_PARTITIONS: usize = 60;
const SECOND: Duration = Duration::from_secs(1);
const STORM_EVERY: Duration = Duration::from_millis(300);
/// What a record takes in a request, about.
const BYTES_A_RECORD: u64 = 115;
/// While all brokers are gone: per cent of a core.
const MOST_CPU: f64 = 2.0;
/// For three brokers, each tried once a second at most, and a fifth more for chance.
const MOST_ATTEMPTS: f64 = 5.0;
/// One for each attempt, and some.
const MOST_LINES: f64 = 10.0;
