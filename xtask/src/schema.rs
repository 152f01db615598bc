//! `cargo xtask schema`: every row of kafka-wire's tables against the definitions inside Kafka's jar.

mod compare;
mod definition;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use kafka_wire::{ALL, Api, ApiKey, VersionRange};

use crate::args::Args;
use crate::jars::{self, VERSIONS, Version};
use crate::shell;
use definition::Definition;

/// `cargo xtask schema`.
pub(crate) fn command(args: Args) -> Result<()> {
    args.finish()?;
    println!("{}", compare()?);
    Ok(())
}

/// Compares, and says how much was compared.
///
/// Fails with the list of all differences.
pub(crate) fn compare() -> Result<String> {
    let (name, _) = VERSIONS[0];
    let definitions = definitions(&Version::named(name)?)?;
    let mut differences = Vec::new();
    let mut rows = 0;
    keys(&definitions, &mut differences);
    for api in ALL {
        rows += self::api(api, &definitions, &mut differences)?;
    }
    if differences.is_empty() {
        return Ok(format!("{} messages, {rows} rows, as Kafka {name} has them", 2 * ALL.len()));
    }
    bail!("{} differences from Kafka {name}:\n  {}", differences.len(), differences.join("\n  "))
}

/// Both messages of an API. Gives back how many rows were compared.
fn api(api: &Api, definitions: &Definitions, differences: &mut Vec<String>) -> Result<usize> {
    let find = |kind: &'static str| {
        let found = definitions.get(&(api.key.get(), kind));
        found.with_context(|| format!("Kafka has no {kind} of {}", api.key))
    };
    let (request, response) = (find("request")?, find("response")?);
    let newest = request.newest_stable();
    listeners(api, request, differences);
    let mut rows = 0;
    for (ours, theirs) in [(api.request.schema, request), (api.response.schema, response)] {
        let name = &theirs.name;
        if ours.name != name {
            differences.push(format!("{}: Kafka's name is {name}", ours.name));
        }
        // The request says which versions there are; a response may know versions that no request asks for yet.
        let versions = VersionRange::new(theirs.versions.min, newest.min(theirs.versions.max));
        if api.versions != versions {
            differences.push(format!("{name}: versions {}, Kafka's are {versions}", api.versions));
        }
        if api.flexible_since != theirs.flexible_since() {
            let (ours, theirs) = (api.flexible_since, theirs.flexible_since());
            differences.push(format!("{name}: flexible since {ours:?}, Kafka's is since {theirs:?}"));
        }
        rows += compare::structure(ours, theirs, api.versions, differences);
    }
    Ok(rows)
}

/// The names of the keys and since when they are throttled, those without messages of ours too.
fn keys(definitions: &Definitions, differences: &mut Vec<String>) {
    for ((key, kind), definition) in definitions {
        let (key, name) = (ApiKey(*key), &definition.name);
        let ours = key.name();
        if *kind == "request" && name.strip_suffix("Request") != Some(ours) {
            differences.push(format!("{name}: key {} has the name {ours}", key.get()));
        }
        let (ours, theirs) = (key.throttled_since(), definition.throttled_since);
        if *kind == "response" && ours != theirs && !UNSAID.contains(&(key, ours)) {
            differences.push(format!("{name}: throttled since {ours}, Kafka's is since {theirs}"));
        }
    }
}

/// What no definition says, but `shouldClientThrottle` of the response's class does.
const UNSAID: [(ApiKey, i16); 1] = [(ApiKey::PRODUCE, 6)];

/// The listeners of a request, in the words of Kafka's definitions.
fn listeners(api: &Api, theirs: &Definition, differences: &mut Vec<String>) {
    let mut ours: Vec<_> =
        api.listeners.iter().map(|listener| format!("{listener:?}").to_lowercase()).collect();
    let mut theirs_sorted = theirs.listeners.clone();
    ours.sort();
    theirs_sorted.sort();
    if ours != theirs_sorted {
        differences.push(format!("{}: listeners {ours:?}, Kafka's are {theirs_sorted:?}", theirs.name));
    }
}

/// By key, and `request` or `response`.
type Definitions = BTreeMap<(i16, &'static str), Definition>;

fn definitions(version: &Version) -> Result<Definitions> {
    let dir = unpacked(version)?;
    let mut found = Definitions::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let kind = match &*name {
            name if name.ends_with("Request") => "request",
            name if name.ends_with("Response") => "response",
            // Headers and records of logs.
            _ => continue,
        };
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let definition = Definition::parse(&text).with_context(|| path.display().to_string())?;
        if let Some(key) = definition.key {
            found.insert((key, kind), definition);
        }
    }
    ensure!(!found.is_empty(), "{} has no definitions of messages", dir.display());
    Ok(found)
}

/// The folder with the definitions, taken out of the jar once.
fn unpacked(version: &Version) -> Result<PathBuf> {
    let inside = "common/message";
    let dir = shell::cache().join(&version.name).join("definitions");
    if dir.is_dir() {
        return Ok(dir.join(inside));
    }
    shell::need("jar", "it unpacks Kafka's jar (Debian: apt-get install openjdk-17-jdk-headless)")?;
    let lib = fs::canonicalize(jars::lib(version)?)?;
    let work = dir.with_extension(std::process::id().to_string());
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let unpacked = unpack(&lib.join(format!("kafka-clients-{}.jar", version.name)), inside, &work);
    // Renamed at the end, so that half a folder is never taken for a whole one; somebody else may have been quicker.
    let renamed = unpacked.and_then(|()| Ok(fs::rename(&work, &dir)?));
    if !dir.is_dir() {
        renamed.with_context(|| format!("cannot unpack the definitions into {}", dir.display()))?;
    }
    Ok(dir.join(inside))
}

fn unpack(jar: &Path, inside: &str, into: &Path) -> Result<()> {
    let mut unpack = Command::new("jar");
    unpack.current_dir(into).arg("--extract").arg("--file").arg(jar).arg(inside);
    shell::output(&mut unpack).map(drop)
}
