//! DescribeConfigs: settings of topics and brokers.

use std::collections::BTreeSet;

use kafka_wire::ErrorCode;
use kafka_wire::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::settings::{Entry, TopicSettings};
use crate::state::{Cluster, Refusal};

pub(super) fn answer(cluster: &Cluster, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    // Each once, however often it is named: a small request must not make a huge answer.
    let mut answered = BTreeSet::new();
    let mut resources = request.resources;
    resources.retain(|resource| answered.insert((resource.resource_type, resource.resource_name.clone())));
    let results = resources.into_iter().map(|resource| {
        let described = match resource.resource_type {
            TOPIC => topic(cluster, &resource, synonyms, documentation),
            BROKER => broker(cluster, &resource, documentation),
            other => Err(Refusal::new(
                ErrorCode::INVALID_REQUEST,
                format!("settings of resource type {other} are not kept here, only those of topics (2) and brokers (4)"),
            )),
        };
        let (error_code, error_message, configs) = match described {
            Ok(configs) => (ErrorCode::NONE, None, configs),
            Err(refusal) => (refusal.code(), Some(refusal.message().to_owned()), Vec::new()),
        };
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

/// Where a value comes from, as DescribeConfigs numbers it (KIP-226).
pub(super) fn source(is_default: bool) -> i8 {
    if is_default { DEFAULT_CONFIG } else { TOPIC_CONFIG }
}

fn topic(
    cluster: &Cluster,
    resource: &DescribeConfigsResource,
    synonyms: bool,
    documentation: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let name = &resource.resource_name;
    let topic = cluster.topic(name).ok_or_else(|| {
        Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic '{name}'"))
    })?;
    let described =
        topic.settings.entries().filter(|entry| is_wanted(resource, entry.setting.name)).map(|entry| {
            DescribeConfigsResourceResult {
                name: entry.setting.name.to_owned(),
                value: Some(entry.value.to_owned()),
                config_source: source(entry.is_default),
                synonyms: if synonyms { topic_synonyms(&entry) } else { Vec::new() },
                config_type: entry.setting.kind.code(),
                documentation: documentation.then(|| entry.setting.documentation.to_owned()),
                ..Default::default()
            }
        });
    Ok(described.collect())
}

/// The value that holds and those behind it, most specific first.
fn topic_synonyms(entry: &Entry<'_>) -> Vec<DescribeConfigsSynonym> {
    let own = (!entry.is_default).then_some((entry.setting.name, entry.value, TOPIC_CONFIG));
    let default = (entry.setting.broker_name, entry.setting.default, DEFAULT_CONFIG);
    let synonyms = own.into_iter().chain([default]).map(|(name, value, source)| DescribeConfigsSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
    });
    synonyms.collect()
}

fn broker(
    cluster: &Cluster,
    resource: &DescribeConfigsResource,
    documentation: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    // The empty name stands for the defaults of all brokers, of which none are set.
    if resource.resource_name.is_empty() {
        return Ok(Vec::new());
    }
    let found = cluster.brokers().iter().find(|broker| broker.id.0.to_string() == resource.resource_name);
    let broker = found.ok_or_else(|| {
        Refusal::new(ErrorCode::INVALID_REQUEST, format!("there is no broker '{}'", resource.resource_name))
    })?;
    let own = [
        ("auto.create.topics.enable", cluster.config.auto_create.to_string(), 1),
        ("default.replication.factor", cluster.default_replication_factor().to_string(), 3),
        ("node.id", broker.id.0.to_string(), 3),
        ("num.partitions", cluster.config.default_partitions.to_string(), 3),
    ];
    let own = own.into_iter().map(|(name, value, config_type)| DescribeConfigsResourceResult {
        name: name.to_owned(),
        value: Some(value),
        read_only: true,
        config_source: STATIC_BROKER_CONFIG,
        config_type,
        ..Default::default()
    });
    let defaults = TopicSettings::default();
    let topics = defaults.entries().map(|entry| DescribeConfigsResourceResult {
        name: entry.setting.broker_name.to_owned(),
        value: Some(entry.value.to_owned()),
        read_only: true,
        config_source: DEFAULT_CONFIG,
        config_type: entry.setting.kind.code(),
        documentation: documentation.then(|| entry.setting.documentation.to_owned()),
        ..Default::default()
    });
    Ok(own.chain(topics).filter(|config| is_wanted(resource, &config.name)).collect())
}

/// A null list of keys asks for all.
fn is_wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    resource.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key == name))
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const TOPIC_CONFIG: i8 = 1;
const STATIC_BROKER_CONFIG: i8 = 4;
const DEFAULT_CONFIG: i8 = 5;
