//! What a batch waited for: told afterwards, from when things were missing. Nothing is noted for batches that are well.

use std::{collections::VecDeque, time::Instant};

use crate::timeline::{WaitReason, Waited};

/// When something was missing: lately, and now.
#[derive(Debug)]
pub(super) struct Spans {
    past: VecDeque<Span>,
    open: Option<Since>,
}

/// From one time to another. None: from before anything was noted.
type Span = (Since, Instant);
type Since = Option<Instant>;

impl Spans {
    /// It is missing, and always was.
    pub(super) const fn missing() -> Self {
        Self { past: VecDeque::new(), open: Some(None) }
    }

    /// It is there, and always was.
    pub(super) const fn there() -> Self {
        Self { past: VecDeque::new(), open: None }
    }

    /// Since when it is there, as far as is remembered.
    #[cfg(test)]
    pub(super) fn there_since(&self) -> Option<Instant> {
        self.past.back().filter(|_| self.open.is_none()).map(|(_, to)| *to)
    }

    /// Whether it is missing now.
    #[cfg(test)]
    pub(super) fn is_missing(&self) -> bool {
        self.open.is_some()
    }

    /// From now on it is missing, or is not.
    pub(super) fn note(&mut self, is_missing: bool, now: Instant) {
        match (is_missing, self.open) {
            (true, None) => self.open = Some(Some(now)),
            (false, Some(since)) => {
                self.open = None;
                self.push(since, now);
            }
            _ => {}
        }
    }

    /// It is missing from one time to another.
    pub(super) fn push(&mut self, from: Since, to: Instant) {
        if self.past.len() >= MAX_SPANS {
            self.past.pop_front();
        }
        self.past.push_back((from, to));
    }

    fn iter(&self, now: Instant) -> impl Iterator<Item = Span> {
        self.past.iter().copied().chain(self.open.map(|since| (since, now)))
    }
}

/// A wait, from which one reason after another takes its part.
pub(super) struct Wait {
    left: Vec<(Instant, Instant)>,
    end: Instant,
    found: Vec<Waited>,
}

impl Wait {
    pub(super) fn new(from: Instant, to: Instant) -> Self {
        Self { left: vec![(from, to.max(from))], end: to, found: Vec::new() }
    }

    /// The times at which something was missing are explained by that.
    pub(super) fn explain(&mut self, reason: WaitReason, spans: &Spans) {
        let end = self.end;
        spans.iter(end).for_each(|span| self.take(reason, span));
    }

    /// As [`explain`](Self::explain), for one span.
    pub(super) fn take(&mut self, reason: WaitReason, (from, to): Span) {
        let before = std::mem::take(&mut self.left);
        for (start, end) in before {
            let (cut, until) = (from.map_or(start, |from| from.max(start)), to.min(end));
            if cut >= until {
                self.left.push((start, end));
                continue;
            }
            match self.found.last_mut().filter(|waited| waited.reason == reason) {
                Some(waited) => waited.time += until - cut,
                None => self.found.push(Waited { reason, time: until - cut }),
            }
            self.left.extend([(start, cut), (until, end)].into_iter().filter(|(start, end)| start < end));
        }
    }

    /// What is left was spent on `reason`; shares too small to matter are left out.
    pub(super) fn end(mut self, reason: WaitReason) -> Vec<Waited> {
        let end = self.end;
        self.take(reason, (None, end));
        self.found.retain(|waited| waited.time.as_millis() > 0);
        self.found
    }
}

/// How many spans are remembered: more than there are in a delivery time-out, unless something comes and goes quickly.
const MAX_SPANS: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_wait_is_divided_among_its_reasons_and_nothing_is_counted_twice() {
        let zero = Instant::now();
        let at = |seconds| zero + Duration::from_secs(seconds);
        let mut connection = Spans::missing();
        connection.note(false, at(4));
        connection.note(true, at(6));
        let mut wait = Wait::new(at(1), at(10));
        wait.take(WaitReason::Metadata, (Some(at(2)), at(3)));
        wait.explain(WaitReason::Connection, &connection);
        let found: Vec<_> = wait
            .end(WaitReason::InFlight)
            .iter()
            .map(|waited| (waited.reason, waited.time.as_secs()))
            .collect();
        assert_eq!(
            found,
            [(WaitReason::Metadata, 1), (WaitReason::Connection, 6), (WaitReason::InFlight, 2)]
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn what_is_remembered_is_bounded() {
        let mut spans = Spans::there();
        let mut now = Instant::now();
        for _ in 0..1000 {
            spans.note(true, now);
            now += Duration::from_secs(1);
            spans.note(false, now);
        }
        assert_eq!(spans.iter(now).count(), MAX_SPANS);
    }
}
