//! The cluster's door: frames in, answers out, past scripts and handlers.

use bytes::Bytes;
use kafka_wire::{ApiKey, NodeId};

use crate::answer::{Answer, Waiting};
use crate::close::CloseReason;
use crate::handlers::{self, api_versions::is_of_controllers};
use crate::request::Request;
use crate::staging;
use crate::state::{Cluster, Now};

/// Inputs: frames.
impl Cluster {
    /// Answers a frame (without its length) that came to the address of broker `node`: usually that broker does.
    pub fn handle(&mut self, node: NodeId, frame: Bytes, now: Now) -> Answer {
        match Request::decode(&frame) {
            Ok(request) => self.apply(node, request, now),
            Err(reason) => Answer::Close(reason),
        }
    }

    /// Answers a request that was decoded before, elsewhere: only this half needs the cluster.
    pub fn apply(&mut self, node: NodeId, request: Request, now: Now) -> Answer {
        self.handle_timeout(now);
        if let Some((other, node)) = self.other_at(node) {
            let answer = other.apply(node, request, now);
            return self.as_of_here(answer);
        }
        let node = self.own_at(node);
        self.record(node, &request, now.instant);
        if !self.is_up(node) {
            return Answer::Close(CloseReason::BrokerDown);
        }
        if let Some(reason) = self.refuse_version(node, &request) {
            return Answer::Close(reason);
        }
        if self.script.has_rules() {
            let about = if self.script.asks_for_partitions() { self.about(&request) } else { Vec::new() };
            if let Some(plan) = self.script.judge(node, &request, &about, now.instant) {
                return staging::act(self, node, plan, request, now);
            }
        }
        handlers::answer(self, node, request, now)
    }

    /// Asks again for what [`Answer::Wait`] put off. At or after [`Waiting::until`] there is an answer for sure.
    pub fn resume(&mut self, node: NodeId, waiting: Waiting, now: Now) -> Answer {
        if let Some((other, node)) = self.other_at(node) {
            let answer = other.resume(node, waiting, now);
            return self.as_of_here(answer);
        }
        let node = self.own_at(node);
        let mut waiting = waiting;
        let plan = waiting.plan.take();
        if !self.is_up(node) {
            return Answer::Close(CloseReason::BrokerDown);
        }
        let answer = handlers::resume(self, node, waiting, now);
        match (plan, answer) {
            (Some(plan), Answer::Wait(mut waiting)) => {
                waiting.plan = Some(plan);
                Answer::Wait(waiting)
            }
            (Some(plan), answer) => {
                staging::finish(self, plan.0, &plan.1, answer, staging::Refused::default())
            }
            (None, answer) => answer,
        }
    }

    /// Why a request is not served in its version, if a script limits it, or not by this node. ApiVersions has an answer for that
    /// (KIP-511).
    fn refuse_version(&self, node: NodeId, request: &Request) -> Option<CloseReason> {
        let (api, version) = (request.api(), request.version());
        let is_limited = self.versions.get(&api).is_some_and(|limit| !limit.contains(version));
        let is_foreign = self.is_controller(node) && !is_of_controllers(api);
        let refused = is_foreign || is_limited && api != ApiKey::API_VERSIONS;
        refused.then_some(CloseReason::NotServed { api, version })
    }

    /// An answer of another cluster. Who waits for changes looks at the number of this one.
    fn as_of_here(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Wait(waiting) => Answer::Wait(Waiting { change: self.change(), ..waiting }),
            answer => answer,
        }
    }
}
