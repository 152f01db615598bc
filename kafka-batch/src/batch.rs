//! A batch between its queue and its request: taken, and not sealed yet.

use std::time::Instant;

use crate::arena::Arena;

/// A record's place: what its batch carries, and its index in that batch.
#[expect(clippy::exhaustive_structs, reason = "two parts, taken apart on the hot path")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot<T> {
    /// A clone of what the batch carries for its caller.
    pub tag: T,
    /// The record's index in the batch.
    pub index: u32,
}

/// Why a batch left its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a closed list: the same words in code, metrics and output")]
pub enum SendReason {
    /// The next record did not fit, or nothing would.
    Full,
    /// It had waited for the linger time.
    Linger,
    /// A request to its leader was made anyway and had room.
    Piggyback,
    /// Appends wait for memory.
    Pressure,
    /// The caller flushes.
    Flush,
    /// The producer is being closed.
    Close,
    /// The transaction is being ended.
    TxnEnd,
    /// Nothing was in flight to its leader (adaptive mode).
    IdlePath,
    /// The leader's window had been full and opened (adaptive mode).
    WindowOpened,
    /// Its parent was too large for the broker.
    Split,
    /// It is sent again.
    Retry,
}

/// A batch taken from its queue. It is moved, never copied: at any time it is in one place.
///
/// It becomes a [`SealedBatch`](crate::SealedBatch) outside of every lock.
#[derive(Debug)]
#[must_use = "its records are neither sent nor given up"]
pub struct DrainedBatch<T> {
    pub(crate) tag: T,
    pub(crate) life: Life,
    pub(crate) arena: Arena,
}

/// What does not change when a batch is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) created: Instant,
    pub(crate) expires_at: Instant,
    /// How many records were appended to the queue before this batch's first.
    pub(crate) position: u64,
    pub(crate) reason: SendReason,
}

impl<T> DrainedBatch<T> {
    /// What the batch carries for its caller.
    pub fn tag(&self) -> &T {
        &self.tag
    }

    /// Gives the records up and returns what the batch carried. Its memory goes back.
    pub fn into_tag(self) -> T {
        self.tag
    }

    /// Number of records.
    pub fn count(&self) -> u32 {
        self.arena.count()
    }

    /// The predicted size: exact without a codec, never too small with one. Requests are bounded by the sum of these.
    pub fn size(&self) -> usize {
        self.arena.size()
    }

    /// When its first record was appended.
    pub fn created(&self) -> Instant {
        self.life.created
    }

    /// When it is given up.
    pub fn expires_at(&self) -> Instant {
        self.life.expires_at
    }

    /// How many records were appended to its queue before its first: batches of one queue are in this order.
    pub fn position(&self) -> u64 {
        self.life.position
    }

    /// Why it left its queue.
    pub fn reason(&self) -> SendReason {
        self.life.reason
    }
}

impl SendReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Full,
        Self::Linger,
        Self::Piggyback,
        Self::Pressure,
        Self::Flush,
        Self::Close,
        Self::TxnEnd,
        Self::IdlePath,
        Self::WindowOpened,
        Self::Split,
        Self::Retry,
    ];

    /// The word for it, everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Linger => "linger",
            Self::Piggyback => "piggyback",
            Self::Pressure => "pressure",
            Self::Flush => "flush",
            Self::Close => "close",
            Self::TxnEnd => "txn end",
            Self::IdlePath => "idle path",
            Self::WindowOpened => "window opened",
            Self::Split => "split",
            Self::Retry => "retry",
        }
    }
}

impl std::fmt::Display for SendReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
