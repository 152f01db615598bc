//! Tasks, threads, timers and the clock: the only part that names tokio.
//!
//! One pump for each broker ([`feed`]), a driver for what belongs to none of them, and blocking threads for compression. They
//! share [`Shared`]: the engine, which decides, and what is needed to carry out what it leaves to be done.

mod alarms;
mod clock;
mod compress;
mod driver;
mod feed;
mod host;
mod over;
mod workers;

use std::{
    fmt, mem,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use kafka_net::NetConfig;

#[cfg(test)]
pub(crate) use self::clock::simulated;
use self::{alarms::Alarms, compress::Compressors, driver::Signal, over::Over};
pub(crate) use self::{
    alarms::Timer,
    clock::{now, wall},
    host::{Host, Tasks},
};
use crate::{
    config::Settings,
    delivery::Delivery,
    error::{EndedBy, FailureKind, Refusal, TrySendError},
    plane::{After, Plane, Source, Stop, Surroundings, Unresolved},
    purge::{Purge, Purged},
    record::Record,
};

/// What the handles of a producer and its tasks share.
pub(crate) struct Shared {
    pub(crate) plane: Plane,
    pub(crate) settings: Settings,
    pub(crate) alarms: Arc<Alarms>,
    tasks: Arc<dyn Tasks>,
    net: Arc<NetConfig>,
    compressors: Compressors,
    signal: Arc<Signal>,
    pub(crate) over: Over,
}

impl Shared {
    pub(crate) fn new(plane: Plane, settings: Settings, net: NetConfig, host: &Host) -> Arc<Self> {
        let signal = Arc::new(Signal::default());
        Arc::new_cyclic(|shared| Self {
            plane,
            alarms: Alarms::new(Arc::clone(&signal)),
            tasks: Arc::clone(&host.tasks),
            net: Arc::new(net),
            compressors: Compressors::new(settings.compression, shared.clone()),
            signal,
            over: Over::default(),
            settings,
        })
    }

    /// Starts the tasks.
    pub(crate) fn start(self: &Arc<Self>) {
        drop(self.tasks.start(Box::pin(driver::drive(Arc::clone(self)))));
    }

    /// Has the engine do something, and carries out what it leaves to be done, also if it panics.
    pub(crate) fn act<R>(&self, f: impl FnOnce(&Plane, &mut After) -> R) -> R {
        self.act_reusing(&mut After::default(), f)
    }

    /// The same with lists that were used before.
    fn act_reusing<R>(&self, after: &mut After, f: impl FnOnce(&Plane, &mut After) -> R) -> R {
        let mut acting = Acting { shared: self, after, is_carrying_out: false };
        let result = f(&self.plane, acting.after);
        acting.is_carrying_out = true;
        self.carry_out(acting.after);
        mem::forget(acting);
        result
    }

    fn carry_out(&self, after: &mut After) {
        if after.carry_out(&self.plane, |job| self.compressors.take_on(job)) {
            self.signal.set();
        }
    }

    /// Why nothing is accepted, if so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.act(Plane::refusal)
    }

    /// Appends a record, whatever there is to do for it.
    #[cold]
    pub(crate) fn append_slow(
        &self,
        record: &Record<'_>,
        source: &mut Source<'_>,
        yields: bool,
    ) -> Result<Delivery, Stop> {
        self.act(|plane, after| plane.append_slow(record, source, yields, now(), after))
    }

    /// Appends a record now or never.
    pub(crate) fn try_append(&self, record: &Record<'_>) -> Result<Delivery, TrySendError> {
        match self.plane.append_fast(record) {
            Some(delivery) => Ok(delivery),
            None => self.act(|plane, after| plane.try_append(record, now(), after)),
        }
    }

    /// Closes every open batch, and gives what is unresolved.
    pub(crate) fn flush(&self) -> Unresolved {
        self.act(|plane, after| plane.flush(now(), after))
    }

    /// Gives up some of what is not resolved; the producer goes on.
    pub(crate) fn purge(&self, what: Purge) -> Purged {
        self.act(|plane, after| plane.purge(what, FailureKind::Purged, now(), after))
    }

    /// Accepts no more records, and gives what is unresolved.
    pub(crate) fn close(&self) -> Unresolved {
        self.act(|plane, after| plane.close(now(), after))
    }

    /// Gives everything up that is not resolved.
    pub(crate) fn abort(&self, by: EndedBy) {
        self.act(|plane, after| plane.abort(FailureKind::Ended(by), now(), after));
    }
}

/// The engine is doing something. Dropped only by a panic in there.
struct Acting<'a> {
    shared: &'a Shared,
    after: &'a mut After,
    is_carrying_out: bool,
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        let Self { shared, after, is_carrying_out } = self;
        // A second panic would end the process.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| shared.carry_out(after)));
        if *is_carrying_out {
            // Deliveries may be left without their answer: nobody may go on.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                shared.plane.stop(after);
                shared.carry_out(after);
            }));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("plane", &self.plane).finish_non_exhaustive()
    }
}

/// What a host gives to the engine.
pub(crate) fn surroundings(host: &Host) -> Surroundings {
    // Other numbers than those of the sender.
    Surroundings { wall, process: host.process, seed: !host.seed }
}

/// How many batches are worth compressing at once.
pub(crate) fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{self, AssertUnwindSafe},
        time::Duration,
    };

    use kafka_wire::TopicName;

    use super::Arc;
    use crate::{
        Producer,
        delivery::{BatchResult, Outcome},
    };

    /// A delivery waits for what the engine has left, whatever becomes of the call.
    #[tokio::test]
    async fn what_a_panic_has_left_over_is_carried_out() {
        let producer = Producer::builder(["127.0.0.1:1"]).connect().await.expect("good settings");
        let outcome = Arc::new(Outcome::new(TopicName::from("orders"), 0));
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            producer.shared().act(|_, after| {
                after.resolve(
                    Arc::clone(&outcome),
                    BatchResult::Acknowledged { base_offset: 7, log_append_time: None },
                );
                panic!("in the midst of a call");
            })
        }));
        assert!(result.is_err());
        assert!(outcome.is_resolved());
        producer.close(Duration::ZERO).await.expect("nothing was sent");
    }
}
