//! A definition of Kafka's: JSON with comments.

use anyhow::{Context, Result, bail, ensure};
use kafka_wire::VersionRange;
use serde_json::{Map, Value};

/// A message.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) key: Option<i16>,
    pub(crate) versions: VersionRange,
    newest_is_unstable: bool,
    flexible: Option<VersionRange>,
    /// Who listens for it: of requests only.
    pub(crate) listeners: Vec<String>,
    /// From which version on clients keep throttle times, as a comment says; 0 where none does.
    pub(crate) throttled_since: i16,
    pub(crate) fields: Vec<Row>,
    /// Structures that several fields name.
    common: Vec<(String, Vec<Row>)>,
}

/// A field.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// As it is written: `[]int32`.
    pub(crate) ty: String,
    pub(crate) versions: Option<VersionRange>,
    pub(crate) nullable: Option<VersionRange>,
    pub(crate) tag: Option<u32>,
    pub(crate) tagged: Option<VersionRange>,
    pub(crate) default: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) fields: Vec<Self>,
}

impl Definition {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(&without_comments(text)).context("not JSON with comments")?;
        let map = value.as_object().context("not an object")?;
        let name = text_of(map, "name")?.to_owned();
        // APIs that Kafka has given up have no versions; they have no key in the table of keys either.
        let versions = range(text_of(map, "validVersions")?)?;
        let key = map.get("apiKey").and_then(Value::as_i64).map(i16::try_from).transpose()?;
        let common = map.get("commonStructs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let listeners = map.get("listeners").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let common = common.iter().map(|group| {
            let group = group.as_object().context("a common structure is no object")?;
            Ok((text_of(group, "name")?.to_owned(), rows(group)?))
        });
        Ok(Self {
            key: key.filter(|_| versions.is_some()),
            versions: versions.unwrap_or(VersionRange::new(0, -1)),
            newest_is_unstable: map.get("latestVersionUnstable").and_then(Value::as_bool).unwrap_or_default(),
            flexible: map.get("flexibleVersions").and_then(Value::as_str).map_or(Ok(None), range)?,
            listeners: listeners.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            throttled_since: throttled_since(text)?,
            fields: rows(map)?,
            common: common.collect::<Result<_>>()?,
            name,
        })
    }

    /// The newest version, unless it is marked as unstable.
    pub(crate) fn newest_stable(&self) -> i16 {
        self.versions.max - i16::from(self.newest_is_unstable)
    }

    pub(crate) fn flexible_since(&self) -> Option<i16> {
        self.flexible.map(|versions| versions.min)
    }

    /// The fields of a row's structure: its own, or those of the common one it names.
    pub(crate) fn fields_of<'a>(&'a self, row: &'a Row) -> Option<&'a [Row]> {
        if !row.fields.is_empty() {
            return Some(&row.fields);
        }
        let name = row.ty.trim_start_matches("[]");
        self.common.iter().find(|(common, _)| common == name).map(|(_, rows)| &**rows)
    }
}

fn rows(map: &Map<String, Value>) -> Result<Vec<Row>> {
    let fields = map.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    fields.iter().map(row).collect()
}

fn row(value: &Value) -> Result<Row> {
    let map = value.as_object().context("a field is no object")?;
    let name = text_of(map, "name")?;
    for property in map.keys() {
        ensure!(
            KNOWN.contains(&&**property),
            "field {name} has the property {property}, which is not compared"
        );
    }
    let versions = |property: &str| map.get(property).and_then(Value::as_str).map_or(Ok(None), range);
    Ok(Row {
        name: snake_case(name),
        ty: text_of(map, "type")?.to_owned(),
        versions: versions("versions")?,
        nullable: versions("nullableVersions")?,
        tag: map.get("tag").and_then(Value::as_u64).map(u32::try_from).transpose()?,
        tagged: versions("taggedVersions")?,
        default: map
            .get("default")
            .map(|default| default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
        entity: map.get("entityType").and_then(Value::as_str).map(str::to_owned),
        fields: rows(map)?,
    })
}

/// `3+`, `0-12`, `5`, `none`.
fn range(text: &str) -> Result<Option<VersionRange>> {
    let number = |text: &str| text.parse().with_context(|| format!("not a version: {text}"));
    if text == "none" {
        return Ok(None);
    }
    let (min, max) = match (text.strip_suffix('+'), text.split_once('-')) {
        (Some(min), _) => (number(min)?, i16::MAX),
        (None, Some((min, max))) => (number(min)?, number(max)?),
        (None, None) => (number(text)?, number(text)?),
    };
    Ok(Some(VersionRange::new(min, max)))
}

fn text_of<'a>(map: &'a Map<String, Value>, property: &str) -> Result<&'a str> {
    match map.get(property) {
        Some(Value::String(text)) => Ok(text),
        _ => bail!("the property {property} is missing, or no text"),
    }
}

/// `TopicData` to `topic_data`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_small {
            snake.push('_');
        }
        after_small = !letter.is_ascii_uppercase();
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The version in `Starting in version 6, on quota violation, brokers send out responses before throttling.`
fn throttled_since(text: &str) -> Result<i16> {
    let sentence =
        text.split("Starting in version ").find_map(|rest| rest.split_once(", on quota violation"));
    sentence
        .map_or(Ok(0), |(version, _)| version.parse().with_context(|| format!("not a version: {version}")))
}

/// `//` to the end of the line, outside of strings.
fn without_comments(text: &str) -> String {
    let mut clean = String::new();
    for line in text.lines() {
        let mut quoted = false;
        let mut before = '\0';
        let comment = line.char_indices().find(|&(_, letter)| {
            quoted ^= letter == '"' && before != '\\';
            let found = !quoted && letter == '/' && before == '/';
            before = letter;
            found
        });
        clean.push_str(comment.map_or(line, |(at, _)| &line[..at - 1]));
        clean.push('\n');
    }
    clean
}

/// What a field may have. `about`, `ignorable`, `mapKey` and `zeroCopy` change nothing on the wire.
const KNOWN: [&str; 13] = [
    "name",
    "type",
    "versions",
    "nullableVersions",
    "tag",
    "taggedVersions",
    "default",
    "entityType",
    "fields",
    "about",
    "ignorable",
    "mapKey",
    "zeroCopy",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_stay() {
        let clean = without_comments("// a\n{ \"a\": \"http://b\\\"//\" } // c\n");
        assert_eq!(clean, "\n{ \"a\": \"http://b\\\"//\" } \n");
    }

    #[test]
    fn a_comment_says_since_when_an_api_is_throttled() {
        let text =
            "// Starting in version 3, tags.\n// Starting in version 8, on quota violation, brokers send";
        assert_eq!(throttled_since(text).unwrap(), 8);
        assert_eq!(throttled_since("// Starting in version 3, tags.").unwrap(), 0);
    }

    #[test]
    fn names_become_snake_case() {
        let names = ["TopicData", "timeoutMs", "Enable2Pc", "TransactionalId"].map(snake_case);
        assert_eq!(names, ["topic_data", "timeout_ms", "enable2_pc", "transactional_id"]);
    }

    #[test]
    fn versions_are_ranges() {
        let ranges = ["3+", "0-12", "5", "none"].map(|text| range(text).unwrap());
        let expected = [(3, i16::MAX), (0, 12), (5, 5)].map(|(min, max)| Some(VersionRange::new(min, max)));
        assert_eq!(ranges[..3], expected);
        assert_eq!(ranges[3], None);
        assert!(range("x").is_err());
    }
}
