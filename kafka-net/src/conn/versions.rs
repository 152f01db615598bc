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

/// Whether a throttle time in a response of this version is for the client to keep (KIP-219). Before, the broker
/// had already waited when it answered.
///
/// The table holds the APIs that are older than that, as `shouldClientThrottle` of Kafka 4.3.1 has them. Any other API is
/// throttled in every version, so that one that is added later cannot be forgotten.
pub(crate) fn client_throttles(api: ApiKey, version: i16) -> bool {
    let since = match api {
        ApiKey::FETCH => 8,
        ApiKey::PRODUCE | ApiKey::METADATA => 6,
        ApiKey::OFFSET_COMMIT | ApiKey::OFFSET_FETCH => 4,
        ApiKey::LIST_OFFSETS | ApiKey::JOIN_GROUP | ApiKey::CREATE_TOPICS => 3,
        ApiKey::FIND_COORDINATOR
        | ApiKey::HEARTBEAT
        | ApiKey::LEAVE_GROUP
        | ApiKey::SYNC_GROUP
        | ApiKey::DESCRIBE_GROUPS
        | ApiKey::LIST_GROUPS
        | ApiKey::API_VERSIONS
        | ApiKey::DELETE_TOPICS
        | ApiKey::DESCRIBE_CONFIGS => 2,
        ApiKey::DELETE_RECORDS
        | ApiKey::INIT_PRODUCER_ID
        | ApiKey::ADD_PARTITIONS_TO_TXN
        | ApiKey::ADD_OFFSETS_TO_TXN
        | ApiKey::END_TXN
        | ApiKey::TXN_OFFSET_COMMIT
        | ApiKey::DESCRIBE_ACLS
        | ApiKey::CREATE_ACLS
        | ApiKey::DELETE_ACLS
        | ApiKey::ALTER_CONFIGS
        | ApiKey::ALTER_REPLICA_LOG_DIRS
        | ApiKey::DESCRIBE_LOG_DIRS
        | ApiKey::CREATE_PARTITIONS
        | ApiKey::CREATE_DELEGATION_TOKEN
        | ApiKey::RENEW_DELEGATION_TOKEN
        | ApiKey::EXPIRE_DELEGATION_TOKEN
        | ApiKey::DESCRIBE_DELEGATION_TOKEN
        | ApiKey::DELETE_GROUPS => 1,
        _ => 0,
    };
    version >= since
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(api_key: ApiKey, min_version: i16, max_version: i16) -> ApiVersion {
        ApiVersion { api_key, min_version, max_version }
    }

    #[test]
    fn no_api_with_a_throttle_time_goes_unthrottled() {
        for api in kafka_wire::ALL {
            let throttles = api.response.schema.fields.iter().any(|field| field.name == "throttle_time_ms");
            assert!(throttles, "{} has no throttle time: does its table lack a row?", api.name);
            assert!(client_throttles(api.key, api.versions.max), "{}", api.name);
            // KIP-219 came with Kafka 2.0, which had no API after DeleteGroups.
            let is_older = api.key <= ApiKey::DELETE_GROUPS;
            assert_eq!(is_older, !client_throttles(api.key, 0), "{}: which version began with it?", api.name);
        }
    }

    #[test]
    fn an_api_that_nobody_thought_of_is_throttled() {
        let since = |api, version| (client_throttles(api, version - 1), client_throttles(api, version));
        assert!(client_throttles(ApiKey(68), 0), "ConsumerGroupHeartbeat, long after KIP-219");
        assert_eq!(since(ApiKey::PRODUCE, 6), (false, true));
        assert_eq!(since(ApiKey::FIND_COORDINATOR, 2), (false, true));
        assert_eq!(since(ApiKey::OFFSET_COMMIT, 4), (false, true));
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

    /// Kafka's `shouldClientThrottle`, response by response.
    #[test]
    fn each_api_of_ours_is_throttled_from_kafkas_version_on() {
        let since = [
            (ApiKey::PRODUCE, 6),
            (ApiKey::FETCH, 8),
            (ApiKey::LIST_OFFSETS, 3),
            (ApiKey::METADATA, 6),
            (ApiKey::API_VERSIONS, 2),
            (ApiKey::CREATE_TOPICS, 3),
            (ApiKey::DELETE_TOPICS, 2),
            (ApiKey::INIT_PRODUCER_ID, 1),
            (ApiKey::DESCRIBE_CONFIGS, 2),
            (ApiKey::CREATE_PARTITIONS, 1),
            (ApiKey::DESCRIBE_CLUSTER, 0),
        ];
        for api in kafka_wire::ALL {
            let first = since.iter().find(|(key, _)| *key == api.key).map(|(_, first)| *first);
            let ours =
                api.versions.iter().chain([i16::MAX]).find(|version| client_throttles(api.key, *version));
            assert_eq!(ours, first.map(|first: i16| first.max(api.versions.min)), "{}", api.name);
        }
    }
}
