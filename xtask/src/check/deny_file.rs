//! The part of deny.toml that [`licences`](super::licences) goes by where cargo-deny is not installed.
//!
//! Read by hand: tables, arrays of texts, and arrays of inline tables with a `crate` are all that the file has.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::shell;

/// What deny.toml says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DenyFile {
    /// Ids of advisories that do not matter here.
    pub(crate) ignored: Vec<String>,
    /// Licences that may be had.
    pub(crate) licences: Vec<String>,
    /// Packages that may not.
    pub(crate) denied: Vec<String>,
    /// Packages, `name` or `name@version`, that may be there beside another version of themselves.
    pub(crate) doubled: Vec<String>,
}

impl DenyFile {
    /// Reads the workspace's.
    pub(crate) fn load() -> Result<Self> {
        let file = shell::workspace().join("deny.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let found = Self {
            ignored: texts(array(text, "advisories", "ignore")?),
            licences: texts(array(text, "licenses", "allow")?),
            denied: crates(array(text, "bans", "deny")?),
            doubled: crates(array(text, "bans", "skip")?),
        };
        ensure!(!found.licences.is_empty(), "deny.toml: [licenses] allow has no entry");
        Ok(found)
    }
}

/// What stands between the brackets of `key = [...]` in a table.
fn array<'a>(text: &'a str, table: &str, key: &str) -> Result<&'a str> {
    let missing = || format!("deny.toml: no `{key} = [...]` in [{table}]");
    let (_, rest) = text.split_once(&format!("\n[{table}]\n")).with_context(missing)?;
    let table = rest.split_once("\n[").map_or(rest, |(table, _)| table);
    let opening = format!("{key} = [");
    let at = if table.starts_with(&opening) {
        Some(0)
    } else {
        table.find(&format!("\n{opening}")).map(|at| at + 1)
    };
    let rest = &table[at.with_context(missing)? + opening.len()..];
    rest.split_once(']').map(|(array, _)| array).with_context(missing)
}

/// The texts in quotes, comments left out.
fn texts(array: &str) -> Vec<String> {
    let lines = array.lines().map(|line| line.split_once('#').map_or(line, |(line, _)| line));
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The text after each `crate =`.
fn crates(array: &str) -> Vec<String> {
    array.split("crate = ").skip(1).filter_map(|rest| rest.split('"').nth(1)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let text = "\n[advisories]\nignore = [\"RUSTSEC-1\"]\n[licenses]\n# c\nallow = [\n  \"MIT\", # \"not this\"\n  \"ISC\",\n]\n[bans]\nmultiple = \"deny\"\n\
                    deny = [\n  { crate = \"openssl\", reason = \"no\" },\n]\nskip = [{ crate = \"syn@1\" }]\n";
        let expected = DenyFile {
            ignored: vec!["RUSTSEC-1".into()],
            licences: vec!["MIT".into(), "ISC".into()],
            denied: vec!["openssl".into()],
            doubled: vec!["syn@1".into()],
        };
        assert_eq!(DenyFile::parse(text).unwrap(), expected);
        assert!(DenyFile::parse("\n[licenses]\nallow = []\n[bans]\ndeny = []\nskip = []\n").is_err());
        assert!(DenyFile::parse("\n[licenses]\n").is_err());
    }

    #[test]
    fn the_workspace_has_one() {
        let file = DenyFile::load().unwrap();
        assert!(file.licences.contains(&"Apache-2.0".to_owned()));
        assert!(file.denied.contains(&"openssl".to_owned()));
    }
}
