//! Reading records back, partition by partition: what `consume`, `demo` and the tests are made of.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kafka_batch::{BatchReader, OwnedRecord, ReadError};
use kafka_net::{Client, NetError};
use kafka_wire::{
    ErrorCode, NodeId, PartitionId,
    messages::{
        FetchPartition, FetchRequest, FetchTopic, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
        PartitionData,
    },
};

/// A record and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) record: OwnedRecord,
}

/// A batch as it lies in the log.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Bytes in the log, header included.
    pub(crate) size: usize,
    pub(crate) rows: Vec<Row>,
}

/// The two ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The first record that is still there.
    Beginning,
    /// Behind the last record.
    End,
}

/// Reads one partition, in order.
#[derive(Debug)]
pub(crate) struct PartitionReader {
    client: Client,
    topic: String,
    partition: i32,
    next: i64,
}

impl PartitionReader {
    /// Begins at an offset.
    pub(crate) fn new(client: Client, topic: &str, partition: i32, offset: i64) -> Self {
        Self { client, topic: topic.to_owned(), partition, next: offset }
    }

    /// The offset of the record to come.
    pub(crate) fn position(&self) -> i64 {
        self.next
    }

    /// The next batches; none if the broker had none within `wait`.
    pub(crate) async fn fetch(&mut self, wait: Duration) -> Result<Vec<Batch>> {
        let data = retried(&self.client, || self.fetch_once(wait)).await.with_context(|| {
            format!("cannot read {}-{} at offset {}", self.topic, self.partition, self.next)
        })?;
        let Some(records) = data.records else { return Ok(Vec::new()) };
        let mut batches = Vec::new();
        for batch in BatchReader::new(records.to_bytes()) {
            let batch = match batch {
                Ok(batch) => batch,
                // A broker may cut its answer anywhere.
                Err(ReadError::Truncated { .. }) => break,
                Err(error) => return Err(self.damaged(error)),
            };
            let header = *batch.header();
            let end = header.base_offset + i64::from(header.last_offset_delta) + 1;
            // Markers of transactions are no records, and a batch begins where the writer began it.
            if end > self.next && !header.is_control() {
                let mut rows = Vec::with_capacity(usize::try_from(header.record_count).unwrap_or(0));
                for read in batch.records().map_err(|error| self.damaged(error))? {
                    let read = read.map_err(|error| self.damaged(error))?;
                    let offset = header.base_offset + i64::from(read.offset_delta);
                    if offset >= self.next {
                        rows.push(Row { partition: self.partition, offset, record: read.record });
                    }
                }
                batches.push(Batch { size: batch.bytes().len(), rows });
            }
            self.next = self.next.max(end);
        }
        Ok(batches)
    }

    fn damaged(&self, error: ReadError) -> anyhow::Error {
        anyhow::Error::new(error).context(format!(
            "{}-{} holds a batch at or behind offset {} that cannot be read",
            self.topic, self.partition, self.next
        ))
    }

    async fn fetch_once(&self, wait: Duration) -> Result<Answer<PartitionData>, NetError> {
        let topic_id = self.client.topic(&self.topic).await?.id;
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: MAX_FETCH,
            topics: vec![FetchTopic {
                topic: self.topic.as_str().into(),
                topic_id,
                partitions: vec![FetchPartition {
                    partition: PartitionId(self.partition),
                    fetch_offset: self.next,
                    partition_max_bytes: MAX_FETCH,
                    ..FetchPartition::default()
                }],
            }],
            ..FetchRequest::default()
        };
        let response = self.client.call_leader(&self.topic, PartitionId(self.partition), request).await?;
        if response.error_code.is_err() {
            return Ok(Answer::Refused(response.error_code));
        }
        let data = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        Ok(Answer::of(data, |data| data.error_code))
    }
}

/// The offset of an end of a partition's log.
pub(crate) async fn offset_of(client: &Client, topic: &str, partition: i32, end: End) -> Result<i64> {
    let once = || async {
        let request = ListOffsetsRequest {
            replica_id: NodeId::NONE,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: PartitionId(partition),
                    timestamp: match end {
                        End::Beginning => EARLIEST,
                        End::End => LATEST,
                    },
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let response = client.call_leader(topic, PartitionId(partition), request).await?;
        let answer = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        Ok(Answer::of(answer, |answer| answer.error_code))
    };
    let answer = retried(client, once)
        .await
        .with_context(|| format!("cannot ask where {topic}-{partition} begins and ends"))?;
    Ok(answer.offset)
}

/// What a broker said of one partition.
enum Answer<T> {
    Given(T),
    Refused(ErrorCode),
}

impl<T> Answer<T> {
    fn of(answer: Option<T>, code: impl Fn(&T) -> ErrorCode) -> Self {
        match answer {
            None => Self::Refused(ErrorCode::UNKNOWN_SERVER_ERROR),
            Some(answer) if code(&answer).is_err() => Self::Refused(code(&answer)),
            Some(answer) => Self::Given(answer),
        }
    }
}

/// Asks again, with fresh metadata, where an error may pass by itself: leaders move.
async fn retried<T, F>(client: &Client, mut once: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Answer<T>, NetError>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let may_pass = match once().await {
            Ok(Answer::Given(answer)) => return Ok(answer),
            Ok(Answer::Refused(code)) if code.is_retriable() => {
                anyhow::Error::msg(format!("the broker answers {code}"))
            }
            Ok(Answer::Refused(code)) => bail!("the broker answers {code}"),
            Err(error) if error.is_retriable() => error.into(),
            Err(error) => return Err(error.into()),
        };
        if tries == MAX_TRIES {
            return Err(may_pass.context(format!("given up after {tries} tries")));
        }
        tokio::time::sleep(PAUSE * tries).await;
        client.refresh().await?;
    }
}

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Bytes asked for at once; a larger first batch comes all the same.
const MAX_FETCH: i32 = 8 << 20;

/// How often something is tried that may pass by itself, with a pause that grows by itself each time: 11 s in all.
const MAX_TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);
