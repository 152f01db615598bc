//! [`VersionRange`]: from which version of an API to which.

use core::fmt;

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "two ends, and never anything else")]
pub struct VersionRange {
    /// The oldest version.
    pub min: i16,
    /// The newest version; [`i16::MAX`] where the range has no end.
    pub max: i16,
}

impl VersionRange {
    /// From `min` to `max`.
    #[must_use]
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Whether it has the version.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The versions both have.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let common = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        (common.min <= common.max).then_some(common)
    }

    /// Every version, from the oldest.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i16> {
        self.min..=self.max
    }

    /// The range of the versions whose bit is set in the pattern of a row. Patterns are contiguous; one that has
    /// the last bit has no end.
    pub(crate) const fn of_bits(bits: u128) -> Self {
        let mut range = Self { min: i16::MAX, max: -1 };
        let mut version: i16 = 0;
        while version < Self::PATTERN_BITS {
            if bits >> version & 1 == 1 {
                if range.min > version {
                    range.min = version;
                }
                range.max = version;
            }
            version += 1;
        }
        if range.max == Self::PATTERN_BITS - 1 {
            range.max = i16::MAX;
        }
        range
    }

    /// More versions than any API will have soon.
    pub(crate) const PATTERN_BITS: i16 = 128;
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { min, max } if min == max => write!(f, "{min}"),
            Self { min, max: i16::MAX } => write!(f, "{min}+"),
            Self { min, max } => write!(f, "{min}-{max}"),
        }
    }
}
