//! Known advisories, against the versions that the lock files name and the lowest ones that the manifests let in.
//!
//! Whoever uses the crates resolves their dependencies anew: what counts is the lowest version that a manifest accepts.
//! The list of advisories is RustSec's, which not every machine can fetch. Where there is none, the few lowest versions
//! below are held, and the step says that it knows no more.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::deny_file::DenyFile;
use crate::metadata::Metadata;
use crate::shell;

/// Lowest versions without a known advisory, looked at on 2026-11-30: package, version.
const KNOWN: [(&str, &str); 4] =
    [("anyhow", "1.0.103"), ("bytes", "1.11.1"), ("tokio", "1.54.1"), ("zstd", "0.14.3")];

/// Names the folder of a clone of RustSec's advisory-db.
const LIST: &str = "LINGER_ADVISORIES";

/// Holds manifests and lock files against what is known.
pub(crate) fn run(metadata: &Metadata) -> Result<String> {
    let lowest = lowest(metadata)?;
    let locked = locked()?;
    let mut faults = Vec::new();
    for (name, least) in KNOWN {
        let least = Version::parse(least).context("a known version")?;
        let used = lowest.iter().chain(&locked).filter(|used| used.name == name);
        faults.extend(used.filter(|used| used.version < least).map(|used| {
            let Version(major, minor, patch) = least;
            format!("{used}: an advisory holds for what is older than {major}.{minor}.{patch}")
        }));
    }
    let list = list()?;
    let mut advisories = Vec::new();
    if let Some(list) = &list {
        let ignored = DenyFile::load()?.ignored;
        let mut names: Vec<&str> = lowest.iter().chain(&locked).map(|used| used.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            advisories.extend(of_package(list, name)?.into_iter().filter(|it| !ignored.contains(&it.id)));
        }
    }
    for advisory in &advisories {
        let used = lowest.iter().chain(&locked).filter(|used| used.name == advisory.package);
        let affected = used.filter(|used| advisory.affects(used.version));
        faults.extend(affected.map(|used| format!("{used}: {}", advisory.id)));
    }
    if !faults.is_empty() {
        faults.dedup();
        bail!("{}\ndeny.toml's `ignore` takes the ids of those that do not matter here", faults.join("\n"));
    }
    let checked = format!("{} locked packages, {} lowest versions", locked.len(), lowest.len());
    Ok(match list {
        Some(list) => format!("{checked}, {} advisories on them in {}", advisories.len(), list.display()),
        None => format!(
            "NO ADVISORY LIST (a clone of RustSec's in ${LIST}, or cargo-audit's): {checked}, held only against {}",
            KNOWN.map(|(name, least)| format!("{name} {least}")).join(", ")
        ),
    })
}

/// A package in a version that somebody gets.
#[derive(Debug)]
struct Used {
    name: String,
    version: Version,
    /// How the fault is told: where the version stands.
    place: String,
}

impl std::fmt::Display for Used {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Version(major, minor, patch) = self.version;
        write!(f, "{} {major}.{minor}.{patch}, {}", self.name, self.place)
    }
}

/// What the members' manifests let in, at the least.
fn lowest(metadata: &Metadata) -> Result<Vec<Used>> {
    let mut found = Vec::new();
    for member in metadata.members() {
        for dependency in member.dependencies.iter().filter(|dependency| !dependency.requirement.is_empty()) {
            let version = lowest_of(&dependency.requirement)
                .with_context(|| format!("{}: `{}`", dependency.name, dependency.requirement))?;
            let place = format!("let in by {}'s `{}`", member.name, dependency.requirement);
            found.push(Used { name: dependency.name.clone(), version, place });
        }
    }
    Ok(found)
}

/// The lowest version that meets a requirement of a manifest.
fn lowest_of(requirement: &str) -> Option<Version> {
    let mut lowest = Version(0, 0, 0);
    for comparator in requirement.split(',') {
        let (operator, version) = comparator_of(comparator)?;
        if !operator.starts_with('<') {
            lowest = lowest.max(version);
        }
    }
    Some(lowest)
}

/// Every package of every lock file.
fn locked() -> Result<Vec<Used>> {
    let mut found = Vec::new();
    for folder in ["", "fuzz", "xtask/no_std"] {
        let file = shell::workspace().join(folder).join("Cargo.lock");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let file = Path::new(folder).join("Cargo.lock").display().to_string();
        for package in text.split("[[package]]").skip(1) {
            let value = |key: &str| {
                package
                    .lines()
                    .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
            };
            let read = value("name").zip(value("version").and_then(Version::parse));
            let (name, version) = read.with_context(|| format!("{file} is not as expected"))?;
            found.push(Used { name: name.to_owned(), version, place: format!("in {file}") });
        }
    }
    Ok(found)
}

/// The folder with RustSec's list: the one named, or else where cargo-audit and cargo-deny keep theirs.
fn list() -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(LIST).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        ensure!(named.join("crates").is_dir(), "{LIST}: {} has no folder `crates`", named.display());
        return Ok(Some(named));
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(home) = home else { return Ok(None) };
    let of_deny = fs::read_dir(home.join("advisory-dbs")).into_iter().flatten().flatten();
    let mut places = std::iter::once(home.join("advisory-db")).chain(of_deny.map(|entry| entry.path()));
    Ok(places.find(|place| place.join("crates").is_dir()))
}

fn of_package(list: &Path, name: &str) -> Result<Vec<Advisory>> {
    let Ok(entries) = fs::read_dir(list.join("crates").join(name)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let advisory = Advisory::parse(&text);
        let advisory = advisory.with_context(|| format!("{} is not as expected", file.display()))?;
        if advisory.is_fault {
            found.push(advisory);
        }
    }
    Ok(found)
}

/// One advisory of RustSec's.
#[derive(Debug, PartialEq, Eq)]
struct Advisory {
    id: String,
    package: String,
    /// Whether code is broken: not withdrawn, nor only a word about who maintains it.
    is_fault: bool,
    /// Requirements; a version that meets one of them is well.
    well: Vec<String>,
}

impl Advisory {
    /// Reads the table at the head of the text.
    fn parse(text: &str) -> Option<Self> {
        let (_, table) = text.split_once("```toml\n")?;
        let (table, _) = table.split_once("\n```")?;
        let value = |key: &str| {
            let lines = table.lines().filter_map(|line| line.split_once('='));
            let mut values = lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value);
            values.find_map(|value| value.split('"').nth(1))
        };
        let array = |key: &str| -> Vec<String> {
            let line = |line: &&str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
            let Some(line) = table.lines().find(line) else { return Vec::new() };
            let at = line.as_ptr().addr() - table.as_ptr().addr();
            let array = table[at..].split(']').next().unwrap_or_default();
            array.split('"').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let is_word = matches!(value("informational"), Some("unmaintained" | "notice"));
        Some(Self {
            id: value("id")?.to_owned(),
            package: value("package")?.to_owned(),
            is_fault: !is_word && value("withdrawn").is_none(),
            well: [array("patched"), array("unaffected")].concat(),
        })
    }

    /// Whether the version is one that the advisory is about. A requirement that cannot be read is not met.
    fn affects(&self, version: Version) -> bool {
        !self.well.iter().any(|requirement| {
            requirement.split(',').all(|comparator| meets(version, comparator).unwrap_or_default())
        })
    }
}

/// Major, minor, patch. What follows (an early version, a build's name) is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64, u64, u64);

impl Version {
    /// Numbers that are not written count as zero.
    fn parse(text: &str) -> Option<Self> {
        let text = text.split(['-', '+']).next()?;
        let mut numbers = text.trim().split('.').map(|number| match number {
            "*" => Some(0),
            number => number.parse().ok(),
        });
        let major = numbers.next()??;
        let (minor, patch) = (numbers.next().unwrap_or(Some(0))?, numbers.next().unwrap_or(Some(0))?);
        numbers.next().is_none().then_some(Self(major, minor, patch))
    }

    /// The first version that is not compatible with it any more.
    fn next_breaking(self) -> Self {
        match self {
            Self(0, 0, patch) => Self(0, 0, patch + 1),
            Self(0, minor, _) => Self(0, minor + 1, 0),
            Self(major, ..) => Self(major + 1, 0, 0),
        }
    }
}

/// `>= 1.2` in its two parts; none is the caret.
fn comparator_of(text: &str) -> Option<(&'static str, Version)> {
    let text = text.trim();
    for operator in [">=", "<=", ">", "<", "=", "^", "~"] {
        if let Some(version) = text.strip_prefix(operator) {
            return Some((operator, Version::parse(version)?));
        }
    }
    Some(("^", Version::parse(text)?))
}

fn meets(version: Version, comparator: &str) -> Option<bool> {
    let (operator, other) = comparator_of(comparator)?;
    Some(match operator {
        ">=" => version >= other,
        "<=" => version <= other,
        ">" => version > other,
        "<" => version < other,
        "=" => version == other,
        "~" => version >= other && version < Version(other.0, other.1 + 1, 0),
        _ => version >= other && version < other.next_breaking(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn the_lowest_version_of_a_requirement_is_found() {
        for (requirement, lowest) in [
            ("^1.45", "1.45.0"),
            ("1", "1.0.0"),
            (">=0.3.1, <0.5", "0.3.1"),
            ("=2.0.1", "2.0.1"),
            ("*", "0.0.0"),
            ("~1.2.3", "1.2.3"),
        ] {
            assert_eq!(lowest_of(requirement), Some(version(lowest)), "{requirement}");
        }
        assert_eq!(lowest_of("what"), None);
    }

    #[test]
    fn advisories_are_read_and_hold_for_the_right_versions() {
        let text = "```toml\n[advisory]\nid = \"RUSTSEC-1\"\npackage = \"a\"\naliases = [\"x\"]\n[affected]\nfunctions = { \
                    \"a::b\" = [\"< 9\"] }\n[versions]\npatched = [\n  \">= 1.18.4, < 1.19.0\",\n  \">= 1.20.3\"]\nunaffected \
                    = [\"< 1.7.0\", \"^0.20.2\"]\n```\n# Words\n";
        let advisory = Advisory::parse(text).unwrap();
        assert_eq!((&*advisory.id, &*advisory.package, advisory.is_fault), ("RUSTSEC-1", "a", true));
        for affected in ["1.7.0", "1.18.3", "1.19.0", "1.20.2"] {
            assert!(advisory.affects(version(affected)), "{affected}");
        }
        for well in ["1.6.9", "1.18.4", "1.18.9", "1.20.3", "2.0.0", "0.20.2"] {
            assert!(!advisory.affects(version(well)), "{well}");
        }
        let no_fault = |line: &str| {
            let text = text.replace("aliases = [\"x\"]", line);
            !Advisory::parse(&text).unwrap().is_fault
        };
        assert!(no_fault("informational = \"unmaintained\""));
        assert!(no_fault("withdrawn = \"2024-01-01\""));
        assert!(!no_fault("informational = \"unsound\""));
        // Without a version that is well, all are affected.
        assert!(
            Advisory::parse("```toml\nid = \"R\"\npackage = \"a\"\n[versions]\npatched = []\n```")
                .unwrap()
                .affects(version("9.0.0"))
        );
    }

    #[test]
    fn the_workspace_has_lock_files_and_the_known_packages_are_used() {
        let locked = locked().unwrap();
        for (name, least) in KNOWN {
            assert!(locked.iter().any(|used| used.name == name), "{name} is not used any more");
            assert!(Version::parse(least).is_some(), "{name} {least}");
        }
    }
}
