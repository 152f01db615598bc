//! Work on a batch that takes long: sealing with a codec, and splitting. It is done outside the engine, by whom the [`After`]
//! hands it to, and comes back as a [`Done`].

use std::{sync::Arc, time::Instant};

use kafka_batch::{Compressor, Pool, Stamp};

use super::{
    Plane,
    after::{After, Job},
};
use crate::{
    delivery::Outcome,
    sender::{Drained, LaneId, Sealed, SplitJob},
};

/// What came of a [`Job`]. Each job comes back as one, also if nobody did it.
pub(crate) enum Done {
    Sealed {
        lane: LaneId,
        key: u64,
        batch: Sealed,
    },
    Split {
        lane: LaneId,
        key: u64,
        parts: Vec<Sealed>,
    },
    /// The batch is gone, or could not be split.
    Lost(Lost),
}

/// A batch that its job has lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    lane: LaneId,
    key: u64,
    /// It counted as being sealed; otherwise it was split.
    is_sealing: bool,
}

impl Job {
    /// What the engine is to be told if the job is not done.
    pub(crate) fn lost(&self) -> Lost {
        match self {
            Self::Seal(Drained { lane, key, .. }) => Lost { lane: *lane, key: *key, is_sealing: true },
            Self::Split(SplitJob { lane, key, .. }) => Lost { lane: *lane, key: *key, is_sealing: false },
        }
    }

    /// Does the work. Takes as long as a batch takes to be compressed.
    pub(crate) fn run(self, pool: &Arc<Pool>, compressor: &mut Compressor) -> Done {
        let lost = self.lost();
        match self {
            Self::Seal(Drained { lane, key, batch, stamp }) => {
                Done::Sealed { lane, key, batch: batch.seal(stamp, compressor) }
            }
            Self::Split(SplitJob { lane, key, batch }) => {
                let (topic, partition) = (batch.tag().topic().clone(), batch.tag().partition());
                let split = batch.split(pool, || Arc::new(Outcome::new(topic.clone(), partition)));
                match split {
                    Ok(split) => {
                        let parts = split.into_iter().map(|part| part.seal(Stamp::NONE, compressor));
                        Done::Split { lane, key, parts: parts.collect() }
                    }
                    Err(error) => {
                        tracing::error!(%error, %topic, partition, "a batch could not be split");
                        debug_assert!(false, "each part takes what it is given: {error}");
                        Done::Lost(lost)
                    }
                }
            }
        }
    }
}

impl Plane {
    /// A job is done, or will never be.
    pub(crate) fn handle_done(&self, done: Done, now: Instant, after: &mut After) {
        self.locked(now, after, |control, _| match done {
            Done::Sealed { lane, key, batch } => control.sender.handle_sealed(lane, key, batch, now),
            Done::Split { lane, key, parts } => control.sender.handle_split(lane, key, parts, now),
            Done::Lost(Lost { lane, key, is_sealing }) => {
                control.sender.handle_lost(lane, key, is_sealing, now);
            }
        });
    }
}
