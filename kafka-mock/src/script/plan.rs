//! What the rules that act on one request add up to, and how it is carried out around the request's handler.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::messages::CreatableTopicResult;
use kafka_wire::{ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, RequestHeader, TopicName};

use super::change::Change;
use super::malform::Malformation;
use super::rewrite;
use super::rule::{Step, When};
use crate::answer::Answer;
use crate::cluster::{Cluster, Now};
use crate::handlers;
use crate::inspect::Fault;
use crate::request::{Body, Request};

/// An answer that a script has its hand in: what is written, when, and what becomes of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    frame: Option<Bytes>,
    delay: Duration,
    then: Then,
}

/// What becomes of a connection after a scripted answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// It goes on.
    GoOn,
    /// It goes on, but nothing more is read from it for so long.
    Pause(Duration),
    /// It stays open, and nothing is ever answered on it again.
    Silence,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

impl Scripted {
    /// The bytes to write, whatever they look like; `None` for no answer.
    #[must_use]
    pub fn frame(&self) -> Option<&Bytes> {
        self.frame.as_ref()
    }

    /// How long the answer, and with it all later ones of the connection, is held back.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// What comes after it.
    #[must_use]
    pub fn then(&self) -> Then {
        self.then
    }
}

/// What is to be done about one request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(super) delay: Duration,
    /// Something is to happen later because of it.
    pub(super) has_scheduled: bool,
    /// Errors instead of what was asked.
    refused: Errors,
    /// Errors in spite of what was done.
    failed: Errors,
    before: Vec<Change>,
    after: Vec<Change>,
    /// How the connection ends, and whether what was asked is done.
    end: Option<(Then, bool)>,
    throttle: Option<Duration>,
    producer: Option<(Option<ProducerId>, ProducerEpoch)>,
    stale_leaders: bool,
    malformations: Vec<Malformation>,
}

/// Errors, and what each is about.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<(When, ErrorCode)>);

impl Errors {
    /// The error for a topic or partition, if there is one.
    pub(super) fn of(&self, topic: Option<&TopicName>, partition: Option<PartitionId>) -> Option<ErrorCode> {
        self.0.iter().find(|(when, _)| when.is_about(topic, partition)).map(|&(_, code)| code)
    }

    /// The first error.
    pub(super) fn first(&self) -> Option<ErrorCode> {
        self.0.first().map(|&(_, code)| code)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Plan {
    /// Adds one thing that a rule does. The first end counts: what comes after it would not be seen.
    pub(super) fn take(&mut self, when: &When, step: Step) {
        match step {
            Step::Refuse(code) => self.refused.0.push((when.clone(), code)),
            Step::Fail(code) => self.failed.0.push((when.clone(), code)),
            Step::Silence { applied } => _ = self.end.get_or_insert((Then::Silence, applied)),
            Step::Disconnect { applied, reset } => {
                let then = if reset { Then::Reset } else { Then::Close };
                self.end.get_or_insert((then, applied));
            }
            Step::Throttle(time) => self.throttle = Some(self.throttle.unwrap_or_default().max(time)),
            Step::Producer(id, epoch) => _ = self.producer.get_or_insert((id, epoch)),
            Step::StaleLeaders => self.stale_leaders = true,
            Step::Malform(how) => self.malformations.push(how),
            Step::Change(change) => self.before.push(change),
            Step::ChangeAfter(change) => self.after.push(change),
            // These two take a generator and a clock, and were seen to before.
            Step::Delay(..) | Step::ChangeLater(..) => {}
        }
    }

    /// Whether the answer has other fields than the handler's.
    fn rewrites(&self) -> bool {
        !self.refused.is_empty()
            || !self.failed.is_empty()
            || self.throttle.is_some()
            || self.producer.is_some()
            || self.stale_leaders
    }
}

/// Carries a plan out around the handler.
pub(crate) fn act(
    cluster: &mut Cluster,
    node: NodeId,
    mut plan: Plan,
    mut request: Request,
    now: Now,
) -> Answer {
    cluster.control += u64::from(plan.has_scheduled);
    for change in std::mem::take(&mut plan.before) {
        cluster.carry_out_on_cue(change);
    }
    if let Some((then, false)) = plan.end {
        return Answer::Scripted(Scripted { frame: None, delay: plan.delay, then });
    }
    let refused = refuse(cluster, &plan.refused, &mut request);
    let header = request.header.clone();
    match handlers::answer(cluster, node, request, now) {
        Answer::Wait(mut waiting) => {
            waiting.plan = Some(Box::new((plan, header)));
            Answer::Wait(waiting)
        }
        answer => finish(cluster, plan, &header, answer, refused),
    }
}

/// Carries out what is left of a plan once the handler has answered.
pub(crate) fn finish(
    cluster: &mut Cluster,
    mut plan: Plan,
    header: &RequestHeader,
    answer: Answer,
    refused: Refused,
) -> Answer {
    let frame = match answer {
        Answer::Reply(frame) => Some(frame.into_bytes()),
        Answer::Silence => None,
        other => return other,
    };
    let mut frame = match frame {
        Some(frame) if plan.rewrites() => {
            match rewrite::answer(cluster, &plan_errors(&plan), header, &frame, refused) {
                Ok(frame) => Some(frame),
                Err(reason) => return Answer::Close(reason),
            }
        }
        frame => frame,
    };
    for change in std::mem::take(&mut plan.after) {
        cluster.carry_out_on_cue(change);
    }
    let mut then = plan.throttle.map_or(Then::GoOn, Then::Pause);
    for how in &plan.malformations {
        let Some(whole) = frame.take() else { break };
        let (spoilt, ends) = how.spoil(header, whole);
        frame = Some(spoilt);
        if ends {
            then = Then::Close;
        }
    }
    if let Some((end, _)) = plan.end {
        frame = None;
        then = end;
    }
    Answer::Scripted(Scripted { frame, delay: plan.delay, then })
}

fn plan_errors(plan: &Plan) -> rewrite::Fields<'_> {
    rewrite::Fields {
        refused: &plan.refused,
        failed: &plan.failed,
        throttle: plan.throttle,
        producer: plan.producer,
        stale_leaders: plan.stale_leaders,
    }
}

/// What was taken out of a request because it was refused, and goes into its answer.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(super) topics: Vec<(TopicName, ErrorCode)>,
}

impl Refused {
    pub(super) fn created(self) -> impl Iterator<Item = CreatableTopicResult> {
        self.topics.into_iter().map(|(name, error_code)| CreatableTopicResult {
            name,
            error_code,
            error_message: Some(SCRIPTED.to_owned()),
            ..Default::default()
        })
    }
}

/// Has the handler not do what is refused.
fn refuse(cluster: &Cluster, errors: &Errors, request: &mut Request) -> Refused {
    let mut refused = Refused::default();
    if errors.is_empty() {
        return refused;
    }
    let mut keep = |name: Option<&TopicName>| match errors.of(name, None) {
        Some(code) => {
            refused.topics.extend(name.map(|name| (name.clone(), code)));
            false
        }
        None => true,
    };
    match &mut request.body {
        Body::CreateTopics(body) => body.topics.retain(|topic| keep(Some(&topic.name))),
        Body::CreatePartitions(body) => body.topics.retain(|topic| keep(Some(&topic.name))),
        Body::DeleteTopics(body) => {
            body.topic_names.retain(|name| keep(Some(name)));
            body.topics.retain(|topic| {
                let name = topic.name.clone();
                let name =
                    name.or_else(|| cluster.topic_by_id(topic.topic_id).map(|topic| topic.name.clone()));
                keep(name.as_ref())
            });
        }
        Body::Produce(..) => refuse_batches(cluster, errors, request),
        // The others change nothing that anybody could see: their answers are rewritten.
        _ => {}
    }
    refused
}

/// Marks batches as refused as if that had been seen when they were looked at.
fn refuse_batches(cluster: &Cluster, errors: &Errors, request: &mut Request) {
    request.inspect();
    let Body::Produce(body, Some(batches)) = &mut request.body else { return };
    let mut batches = batches.iter_mut();
    for data in &body.topic_data {
        let name = cluster.name_of(&data.name, data.topic_id);
        for partition in &data.partition_data {
            let Some(batch) = batches.next() else { return };
            if let Some(code) = errors.of(name.as_ref(), Some(partition.index)) {
                *batch = Err(Fault::new(code, SCRIPTED).before_log());
            }
        }
    }
}

/// The sentence that goes with scripted errors.
pub(super) const SCRIPTED: &str = "as the script of the mock cluster has it";
