//! Bugs that can be turned on in tests, so that the simulation can show that it finds them.
//!
//! The code asks `planted!(Name)` at the one place where the bug would be. Outside tests that is the constant `false`, and
//! nothing is left of it.

#[cfg(test)]
use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
};

/// Makes an enum of the bugs, and a list of all of them.
#[cfg(test)]
macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What can be wrong. Each is a mistake that somebody has made, in this producer or in another.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Bug {
            $($(#[$doc])* $name,)*
        }

        impl Bug {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The bug of this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|bug| format!("{bug:?}") == name)
            }
        }
    };
}

#[cfg(test)]
bugs! {
    /// The number of a batch that was given up in doubt is given to the next one.
    ReuseSequence,
    /// The epoch is bumped, and batches are renumbered, while one of them waits for its answer.
    BumpWhileOut,
    /// A batch in doubt is renumbered.
    RenumberInDoubt,
    /// A batch is resolved again when a late answer for it comes.
    ResolveTwice,
    /// An answer goes to whichever batch of the partition waits longest, not to the one it is for.
    AnswerOfAnother,
    /// A batch that is to be sent again does not wake the pump of its leader.
    LostWakeUp,
    /// The bytes of a batch that was given up are used for another one while a socket still has them.
    BufferReused,
    /// A flush does not wait for batches that are being sealed or split.
    FlushMisses,
    /// A leader of an older epoch is taken over.
    StaleLeader,
    /// A resolved batch stays referenced for ever.
    MemoryKept,
    /// The youngest batch that waits is sent first.
    RetryOutOfOrder,
    /// More batches of a partition are unresolved than a broker remembers.
    SixthBatch,
    /// The memory of an expired batch is given back while its bytes are still to be written.
    EarlyCredit,
    /// A refusal makes an earlier doubt forgotten.
    DoubtForgotten,
    /// A refusal for a gap counts as proof, although a batch behind the refused one may be in the log.
    GapIsFinal,
    /// A batch in doubt that is too large is split.
    SplitInDoubt,
    /// The parts of a batch in doubt are not in doubt.
    PartsWithoutDoubt,
    /// A number that was given up makes no bump necessary, nor does a broker that expects another number for it. (Either
    /// alone costs a round trip and nothing else.)
    NoBumpAfterLoss,
    /// Several batches are in flight although the partition's brokers may not know the producer.
    PipelineToStrangers,
    /// Sequences wrap one too early.
    WrapTooEarly,
    /// The epoch after the last one is the first one.
    EpochWraps,
    /// A batch that a broker has already is given up.
    DuplicateIsFailure,
    /// Records of a split batch are told the offsets of the first part.
    SplitOffsets,
    /// What was sent again is sent without a back-off.
    NoBackoff,
    /// Batches in flight never expire.
    NeverExpires,
    /// After a leader moved, what is in flight at the old one is not in doubt.
    MoveLeavesNoDoubt,
    /// Nobody asks again for a partition without a leader.
    LeaderlessUnasked,
    /// Partitions that an answer leaves out have no leader, whatever was known.
    LaggingBelieved,
    /// An append that should wake a pump does not.
    DeafPump,
    /// A batch that is begun while somebody waits for memory does not wake its pump.
    PressureUnheard,
    /// Partitions that a topic does not have any more, since it was made again, go on taking records.
    GoneTakesRecords,
    /// Who waits for memory is not woken when his turn has come.
    DeafWaiter,
    /// Who waits for a topic is not woken by news of it.
    DeafTopic,
    /// Who gives up waiting for memory keeps his place in the queue.
    PlaceKept,
    /// A flush does not wait for the batches that are still in their lane.
    FlushMissesLane,
    /// Nobody is woken when a batch is resolved.
    SilentResolve,
    /// Batches that are done with are never let go.
    ReleasedKept,
    /// A closed producer does not tell its driver that the last batch is resolved.
    EndUnseen,
    /// New connections are not held against the cluster's id.
    ClusterUnchecked,
    /// In another cluster, batches are numbered on under the producer id of the old one.
    NumbersOutliveCluster,
    /// In another cluster, batches are written that may be in the old one's log.
    DoubtOutlivesCluster,
    /// The driver goes on without giving way, and starts pumps where none can run any more.
    RuntimeEndUnseen,
}

#[cfg(test)]
thread_local! {
    static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    /// Whether the thread's bug can be called off, and was not.
    static SWITCH: Cell<Option<&'static AtomicBool>> = const { Cell::new(None) };
}

/// Whether a bug is on in this thread.
#[cfg(test)]
pub(crate) fn is_on(bug: Bug) -> bool {
    ON.get() == Some(bug) && SWITCH.get().is_none_or(|switch| switch.load(Ordering::Relaxed))
}

/// Turns a bug on in this thread, for as long as the switch is on.
#[cfg(test)]
pub(crate) fn turn_on(bug: Bug, switch: &'static AtomicBool) {
    ON.set(Some(bug));
    SWITCH.set(Some(switch));
}

/// Runs `f` with a bug turned on in this thread, or with none.
#[cfg(test)]
pub(crate) fn with<R>(bug: Option<Bug>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Bug>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _restore = Restore(ON.replace(bug));
    f()
}

/// Whether a bug is on.
#[cfg(test)]
macro_rules! planted {
    ($bug:ident) => {
        crate::planted::is_on(crate::planted::Bug::$bug)
    };
}

/// No bug is on outside tests.
#[cfg(not(test))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

#[cfg(test)]
thread_local! {
    /// How often the code of this thread passes a slippery place before it panics there.
    static SLIPS_AFTER: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Has this thread panic where the code says [`slip`] for the time of this number, counted from zero.
#[cfg(test)]
pub(crate) fn slip_after(passes: u32) {
    SLIPS_AFTER.set(Some(passes));
}

/// Whether it came to that. From now on it does not.
#[cfg(test)]
pub(crate) fn has_slipped() -> bool {
    SLIPS_AFTER.take().is_none()
}

/// Panics if it is time to.
#[cfg(test)]
pub(crate) fn pass() {
    let left = SLIPS_AFTER.get();
    SLIPS_AFTER.set(left.and_then(|left| left.checked_sub(1)));
    assert!(left != Some(0), "slipped");
}

/// A place in the midst of a change of the sender's state, where a test can have a panic happen.
#[cfg(test)]
macro_rules! slip {
    () => {
        crate::planted::pass()
    };
}

/// No place is slippery outside tests.
#[cfg(not(test))]
macro_rules! slip {
    () => {};
}

pub(crate) use {planted, slip};
