//! Clusters that are taken for one another, and brokers that do not know what the others know.

use std::collections::BTreeSet;

use kafka_batch::BatchReader;
use kafka_mock::{Change, Lag, Rule};
use kafka_wire::{
    ApiKey, ErrorCode, NodeId, PartitionId, ProducerId, VersionRange, decode_request, decode_response,
    encode_request,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse},
};

use super::*;
use crate::{
    shell::book::{Id, parse},
    sim::Stranger,
};

/// What is known of the clusters that there were.
#[derive(Default)]
pub(super) struct Clusters {
    /// Addresses that lead to another cluster.
    astray: BTreeSet<i32>,
    /// Those that ever did.
    strayed: BTreeSet<i32>,
    /// How often it was another machine that came to an address: connections from before do not outlive it.
    pub(super) machines: BTreeMap<i32, u64>,
    /// Producer ids that the present cluster gave.
    given: BTreeSet<i64>,
    /// The logs of clusters that ended.
    ended: Vec<(String, i32, Vec<Stored>)>,
    /// The logs of topics that were deleted: what was in them is nowhere, and was true.
    deleted: Vec<(String, i32, Vec<Stored>)>,
    /// Records of which a broker said that they are in the log, and they were.
    vouched: BTreeSet<Id>,
    /// Whether a cluster may end in this run: else nobody has to be vouched for.
    pub(super) may_end: bool,
    stranger: Option<Stranger>,
}

impl Net {
    /// The address of a broker leads to another cluster. One address never does: where all have answered as of another cluster,
    /// one after the other, the producer takes it for the one that is meant.
    pub(in crate::shell) fn lead_astray(&self, node: i32) -> bool {
        // Who knows no cluster yet takes the first that answers.
        let shared = self.watched().and_then(|watch| watch.shared());
        let is_known = shared
            .is_some_and(|shared| shared.plane.look().sender.view().brokers.keys().any(|node| node.0 >= 0));
        if !is_known {
            return false;
        }
        let mut state = self.lock();
        let addresses = state.modes.len();
        let strayed = &mut state.clusters.strayed;
        strayed.insert(node);
        if strayed.len() == addresses {
            strayed.remove(&node);
            return false;
        }
        if !state.clusters.astray.insert(node) {
            return false;
        }
        state.carry_out(Change::Reroute {
            address: NodeId(node),
            cluster: Some(ANOTHER.to_owned()),
            broker: None,
        });
        state.replace(node);
        drop(state);
        self.cut(Some(node));
        true
    }

    /// It leads to its broker again.
    pub(in crate::shell) fn lead_back(&self, node: i32) {
        let mut state = self.lock();
        if !state.clusters.astray.remove(&node) {
            return;
        }
        state.carry_out(Change::Reroute { address: NodeId(node), cluster: None, broker: None });
        state.replace(node);
        drop(state);
        self.cut(Some(node));
    }

    /// The cluster ends, and another one begins under the same addresses.
    pub(in crate::shell) fn wipe(&self, topics: &[(String, i32)], strangers: bool) {
        self.nodes().into_iter().for_each(|node| self.lead_back(node));
        let logs = self.logs(topics);
        let mut state = self.lock();
        state.clusters.ended.extend(logs);
        state.clusters.given.clear();
        state.clusters.stranger = None;
        state.carry_out(Change::Wipe { cluster_id: None });
        state.arrivals.forget_numbers();
        state.note_leaders();
        let nodes: Vec<i32> = state.modes.keys().copied().collect();
        nodes.into_iter().for_each(|node| state.replace(node));
        drop(state);
        self.note(|| "the cluster is another one".to_owned());
        self.cut(None);
        if strangers {
            for (topic, count) in topics {
                (0..*count).for_each(|partition| self.write_as_stranger(topic, partition, 3));
            }
        }
    }

    fn logs(&self, topics: &[(String, i32)]) -> Vec<(String, i32, Vec<Stored>)> {
        let places = topics.iter().flat_map(|(topic, count)| (0..*count).map(move |at| (topic, at)));
        places.map(|(topic, partition)| (topic.clone(), partition, self.log(topic, partition))).collect()
    }

    /// A topic is deleted, and made again with another number of partitions.
    pub(in crate::shell) fn make_again(&self, topic: &(String, i32), partitions: i32) {
        let logs = self.logs(std::slice::from_ref(topic));
        let mut state = self.lock();
        state.clusters.deleted.extend(logs);
        let partitions = Some(partitions);
        state.carry_out(Change::RecreateTopic { topic: topic.0.as_str().into(), partitions });
        state.note_leaders();
    }

    /// A topic has as many partitions as it had.
    pub(in crate::shell) fn grow_back(&self, (topic, count): &(String, i32)) {
        let mut state = self.lock();
        if state.cluster.leader(topic, PartitionId(count - 1)).is_none() {
            state.carry_out(Change::GrowTopic { topic: topic.as_str().into(), partitions: *count });
            state.note_leaders();
        }
    }

    /// The logs of topics that were deleted.
    pub(in crate::shell) fn deleted_logs(&self) -> Vec<(String, i32, Vec<Stored>)> {
        self.lock().clusters.deleted.clone()
    }

    /// Somebody else, whose producer id is of this cluster, writes to a partition.
    pub(in crate::shell) fn write_as_stranger(&self, topic: &str, partition: i32, count: u32) {
        let mut state = self.lock();
        let Some((leader, _)) = state.cluster.leader(topic, PartitionId(partition)) else { return };
        let mut stranger = match state.clusters.stranger.take() {
            Some(stranger) => stranger,
            None => Stranger::new(state.producer_id(leader)),
        };
        let at = state.now();
        let request = stranger.request(topic, PartitionId(partition), count, at);
        let frame = encode_request(&request, 9, kafka_wire::CorrelationId(0), None).expect("encodes");
        drop(state.handle(leader, frame.into_bytes().slice(4..)));
        state.clusters.stranger = Some(stranger);
    }

    pub(in crate::shell) fn lag_behind(&self, node: i32, lag: Lag) {
        self.lock().carry_out(Change::LagBehind { broker: NodeId(node), lag });
    }

    pub(in crate::shell) fn catch_up(&self, node: i32) {
        self.lock().carry_out(Change::CatchUp(NodeId(node)));
    }

    /// Brokers are older: they are not told which cluster is meant.
    pub(in crate::shell) fn know_no_ids_in_versions(&self) {
        let (api, versions) = (ApiKey::API_VERSIONS, VersionRange::new(0, 4));
        self.lock().carry_out(Change::LimitVersions { api, versions });
    }

    /// A partition has too few replicas, for so many requests.
    pub(in crate::shell) fn lack_replicas(&self, partition: i32, count: u64) {
        let rule = Rule::on(ApiKey::PRODUCE).partition(partition).times(count);
        self.lock().cluster.add_rule(rule.error(ErrorCode::NOT_ENOUGH_REPLICAS));
    }

    /// Who asks for a producer id next is told this.
    pub(in crate::shell) fn refuse_producer_id(&self, code: ErrorCode) {
        self.lock().cluster.add_rule(Rule::on(ApiKey::INIT_PRODUCER_ID).times(1).error(code));
    }

    /// The logs of clusters that ended.
    pub(in crate::shell) fn ended_logs(&self) -> Vec<(String, i32, Vec<Stored>)> {
        self.lock().clusters.ended.clone()
    }

    /// Whether a cluster said of a record that it is in the log, and it was.
    pub(in crate::shell) fn is_vouched_for(&self, id: Id) -> bool {
        self.lock().clusters.vouched.contains(&id)
    }

    /// Everybody is where he belongs, and knows what there is.
    pub(super) fn end_confusion(&self) {
        for node in self.nodes() {
            self.lead_back(node);
            self.catch_up(node);
        }
        let mut state = self.lock();
        state.cluster.clear_script();
        let topics = state.plan.as_ref().map(|plan| plan.topics.clone()).unwrap_or_default();
        drop(state);
        topics.iter().for_each(|topic| self.grow_back(topic));
    }
}

impl State {
    fn carry_out(&mut self, change: Change) {
        let done = self.cluster.carry_out(change);
        debug_assert!(done.is_ok(), "{done:?}");
    }

    fn replace(&mut self, node: i32) {
        *self.clusters.machines.entry(node).or_default() += 1;
    }

    fn producer_id(&mut self, node: NodeId) -> ProducerId {
        let request = InitProducerIdRequest::default();
        let frame = encode_request(&request, 4, kafka_wire::CorrelationId(0), None).expect("encodes");
        let answer = self.handle(node, frame.into_bytes().slice(4..)).unwrap_or_default();
        let body = answer.slice(4.min(answer.len())..);
        let decoded = decode_response::<InitProducerIdResponse>(&body, 4);
        decoded.map_or(ProducerId::NONE, |(_, response)| response.producer_id)
    }

    /// What nobody may be asked but a broker of the cluster that is kept.
    pub(super) fn check_cluster(&mut self, node: NodeId, api: ApiKey) {
        let is_set_up = matches!(api, ApiKey::API_VERSIONS | ApiKey::METADATA);
        if !is_set_up && self.clusters.astray.contains(&node.0) {
            self.violate(format!("{api} was sent to another cluster at {node}'s address (cluster)"));
        }
    }

    /// A broker gave a producer id, if it did.
    pub(super) fn note_given(&mut self, header: &kafka_wire::RequestHeader, answer: &Bytes) {
        let Some(body) = answer.get(4..).map(|body| answer.slice_ref(body)) else { return };
        let decoded = decode_response::<InitProducerIdResponse>(&body, header.api_version);
        if let Ok((_, response)) = decoded {
            self.clusters.given.insert(response.producer_id.0);
        }
    }

    /// Batches are numbered under ids that the cluster gave.
    pub(super) fn check_given(&mut self, request: &ProduceRequest) {
        for data in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
            let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
            for batch in BatchReader::new(bytes).flatten() {
                let id = batch.header().producer_id.0;
                if id >= 0 && !self.clusters.given.contains(&id) {
                    let what =
                        format!("a batch is numbered under {id}, which the cluster did not give (cluster)");
                    self.violate(what);
                }
            }
        }
    }

    /// Of which records a broker says now that they are in the log.
    pub(super) fn note_vouched(&mut self, frame: &Bytes, answer: &Bytes) {
        if !self.clusters.may_end {
            return;
        }
        let Ok((header, body)) = kafka_wire::decode_request_header(frame) else { return };
        let Ok(request) = decode_request::<ProduceRequest>(&header, body) else { return };
        let Some(body) = answer.get(4..).map(|body| answer.slice_ref(body)) else { return };
        let Ok((_, response)) = decode_response::<ProduceResponse>(&body, header.api_version) else { return };
        let told = response.responses.iter().flat_map(|it| &it.partition_responses);
        let sent = request
            .topic_data
            .iter()
            .flat_map(|topic| topic.partition_data.iter().map(move |it| (topic, it)));
        // Both are in the same order; where an answer leaves something out, nobody is vouched for.
        for ((topic, data), told) in sent.zip(told) {
            if data.index != told.index
                || !matches!(told.error_code, ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER)
            {
                continue;
            }
            let names = self.plan.iter().flat_map(|plan| &plan.topics).map(|(name, _)| name.clone());
            let mut names = names.filter(|name| {
                *name == topic.name.as_str() || self.cluster.topic_id(name) == Some(topic.topic_id)
            });
            let Some(name) = names.next() else { continue };
            let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
            let sent = ids(bytes);
            let log = self.cluster.batches(&name, data.index).unwrap_or_default();
            let there: BTreeSet<Id> = log.into_iter().flat_map(ids).collect();
            self.clusters.vouched.extend(sent.into_iter().filter(|id| there.contains(id)));
        }
    }
}

/// The records in some batches.
fn ids(bytes: Bytes) -> Vec<Id> {
    let mut ids = Vec::new();
    for batch in BatchReader::new(bytes).flatten() {
        let records = batch.records().into_iter().flatten().flatten();
        ids.extend(records.filter_map(|read| parse(read.record.value.as_deref()?)));
    }
    ids
}

/// The id of the cluster that addresses lead to by mistake.
const ANOTHER: &str = "another";
