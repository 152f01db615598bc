//! What is asked of a cluster beside producing: whether it is there, topics, and records to read back.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use kafka_batch::{Batch, BatchReader, OwnedRecord, ReadError};
use kafka_net::{Client, ClientConfig, NetError, TopicView};
use kafka_producer::Settings;
use kafka_wire::messages::{
    AbortedTransaction, ApiVersionsRequest, CreatableTopic, CreateTopicsRequest, FetchPartition,
    FetchRequest, FetchTopic, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kafka_wire::{ErrorCode, NodeId, PartitionId, ProducerId, TopicName};

use crate::report;

/// Connects, or says within [`PATIENCE`] why not: people wait here, and a producer would go on for a minute.
pub(crate) async fn connect(settings: &Settings, create_topics: bool) -> Result<Client> {
    Ok(Client::connect_to(&settings.bootstrap_servers, config(settings, create_topics)).await?)
}

/// Whether a broker answers.
pub(crate) async fn reach(settings: &Settings) -> Result<(), NetError> {
    Client::connect_to(&settings.bootstrap_servers, config(settings, false)).await.map(drop)
}

fn config(settings: &Settings, create_topics: bool) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.net.client_id.clone_from(&settings.client_id);
    config.net.request_timeout = settings.request_timeout;
    config.net.setup_timeout = settings.socket_connection_setup_timeout.min(PATIENCE / 2);
    config.net.setup_timeout_max = settings.socket_connection_setup_timeout_max.min(PATIENCE / 2);
    config.metadata.allow_auto_topic_creation = create_topics;
    config.max_block = settings.max_block.clamp(Duration::from_millis(100), PATIENCE);
    config
}

/// A topic, once one of its leaders was reached, or why none can be: the brokers' own addresses may lead nowhere
/// although the one that was given does not. A producer would go on hoping for two minutes.
pub(crate) async fn reach_topic(client: &Client, topic: &str) -> Result<Arc<TopicView>> {
    let mut view = client.topic(topic).await?;
    if view.partitions.iter().all(|partition| partition.leader.is_none()) {
        // It may have been made just now.
        client.leader(topic, PartitionId(0)).await?;
        view = client.topic(topic).await?;
    }
    let leaders: BTreeSet<NodeId> = view.partitions.iter().filter_map(|partition| partition.leader).collect();
    let count = leaders.len();
    let asked = leaders.into_iter().map(|leader| client.call(leader, ApiVersionsRequest::default()));
    let failures: Vec<_> =
        futures::future::join_all(asked).await.into_iter().filter_map(Result::err).collect();
    if failures.len() < count {
        for failure in &failures {
            report::warn(&format!(
                "a broker that leads partitions of topic {topic} is out of reach: {failure}"
            ));
        }
        return Ok(view);
    }
    match failures.into_iter().next() {
        None => Ok(view),
        Some(failure) => Err(failure).with_context(|| {
            format!(
                "no broker that leads a partition of topic {topic} can be reached at the address that the cluster \
                 gives (advertised.listeners)"
            )
        }),
    }
}

/// Creates a topic unless it is there.
pub(crate) async fn create_topic(client: &Client, topic: &str, partitions: i32) -> Result<()> {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.into(),
            num_partitions: partitions,
            // As many as the cluster has by default.
            replication_factor: -1,
            ..CreatableTopic::default()
        }],
        timeout_ms: i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX),
        ..CreateTopicsRequest::default()
    };
    let response = client.call_any(request).await?;
    for result in response.topics {
        if result.error_code.is_err() && result.error_code != ErrorCode::TOPIC_ALREADY_EXISTS {
            let message = result.error_message.map_or_else(String::new, |message| format!(" ({message})"));
            bail!("cannot create topic {topic}: {}{message}", result.error_code);
        }
    }
    Ok(())
}

/// The partitions that a topic with so many of them has, in words.
pub(crate) fn partitions(count: usize) -> String {
    match count {
        1 => "only partition 0".to_owned(),
        count => format!("partitions 0 to {}", count.saturating_sub(1)),
    }
}

/// What is read of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Isolation {
    /// Only records of transactions that were committed, and those of none
    #[value(name = "read_committed")]
    ReadCommitted,
    /// Every record that is in the log
    #[value(name = "read_uncommitted")]
    ReadUncommitted,
}

impl Isolation {
    /// As it stands in requests.
    const fn level(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) record: OwnedRecord,
}

/// The records of one partition, from an offset on.
#[derive(Debug)]
pub(crate) struct Reader {
    client: Client,
    topic: TopicName,
    view: Arc<TopicView>,
    pub(crate) partition: i32,
    /// The next offset to be read.
    pub(crate) offset: i64,
    isolation: Isolation,
}

impl Reader {
    /// From this offset on.
    pub(crate) fn new(
        client: &Client,
        view: &Arc<TopicView>,
        partition: i32,
        offset: i64,
        isolation: Isolation,
    ) -> Self {
        let (client, view) = (client.clone(), Arc::clone(view));
        Self { client, topic: view.name.clone(), view, partition, offset, isolation }
    }

    /// The next records, possibly none after `wait`.
    pub(crate) async fn fetch(&mut self, wait: Duration) -> Result<Vec<Found>> {
        let mut attempts = 0;
        loop {
            let request = self.request(wait);
            let partition = PartitionId(self.partition);
            let response = self.client.call_leader(self.topic.as_str(), partition, request).await?;
            let whole = response.error_code;
            let part = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
            let code = part.as_ref().map_or(whole, |part| part.error_code);
            if code.is_err() {
                attempts += 1;
                if !code.is_retriable() || attempts == MAX_ATTEMPTS {
                    return Err(self.refused(code));
                }
                tokio::time::sleep(RETRY_WAIT).await;
                self.client.refresh().await?;
                continue;
            }
            let Some(part) = part else { return Ok(Vec::new()) };
            let bytes = part.records.map(|records| records.to_bytes()).unwrap_or_default();
            return self.read(bytes, Aborted::new(part.aborted_transactions.unwrap_or_default()));
        }
    }

    fn request(&self, wait: Duration) -> FetchRequest {
        FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            isolation_level: self.isolation.level(),
            topics: vec![FetchTopic {
                topic: self.topic.clone(),
                topic_id: self.view.id,
                partitions: vec![FetchPartition {
                    partition: PartitionId(self.partition),
                    fetch_offset: self.offset,
                    partition_max_bytes: FETCH_BYTES,
                    ..FetchPartition::default()
                }],
            }],
            ..FetchRequest::default()
        }
    }

    fn refused(&self, code: ErrorCode) -> anyhow::Error {
        let Self { topic, partition, offset, .. } = self;
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => anyhow!(
                "{topic}-{partition} has no offset {offset}: use --from beginning for the first that there is"
            ),
            code => anyhow!("{topic}-{partition} cannot be read from offset {offset}: {code}"),
        }
    }

    fn read(&mut self, bytes: Bytes, mut aborted: Aborted) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for batch in BatchReader::new(bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                // The broker cut its answer in the middle of a batch: the rest comes with the next one.
                Err(ReadError::Truncated { .. }) => break,
                Err(error) => {
                    bail!("{}-{}, near offset {}: {error}", self.topic, self.partition, self.offset)
                }
            };
            let header = batch.header();
            let last = header.base_offset.checked_add(i64::from(header.last_offset_delta));
            let Some(next) = last.and_then(|last| last.checked_add(1)) else {
                let (topic, partition) = (&self.topic, self.partition);
                bail!("{topic}-{partition} has a batch at offset {}, where no log goes", header.base_offset);
            };
            aborted.reach(next - 1);
            if header.is_control() {
                if is_abort(&batch).map_err(|error| self.unreadable(&error))? {
                    aborted.end(header.producer_id);
                }
            } else if !(header.is_transactional() && aborted.has(header.producer_id)) {
                for read in batch.records().map_err(|error| self.unreadable(&error))? {
                    let read = read.map_err(|error| self.unreadable(&error))?;
                    let offset = header.base_offset.saturating_add(i64::from(read.offset_delta));
                    // A fetch begins with the whole batch in which its offset lies.
                    if offset >= self.offset {
                        found.push(Found { partition: self.partition, offset, record: read.record });
                    }
                }
            }
            self.offset = next.max(self.offset);
        }
        Ok(found)
    }

    fn unreadable(&self, error: &ReadError) -> anyhow::Error {
        anyhow!("{}-{}, batch at offset {} or after: {error}", self.topic, self.partition, self.offset)
    }
}

/// The transactions that were aborted, of those whose records an answer may hold (KIP-98).
#[derive(Debug)]
struct Aborted {
    /// Those that begin further on, the last one first.
    ahead: Vec<AbortedTransaction>,
    /// Whose records are passed over until the marker that ends the transaction.
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    fn new(mut ahead: Vec<AbortedTransaction>) -> Self {
        ahead.sort_by_key(|it| Reverse(it.first_offset));
        Self { ahead, open: BTreeSet::new() }
    }

    /// Everything up to this offset has begun.
    fn reach(&mut self, offset: i64) {
        while let Some(begun) = self.ahead.last().filter(|it| it.first_offset <= offset) {
            self.open.insert(begun.producer_id);
            self.ahead.pop();
        }
    }

    fn has(&self, producer: ProducerId) -> bool {
        self.open.contains(&producer)
    }

    /// The marker came that ends it.
    fn end(&mut self, producer: ProducerId) {
        self.open.remove(&producer);
    }
}

/// Whether a batch of control is the marker that aborts a transaction. Its key is a version and a kind, two bytes each.
fn is_abort(batch: &Batch) -> Result<bool, ReadError> {
    let first = batch.records()?.next().transpose()?;
    let key = first.and_then(|read| read.record.key);
    Ok(key.is_some_and(|key| key.get(2..4) == Some(&[0, 0])))
}

/// The offset of the first record (`EARLIEST`), or that behind the last one (`LATEST`).
pub(crate) async fn offset(
    client: &Client,
    topic: &str,
    partition: i32,
    which: i64,
    isolation: Isolation,
) -> Result<i64> {
    let mut attempts = 0;
    loop {
        let request = ListOffsetsRequest {
            replica_id: NodeId::NONE,
            isolation_level: isolation.level(),
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: PartitionId(partition),
                    timestamp: which,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let response = client.call_leader(topic, PartitionId(partition), request).await?;
        let Some(answer) = response.topics.iter().flat_map(|topic| &topic.partitions).next() else {
            bail!("the broker's answer about the offsets of {topic}-{partition} is empty");
        };
        if answer.error_code.is_ok() {
            return Ok(answer.offset);
        }
        attempts += 1;
        if !answer.error_code.is_retriable() || attempts == MAX_ATTEMPTS {
            bail!("cannot ask for the offsets of {topic}-{partition}: {}", answer.error_code);
        }
        tokio::time::sleep(RETRY_WAIT).await;
        client.refresh().await?;
    }
}

/// In a request for offsets: the first one.
pub(crate) const EARLIEST: i64 = -2;
/// In a request for offsets: the one behind the last record.
pub(crate) const LATEST: i64 = -1;

/// How long a person waits for a cluster or a topic to show up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How much a broker may send at once; a larger batch comes all the same.
const FETCH_BYTES: i32 = 4 << 20;
/// A leader moves within a second or so.
const MAX_ATTEMPTS: u32 = 10;
const RETRY_WAIT: Duration = Duration::from_millis(200);
