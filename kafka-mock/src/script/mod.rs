//! Misbehaviour on cue: what a [`Script`] is made of, and which of its rules act on a request.

mod change;
mod malform;
mod plan;
mod rule;

use std::time::{Duration, Instant};

use kafka_wire::{ApiKey, NodeId, PartitionId, TopicName, VersionRange};

pub(crate) use change::Scheduled;
pub use change::{Change, Lag};
pub use malform::Malformation;
pub(crate) use plan::{Errors, Plan};
pub use plan::{Scripted, Then};
pub use rule::Rule;
use rule::Step;

use crate::occasions::Tally;
use crate::random::Random;
use crate::request::Request;

/// How a cluster misbehaves: rules, things that happen at their time, and the versions it serves.
///
/// ```
/// use std::time::Duration;
///
/// use kafka_mock::{Change, Rule, Script};
/// use kafka_wire::{ApiKey, ErrorCode, NodeId, VersionRange};
///
/// let script = Script::new()
///     .seed(7)
///     .versions(ApiKey::PRODUCE, VersionRange::new(3, 7))
///     .rule(Rule::on(ApiKey::PRODUCE).probability(0.01).error(ErrorCode::NOT_ENOUGH_REPLICAS))
///     .at(Duration::from_secs(5), Change::StopBroker(NodeId(1)))
///     .at(Duration::from_secs(9), Change::StartBroker(NodeId(1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    rules: Vec<Rule>,
    scheduled: Vec<Scheduled>,
    versions: Vec<(ApiKey, VersionRange)>,
    seed: u64,
}

impl Script {
    /// Nothing special.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the generator of probabilities and delays starts. The same requests in the same order meet the same fate. 0
    /// unless set. A script that is run beside another starts it anew for both.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// One more rule, behind those that are there.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Something that happens so long after the script began, which it does when the cluster starts.
    #[must_use]
    pub fn at(mut self, time: Duration, change: Change) -> Self {
        self.scheduled.push(Scheduled { first: time, every: None, times: 1, change });
        self
    }

    /// Something that happens again and again, `times` times, for the first time after `every`.
    #[must_use]
    pub fn every(mut self, every: Duration, times: u64, change: Change) -> Self {
        self.scheduled.push(Scheduled { first: every, every: Some(every), times, change });
        self
    }

    /// Serves only these versions of an API: see [`Change::LimitVersions`].
    #[must_use]
    pub fn versions(mut self, api: ApiKey, versions: VersionRange) -> Self {
        self.versions.push((api, versions));
        self
    }
}

/// A script that runs: how often each rule has seen and done something, and what is due when.
#[derive(Debug, Default)]
pub(crate) struct Running {
    rules: Vec<Counted>,
    due: Vec<Due>,
    random: Random,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    tally: Tally,
}

/// A change that is to come.
#[derive(Debug)]
struct Due {
    at: Instant,
    every: Option<Duration>,
    times: u64,
    change: Change,
}

/// Questions.
impl Running {
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// When the next change is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.iter().map(|due| due.at).min()
    }

    /// How often the rules of this name have acted.
    pub(crate) fn fired(&self, name: &str) -> u64 {
        let named = self.rules.iter().filter(|counted| counted.rule.name.as_deref() == Some(name));
        named.map(|counted| counted.tally.fired()).sum()
    }
}

/// Commands.
impl Running {
    /// Adds what a script says; the versions are the cluster's own business, and returned.
    pub(crate) fn add(&mut self, script: Script, now: Instant) -> Vec<(ApiKey, VersionRange)> {
        self.random = Random::new(script.seed);
        script.rules.into_iter().for_each(|rule| self.add_rule(rule));
        for Scheduled { first, every, times, change } in script.scheduled {
            if times > 0 {
                self.due.push(Due { at: later(now, first), every, times, change });
            }
        }
        script.versions
    }

    pub(crate) fn add_rule(&mut self, rule: Rule) {
        self.rules.push(Counted { rule, tally: Tally::default() });
    }

    /// Forgets all rules and whatever is still to come.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.due.clear();
    }

    /// A change that is due; they come in the order of their times.
    pub(crate) fn poll_due(&mut self, now: Instant) -> Option<Change> {
        let (index, _) = self.due.iter().enumerate().min_by_key(|(_, due)| due.at)?;
        let due = self.due.get_mut(index).filter(|due| due.at <= now)?;
        due.times -= 1;
        match due.every.filter(|_| due.times > 0) {
            Some(every) => {
                let change = due.change.clone();
                // From now on, and not from when it was due: after a pause they do not come all at once.
                due.at = later(now, every.max(SHORTEST_PERIOD));
                Some(change)
            }
            None => Some(self.due.swap_remove(index).change),
        }
    }

    /// What is to be done about a request that is about these topics and partitions.
    pub(crate) fn judge(
        &mut self,
        node: NodeId,
        request: &Request,
        about: &[(TopicName, Option<PartitionId>)],
        now: Instant,
    ) -> Option<Plan> {
        let mut plan = None;
        let Self { rules, due, random } = self;
        for Counted { rule, tally } in rules.iter_mut().filter(|it| it.rule.is_for(node, request, about)) {
            if !tally.fires(rule.occasions, random) {
                continue;
            }
            let plan = plan.get_or_insert_with(Plan::default);
            for step in rule.steps.iter().cloned() {
                match step {
                    Step::ChangeLater(delay, change) if due.len() < MAX_DUE => {
                        due.push(Due { at: later(now, delay), every: None, times: 1, change });
                        plan.has_scheduled = true;
                    }
                    Step::Delay(shortest, longest) => {
                        plan.delay = plan.delay.saturating_add(random.between(shortest, longest));
                    }
                    step => plan.take(&rule.when, step),
                }
            }
        }
        plan
    }

    /// Whether some rule asks which topics and partitions a request is about.
    pub(crate) fn asks_for_partitions(&self) -> bool {
        self.rules.iter().any(|counted| counted.rule.when.is_about_partitions())
    }
}

impl Rule {
    fn is_for(&self, node: NodeId, request: &Request, about: &[(TopicName, Option<PartitionId>)]) -> bool {
        let when = &self.when;
        when.api.is_none_or(|api| api == request.api())
            && when.broker.is_none_or(|broker| broker == node)
            && when.versions.is_none_or(|versions| versions.contains(request.version()))
            && when.client_id.as_deref().is_none_or(|id| request.client_id() == Some(id))
            && (!when.is_about_partitions()
                || about.iter().any(|(topic, partition)| when.is_about(Some(topic), *partition)))
    }
}

/// So long after; a time that no clock can tell is as good as never.
pub(crate) fn later(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or_else(|| now + NEVER)
}

/// What comes again and again leaves time for something else.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// Longer than any cluster lives, and short enough for every clock.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Changes that rules put off; more are dropped.
const MAX_DUE: usize = 10_000;
