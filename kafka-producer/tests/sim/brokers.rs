//! The brokers: a mock cluster that judges what it is sent as a real one does, and the faults that stand before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use kafka_mock::{Answer, Change, Cluster, ClusterConfig, Now};
use kafka_wire::{
    Acks, ApiKey, CorrelationId, ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, RequestHeader,
    TopicId, TopicName, VersionRange, decode_request, decode_request_header, decode_response, encode_request,
    encode_response,
    messages::{
        ApiVersionsResponse, InitProducerIdResponse, MetadataResponse, PartitionProduceResponse,
        ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
    },
};

use super::{
    invariants::Checker,
    plan::{Fault, Setup},
    stranger::Stranger,
};

mod clusters;

/// All brokers with their logs, and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Brokers {
    pub(crate) cluster: Cluster,
    setup: Setup,
    /// Brokers that are down; those that the others have noticed missing are marked.
    down: BTreeMap<NodeId, bool>,
    faults: Vec<Injected>,
    /// The topics there are.
    ids: BTreeMap<TopicName, TopicId>,
    /// Addresses that lead to another cluster.
    astray: BTreeSet<NodeId>,
    /// Those that ever did.
    strayed: BTreeSet<NodeId>,
    /// Somebody else who writes.
    stranger: Option<Stranger>,
    /// Who led, by topic and partition.
    past: BTreeMap<(TopicName, i32), Vec<(NodeId, i32)>>,
    /// How many of these were leaders of an earlier topic of the same name.
    foregone: BTreeMap<(TopicName, i32), usize>,
    rng: fastrand::Rng,
    /// How far the brokers' wall clock is ahead.
    ahead: i64,
    ids_given: u32,
}

#[derive(Debug)]
struct Injected {
    node: Option<NodeId>,
    fault: Fault,
    left: u32,
}

/// What comes of a request.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// A frame, its length included.
    pub(crate) reply: Option<Bytes>,
    pub(crate) hangs_up: bool,
    /// What happened, for the transcript.
    pub(crate) note: String,
}

impl Brokers {
    pub(crate) fn new(setup: &Setup, rng: fastrand::Rng) -> Self {
        let config = ClusterConfig::default().brokers(setup.brokers).controllers(setup.controllers);
        let mut cluster = Cluster::new(config);
        let (api, versions) = (ApiKey::API_VERSIONS, VersionRange::new(0, setup.versions_version));
        let limited = cluster.carry_out(Change::LimitVersions { api, versions });
        debug_assert!(limited.is_ok(), "{limited:?}");
        for index in 0..setup.nodes() {
            let (host, port) = address(index);
            cluster.set_address(node(index), &host, port);
        }
        let mut brokers = Self {
            cluster,
            setup: setup.clone(),
            down: BTreeMap::new(),
            faults: Vec::new(),
            ids: BTreeMap::new(),
            astray: BTreeSet::new(),
            strayed: BTreeSet::new(),
            stranger: None,
            past: BTreeMap::new(),
            foregone: BTreeMap::new(),
            rng,
            ahead: 0,
            ids_given: 0,
        };
        let existing = setup.topics.len() - usize::from(setup.last_is_late);
        for topic in 0..existing {
            brokers.create(topic);
        }
        brokers
    }

    pub(crate) fn create(&mut self, topic: usize) {
        // It exists already if the run says so twice.
        if let Ok(id) = self.cluster.create_topic(&name(topic), self.setup.topics[topic]) {
            self.ids.insert(TopicName::from(name(topic).as_str()), id);
        }
        self.note_leaders();
    }

    /// Deletes a topic and makes another one of the same name, with as many partitions unless it is said how many.
    pub(crate) fn recreate(&mut self, topic: usize, partitions: Option<i32>, checker: &mut Checker) {
        let partitions = partitions.unwrap_or_else(|| self.partitions(topic));
        if self.cluster.delete_topic(&name(topic)).is_ok() {
            checker.deleted.extend(self.ids.get(&TopicName::from(name(topic).as_str())));
            if let Ok(id) = self.cluster.create_topic(&name(topic), partitions) {
                checker.recreated.insert(id);
                self.ids.insert(TopicName::from(name(topic).as_str()), id);
            }
            for (key, past) in self.past.iter().filter(|((other, _), _)| other.as_str() == name(topic)) {
                self.foregone.insert(key.clone(), past.len());
            }
            self.note_leaders();
        }
    }

    /// How many partitions a topic has, or will have.
    pub(crate) fn partitions(&self, topic: usize) -> i32 {
        let count =
            (0..).take_while(|&it| self.cluster.leader(&name(topic), PartitionId(it)).is_some()).count();
        if count == 0 { self.setup.topics[topic] } else { count as i32 }
    }

    /// Adds a partition, the way everybody does.
    pub(crate) fn grow(&mut self, topic: usize, now: Now) {
        use kafka_wire::messages::{CreatePartitionsRequest, CreatePartitionsTopic};
        let topics = vec![CreatePartitionsTopic {
            name: TopicName::from(name(topic).as_str()),
            count: self.partitions(topic) + 1,
            assignments: None,
        }];
        let request = CreatePartitionsRequest { topics, timeout_ms: 1000, ..Default::default() };
        if let Ok(frame) = encode_request(&request, 2, CorrelationId(0), None) {
            drop(self.cluster.handle(node(0), frame.into_bytes().slice(4..), now));
        }
        self.note_leaders();
    }

    pub(crate) fn move_leader(&mut self, topic: usize, partition: u32, to: NodeId) {
        let partition = PartitionId(partition as i32);
        if self.cluster.leader(&name(topic), partition).is_some() {
            let _ = self.cluster.move_leader(&name(topic), partition, to);
            self.note_leaders();
        }
    }

    /// A leader is elected that lacks the last batches of the log.
    pub(crate) fn elect_unclean(
        &mut self,
        topic: usize,
        partition: u32,
        to: NodeId,
        batches: usize,
        checker: &mut Checker,
    ) {
        let partition = PartitionId(partition as i32);
        // Who led lacks nothing.
        let leads = self.cluster.leader(&name(topic), partition).is_some_and(|(leader, _)| leader == to);
        if !leads && self.cluster.elect_unclean(&name(topic), partition, to, batches).is_ok() {
            self.note_leaders();
            let id = self.ids.get(&TopicName::from(name(topic).as_str()));
            if let (Some(id), Some((_, end))) = (id, self.cluster.offsets(&name(topic), partition)) {
                checker.truncated(*id, partition.0, end);
            }
        }
    }

    pub(crate) fn limit_messages(&mut self, topic: usize, bytes: usize) {
        let _ = self.cluster.set_topic_config(&name(topic), "max.message.bytes", &bytes.to_string());
    }

    /// Every producer was silent for more than a day.
    pub(crate) fn forget_producers(&mut self) {
        self.ahead += 25 * 60 * 60 * 1000;
    }

    /// A broker goes down, and with it what it had not on its disk. If the others notice, its partitions get other leaders.
    pub(crate) fn crash(&mut self, broker: NodeId, leaves: bool) {
        let _ = self.cluster.restart_broker(broker);
        self.down.insert(broker, leaves);
        if !leaves {
            return;
        }
        let up: Vec<NodeId> = self.nodes().filter(|node| !self.down.contains_key(node)).collect();
        if up.is_empty() {
            return;
        }
        for topic in 0..self.setup.topics.len() {
            for partition in 0..self.partitions(topic) {
                let led = self.cluster.leader(&name(topic), PartitionId(partition));
                if led.is_some_and(|(leader, _)| leader == broker) {
                    let to = up[self.rng.usize(..up.len())];
                    self.move_leader(topic, partition as u32, to);
                }
            }
        }
    }

    pub(crate) fn revive(&mut self, broker: NodeId) {
        self.down.remove(&broker);
    }

    pub(crate) fn is_up(&self, broker: NodeId) -> bool {
        !self.down.contains_key(&broker)
    }

    pub(crate) fn inject(&mut self, node: Option<NodeId>, fault: Fault, count: u32) {
        self.faults.push(Injected { node, fault, left: count });
    }

    /// Nothing is wrong any more.
    pub(crate) fn heal(&mut self) {
        self.faults.clear();
        self.down.clear();
        self.nodes().for_each(|node| self.catch_up(node));
        for topic in 0..self.setup.topics.len() {
            self.limit_messages(topic, 1 << 20);
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.setup.brokers).map(node)
    }

    /// Whether so old a leader was one.
    pub(crate) fn has_led(&self, topic: &TopicName, partition: i32, leader: NodeId, epoch: i32) -> bool {
        self.past.get(&(topic.clone(), partition)).is_some_and(|past| past.contains(&(leader, epoch)))
    }

    fn note_leaders(&mut self) {
        for topic in 0..self.setup.topics.len() {
            for partition in 0..self.partitions(topic) {
                if let Some(led) = self.cluster.leader(&name(topic), PartitionId(partition)) {
                    let key = (TopicName::from(name(topic).as_str()), partition);
                    let past = self.past.entry(key).or_default();
                    let foregone = self.foregone.get(&(TopicName::from(name(topic).as_str()), partition));
                    if past.last() != Some(&led) || foregone == Some(&past.len()) {
                        past.push(led);
                    }
                }
            }
        }
    }

    pub(crate) fn now(&self, now: Instant, wall: i64) -> Now {
        Now::new(now, wall + self.ahead)
    }

    /// A broker reads a frame (without its length).
    pub(crate) fn serve(
        &mut self,
        broker: NodeId,
        frame: Bytes,
        now: Instant,
        wall: i64,
        checker: &mut Checker,
    ) -> Served {
        let Ok((header, _)) = decode_request_header(&frame) else {
            checker.violated("bytes", "a frame that is no request reached a broker".to_owned());
            return Served { hangs_up: true, ..Served::default() };
        };
        let now = self.now(now, wall);
        if self.astray.contains(&broker) {
            return self.serve_astray(broker, &header, frame, now, checker);
        }
        let mut served = match header.api_key {
            ApiKey::PRODUCE => self.serve_produce(broker, &header, frame, now, checker),
            ApiKey::METADATA => self.serve_metadata(broker, &header, frame, now),
            ApiKey::INIT_PRODUCER_ID => self.serve_init(broker, &header, frame, now, checker),
            ApiKey::API_VERSIONS => self.serve_versions(broker, &header, frame, now),
            _ => self.pass(broker, frame, now),
        };
        self.spoil(broker, &header, &mut served, checker);
        served
    }

    fn pass(&mut self, broker: NodeId, frame: Bytes, now: Now) -> Served {
        match self.cluster.handle(broker, frame, now) {
            Answer::Reply(reply) => Served { reply: Some(reply.into_bytes()), ..Served::default() },
            Answer::Silence => Served::default(),
            Answer::Close(reason) => {
                Served { hangs_up: true, note: format!("closes: {reason:?}"), ..Served::default() }
            }
            _ => Served::default(),
        }
    }

    /// The next fault of a kind at this broker, used up.
    fn take(&mut self, broker: NodeId, is_wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let found = self
            .faults
            .iter_mut()
            .find(|it| it.left > 0 && it.node.is_none_or(|node| node == broker) && is_wanted(&it.fault))?;
        found.left -= 1;
        Some(found.fault)
    }

    fn serve_produce(
        &mut self,
        broker: NodeId,
        header: &RequestHeader,
        frame: Bytes,
        now: Now,
        checker: &mut Checker,
    ) -> Served {
        let Some(request) = produce_request(&frame) else {
            checker.violated("bytes", "a Produce request that cannot be read reached a broker".to_owned());
            return Served { hangs_up: true, ..Served::default() };
        };
        let sent = self.named(&request);
        checker.arrived(&sent);
        let fault = self.take(broker, |fault| {
            matches!(
                fault,
                Fault::Refuse { .. }
                    | Fault::AppendThenFail { .. }
                    | Fault::HangUpBefore
                    | Fault::HangUpAfter
                    | Fault::Mute
                    | Fault::Throttle { .. }
                    | Fault::Omit
            )
        });
        let mut served = match fault {
            None => self.pass(broker, frame, now),
            Some(Fault::HangUpBefore) => Served { hangs_up: true, ..Served::default() },
            Some(Fault::HangUpAfter) => {
                drop(self.pass(broker, frame, now));
                Served { hangs_up: true, ..Served::default() }
            }
            Some(Fault::Mute) => {
                drop(self.pass(broker, frame, now));
                Served::default()
            }
            Some(Fault::Refuse { partition, code }) => {
                self.refuse(broker, header, request, partition, code, now)
            }
            Some(fault) => {
                let mut served = self.pass(broker, frame, now);
                served.reply = served.reply.map(|reply| self.distort(header, reply, fault));
                served
            }
        };
        checker.grown(&self.cluster, &self.ids);
        if let Some(fault) = fault {
            checker.tally.add("injected faults", 1);
            served.note = format!("{fault:?} {}", served.note);
        }
        if let Some(reply) = &served.reply {
            served.note.push_str(&summary(reply, header.api_version, &sent, checker));
        }
        served
    }

    /// Takes a batch out of a request, appends the others, and says that it refused this one. Never for a gap: who is
    /// told of one may rely on it that there is one.
    fn refuse(
        &mut self,
        broker: NodeId,
        header: &RequestHeader,
        mut request: ProduceRequest,
        partition: Option<i32>,
        code: ErrorCode,
        now: Now,
    ) -> Served {
        let version = header.api_version;
        let mut refused = None;
        for topic in &mut request.topic_data {
            let mut parts = topic.partition_data.iter();
            let found = parts.position(|data| partition.is_none_or(|partition| data.index.0 == partition));
            if let (None, Some(at)) = (&refused, found) {
                let data = topic.partition_data.remove(at);
                refused = Some((topic.name.clone(), topic.topic_id, data.index));
            }
        }
        request.topic_data.retain(|topic| !topic.partition_data.is_empty());
        let rest: Vec<TopicProduceData> = request.topic_data.clone();
        let acks = request.acks;
        let mut served = if rest.is_empty() {
            let empty = ProduceResponse::default();
            let reply = encode_response(&empty, version, header.correlation_id);
            Served { reply: reply.ok().map(|reply| reply.into_bytes()), ..Served::default() }
        } else {
            match encode_request(&request, version, header.correlation_id, header.client_id.as_deref()) {
                Ok(frame) => self.pass(broker, frame.into_bytes().slice(4..), now),
                Err(_) => Served::default(),
            }
        };
        let Some((name, topic_id, index)) = refused else { return served };
        if acks == Acks::NONE {
            return Served { hangs_up: true, ..Served::default() };
        }
        served.reply = served.reply.map(|reply| {
            edit_produce(&reply, version, |response| {
                let answer = PartitionProduceResponse {
                    index,
                    error_code: code,
                    base_offset: -1,
                    ..PartitionProduceResponse::default()
                };
                response.responses.push(TopicProduceResponse {
                    name,
                    topic_id,
                    partition_responses: vec![answer],
                });
            })
        });
        served
    }

    fn distort(&mut self, header: &RequestHeader, reply: Bytes, fault: Fault) -> Bytes {
        edit_produce(&reply, header.api_version, |response| match fault {
            Fault::AppendThenFail { partition, code } => {
                let answers = response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
                let mut chosen =
                    answers.filter(|answer| partition.is_none_or(|partition| answer.index.0 == partition));
                if let Some(answer) = chosen.find(|answer| !answer.error_code.is_err()) {
                    answer.error_code = code;
                    answer.base_offset = -1;
                }
            }
            Fault::Throttle { time } => response.throttle_time_ms = time as i32,
            Fault::Omit => {
                if let Some(topic) = response.responses.first_mut() {
                    topic.partition_responses.pop();
                }
            }
            _ => {}
        })
    }

    fn serve_metadata(&mut self, broker: NodeId, header: &RequestHeader, frame: Bytes, now: Now) -> Served {
        let mut served = self.pass(broker, frame, now);
        let fault =
            self.take(broker, |fault| matches!(fault, Fault::MetadataError { .. } | Fault::StaleMetadata));
        let Some(reply) = served.reply.take() else { return served };
        let Ok((id, mut response)) =
            decode_response::<MetadataResponse>(&reply.slice(4..), header.api_version)
        else {
            return served;
        };
        let gone = |node: NodeId| self.down.get(&node) == Some(&true);
        response.brokers.retain(|it| !gone(it.node_id) || self.down.len() == usize::from(self.setup.brokers));
        for topic in &mut response.topics {
            for partition in &mut topic.partitions {
                if !self.is_up(partition.leader_id) {
                    partition.leader_id = NodeId::NONE;
                    partition.error_code = ErrorCode::LEADER_NOT_AVAILABLE;
                }
            }
        }
        match fault {
            Some(Fault::MetadataError { code, partitions }) => {
                for topic in &mut response.topics {
                    if partitions {
                        for partition in &mut topic.partitions {
                            partition.error_code = code;
                            partition.leader_id = NodeId::NONE;
                        }
                    } else {
                        topic.error_code = code;
                        topic.partitions.clear();
                    }
                }
            }
            Some(Fault::StaleMetadata) => {
                for topic in &mut response.topics {
                    let Some(name) = topic.name.clone() else { continue };
                    for partition in &mut topic.partitions {
                        let key = (name.clone(), partition.partition_index.0);
                        let foregone = self.foregone.get(&key).copied().unwrap_or(0);
                        let Some(past) = self.past.get(&key).and_then(|past| past.get(foregone..)) else {
                            continue;
                        };
                        if let Some(&(leader, epoch)) = past.get(self.rng.usize(..past.len().max(1))) {
                            (partition.leader_id, partition.leader_epoch) = (leader, epoch);
                        }
                    }
                }
            }
            _ => {}
        }
        if let Some(fault) = fault {
            served.note = format!("{fault:?}");
        }
        for topic in &response.topics {
            let leaders = topic.partitions.iter().map(|it| (it.leader_id.0, it.leader_epoch));
            served.note.push_str(&format!(" {:?}{:?}", topic.error_code, leaders.collect::<Vec<_>>()));
        }
        served.reply = encode_response(&response, header.api_version, id).ok().map(|it| it.into_bytes());
        served
    }

    fn serve_init(
        &mut self,
        broker: NodeId,
        header: &RequestHeader,
        frame: Bytes,
        now: Now,
        checker: &mut Checker,
    ) -> Served {
        let fault = self.take(broker, |fault| matches!(fault, Fault::NoProducerId { .. }));
        let mut response = match fault {
            Some(Fault::NoProducerId { code }) => {
                checker.tally.add("producer ids refused", 1);
                InitProducerIdResponse {
                    error_code: code,
                    producer_epoch: ProducerEpoch(-1),
                    ..InitProducerIdResponse::default()
                }
            }
            _ => {
                let served = self.pass(broker, frame, now);
                let reply = served.reply.unwrap_or_default();
                match decode_response::<InitProducerIdResponse>(&reply.slice(4..), header.api_version) {
                    Ok((_, response)) => response,
                    Err(_) => return Served { hangs_up: true, ..Served::default() },
                }
            }
        };
        if !response.error_code.is_err() {
            if self.ids_given == 0 {
                response.producer_epoch = ProducerEpoch(self.setup.first_epoch);
            }
            self.ids_given += 1;
            checker.gave(response.producer_id.0);
        }
        let note =
            format!("{:?} {:?} {:?}", response.error_code, response.producer_id, response.producer_epoch);
        let reply = encode_response(&response, header.api_version, header.correlation_id);
        Served { reply: reply.ok().map(|it| it.into_bytes()), hangs_up: false, note }
    }

    fn serve_versions(&mut self, broker: NodeId, header: &RequestHeader, frame: Bytes, now: Now) -> Served {
        let mut served = self.pass(broker, frame, now);
        // Who asks in too new a version is told so in the oldest.
        if header.api_version > self.setup.versions_version {
            return served;
        }
        let Some(reply) = served.reply.take() else { return served };
        let decoded = decode_response::<ApiVersionsResponse>(&reply.slice(4..), header.api_version);
        served.reply = match decoded {
            Ok((id, mut response)) => {
                for api in &mut response.api_keys {
                    let newest = match api.api_key {
                        ApiKey::PRODUCE => self.setup.produce_version,
                        ApiKey::METADATA => self.setup.metadata_version,
                        _ => i16::MAX,
                    };
                    api.max_version = api.max_version.min(newest);
                }
                encode_response(&response, header.api_version, id).ok().map(|it| it.into_bytes())
            }
            Err(_) => Some(reply),
        };
        served
    }

    /// Answers that are none.
    fn spoil(&mut self, broker: NodeId, header: &RequestHeader, served: &mut Served, checker: &mut Checker) {
        let Some(reply) = &served.reply else { return };
        let wanted =
            |fault: &Fault| matches!(fault, Fault::WrongCorrelation | Fault::Garbage | Fault::HugeFrame);
        let Some(fault) = self.take(broker, wanted) else { return };
        checker.tally.add("spoilt answers", 1);
        let mut bytes = reply.to_vec();
        match fault {
            Fault::WrongCorrelation => {
                let wrong = header.correlation_id.0.wrapping_add(self.rng.i32(1..5) - 3);
                if wrong == header.correlation_id.0 {
                    bytes[4] ^= 0x40;
                } else {
                    bytes[4..8].copy_from_slice(&wrong.to_be_bytes());
                }
            }
            Fault::Garbage => {
                let keep = self.rng.usize(4..bytes.len().max(5));
                bytes.truncate(keep);
                let len = keep as i32 - 4;
                bytes[..4].copy_from_slice(&len.to_be_bytes());
            }
            _ => {
                let claims = [-1, i32::MIN, i32::MAX, 1 << 30];
                bytes[..4].copy_from_slice(&claims[self.rng.usize(..claims.len())].to_be_bytes());
            }
        }
        served.note.push_str(&format!(" {fault:?}"));
        served.reply = Some(bytes.into());
    }

    /// The request with the names of its topics, which newer versions leave out.
    fn named(&self, request: &ProduceRequest) -> ProduceRequest {
        let mut request = request.clone();
        for topic in &mut request.topic_data {
            topic.name = self.name_of(&topic.name, topic.topic_id);
        }
        request
    }

    fn name_of(&self, name: &TopicName, id: TopicId) -> TopicName {
        if id.is_zero() {
            return name.clone();
        }
        let found = self.ids.iter().find(|(_, other)| **other == id);
        found.map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

/// The request in a frame.
pub(crate) fn produce_request(frame: &Bytes) -> Option<ProduceRequest> {
    let (header, body) = decode_request_header(frame).ok()?;
    (header.api_key == ApiKey::PRODUCE).then(|| decode_request(&header, body).ok()).flatten()
}

fn edit_produce(reply: &Bytes, version: i16, edit: impl FnOnce(&mut ProduceResponse)) -> Bytes {
    let Ok((id, mut response)) = decode_response::<ProduceResponse>(&reply.slice(4..), version) else {
        return reply.clone();
    };
    edit(&mut response);
    encode_response(&response, version, id).map_or_else(|_| reply.clone(), |it| it.into_bytes())
}

/// What an answer says, partition by partition.
fn summary(reply: &Bytes, version: i16, sent: &ProduceRequest, checker: &mut Checker) -> String {
    let Ok((_, response)) = decode_response::<ProduceResponse>(&reply.slice(4..), version) else {
        return String::new();
    };
    let mut text = String::new();
    for topic in &response.responses {
        for answer in &topic.partition_responses {
            checker.tally.answered(answer.error_code);
            checker.refused(answer.error_code);
            let by_name = topic.topic_id.is_zero();
            let found = sent.topic_data.iter().find(|it| match by_name {
                true => it.name == topic.name,
                false => it.topic_id == topic.topic_id,
            });
            let data = found.and_then(|it| it.partition_data.iter().find(|it| it.index == answer.index));
            match (data, answer.error_code) {
                (Some(data), ErrorCode::MESSAGE_TOO_LARGE) => checker.too_large(data),
                (Some(data), ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER) => checker.vouched(data),
                _ => {}
            }
            text.push_str(&format!(" {}:{:?}@{}", answer.index, answer.error_code, answer.base_offset));
        }
    }
    text
}

/// The name of a topic.
pub(crate) fn name(topic: usize) -> String {
    format!("topic-{topic}")
}

/// The id of a broker by its index.
pub(crate) fn node(broker: u16) -> NodeId {
    NodeId(i32::from(broker) + 1)
}

/// Where a broker listens.
pub(crate) fn address(broker: u16) -> (String, u16) {
    (format!("broker-{}", broker + 1), 9092)
}

/// The longest that a broker thinks about a request that nothing holds up.
pub(crate) const SERVICE: Duration = Duration::from_millis(2);
