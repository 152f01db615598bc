//! What a script has in store for a request, carried out around the request's handler.

mod rewrite;

use kafka_wire::messages::CreatableTopicResult;
use kafka_wire::{ErrorCode, NodeId, RequestHeader, TopicName};

use crate::answer::Answer;
use crate::fault::Fault;
use crate::handlers;
use crate::request::{Body, Request};
use crate::script::{Errors, Plan, Scripted, Then};
use crate::state::{Cluster, Now};

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
