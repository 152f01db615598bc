//! [`Progress`]: a record on its way to a batch, from one poll to the next.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use kafka_batch::{Chunk, Ticket};
use kafka_net::topic_error_may_pass;

use crate::{
    delivery::Delivery,
    error::{Refusal, SendError},
    io::{Shared, Timer, now},
    plane::{Source, Stop, TopicShared},
    planted::planted,
    record::Record,
};

/// How far a record has come that is not accepted at once.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    yielded: bool,
    wait: Patience,
}

/// What most records never need, so that to drop it is a test and nothing else.
#[derive(Debug, Default)]
struct Patience(Option<Box<Waiting>>);

impl Drop for Patience {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        fn end(waiting: Box<Waiting>) {
            drop(waiting);
        }
        if let Some(waiting) = self.0.take() {
            end(waiting);
        }
    }
}

/// A record waits, at most `max.block.ms` in all.
#[derive(Debug)]
struct Waiting {
    shared: Arc<Shared>,
    since: Instant,
    timer: Timer,
    ticket: Option<Ticket>,
    granted: Vec<Chunk>,
    topic: Option<(Arc<TopicShared>, u64)>,
    /// When to ask for the topic again.
    ask_again: Option<Timer>,
    /// How many hopeless failures there were before.
    hopeless: u64,
}

impl Progress {
    /// Whether the record has a place in a queue.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.wait.0.is_some()
    }

    /// Appends the record now or later. Dropping the progress gives up its place in every queue.
    #[inline(always)]
    pub(crate) fn poll(
        &mut self,
        shared: &Arc<Shared>,
        record: &Record<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Delivery, SendError>> {
        // Somebody who has waited goes on where he stopped.
        if !self.is_waiting() {
            if let Some(delivery) = shared.plane.append_fast(record) {
                return Poll::Ready(Ok(delivery));
            }
        }
        self.poll_slow(shared, record, cx)
    }

    #[cold]
    fn poll_slow(
        &mut self,
        shared: &Arc<Shared>,
        record: &Record<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Delivery, SendError>> {
        loop {
            if let Some(wait) = &mut self.wait.0 {
                if let Some(ticket) = wait.ticket {
                    match shared.plane.pool.poll_grant(ticket, memory_waker(cx)) {
                        Some(chunks) => (wait.granted, wait.ticket) = (chunks, None),
                        None if wait.timer.poll(cx).is_pending() && shared.refusal().is_none() => {
                            return Poll::Pending;
                        }
                        None => {
                            let waited = now().saturating_duration_since(wait.since);
                            let refusal = shared.refusal().unwrap_or_else(|| Refusal::NoRoom {
                                waited,
                                asked: shared.settings.buffer_memory,
                                hint: shared.plane.silence(now()),
                            });
                            return Poll::Ready(Err(SendError::new(refusal)));
                        }
                    }
                }
            }
            let mut source = match &mut self.wait.0 {
                Some(wait) if !wait.granted.is_empty() => Source::Granted(&mut wait.granted),
                _ => Source::Pool(&shared.plane.pool),
            };
            match shared.append_slow(record, &mut source, !self.yielded) {
                Ok(delivery) => {
                    self.wait = Patience(None);
                    return Poll::Ready(Ok(delivery));
                }
                Err(Stop::Yield) => {
                    // Once: the record itself is still with its caller, so nothing is lost by dropping this now.
                    self.yielded = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(Stop::Refused(refusal)) => return Poll::Ready(Err(SendError::new(refusal))),
                Err(Stop::Room(chunks)) => {
                    let wait = self.wait(shared);
                    wait.granted = Vec::new();
                    wait.ticket = Some(shared.plane.pool.wait(chunks, memory_waker(cx)));
                    shared.act(|plane, after| plane.press(after));
                }
                Err(Stop::Topic(topic, seen)) => {
                    match self.poll_topic(shared, topic, seen, record.partition, cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Some(refusal)) => return Poll::Ready(Err(SendError::new(refusal))),
                        Poll::Ready(None) => {}
                    }
                }
            }
        }
    }

    /// Waits for news of a topic that had `seen` partitions when it was last looked at: partitions that came before the
    /// waker was kept are no news to wait for. Ready without a refusal when it should be looked at again.
    pub(crate) fn poll_topic(
        &mut self,
        shared: &Arc<Shared>,
        topic: Arc<TopicShared>,
        seen: u32,
        partition: Option<i32>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Refusal>> {
        let wait = self.wait(shared);
        let kept = wait.topic.take().filter(|(kept, _)| Arc::ptr_eq(kept, &topic)).map(|(_, key)| key);
        let key = topic.wait(kept, cx.waker());
        // An answer that has nothing new is no reason to give up: what is waited for may come into being the moment after.
        // The planted bug is one of wake-ups: this timer must not wake for what the news do not.
        let mut is_due = |timer: &mut Timer| !planted!(DeafTopic) && timer.poll(cx).is_ready();
        // Once the producer has ended, no timer waits any more.
        while shared.plane.is_open() && wait.ask_again.as_mut().is_none_or(&mut is_due) {
            shared.act(|plane, after| plane.want_topic(&topic.name, now(), after));
            wait.ask_again = Some(Timer::new(&shared.alarms, now().checked_add(ASK_AGAIN)));
        }
        wait.topic = Some((Arc::clone(&topic), key));
        let trouble = topic.trouble();
        // Before it is looked whether the producer has ended, which ends this as well.
        let is_over = wait.timer.poll(cx).is_ready();
        let refusal = match trouble {
            _ if topic.count() != seen => return Poll::Ready(None),
            Some(code) if !topic_error_may_pass(code) => {
                Refusal::TopicRefused { topic: topic.name.clone(), code }
            }
            _ if shared.refusal().is_some() => shared.refusal().unwrap_or_else(|| shared.plane.closed()),
            _ if seen == 0 && shared.plane.hopeless_since(wait.hopeless).is_some() => Refusal::Unreachable {
                topic: topic.name.clone(),
                why: shared.plane.hopeless_since(wait.hopeless).unwrap_or_default(),
            },
            _ if !is_over => return Poll::Pending,
            _ => {
                let waited = now().saturating_duration_since(wait.since);
                let topic = topic.name.clone();
                match partition {
                    Some(partition) if seen > 0 => {
                        let count = i32::try_from(seen).unwrap_or(i32::MAX);
                        Refusal::NoPartition { topic, partition, count, waited }
                    }
                    _ => {
                        let hint = trouble.is_none().then(|| shared.plane.connection_trouble()).flatten();
                        Refusal::TopicUnavailable { topic, waited, code: trouble, hint }
                    }
                }
            }
        };
        Poll::Ready(Some(refusal))
    }

    fn wait(&mut self, shared: &Arc<Shared>) -> &mut Waiting {
        self.wait.0.get_or_insert_with(|| {
            let since = now();
            Box::new(Waiting {
                shared: Arc::clone(shared),
                since,
                timer: Timer::new(&shared.alarms, since.checked_add(shared.settings.max_block)),
                ticket: None,
                granted: Vec::new(),
                topic: None,
                ask_again: None,
                hopeless: shared.plane.hopeless_count(),
            })
        })
    }
}

/// Who is woken when it is his turn to get memory.
fn memory_waker<'a>(cx: &Context<'a>) -> &'a Waker {
    if planted!(DeafWaiter) { Waker::noop() } else { cx.waker() }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.filter(|_| !planted!(PlaceKept)) {
            self.shared.plane.pool.cancel(ticket);
        }
        if let Some((topic, key)) = &self.topic {
            topic.cancel(*key);
        }
    }
}

/// How often somebody who waits for a topic or a partition has the cluster asked for it, beside what the metadata asks by
/// itself: as often as it would at most, `retry.backoff.max.ms` by default.
const ASK_AGAIN: Duration = Duration::from_secs(1);
