//! Sealing with a codec, and splitting: on threads of their own, a bounded number at a time.
//!
//! The bound is the sender's: it drains no more than `max_sealing` batches that are not sealed. A pump never compresses.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kafka_batch::{Compression, Compressor};

use super::{Shared, Tasks, now, parallelism};
use crate::plane::{self, Done, Lost};

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

    /// Has a job done on another thread.
    pub(super) fn take_on(&self, job: plane::Job) {
        let Some(shared) = self.shared.upgrade() else { return };
        let hold = Hold { lost: Some(job.lost()), shared };
        let tasks = Arc::clone(&hold.shared.tasks);
        let work = move || {
            let shared = Arc::clone(&hold.shared);
            let mut compressor = shared.compressors.take();
            let done = job.run(&shared.plane.pool, &mut compressor);
            shared.compressors.put_back(compressor);
            hold.done();
            shared.act(|plane, after| plane.handle_done(done, now(), after));
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

fn new_compressor(compression: Compression) -> Compressor {
    Compressor::new(compression)
        .unwrap_or_else(|error| unreachable!("the codec was checked with the settings: {error}"))
}

/// Work on a batch elsewhere. If it is dropped undone (a codec panicked, or there was no thread), the batch is given up.
struct Hold {
    shared: Arc<Shared>,
    lost: Option<Lost>,
}

impl Hold {
    fn done(mut self) {
        self.lost = None;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.shared.act(|plane, after| plane.handle_done(Done::Lost(lost), now(), after));
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
