//! [`Versions`]: what a broker understands, and which version of an API both sides speak.

use kafka_wire::{ApiKey, VersionRange, messages::ApiVersion};

use crate::error::Kind;

/// The versions of each API that a broker named when the connection began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Sorted by key, each key once.
    ranges: Vec<(ApiKey, VersionRange)>,
}

impl Versions {
    /// From a broker's list. Of a key named twice the first range counts; an empty range counts as unknown.
    pub(crate) fn new(apis: &[ApiVersion]) -> Self {
        let mut ranges: Vec<_> = apis
            .iter()
            .filter(|api| api.min_version <= api.max_version)
            .map(|api| (api.api_key, VersionRange::new(api.min_version, api.max_version)))
            .collect();
        ranges.sort_by_key(|&(key, _)| key);
        ranges.dedup_by_key(|&mut (key, _)| key);
        Self { ranges }
    }

    /// The range of an API; `None` if the broker does not know it.
    #[must_use]
    pub fn of(&self, api: ApiKey) -> Option<VersionRange> {
        let index = self.ranges.binary_search_by_key(&api, |&(key, _)| key).ok()?;
        self.ranges.get(index).map(|&(_, range)| range)
    }

    /// The highest version of an API inside `ours` that the broker knows too; `None` if there is none.
    #[must_use]
    pub fn common(&self, api: ApiKey, ours: VersionRange) -> Option<i16> {
        let theirs = self.of(api)?;
        let highest = ours.max.min(theirs.max);
        (highest >= ours.min && highest >= theirs.min).then_some(highest)
    }

    pub(crate) fn choose(&self, api: ApiKey, ours: VersionRange) -> Result<i16, Kind> {
        self.common(api, ours).ok_or_else(|| Kind::Unsupported { api, ours, theirs: self.of(api) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(api_key: ApiKey, min_version: i16, max_version: i16) -> ApiVersion {
        ApiVersion { api_key, min_version, max_version }
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        let versions = Versions::new(&[
            api(ApiKey::METADATA, 2, 9),
            api(ApiKey::PRODUCE, 0, 13),
            api(ApiKey::FETCH, 5, 4),
            api(ApiKey::PRODUCE, 0, 3),
        ]);
        let common = |key, min, max| versions.common(key, VersionRange::new(min, max));
        assert_eq!(common(ApiKey::PRODUCE, 3, 12), Some(12));
        assert_eq!(common(ApiKey::METADATA, 0, 13), Some(9));
        assert_eq!(common(ApiKey::METADATA, 0, 2), Some(2));
        assert_eq!(common(ApiKey::METADATA, 0, 1), None);
        assert_eq!(common(ApiKey::METADATA, 10, 13), None);
        assert_eq!(common(ApiKey::FETCH, 4, 18), None);
        assert_eq!(common(ApiKey::LIST_OFFSETS, 1, 11), None);
        assert!(matches!(
            versions.choose(ApiKey::METADATA, VersionRange::new(10, 13)),
            Err(Kind::Unsupported { theirs: Some(_), .. })
        ));
    }
}
