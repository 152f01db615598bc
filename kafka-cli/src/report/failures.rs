//! Records that were not delivered: all counted, the first ones named.

use kafka_producer::{DeliveryError, Persistence};

use super::number::{count, counted};

/// What failed so far.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    count: u64,
    /// Those of them that were not accepted.
    refused: u64,
    /// Those of them that may be in the log.
    doubtful: u64,
    /// The first different reasons.
    reasons: Vec<Reason>,
    /// Records with other reasons than these.
    others: u64,
}

/// Lines that failed for the same reason.
#[derive(Debug)]
struct Reason {
    text: String,
    first: u64,
    last: u64,
    count: u64,
}

impl Failures {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many were not accepted.
    pub(crate) fn refused_count(&self) -> u64 {
        self.refused
    }

    /// A record that was accepted and not acknowledged.
    pub(crate) fn delivery(&mut self, line: u64, error: &DeliveryError) {
        if error.persistence() != Persistence::NotPersisted {
            self.doubtful += 1;
        }
        self.add(line, error.to_string());
    }

    /// A record that was not accepted.
    pub(crate) fn refused(&mut self, line: u64, why: &str) {
        self.refused += 1;
        self.add(line, format!("not sent: {why}"));
    }

    fn add(&mut self, line: u64, text: String) {
        self.count += 1;
        if let Some(reason) = self.reasons.iter_mut().find(|reason| reason.text == text) {
            reason.count += 1;
            reason.last = line;
        } else if self.reasons.len() < NAMED {
            self.reasons.push(Reason { text, first: line, last: line, count: 1 });
        } else {
            self.others += 1;
        }
    }

    /// The complaint, if there is one.
    pub(crate) fn report(&self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let mut text = format!("{} failed", counted(self.count, "record"));
        if self.doubtful > 0 {
            text.push_str(&format!(", {} of which may be in the log all the same", count(self.doubtful)));
        }
        text.push(':');
        for Reason { text: why, first, last, count: lines } in &self.reasons {
            text.push_str(&match lines {
                1 => format!("\n  line {first}: {why}"),
                lines => format!("\n  line {first} and {} more up to line {last}: {why}", count(lines - 1)),
            });
        }
        if self.others > 0 {
            text.push_str(&format!("\n  {} for other reasons", counted(self.others, "record")));
        }
        Some(text)
    }
}

/// How many different reasons are named.
const NAMED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reasons_are_named_and_all_records_are_counted() {
        let mut failures = Failures::default();
        assert_eq!(failures.report(), None);
        failures.refused(7, "too large");
        assert_eq!(failures.report().unwrap(), "1 record failed:\n  line 7: not sent: too large");
        (8..20).for_each(|line| failures.refused(line, "too large"));
        let report = failures.report().unwrap();
        assert_eq!(report, "13 records failed:\n  line 7 and 12 more up to line 19: not sent: too large");
        (20..29).for_each(|line| failures.refused(line, &format!("reason {line}")));
        let report = failures.report().unwrap();
        assert!(report.starts_with("22 records failed:\n  line 7 and 12 more"), "{report}");
        assert!(report.ends_with("line 23: not sent: reason 23\n  5 records for other reasons"), "{report}");
    }
}
