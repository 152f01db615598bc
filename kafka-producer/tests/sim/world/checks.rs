//! What is checked after each step, and what is told of a run.

use super::*;

/// What lives so long expires for a reason.
const UNHURRIED: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        self.checker.now = self.now - self.start;
        let answers = self.checker.read_answers();
        self.note_held_up(&answers);
        for (id, told) in &answers {
            self.note_answer(*id, told);
        }
        self.check_flushes();
        let used = self.client.plane.pool.used();
        // Splits take theirs beyond the limit, and everybody else waits until that is paid back: see `Client::split`.
        self.client.overdrawn = self.client.overdrawn.min(used);
        let (limit, overdrawn) = (self.client.plane.pool.limit(), self.client.overdrawn);
        if used > limit + overdrawn {
            let what =
                format!("{used} bytes of memory are in use, the limit is {limit}, splits took {overdrawn}");
            self.checker.violated("I7", what);
        }
        if let Some(Violation { invariant, what }) = self.client.violation.take() {
            self.checker.violated(invariant, what);
        }
        self.check_leaders();
        match self.checker.violation() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    /// What is in doubt behind a batch that was given up in doubt waits for its own end: that may still come, and then it follows.
    /// So does what is in doubt before such a batch, which may be the one that a restarted broker remembers. And so does, for as
    /// long, whatever else is in the partition: also what comes before it and is proven not to be there, which waits for a bump.
    fn note_held_up(&mut self, answered: &[(u64, Told)]) {
        for (id, told) in answered {
            let is_in_doubt = matches!(
                told,
                Told::Failed { is_timeout: true, persistence: Persistence::PossiblyPersisted, .. }
            );
            if is_in_doubt && self.checker.is_beside_a_stray(*id, answered) {
                self.held_up.insert(self.checker.partition(*id), self.now);
            }
        }
    }

    pub(super) fn note_answer(&mut self, id: u64, told: &Told) {
        say!(self, "record {id}: {told:?}");
        let Told::Failed { code, is_timeout, is_aborted, .. } = told else { return };
        let what = match (is_timeout, is_aborted, code) {
            (true, ..) => "expired",
            (_, true, _) => "given up at the end",
            (_, _, Some(_)) => "refused",
            _ => "out of retries",
        };
        self.checker.tally.add(what, 1);
        if !is_timeout {
            return;
        }
        // Who knew a partition goes on knowing it, whatever some brokers have not heard.
        if self.is_only_told_less() {
            let what =
                format!("record {id} expired although brokers were only late to hear of its partition");
            return self.checker.violated("I10", what);
        }
        let partition = self.checker.partition(id);
        // What expires long after everything works again could have been saved.
        let held_up = self.held_up.get(&partition).copied();
        let since = self
            .healed
            .map(|healed| self.now.saturating_duration_since(held_up.max(Some(healed)).unwrap_or(healed)));
        if since.is_some_and(|since| since > self.recovery()) {
            let what = format!("record {id} expired {since:?} after the last fault");
            self.checker.violated("I10", what);
        }
    }

    /// Where brokers were only late to hear of partitions, and some still are, nothing waits for long that was accepted: its leader
    /// is known.
    pub(super) fn last_look_at_less(&mut self) -> Result<(), Violation> {
        if !self.is_only_told_less() {
            return Ok(());
        }
        // What is in memory may be under way for as long as the network takes.
        let bound = self.recovery() + self.way_of(self.plan.setup.buffer_memory);
        self.run_while(self.now + bound, |world| !world.is_quiet())?;
        let Some(id) = self.checker.first_open(u64::MAX) else { return Ok(()) };
        let what =
            format!("record {id} waits {bound:?}, and brokers were only late to hear of its partition");
        Err(Violation { invariant: "I10", what })
    }

    /// Somebody waited for memory, and got none: then nothing lingers whose broker takes requests.
    pub(super) fn check_pressure(&mut self) {
        if self.client.compresses() || !self.client.is_identified() {
            return;
        }
        let takes = |node: NodeId| {
            let mut pumps = self.pumps.iter().filter(|pump| pump.node == node && pump.is_ready);
            pumps.any(|pump| match &pump.stage {
                Stage::Up(link) => !self.client.is_woken(pump.gate) && link.connection.room(self.now) > 0,
                _ => false,
            })
        };
        let kept_back = self.client.plane.kept_back();
        let found = kept_back.iter().find(|(node, ..)| takes(*node));
        let found = found.map(|(_, topic, partition)| format!("{topic}-{partition}"));
        if let Some(partition) = found {
            let what = format!("somebody waited for memory in vain, and {partition} went on to linger");
            self.checker.violated("pressure", what);
        }
    }

    /// Whether nothing went wrong but that some Metadata answers named fewer partitions, which ids show not to be less than there
    /// are, and whether there was time enough for everything.
    fn is_only_told_less(&self) -> bool {
        let setup = &self.plan.setup;
        let told_less = self.plan.steps.iter().all(|step| step.act.is_less_of_the_same());
        let answers = Duration::from_millis(setup.latency.1) * 8;
        let is_quick = setup.request_timeout > answers + self.way_of(setup.max_request_size);
        let is_unhurried = setup.delivery_timeout >= UNHURRIED + self.way_of(setup.buffer_memory);
        told_less && is_quick && setup.metadata_version >= 10 && is_unhurried
    }

    /// How long so many bytes are under way at most: a socket takes more when what it had has arrived.
    fn way_of(&self, bytes: usize) -> Duration {
        let setup = &self.plan.setup;
        let pieces = u32::try_from(bytes / setup.send_buffer.max(1)).unwrap_or(u32::MAX).saturating_add(1);
        Duration::from_millis(setup.latency.1).saturating_mul(pieces)
    }

    /// A flush that is over must have waited for everything.
    pub(super) fn check_flushes(&mut self) {
        let mut flushes = std::mem::take(&mut self.flushes);
        flushes.retain(|flush| {
            let is_over = flush.outcomes.iter().all(|(outcome, count)| {
                let (mut bystander, mut counts) = (Bystander::default(), Counts::default());
                Outcome::poll_counts(outcome, *count, &mut bystander, &mut counts, Waker::noop()).is_ready()
            });
            if let Some(missed) = self.checker.first_open(flush.count).filter(|_| is_over) {
                self.checker
                    .violated("flush", format!("a flush was over before record {missed} was answered"));
            }
            !is_over
        });
        self.flushes = flushes;
    }

    pub(super) fn check_leaders(&mut self) {
        // Older versions have no epochs to tell old from new.
        if self.plan.setup.metadata_version < 7 {
            return;
        }
        let wrong = self.client.plane.find_leader(|topic, partition, leader, epoch| {
            (!self.brokers.has_led(topic, partition, leader, epoch))
                .then(|| format!("{leader} is taken for the leader of {topic}-{partition} in epoch {epoch}"))
        });
        if let Some(wrong) = wrong {
            self.checker.violated("leader", wrong);
        }
    }

    pub(super) fn tally_up(&mut self) {
        let tally = &mut self.checker.tally;
        tally.count(self.client.plane.look().sender.counters());
        if self.client.fatal().is_some() {
            tally.add("fatal errors", 1);
        }
    }
}
