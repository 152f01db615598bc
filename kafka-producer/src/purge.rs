//! Giving up on what was accepted, without closing the producer.

/// Which records [`Producer::purge`](crate::Producer::purge) gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a record is here, or in a request, or one of the two")]
pub enum Purge {
    /// Those in no request: in open and ready batches, and in batches that wait to be sent again.
    Queued,
    /// Those in a request without answer.
    InFlight,
    /// All.
    All,
}

impl Purge {
    pub(crate) fn takes_queued(self) -> bool {
        matches!(self, Self::Queued | Self::All)
    }

    pub(crate) fn takes_in_flight(self) -> bool {
        matches!(self, Self::InFlight | Self::All)
    }
}

/// What a [`purge`](crate::Producer::purge) gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Purged {
    /// Records in no request. They may be in the log only if an earlier attempt had no clear answer.
    pub queued: u64,
    /// Records in a request: they may be in the log, or may still get there.
    pub in_flight: u64,
}
