//! Which deeds a frame meets.

use std::time::Duration;

use kafka_wire::NodeId;

use super::dissect::Head;
use super::tamper::{Deed, Tamper, Way};
use crate::occasions::Tally;
use crate::random::Random;

/// All that is told to a proxy about frames, with what each has seen.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    counted: Vec<Counted>,
    random: Random,
}

#[derive(Debug)]
struct Counted {
    tamper: Tamper,
    tally: Tally,
}

/// What is done to a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) discard: bool,
    pub(crate) duplicate: bool,
    pub(crate) stall: bool,
    /// Bytes that arrive, and whether the connection is then reset.
    pub(crate) cut: Option<(usize, bool)>,
}

impl Judge {
    pub(crate) fn new(seed: u64) -> Self {
        Self { counted: Vec::new(), random: Random::new(seed) }
    }

    pub(crate) fn add(&mut self, tamper: Tamper) {
        self.counted.push(Counted { tamper, tally: Tally::default() });
    }

    pub(crate) fn clear(&mut self) {
        self.counted.clear();
    }

    pub(crate) fn fired(&self, name: &str) -> u64 {
        let named = self.counted.iter().filter(|counted| counted.tamper.name.as_deref() == Some(name));
        named.map(|counted| counted.tally.fired()).sum()
    }

    pub(crate) fn judge(&mut self, way: Way, node: Option<NodeId>, head: &Head) -> Verdict {
        let mut verdict = Verdict::default();
        let Self { counted, random } = self;
        for Counted { tamper, tally } in counted.iter_mut().filter(|it| it.tamper.is_for(way, node, head)) {
            if !tally.fires(tamper.occasions, random) {
                continue;
            }
            for deed in &tamper.deeds {
                match *deed {
                    Deed::Drop => verdict.discard = true,
                    Deed::Delay(shortest, longest) => {
                        verdict.delay = verdict.delay.saturating_add(random.between(shortest, longest));
                    }
                    Deed::Duplicate => verdict.duplicate = true,
                    Deed::Stall => verdict.stall = true,
                    Deed::Cut { after, reset } => _ = verdict.cut.get_or_insert((after, reset)),
                }
            }
        }
        verdict
    }

    /// A time between these two.
    pub(crate) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        self.random.between(shortest, longest)
    }
}

impl Tamper {
    fn is_for(&self, way: Way, node: Option<NodeId>, head: &Head) -> bool {
        self.way == way
            && self.api.is_none_or(|api| api == head.asked.api)
            && self.broker.is_none_or(|broker| node == Some(broker))
            && self.client_id.as_ref().is_none_or(|id| head.asked.client_id.as_ref() == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire::{ApiKey, CorrelationId};

    use super::*;
    use crate::proxy::Asked;

    fn head(api: ApiKey) -> Head {
        let asked =
            Asked { api, version: 9, correlation_id: CorrelationId(1), client_id: Some("it".to_owned()) };
        Head { size: 100, asked }
    }

    #[test]
    fn conditions_and_counts_say_which_frames() {
        let mut judge = Judge::new(0);
        let tamper =
            Tamper::with(Way::Responses).api(ApiKey::PRODUCE).broker(NodeId(2)).client_id("it").named("x");
        judge.add(tamper.skip(1).times(2).reset_after(3));
        let mut hit = |way, node, api| judge.judge(way, node, &head(api)).cut == Some((3, true));
        let node = Some(NodeId(2));
        assert!(!hit(Way::Requests, node, ApiKey::PRODUCE));
        assert!(!hit(Way::Responses, None, ApiKey::PRODUCE));
        assert!(!hit(Way::Responses, node, ApiKey::FETCH));
        let hits: Vec<_> = (0..5).map(|_| hit(Way::Responses, node, ApiKey::PRODUCE)).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert_eq!(judge.fired("x"), 2);
    }

    #[test]
    fn deeds_add_up() {
        let mut judge = Judge::new(0);
        let second = Duration::from_secs(1);
        judge.add(Tamper::with(Way::Requests).delay(second).duplicate().close_after(5));
        judge.add(Tamper::with(Way::Requests).delay_between(second..=second * 2).reset_after(9));
        let verdict = judge.judge(Way::Requests, None, &head(ApiKey::PRODUCE));
        assert!(verdict.delay >= second * 2 && verdict.delay < second * 3, "{:?}", verdict.delay);
        assert_eq!((verdict.duplicate, verdict.discard, verdict.cut), (true, false, Some((5, false))));
        judge.clear();
        assert_eq!(judge.judge(Way::Requests, None, &head(ApiKey::PRODUCE)), Verdict::default());
    }
}
