//! What can go wrong, one type for each moment at which it can.

/// Whether a record that was not acknowledged may be in the log all the same.
///
/// It is a fact kept for the life of a batch: once an attempt may have reached a broker, only an answer to
/// that very attempt takes the doubt away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the three values are all there can be")]
pub enum Persistence {
    /// The record is not in the log, and never will be.
    NotPersisted,
    /// The record may be in the log, or may still get there.
    PossiblyPersisted,
    /// The record is in the log.
    Persisted,
}
