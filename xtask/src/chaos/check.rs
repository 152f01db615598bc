//! The checker: what the producer said of each record, against what an independent reader finds in the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::record::{self, Answer, ENTRY_SIZE, Entry};

/// What the producer said of the records of a run.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By id.
    answers: Vec<Option<Told>>,
    /// Records that were answered more than once.
    twice: u64,
    /// When how many were acknowledged, in milliseconds since 1970, by partition.
    pub(crate) acked: BTreeMap<i32, Vec<(u64, u32)>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    answer: Answer,
    partition: i32,
    offset: i64,
    at: u64,
    seen: bool,
}

impl Answers {
    /// Reads the load program's file. `sent` is how many records it says it has sent.
    pub(crate) fn read(file: &Path, sent: u64) -> Result<Self> {
        let open = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut answers = Self::expecting(sent)?;
        let mut input = BufReader::with_capacity(1 << 20, open);
        let mut bytes = [0; ENTRY_SIZE];
        let (mut now, mut left) = (0, input.get_ref().metadata()?.len() / ENTRY_SIZE as u64);
        while left > 0 {
            input.read_exact(&mut bytes)?;
            left -= 1;
            let entry =
                Entry::from_bytes(&bytes).with_context(|| format!("{} is damaged", file.display()))?;
            if entry.answer == Answer::Time {
                now = entry.id;
            } else {
                answers.add(entry, now)?;
            }
        }
        Ok(answers)
    }

    fn expecting(sent: u64) -> Result<Self> {
        Ok(Self { answers: vec![None; usize::try_from(sent)?], ..Self::default() })
    }

    fn add(&mut self, entry: Entry, now: u64) -> Result<()> {
        let Entry { answer, id, partition, offset } = entry;
        let Some(place) = usize::try_from(id).ok().and_then(|id| self.answers.get_mut(id)) else {
            bail!("record {id} was answered, and never sent");
        };
        let told = Told { answer, partition, offset, at: now, seen: false };
        self.twice += u64::from(place.replace(told).is_some());
        if answer == Answer::Acked {
            let times = self.acked.entry(partition).or_default();
            match times.last_mut() {
                Some((at, count)) if *at == now => *count += 1,
                _ => times.push((now, 1)),
            }
        }
        Ok(())
    }

    /// How many records of a kind of answer there are.
    fn count(&self, answer: Answer) -> u64 {
        self.answers.iter().flatten().filter(|told| told.answer == answer).count() as u64
    }
}

/// What was found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdict {
    /// Records that were handed over.
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    /// Records in the log.
    pub(crate) found: u64,
    /// Acknowledged without an offset, as brokers do that only know that they have them.
    pub(crate) without_offset: u64,
    /// Records that were acknowledged before their topic was deleted, and went with it.
    pub(crate) went_with_topic: u64,
    pub(crate) failed_not_persisted: u64,
    pub(crate) failed_possibly_persisted: u64,
    pub(crate) refused: u64,
    pub(crate) violations: Violations,
    /// A few of them in words.
    pub(crate) examples: Vec<String>,
}

/// What must be zero.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Violations {
    pub(crate) missing: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) wrong_offset: u64,
    /// Failed as not in the log, or never accepted, and yet there.
    pub(crate) not_persisted_yet_there: u64,
    /// Failed as in the log, and not there.
    pub(crate) persisted_not_there: u64,
    pub(crate) unanswered: u64,
    pub(crate) answered_twice: u64,
    /// Bytes nobody sent, or holes between offsets.
    pub(crate) damaged: u64,
    /// Failed although a retry within the delivery time-out could have saved it.
    pub(crate) failed: u64,
}

impl Violations {
    /// Names and numbers.
    pub(crate) fn all(&self) -> [(&'static str, u64); 10] {
        [
            ("missing", self.missing),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("wrong offset", self.wrong_offset),
            ("not persisted, yet there", self.not_persisted_yet_there),
            ("persisted, not there", self.persisted_not_there),
            ("unanswered", self.unanswered),
            ("answered twice", self.answered_twice),
            ("damaged", self.damaged),
            ("failed needlessly", self.failed),
        ]
    }

    pub(crate) fn sum(&self) -> u64 {
        self.all().iter().map(|(_, count)| count).sum()
    }
}

/// Goes through the log as it is read, record by record.
#[derive(Debug)]
pub(crate) struct Checker {
    answers: Answers,
    /// By partition: the next offset, and the id of the last record.
    partitions: BTreeMap<i32, (i64, Option<u64>)>,
    /// When the topic was deleted and made again, if it was: until when answers may speak of a log that is gone.
    gone: Vec<Range<u64>>,
    may_fail: bool,
    verdict: Verdict,
}

impl Checker {
    /// For these answers. With `may_fail`, the faults explain that records fail; without, each failure is a violation.
    /// `gone` are the times in which the topic was deleted and made again.
    pub(crate) fn new(answers: Answers, may_fail: bool, gone: Vec<Range<u64>>) -> Self {
        Self { answers, partitions: BTreeMap::new(), gone, may_fail, verdict: Verdict::default() }
    }

    /// A line of the reader: partition, offset, value, parted by blanks.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<()> {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let mut word =
            || words.next().with_context(|| format!("what did the reader say: {}", line.escape_ascii()));
        let partition: i32 = std::str::from_utf8(word()?)?.parse()?;
        let offset: i64 = std::str::from_utf8(word()?)?.parse()?;
        let value = word()?;
        self.record(partition, offset, value);
        Ok(())
    }

    fn record(&mut self, partition: i32, offset: i64, value: &[u8]) {
        self.verdict.found += 1;
        let id = record::parse(value);
        let at = self.partitions.entry(partition).or_insert((0, None));
        let (expected, last) = *at;
        *at = (offset + 1, id.or(last));
        if offset != expected {
            self.verdict.violations.damaged += 1;
            self.example(format!("{partition}/{offset} comes after {partition}/{}", expected - 1));
        }
        let told = id.and_then(|id| self.answers.answers.get_mut(usize::try_from(id).ok()?));
        let (Some(id), Some(told)) = (id, told) else {
            self.verdict.violations.damaged += 1;
            self.example(format!("{partition}/{offset} is none of ours: {}", value.escape_ascii()));
            return;
        };
        let Some(told) = told else {
            // Counted as unanswered in the end.
            return;
        };
        let (before, was_seen) = (*told, std::mem::replace(&mut told.seen, true));
        if was_seen {
            self.verdict.violations.duplicated += 1;
            self.example(format!("record {id} is there again at {partition}/{offset}: {before:?}"));
            return;
        }
        if last.is_some_and(|last| last > id) {
            self.verdict.violations.reordered += 1;
            self.example(format!("record {id} at {partition}/{offset} comes after {last:?}"));
        }
        match before.answer {
            Answer::Acked
                if before.offset >= 0 && (before.partition, before.offset) != (partition, offset) =>
            {
                if self.is_of_another_log(&before) {
                    // Written again after the topic was made again, though it had been acknowledged before.
                    self.verdict.violations.duplicated += 1;
                } else {
                    self.verdict.violations.wrong_offset += 1;
                }
                self.example(format!("record {id} is at {partition}/{offset}: {before:?}"));
            }
            Answer::NotPersisted | Answer::Refused => {
                self.verdict.violations.not_persisted_yet_there += 1;
                self.example(format!("record {id} is at {partition}/{offset}: {before:?}"));
            }
            _ => {}
        }
    }

    /// Whether the answer may have been about the log of a topic that is no more.
    fn is_of_another_log(&self, told: &Told) -> bool {
        self.gone.iter().any(|gone| told.at < gone.end + GONE_SLACK)
    }

    fn example(&mut self, text: String) {
        if self.verdict.examples.len() < MAX_EXAMPLES {
            self.verdict.examples.push(text);
        }
    }

    /// The end of the log.
    pub(crate) fn finish(mut self) -> (Verdict, Answers) {
        for id in 0..self.answers.answers.len() {
            let told = self.answers.answers[id];
            match told {
                None => {
                    self.verdict.violations.unanswered += 1;
                    self.example(format!("record {id} was never answered"));
                }
                Some(told) if told.seen => {}
                Some(told @ Told { answer: Answer::Acked, .. }) if self.is_of_another_log(&told) => {
                    self.verdict.went_with_topic += 1;
                }
                Some(told @ Told { answer: Answer::Acked, .. }) => {
                    self.verdict.violations.missing += 1;
                    self.example(format!("record {id} is missing: {told:?}"));
                }
                Some(told @ Told { answer: Answer::Persisted, .. }) if !self.is_of_another_log(&told) => {
                    self.verdict.violations.persisted_not_there += 1;
                    self.example(format!("record {id} is missing: {told:?}"));
                }
                Some(_) => {}
            }
        }
        let answers = self.answers;
        let mut verdict = self.verdict;
        verdict.sent = answers.answers.len() as u64;
        verdict.acked = answers.count(Answer::Acked);
        verdict.failed_not_persisted = answers.count(Answer::NotPersisted);
        verdict.failed_possibly_persisted =
            answers.count(Answer::PossiblyPersisted) + answers.count(Answer::Persisted);
        verdict.refused = answers.count(Answer::Refused);
        verdict.violations.answered_twice = answers.twice;
        let without = |told: &&Told| told.answer == Answer::Acked && told.offset < 0;
        verdict.without_offset = answers.answers.iter().flatten().filter(without).count() as u64;
        if !self.may_fail {
            verdict.violations.failed =
                verdict.failed_not_persisted + verdict.failed_possibly_persisted + verdict.refused;
        }
        (verdict, answers)
    }
}

/// Reads every partition of a topic with kcat, checksums checked, and checks each record.
pub(crate) fn read_back(bootstrap: &str, topic: &str, checker: &mut Checker) -> Result<()> {
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\n"]);
    kcat.args([
        "-X",
        "check.crcs=true",
        "-X",
        "fetch.wait.max.ms=50",
        "-X",
        "queued.max.messages.kbytes=65536",
    ]);
    let mut child = kcat
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot start kcat")?;
    let stdout = child.stdout.take().context("kcat has no standard output")?;
    let mut lines = BufReader::with_capacity(1 << 20, stdout);
    let mut line = Vec::new();
    let mut read = || -> Result<()> {
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            checker.line(line.strip_suffix(b"\n").unwrap_or(&line))?;
        }
    };
    let read = read();
    if read.is_err() {
        // What it would still say is not wanted.
        let _ = child.kill();
    }
    let status = child.wait()?;
    read?;
    ensure!(status.success(), "kcat ended with {status}");
    Ok(())
}

/// In milliseconds: how long an answer may be under way from the broker to the load program's file.
const GONE_SLACK: u64 = 1000;
const MAX_EXAMPLES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Four records, two a partition, all acknowledged; then what the test changes.
    fn check(change: impl FnOnce(&mut Vec<Entry>, &mut Vec<(i32, i64, u64)>)) -> Verdict {
        let acked = |id, partition, offset| Entry { answer: Answer::Acked, id, partition, offset };
        let mut told = vec![acked(0, 0, 0), acked(1, 1, 0), acked(2, 0, 1), acked(3, 1, 1)];
        let mut log = vec![(0, 0, 0), (0, 1, 2), (1, 0, 1), (1, 1, 3)];
        change(&mut told, &mut log);
        let mut answers = Answers::expecting(4).unwrap();
        for entry in told {
            answers.add(entry, 5000).unwrap();
        }
        let mut checker = Checker::new(answers, false, Vec::new());
        let mut value = String::new();
        for (partition, offset, id) in log {
            record::value(id, &mut value);
            checker.line(format!("{partition} {offset} {value}").as_bytes()).unwrap();
        }
        checker.finish().0
    }

    fn found(change: impl FnOnce(&mut Vec<Entry>, &mut Vec<(i32, i64, u64)>)) -> Vec<(&'static str, u64)> {
        check(change).violations.all().into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn a_clean_run() {
        let verdict = check(|_, _| {});
        assert_eq!(verdict.violations.sum(), 0, "{verdict:?}");
        assert_eq!((verdict.sent, verdict.acked, verdict.found), (4, 4, 4));
    }

    #[test]
    fn each_violation_is_found() {
        assert_eq!(found(|_, log| log.truncate(3)), [("missing", 1)]);
        assert_eq!(found(|_, log| log.push((1, 2, 3))), [("duplicated", 1)]);
        // In the other partition, too.
        assert_eq!(found(|_, log| log.push((0, 2, 3))), [("duplicated", 1)]);
        let swap = |told: &mut Vec<Entry>, log: &mut Vec<(i32, i64, u64)>| {
            (told[0].offset, told[2].offset) = (1, 0);
            (log[0].2, log[1].2) = (2, 0);
        };
        assert_eq!(found(swap), [("reordered", 1)]);
        assert_eq!(found(|told, _| told[1].offset = 1), [("wrong offset", 1)]);
        assert_eq!(found(|told, _| told[1].partition = 0), [("wrong offset", 1)]);
        assert_eq!(
            found(|told, _| told[3].answer = Answer::NotPersisted),
            [("not persisted, yet there", 1), ("failed needlessly", 1)]
        );
        assert_eq!(
            found(|told, _| told[3].answer = Answer::Refused),
            [("not persisted, yet there", 1), ("failed needlessly", 1)]
        );
        assert_eq!(
            found(|told, log| {
                told[3].answer = Answer::Persisted;
                log.pop();
            }),
            [("persisted, not there", 1), ("failed needlessly", 1)]
        );
        assert_eq!(found(|told, _| told.truncate(3)), [("unanswered", 1)]);
        assert_eq!(found(|told, _| told.push(told[3])), [("answered twice", 1)]);
        assert_eq!(
            found(|told, log| {
                told[3].offset = 2;
                log[3].1 = 2;
            }),
            [("damaged", 1)]
        );
        assert_eq!(found(|_, log| log.push((2, 0, 99))), [("damaged", 1)]);
    }

    #[test]
    fn what_may_be_there_may_be_there_or_not() {
        let doubt = |told: &mut Vec<Entry>| told[3].answer = Answer::PossiblyPersisted;
        assert_eq!(found(|told, _| doubt(told)), [("failed needlessly", 1)]);
        assert_eq!(
            found(|told, log| {
                doubt(told);
                log.pop();
            }),
            [("failed needlessly", 1)]
        );
    }

    #[test]
    fn a_topic_takes_its_records_with_it() {
        let told = Entry { answer: Answer::Acked, id: 0, partition: 0, offset: 7 };
        let mut answers = Answers::expecting(2).unwrap();
        answers.add(told, 5000).unwrap();
        answers.add(Entry { id: 1, offset: 0, ..told }, 9000).unwrap();
        let gone = std::iter::once(6000..7000).collect();
        let verdict = Checker::new(answers, false, gone).finish().0;
        assert_eq!((verdict.went_with_topic, verdict.violations.missing), (1, 1));
    }
}
