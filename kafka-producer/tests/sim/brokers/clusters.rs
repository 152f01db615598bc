//! Clusters that are taken for one another, and brokers that do not know what the others know.

use kafka_mock::{Change, Lag};
use kafka_wire::messages::InitProducerIdRequest;

use super::*;
use crate::sim::{plan::Unheard, stranger::Stranger};

impl Brokers {
    /// The address of a broker leads to another cluster from now on. One address never does: where all have answered as of
    /// another cluster, one after the other, the producer takes it for the one that is meant.
    pub(crate) fn lead_astray(&mut self, broker: NodeId) -> bool {
        self.strayed.insert(broker);
        if self.strayed.len() == usize::from(self.setup.brokers) {
            self.strayed.remove(&broker);
            return false;
        }
        if !self.astray.insert(broker) {
            return false;
        }
        let cluster = Some(ANOTHER.to_owned());
        self.carry_out(Change::Reroute { address: broker, cluster, broker: None });
        true
    }

    /// It leads to its broker again.
    pub(crate) fn lead_back(&mut self, broker: NodeId) -> bool {
        let was_astray = self.astray.remove(&broker);
        if was_astray {
            self.carry_out(Change::Reroute { address: broker, cluster: None, broker: None });
        }
        was_astray
    }

    pub(crate) fn astray(&self) -> Vec<NodeId> {
        self.astray.iter().copied().collect()
    }

    /// Another cluster is asked something.
    pub(super) fn serve_astray(
        &mut self,
        broker: NodeId,
        header: &RequestHeader,
        frame: Bytes,
        now: Now,
        checker: &mut Checker,
    ) -> Served {
        checker.tally.add("questions to another cluster", 1);
        if !matches!(header.api_key, ApiKey::API_VERSIONS | ApiKey::METADATA) {
            let what =
                format!("{} was sent to another cluster behind the address of {broker}", header.api_key);
            checker.violated("cluster", what);
        }
        let mut served = match header.api_key {
            ApiKey::API_VERSIONS => self.serve_versions(broker, header, frame, now),
            _ => self.pass(broker, frame, now),
        };
        served.note.push_str(" (another cluster)");
        served
    }

    /// The cluster ends, and another one begins under the same addresses.
    pub(crate) fn wipe(&mut self, strangers: bool, now: Now, checker: &mut Checker) {
        checker.wiped(self.ids.values().copied());
        self.carry_out(Change::Wipe { cluster_id: None });
        self.stranger = None;
        for (name, id) in &mut self.ids {
            *id = self.cluster.topic_id(name.as_str()).unwrap_or_default();
        }
        for (key, past) in &self.past {
            self.foregone.insert(key.clone(), past.len());
        }
        self.note_leaders();
        for topic in 0..if strangers { self.setup.topics.len() } else { 0 } {
            for partition in 0..self.partitions(topic) {
                self.write_as_stranger(topic, partition as u32, 3, now, checker);
            }
        }
    }

    /// Somebody else, whose producer id is of this cluster, writes to a partition.
    pub(crate) fn write_as_stranger(
        &mut self,
        topic: usize,
        partition: u32,
        count: u32,
        now: Now,
        checker: &mut Checker,
    ) {
        let (topic, partition) = (name(topic), PartitionId(partition as i32));
        let Some((leader, _)) = self.cluster.leader(&topic, partition) else { return };
        let mut stranger = self.stranger.take().unwrap_or_else(|| {
            let frame = encode_request(&InitProducerIdRequest::default(), 4, CorrelationId(0), None);
            let reply = frame.ok().and_then(|frame| {
                let answer = self.cluster.handle(leader, frame.into_bytes().slice(4..), now);
                let Answer::Reply(reply) = answer else { return None };
                decode_response::<InitProducerIdResponse>(&reply.into_bytes().slice(4..), 4).ok()
            });
            Stranger::new(reply.map_or(ProducerId::NONE, |(_, response)| response.producer_id))
        });
        let request = stranger.request(&topic, partition, count, now);
        if let Ok(frame) = encode_request(&request, 9, CorrelationId(0), None) {
            drop(self.cluster.handle(leader, frame.into_bytes().slice(4..), now));
            checker.tally.add("batches of strangers", 1);
        }
        self.stranger = Some(stranger);
        checker.grown(&self.cluster, &self.ids);
    }

    /// A broker does not hear of something.
    pub(crate) fn lag_behind(&mut self, broker: NodeId, unheard: Unheard) {
        let lag = match unheard {
            Unheard::Partitions { topic, from } => {
                Lag::Partitions { topic: name(topic).as_str().into(), count: from as i32 }
            }
            Unheard::Topic(topic) => Lag::Topic(name(topic).as_str().into()),
            Unheard::Broker(other) => Lag::Broker(node(other)),
            Unheard::News => Lag::View,
        };
        self.carry_out(Change::LagBehind { broker, lag });
    }

    pub(crate) fn catch_up(&mut self, broker: NodeId) {
        self.carry_out(Change::CatchUp(broker));
    }

    fn carry_out(&mut self, change: Change) {
        let done = self.cluster.carry_out(change);
        debug_assert!(done.is_ok(), "{done:?}");
    }
}

/// The id of the cluster that addresses lead to by mistake.
const ANOTHER: &str = "another";
