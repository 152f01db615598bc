//! Records that were not delivered: all counted, the first ones named.

use kafka_producer::DeliveryError;

use super::number::counted;

/// What failed so far.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    count: u64,
    first: Vec<String>,
}

impl Failures {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A record that was accepted and not acknowledged.
    pub(crate) fn delivery(&mut self, line: u64, error: &DeliveryError) {
        self.add(|| format!("line {line}: {error}"));
    }

    /// A record that was not accepted.
    pub(crate) fn refused(&mut self, line: u64, why: &str) {
        self.add(|| format!("line {line}: not sent: {why}"));
    }

    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(text());
        }
    }

    /// The complaint, if there is one.
    pub(crate) fn report(&self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let mut text = format!("{} failed", counted(self.count, "record"));
        if self.count > self.first.len() as u64 {
            text.push_str(&format!("; the first {}", self.first.len()));
        }
        text.push(':');
        for failure in &self.first {
            text.push_str("\n  ");
            text.push_str(failure);
        }
        Some(text)
    }
}

/// How many are named.
const NAMED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_all_are_counted() {
        let mut failures = Failures::default();
        assert_eq!(failures.report(), None);
        failures.refused(7, "too large");
        assert_eq!(failures.report().unwrap(), "1 record failed:\n  line 7: not sent: too large");
        (8..20).for_each(|line| failures.refused(line, "too large"));
        let report = failures.report().unwrap();
        assert!(report.starts_with("13 records failed; the first 5:\n  line 7:"), "{report}");
        assert_eq!(report.lines().count(), 6);
    }
}
