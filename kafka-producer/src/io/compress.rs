//! Sealing with a codec, and splitting: on threads of their own, a bounded number at a time.
//!
//! The bound is the sender's: it drains no more than `max_sealing` batches that are not sealed. A pump never compresses.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kafka_batch::{Compression, Compressor, SplitError, Stamp};

use super::{Shared, Tasks, now, parallelism};
use crate::{
    delivery::Outcome,
    sender::{Drained, LaneId, SplitJob},
};

/// Codec states that are not in use, for the next batches.
pub(super) struct Compressors {
    compression: Compression,
    idle: Mutex<Vec<Compressor>>,
    /// Jobs need the whole.
    shared: Weak<Shared>,
}

impl Compressors {
    pub(super) fn new(compression: Compression, shared: Weak<Shared>) -> Self {
        Self { compression, idle: Mutex::default(), shared }
    }

    /// Seals a batch on another thread.
    pub(super) fn seal(&self, drained: Drained) {
        let Some(shared) = self.shared.upgrade() else { return };
        let Drained { lane, key, batch, stamp } = drained;
        let job = Job { shared, lane, key, is_sealing: true, is_done: false };
        let tasks = Arc::clone(&job.shared.tasks);
        let work = move || {
            let shared = Arc::clone(&job.shared);
            let mut compressor = shared.compressors.take();
            let sealed = batch.seal(stamp, &mut compressor);
            shared.compressors.put_back(compressor);
            job.done();
            shared.with_control("to hand in a sealed batch", |control, _| {
                control.sender.handle_sealed(lane, key, sealed, now());
            });
        };
        hand_over(&*tasks, Box::new(work));
    }

    /// Makes smaller batches of one, on another thread.
    pub(super) fn split(&self, job: SplitJob) {
        let Some(shared) = self.shared.upgrade() else { return };
        let SplitJob { lane, key, batch } = job;
        let job = Job { shared, lane, key, is_sealing: false, is_done: false };
        let tasks = Arc::clone(&job.shared.tasks);
        let work = move || {
            let shared = Arc::clone(&job.shared);
            let (topic, partition) = (batch.tag().topic().clone(), batch.tag().partition());
            let parts = batch.split(&shared.pool, || Arc::new(Outcome::new(topic.clone(), partition)));
            let mut compressor = shared.compressors.take();
            let parts = parts.map(|split| {
                let sealed = split.into_iter().map(|part| part.seal(Stamp::NONE, &mut compressor));
                sealed.collect::<Vec<_>>()
            });
            shared.compressors.put_back(compressor);
            match parts {
                Ok(parts) => {
                    job.done();
                    shared.with_control("to hand in the parts of a batch", |control, _| {
                        control.sender.handle_split(lane, key, parts, now());
                    });
                }
                // The job ends undone, which gives the batch up.
                Err(SplitError::SingleRecord) => debug_assert!(false, "one record is not split"),
                Err(error) => {
                    tracing::error!(%error, %topic, partition, "a batch could not be split");
                    debug_assert!(false, "each part takes what it is given: {error}");
                }
            }
        };
        hand_over(&*tasks, Box::new(work));
    }

    fn take(&self) -> Compressor {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| new_compressor(self.compression))
    }

    /// As many are kept as seal batches at once. More are at work where many batches are split, and a state may take megabytes.
    fn put_back(&self, compressor: Compressor) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < parallelism() {
            idle.push(compressor);
        }
    }
}

impl fmt::Debug for Compressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressors").field("compression", &self.compression).finish_non_exhaustive()
    }
}

/// Has work done elsewhere. If that panics, the work was dropped, which has told so; whoever hands it over has more to do.
fn hand_over(tasks: &dyn Tasks, work: Box<dyn FnOnce() + Send>) {
    // The panic hook has said what there is to say.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| tasks.work(work)));
}

/// For batches that stay as they are.
pub(super) fn no_codec() -> Compressor {
    new_compressor(Compression::None)
}

fn new_compressor(compression: Compression) -> Compressor {
    Compressor::new(compression)
        .unwrap_or_else(|error| unreachable!("the codec was checked with the settings: {error}"))
}

/// Work on a batch elsewhere. If it is dropped undone (a codec panicked, or there was no thread), the batch is given up.
struct Job {
    shared: Arc<Shared>,
    lane: LaneId,
    key: u64,
    /// It counts as being sealed; otherwise it is split.
    is_sealing: bool,
    is_done: bool,
}

impl Job {
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.with_control("to give up a batch that was lost", |control, _| {
                control.sender.handle_lost(self.lane, self.key, self.is_sealing, now());
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_states_of_many_splits_are_not_kept() {
        let compressors = Compressors::new(Compression::None, Weak::new());
        let at_work: Vec<_> = (0..100 * parallelism()).map(|_| compressors.take()).collect();
        at_work.into_iter().for_each(|compressor| compressors.put_back(compressor));
        let kept = compressors.idle.lock().expect("no panic").len();
        assert_eq!(kept, parallelism());
    }
}
