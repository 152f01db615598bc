//! What the demo sends: the same in each run.

/// The records of one topic and how they are sent.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) topic: &'static str,
    pub(super) partitions: i32,
    /// A line for people.
    pub(super) what: String,
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// So many records at once, then a pause; zero for no pause at all.
    pub(super) burst: usize,
    pub(super) records: Vec<Planned>,
}

/// A record before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) key: Option<String>,
    /// None is a tombstone.
    pub(super) value: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) timestamp: i64,
}

/// All of them, in the order in which they are told.
pub(super) fn stories() -> Vec<Story> {
    vec![readme(), access_log(), sensors("sensors-eager", "0"), sensors("sensors-patient", "20")]
}

/// A text, line by line: no keys.
fn readme() -> Story {
    let records: Vec<Planned> = README
        .lines()
        .zip(START..)
        .map(|(line, timestamp)| Planned {
            key: None,
            value: Some(line.to_owned()),
            headers: Vec::new(),
            timestamp,
        })
        .collect();
    Story {
        topic: "readme",
        partitions: 3,
        what: format!("{} lines of this project's README, without keys, in one go", records.len()),
        settings: &[],
        burst: 0,
        records,
    }
}

/// A web server's log: the key is the user, headers tell host and level, and some users ask to be forgotten.
fn access_log() -> Story {
    let mut dice = Dice(7);
    let record = |index: i64| {
        let user = format!("user-{:03}", dice.roll(200));
        let host = format!("web-{}", dice.roll(4) + 1);
        if dice.roll(100) == 0 {
            let headers = vec![("reason", "forget me".to_owned())];
            return Planned { key: Some(user), value: None, headers, timestamp: START + index };
        }
        let path =
            ["/", "/login", "/cart", "/search?q=linger", "/orders/latest", "/static/logo.svg"][dice.roll(6)];
        let (status, level) =
            [(200, "info"), (200, "info"), (304, "info"), (404, "warn"), (500, "error")][dice.roll(5)];
        let value = format!("{user} GET {path} {status} {} us", 100 + dice.roll(90_000));
        let headers = vec![("host", host), ("level", level.to_owned())];
        Planned { key: Some(user), value: Some(value), headers, timestamp: START + index }
    };
    let records: Vec<Planned> = (0..20_000).map(record).collect();
    let tombstones = records.iter().filter(|record| record.value.is_none()).count();
    Story {
        topic: "access-log",
        partitions: 6,
        what: format!(
            "{} log lines with keys and headers, {tombstones} of them tombstones, in one go",
            records.len()
        ),
        settings: &[],
        burst: 0,
        records,
    }
}

/// Small records that trickle in: where lingering shows.
fn sensors(topic: &'static str, linger: &'static str) -> Story {
    let mut dice = Dice(11);
    let record = |index: i64| {
        let value = format!("{}.{} C", 15 + dice.roll(10), dice.roll(10));
        Planned {
            key: Some(format!("sensor-{:02}", dice.roll(40))),
            value: Some(value),
            headers: Vec::new(),
            timestamp: START + index,
        }
    };
    let records: Vec<Planned> = (0..2_000).map(record).collect();
    let settings: &[(&str, &str)] =
        if linger == "0" { &[("linger.ms", "0")] } else { &[("linger.ms", "20")] };
    Story {
        topic,
        partitions: 3,
        what: format!(
            "{} small readings with keys, ten every other millisecond, linger.ms={linger}",
            records.len()
        ),
        settings,
        burst: 10,
        records,
    }
}

/// The same numbers in each run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const README: &str = include_str!("../../../../README.md");

/// The time of the first record: some day in 2020, so that each run is alike.
const START: i64 = 1_600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_alike_and_has_all_kinds_of_records() {
        let (one, other) = (stories(), stories());
        for (a, b) in one.iter().zip(&other) {
            assert_eq!(a.records, b.records);
        }
        let records = || one.iter().flat_map(|story| &story.records);
        assert!(records().any(|record| record.key.is_none()));
        assert!(records().any(|record| record.value.is_none()));
        assert!(records().any(|record| record.headers.len() > 1));
        assert!(one.iter().all(|story| !story.records.is_empty()));
    }
}
