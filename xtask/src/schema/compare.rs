//! A table of kafka-wire's against a definition of Kafka's.

use kafka_wire::VersionRange;
use kafka_wire::schema::{Field, Struct, Type};

use super::definition::{Definition, Row};

/// Compares all rows of a message. Gives back how many there are.
pub(crate) fn structure(
    ours: &Struct,
    theirs: &Definition,
    versions: VersionRange,
    differences: &mut Vec<String>,
) -> usize {
    let mut comparison = Comparison { definition: theirs, differences, rows: 0 };
    comparison.rows(&theirs.name, ours.fields, &theirs.fields, versions);
    comparison.rows
}

/// Fields that Kafka does not mark as what they are: the id of a broker.
const UNMARKED: [&str; 1] = ["ApiVersionsRequest.node_id"];

struct Comparison<'a> {
    definition: &'a Definition,
    differences: &'a mut Vec<String>,
    rows: usize,
}

impl Comparison<'_> {
    /// The rows of a structure that exists in `versions`: what its rows say beyond them changes nothing.
    fn rows(&mut self, at: &str, ours: &[Field], theirs: &[Row], versions: VersionRange) {
        let ours = ours.iter().filter_map(|field| Some((field, field.versions.intersect(versions)?)));
        let ours: Vec<_> = ours.collect();
        let theirs = theirs.iter().filter_map(|row| Some((row, row.versions?.intersect(versions)?)));
        // A tagged row is found by its tag, wherever it stands; the others stand in the order of the wire.
        let (mut tagged, mut plain): (Vec<_>, Vec<_>) = theirs.partition(|(row, _)| row.tag.is_some());
        tagged.sort_by_key(|(row, _)| row.tag);
        plain.extend(tagged);
        for (field, _) in ours.iter().skip(plain.len()) {
            self.differ(&format!("{at}.{}", field.name), "Kafka has no such field here");
        }
        for (index, (row, versions)) in plain.into_iter().enumerate() {
            let at = format!("{at}.{}", row.name);
            match ours.get(index) {
                Some((field, ours)) if field.name == row.name => {
                    self.row(&at, (field, *ours), (row, versions));
                }
                Some((field, _)) => self.differ(&at, &format!("{} stands in its place", field.name)),
                None => self.differ(&at, "missing"),
            }
        }
    }

    fn row(&mut self, at: &str, ours: (&Field, VersionRange), theirs: (&Row, VersionRange)) {
        self.rows += 1;
        let ((field, our_versions), (row, versions)) = (ours, theirs);
        self.same(at, "versions", our_versions, versions);
        self.same(at, "tag", field.tag, row.tag);
        if row.tag.is_some() && row.tagged.and_then(|tagged| tagged.intersect(versions)) != Some(versions) {
            self.differ(at, "tagged in some of its versions only, which no row can say");
        }
        let nullable = field.nullable.and_then(|nullable| nullable.intersect(our_versions));
        let their_nullable = row.nullable.and_then(|nullable| nullable.intersect(versions));
        self.same(at, "null in", nullable, their_nullable);
        self.same(at, "type", &*type_name(&field.ty), &*row.ty);
        if row.entity.is_some() || !UNMARKED.contains(&at) {
            self.same(at, "entity", entity(&field.ty), row.entity.as_deref());
        }
        match inner(&field.ty) {
            Type::Struct(group) => self.group(at, group, row, versions),
            _ => self.same(at, "default", our_default(field), their_default(row)),
        }
        if matches!(field.ty, Type::Struct(_)) && (field.default.is_some() || row.default.is_some()) {
            self.differ(at, "a structure with a default of its own");
        }
    }

    fn group(&mut self, at: &str, ours: &Struct, row: &Row, versions: VersionRange) {
        let definition = self.definition;
        match definition.fields_of(row) {
            Some(theirs) => self.rows(at, ours.fields, theirs, versions),
            None => self.differ(at, "no structure in Kafka's definition"),
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, at: &str, what: &str, ours: T, theirs: T) {
        if ours != theirs {
            self.differ(at, &format!("{what} {ours:?}, Kafka's is {theirs:?}"));
        }
    }

    fn differ(&mut self, at: &str, what: &str) {
        self.differences.push(format!("{at}: {what}"));
    }
}

/// As Kafka writes a type. That it may be null is not part of it.
fn type_name(ty: &Type) -> String {
    match ty {
        Type::Plain { name, .. } => (*name).to_owned(),
        Type::Array(ty) => format!("[]{}", type_name(ty)),
        Type::Nullable(ty) => type_name(ty),
        Type::Struct(group) => group.name.to_owned(),
        other => format!("{other:?}"),
    }
}

/// What is inside arrays and nulls.
fn inner(ty: &Type) -> Type {
    match ty {
        Type::Array(ty) | Type::Nullable(ty) => inner(ty),
        ty => *ty,
    }
}

fn entity(ty: &Type) -> Option<&'static str> {
    match inner(ty) {
        Type::Plain { entity, .. } => entity,
        _ => None,
    }
}

/// The bytes of a default in a version that is not flexible; `Err` for what has none.
type Default = Result<Vec<u8>, String>;

fn our_default(field: &Field) -> Default {
    match (field.default, field.ty) {
        (Some(default), _) => Ok(default().to_vec()),
        (None, Type::Nullable(ty)) => natural(&type_name(ty), true),
        (None, ty) => natural(&type_name(&ty), false),
    }
}

fn their_default(row: &Row) -> Default {
    let null = row.default.as_deref() == Some("null");
    match (&*row.ty, row.default.as_deref()) {
        // Kafka's generator gives null to records that may be, whether the definition says so or not.
        ("records", None) => natural(&row.ty, row.nullable.is_some()),
        (ty, None) => natural(ty, null),
        (ty, Some("null")) => natural(ty, true),
        ("string", Some(text)) => Ok([&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()),
        ("bool", Some(text)) => {
            text.parse().map(|value: bool| vec![u8::from(value)]).map_err(|error| format!("{error}"))
        }
        (ty, Some(text)) => {
            let number = match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16),
                None => text.parse(),
            };
            let number = number.map_err(|error| format!("{error}: {text}"))?;
            Ok(number.to_be_bytes()[8 - width(ty)?..].to_vec())
        }
    }
}

/// Zero, empty, false; or null.
fn natural(ty: &str, null: bool) -> Default {
    let len = if null { 0xff } else { 0 };
    match ty {
        "string" => Ok(vec![len; 2]),
        "bytes" | "records" => Ok(vec![len; 4]),
        ty if ty.starts_with("[]") => Ok(vec![len; 4]),
        "bool" => Ok(vec![0]),
        "uuid" => Ok(vec![0; 16]),
        ty => Ok(vec![0; width(ty)?]),
    }
}

fn width(ty: &str) -> Result<usize, String> {
    match ty {
        "int8" => Ok(1),
        "int16" | "uint16" => Ok(2),
        "int32" | "uint32" => Ok(4),
        "int64" => Ok(8),
        other => Err(format!("no default of type {other} is known")),
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire::messages::{ApiVersionsResponse, MetadataRequest};
    use kafka_wire::{Message, VersionRange};

    use super::*;

    const METADATA: &str = r#"{
        "apiKey": 3, "type": "request", "name": "MetadataRequest", "validVersions": "0-13", "flexibleVersions": "9+",
        "fields": [
            { "name": "Topics", "type": "[]MetadataRequestTopic", "versions": "0+", "nullableVersions": "1+", "fields": [
                { "name": "TopicId", "type": "uuid", "versions": "10+" },
                { "name": "Name", "type": "string", "versions": "0+", "entityType": "topicName", "nullableVersions": "10+" }
            ]},
            { "name": "AllowAutoTopicCreation", "type": "bool", "versions": "4+", "default": "true" },
            { "name": "IncludeClusterAuthorizedOperations", "type": "bool", "versions": "8-10" },
            { "name": "IncludeTopicAuthorizedOperations", "type": "bool", "versions": "8+" }
        ]
    }"#;

    const API_VERSIONS: &str = r#"{
        "apiKey": 18, "type": "response", "name": "ApiVersionsResponse", "validVersions": "0-4", "flexibleVersions": "3+",
        "fields": [
            { "name": "ErrorCode", "type": "int16", "versions": "0+" },
            { "name": "ApiKeys", "type": "[]ApiVersion", "versions": "0+", "fields": [
                { "name": "ApiKey", "type": "int16", "versions": "0+", "mapKey": true },
                { "name": "MinVersion", "type": "int16", "versions": "0+" },
                { "name": "MaxVersion", "type": "int16", "versions": "0+" }
            ]},
            { "name": "ThrottleTimeMs", "type": "int32", "versions": "1+" },
            { "name": "SupportedFeatures", "type": "[]SupportedFeatureKey", "versions": "3+", "tag": 0, "taggedVersions": "3+", "fields": [
                { "name": "Name", "type": "string", "versions": "3+" },
                { "name": "MinVersion", "type": "int16", "versions": "3+" },
                { "name": "MaxVersion", "type": "int16", "versions": "3+" }
            ]},
            { "name": "FinalizedFeaturesEpoch", "type": "int64", "versions": "3+", "tag": 1, "taggedVersions": "3+", "default": "-1" },
            { "name": "FinalizedFeatures", "type": "[]FinalizedFeatureKey", "versions": "3+", "tag": 2, "taggedVersions": "3+", "fields": [
                { "name": "Name", "type": "string", "versions": "3+" },
                { "name": "MaxVersionLevel", "type": "int16", "versions": "3+" },
                { "name": "MinVersionLevel", "type": "int16", "versions": "3+" }
            ]},
            { "name": "ZkMigrationReady", "type": "bool", "versions": "3+", "tag": 3, "taggedVersions": "3+", "default": "false" }
        ]
    }"#;

    fn differences(ours: &Struct, versions: VersionRange, theirs: &str) -> Vec<String> {
        let mut differences = Vec::new();
        structure(ours, &Definition::parse(theirs).unwrap(), versions, &mut differences);
        differences
    }

    fn after(theirs: &str, find: &str, replace: &str) -> String {
        assert!(theirs.contains(find), "{find}");
        let theirs = theirs.replacen(find, replace, 1);
        let found = if theirs.contains("MetadataRequest") {
            differences(MetadataRequest::SCHEMA, MetadataRequest::VERSIONS, &theirs)
        } else {
            differences(ApiVersionsResponse::SCHEMA, ApiVersionsResponse::VERSIONS, &theirs)
        };
        found.join("; ")
    }

    #[test]
    fn the_same_rows_do_not_differ() {
        assert_eq!(after(METADATA, "MetadataRequest", "MetadataRequest"), "");
        assert_eq!(after(API_VERSIONS, "name", "name"), "");
    }

    /// One change in each property: each is found, at its place.
    #[test]
    fn every_difference_is_found() {
        for (find, replace, place, what) in [
            (r#""Topics""#, r#""Topic""#, ".topic:", "topics stands in its place"),
            (r#""uuid""#, r#""string""#, ".topics.topic_id:", "type"),
            (r#""versions": "10+""#, r#""versions": "9+""#, ".topics.topic_id:", "versions"),
            (r#""nullableVersions": "10+""#, r#""nullableVersions": "12+""#, ".topics.name:", "null in"),
            (r#""entityType": "topicName", "#, "", ".topics.name:", "entity"),
            (r#", "default": "true""#, "", ".allow_auto_topic_creation:", "default"),
            (r#""8-10""#, r#""8-11""#, ".include_cluster_authorized_operations:", "versions"),
            (r#", "nullableVersions": "1+""#, "", ".topics:", "null in"),
        ] {
            let found = after(METADATA, find, replace);
            assert!(found.contains(place) && found.contains(what), "{find} to {replace}: {found}");
        }
        for (find, replace, place, what) in [
            (r#""default": "-1""#, r#""default": "-2""#, ".finalized_features_epoch:", "default"),
            (r#""tag": 3"#, r#""tag": 4"#, ".zk_migration_ready:", "tag"),
            (r#""tag": 0, "taggedVersions": "3+", "#, "", ".supported_features:", "tag"),
            (
                r#""taggedVersions": "3+""#,
                r#""taggedVersions": "4+""#,
                ".supported_features:",
                "tagged in some",
            ),
            (r#""int64""#, r#""int32""#, ".finalized_features_epoch:", "type"),
        ] {
            let found = after(API_VERSIONS, find, replace);
            assert!(found.contains(place) && found.contains(what), "{find} to {replace}: {found}");
        }
    }

    #[test]
    fn a_missing_and_a_surplus_row_are_found() {
        let last = r#""IncludeTopicAuthorizedOperations", "type": "bool", "versions": "8+" }"#;
        let more = format!(r#"{last}, {{ "name": "More", "type": "bool", "versions": "13+" }}"#);
        assert_eq!(after(METADATA, last, &more), "MetadataRequest.more: missing");
        // A version that is not ours yet.
        assert_eq!(after(METADATA, last, &more.replace("13+", "14+")), "");
        let fewer = after(METADATA, r#""versions": "8+" }"#, r#""versions": "14+" }"#);
        assert!(fewer.contains("include_topic_authorized_operations: Kafka has no such field"), "{fewer}");
    }
}
