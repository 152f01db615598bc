//! Somebody who sends records, changes his mind, and looks at what he is told.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{FutureExt, SinkExt};

use super::{
    book::{Book, Id, value},
    net::Net,
    plan::{Plan, pick},
    woken::strictly,
};
use crate::{Compression, Delivery, OwnedRecord, Producer, Record, SendError, TrySendError};

pub(super) struct User {
    pub(super) id: u16,
    pub(super) producer: Producer,
    pub(super) net: Net,
    pub(super) book: Book,
    pub(super) plan: Arc<Plan>,
    pub(super) rng: fastrand::Rng,
    pub(super) sent: u32,
    pub(super) pending: Vec<(Id, Delivery)>,
}

/// What a record consists of.
struct Draft {
    id: Id,
    topic: String,
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
}

impl Draft {
    fn record(&self) -> Record<'_> {
        let mut record = Record::to(&self.topic).value(&self.value);
        if let Some(key) = &self.key {
            record = record.key(key);
        }
        match self.partition {
            Some(partition) => record.partition(partition),
            None => record,
        }
    }

    fn owned(self) -> OwnedRecord {
        let mut record = OwnedRecord::to(self.topic).value(self.value);
        (record.partition, record.key) = (self.partition, self.key.map(Into::into));
        record
    }

    fn size(&self) -> usize {
        self.value.len() + self.key.as_ref().map_or(0, Vec::len)
    }
}

/// The producer accepts nothing any more.
struct Closed;

impl User {
    /// Does everything a user does. The deliveries that are left are awaited.
    pub(super) async fn run(mut self) {
        for _ in 0..self.plan.steps {
            if self.step().await.is_err() {
                break;
            }
            self.net.note(|| format!("user {} is at {}", self.id, self.sent));
            if !self.plan.rest.is_zero() {
                tokio::time::sleep(self.plan.rest.mul_f64(self.rng.f64())).await;
            }
        }
        self.await_pending(usize::MAX).await;
    }

    async fn step(&mut self) -> Result<(), Closed> {
        match self.rng.u8(..20) {
            0..=7 => self.send().await,
            8 | 9 => self.try_send(),
            10 | 11 => self.send_all().await,
            12 => self.sink().await,
            13 => self.flush().await,
            14 => {
                let count = self.rng.usize(..=self.pending.len());
                self.await_pending(count).await;
                Ok(())
            }
            15 => {
                let kept = self.rng.usize(..=self.pending.len());
                self.pending.truncate(kept);
                Ok(())
            }
            16 => self.handle().await,
            _ => {
                let most = *pick(&mut self.rng, &[1, 20, 400, 3_000]);
                tokio::time::sleep(Duration::from_millis(self.rng.u64(0..=most))).await;
                Ok(())
            }
        }
    }

    fn draft(&mut self) -> Draft {
        let id = (self.id, self.sent);
        self.sent += 1;
        let rng = &mut self.rng;
        let (topic, partitions) = pick(rng, &self.plan.topics).clone();
        let most = *pick(rng, &[20, 100, 1_000, self.plan.batch_size + 100]);
        let size = rng.usize(..most.min(9_000));
        Draft {
            id,
            topic,
            partition: (rng.u8(..3) == 0).then(|| rng.i32(0..partitions)),
            key: (rng.u8(..3) == 0).then(|| vec![rng.u8(..); rng.usize(..8)]),
            value: value(id, size),
        }
    }

    /// Runs a future that may be dropped before it is ready; then there is nothing.
    async fn perhaps<F: Future>(&mut self, future: F, limit: Duration, what: &str) -> Option<F::Output> {
        let is_dropped = self.rng.u8(..6) == 0;
        let patience = if is_dropped { Duration::from_millis(self.rng.u64(..2_000)) } else { limit };
        match strictly(patience, future).await {
            Some(output) => Some(output),
            None if is_dropped => None,
            None => {
                let at = self.net.elapsed();
                self.book.violate(format!(
                    "user {}: {what} is not ready after {limit:?}, at {at:?} (I8)",
                    self.id
                ));
                None
            }
        }
    }

    fn send_limit(&self) -> Duration {
        if self.plan.is_fair { FAIR_LIMIT } else { self.plan.max_block + SLACK }
    }

    fn delivery_limit(&self) -> Duration {
        if self.plan.is_fair { FAIR_LIMIT } else { self.plan.delivery_timeout + SLACK }
    }

    async fn send(&mut self) -> Result<(), Closed> {
        let count = self.rng.usize(1..=10);
        for _ in 0..count {
            let draft = self.draft();
            let (producer, limit) = (self.producer.clone(), self.send_limit());
            match self.perhaps(producer.send(draft.record()), limit, "send").await {
                None => self.book.kept(draft.id),
                Some(Ok(delivery)) => self.take(&draft, delivery),
                Some(Err(error)) => self.refused(draft.id, &error)?,
            }
        }
        Ok(())
    }

    fn try_send(&mut self) -> Result<(), Closed> {
        let count = self.rng.usize(1..=10);
        for _ in 0..count {
            let draft = self.draft();
            match self.producer.try_send(draft.record()) {
                Ok(delivery) => self.take(&draft, delivery),
                Err(error) => {
                    self.book.kept(draft.id);
                    if error.as_send_error().is_some_and(SendError::is_closed) {
                        return Err(Closed);
                    }
                    if !TrySendError::would_wait(&error) {
                        self.book.violate(format!("try_send of {:?}: {error} (I5)", draft.id));
                    }
                }
            }
        }
        Ok(())
    }

    async fn send_all(&mut self) -> Result<(), Closed> {
        let drafts: Vec<_> = (0..self.rng.usize(1..=20)).map(|_| self.draft()).collect();
        // Until it is known better: the whole task may be dropped meanwhile.
        drafts.iter().for_each(|draft| self.book.unknown(draft.id));
        let records: Vec<_> = drafts.iter().map(Draft::record).collect();
        let limit = self.send_limit() * u32::try_from(drafts.len()).expect("a few");
        let producer = self.producer.clone();
        let (deliveries, error) =
            match self.perhaps(producer.send_all(&records).boxed(), limit, "send_all").await {
                None => return Ok(()),
                Some(Ok(deliveries)) => (deliveries, None),
                Some(Err(error)) => (error.deliveries, Some(error.source)),
            };
        if error.is_none() && deliveries.len() != drafts.len() {
            self.book.violate(format!("send_all accepted {} of {} (I5)", deliveries.len(), drafts.len()));
        }
        let mut drafts = drafts.into_iter();
        for delivery in deliveries {
            let draft = drafts.next().expect("no more deliveries than records");
            // Accepted earlier than now, so it stands for nothing but its user's own order.
            self.book.accepted_late(draft.id, &delivery, draft.size());
            self.pending.push((draft.id, delivery));
        }
        drafts.for_each(|draft| self.book.kept(draft.id));
        match error {
            Some(error) => self.refused((self.id, u32::MAX), &error),
            None => Ok(()),
        }
    }

    async fn sink(&mut self) -> Result<(), Closed> {
        let count = self.rng.usize(1..=15);
        let drafts: Vec<_> = (0..count).map(|_| self.draft()).collect();
        let ids: Vec<_> = drafts.iter().map(|draft| draft.id).collect();
        ids.iter().for_each(|id| self.book.unknown(*id));
        let mut sink = self.producer.sink();
        let limit = self.delivery_limit() + self.send_limit() * u32::try_from(count).expect("a few");
        let all = async {
            for draft in drafts {
                sink.feed(draft.owned()).await?;
            }
            sink.flush().await
        };
        match self.perhaps(all, limit, "a sink").await {
            None => Ok(()),
            Some(Ok(())) => {
                ids.into_iter().for_each(|id| self.book.acknowledged(id));
                Ok(())
            }
            Some(Err(error)) => match error.send_error() {
                Some(error) => self.refused((self.id, u32::MAX), error),
                None => {
                    self.failed(&error.to_string());
                    Ok(())
                }
            },
        }
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        let before = self.book.unresolved();
        let (producer, limit) = (self.producer.clone(), self.delivery_limit());
        match self.perhaps(producer.flush(), limit, "flush").await {
            None => Ok(()),
            Some(Ok(_)) => {
                let after = self.book.unresolved();
                if let Some(missed) = before.iter().find(|id| after.binary_search(id).is_ok()) {
                    self.book.violate(format!("flush did not wait for {missed:?} (I8)"));
                }
                Ok(())
            }
            Some(Err(error)) => self.refused((self.id, u32::MAX), &error),
        }
    }

    /// A topic's handle, and what can be asked about it.
    async fn handle(&mut self) -> Result<(), Closed> {
        let (name, partitions) = pick(&mut self.rng, &self.plan.topics).clone();
        // Who waits for a topic looks at it again each second, whoever forgets to wake him: so this is less.
        let limit = if self.plan.is_fair { NEWS_LIMIT } else { self.send_limit() };
        let producer = self.producer.clone();
        match self.perhaps(producer.topic(&name), limit, "topic").await {
            Some(Ok(topic)) if i64::from(topic.partition_count()) == i64::from(partitions) => Ok(()),
            // There are fewer for a while, or are said to be; it is looked at in the end whether all are there.
            Some(Ok(topic)) if self.plan.may_lag() && topic.partition_count() < partitions as u32 => Ok(()),
            Some(Ok(topic)) => {
                self.book.violate(format!("{topic:?} instead of {partitions} partitions (I10)"));
                Ok(())
            }
            Some(Err(error)) => self.refused((self.id, u32::MAX), &error),
            None => Ok(()),
        }
    }

    fn take(&mut self, draft: &Draft, delivery: Delivery) {
        self.book.accepted(draft.id, &delivery, draft.size());
        if draft.partition.is_none() && draft.key.is_none() {
            self.book.went_anywhere(&delivery, draft.size());
            self.is_there(&delivery);
        }
        // I7, as seen from outside: what is not answered is still in memory.
        let (bytes, limit) = (self.book.unresolved_bytes(), self.plan.buffer_memory);
        let plain = self.plan.max_message.is_none() && self.plan.compression == Compression::None;
        if bytes > limit && plain {
            self.book.violate(format!("{bytes} bytes are accepted and not answered, of {limit} (I7)"));
        }
        self.pending.push((draft.id, delivery));
    }

    /// What could go anywhere goes to no partition that the producer knows to be gone.
    fn is_there(&self, delivery: &Delivery) {
        let shared = self.net.watched().and_then(|watch| watch.shared());
        let known = shared.map_or(0, |shared| shared.plane.partitions(&delivery.topic().into()).len());
        if known > 0 && delivery.partition() as usize >= known {
            let (topic, partition) = (delivery.topic(), delivery.partition());
            let what =
                format!("a record that could go anywhere went to {topic}-{partition} of {known} partitions");
            self.book.violate(format!("{what} (sticky)"));
        }
    }

    fn refused(&mut self, id: Id, error: &SendError) -> Result<(), Closed> {
        if id.1 != u32::MAX {
            self.book.kept(id);
        }
        if error.is_closed() {
            return Err(Closed);
        }
        let seals_at_once = self.plan.compression == Compression::None;
        let waited = error.is_no_room() && !self.plan.max_block.is_zero();
        if let (true, true, Some(watch)) = (seals_at_once, waited, self.net.watched()) {
            watch.check_pressure(self.plan.max_in_flight);
        }
        self.failed(&format!("refused: {error}"));
        Ok(())
    }

    /// Something did not work, which must not be while nothing is in its way.
    fn failed(&self, what: &str) {
        self.net.note(|| format!("user {}: {what}", self.id));
        if self.plan.is_fair && !self.plan.ends_early() {
            self.book.violate(format!("nothing went wrong, and yet: {what} (I10)"));
        }
    }

    async fn await_pending(&mut self, count: usize) {
        let count = count.min(self.pending.len());
        let pending: Vec<_> = self.pending.drain(..count).collect();
        for (id, delivery) in pending {
            let limit = self.delivery_limit();
            match strictly(limit, delivery).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => self.failed(&format!("{id:?}: {error}")),
                None => {
                    let at = self.net.elapsed();
                    self.book.violate(format!("{id:?} has no answer after {limit:?}, at {at:?} (I5)"));
                }
            }
        }
    }
}

/// What may take long without anybody being to blame: ticks of the driver, hanging up.
pub(super) const SLACK: Duration = Duration::from_secs(3);

/// Longer than the first news of the cluster take while nothing goes wrong.
const NEWS_LIMIT: Duration = Duration::from_millis(900);

/// Longer than anything takes while nothing goes wrong.
const FAIR_LIMIT: Duration = Duration::from_secs(10);
