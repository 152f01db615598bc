//! What `cargo metadata` says of the workspace and of everything it depends on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// Turns on tests that need something beside the machine's compilers.
pub(crate) const BROKER_TESTS: &str = "broker-tests";

/// The workspace and its graph of dependencies for this machine's platform, every feature on.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// By id.
    pub(crate) packages: BTreeMap<String, Package>,
    /// Ids of the workspace's members.
    pub(crate) members: Vec<String>,
    /// By id: what each package depends on, and whether only its tests do.
    edges: BTreeMap<String, Vec<(String, bool)>>,
}

/// One package.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The expression in its manifest, if there is one.
    pub(crate) license: Option<String>,
    /// Whether it may be published anywhere.
    pub(crate) publishable: bool,
    /// The least version of Rust it promises to build with.
    pub(crate) rust_version: Option<String>,
    /// Its features' names, `default` among them.
    pub(crate) features: Vec<String>,
    /// What its manifest names.
    pub(crate) dependencies: Vec<Dependency>,
    /// The folder of its manifest.
    pub(crate) dir: PathBuf,
    /// Whether it is a library.
    pub(crate) is_library: bool,
}

/// A line of a manifest.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package's name.
    pub(crate) name: String,
    /// The versions that the manifest lets in; empty where it names none, as for members of the workspace.
    pub(crate) requirement: String,
    /// Whether only tests, benches and examples use it.
    pub(crate) is_dev: bool,
}

impl Metadata {
    /// Every feature of every member, except those for tests that need more than this machine's compilers: one set, so that
    /// `test` and `test --kafka` share their builds.
    pub(crate) fn hermetic_features(&self) -> String {
        let features = self.members().flat_map(|member| {
            let wanted =
                member.features.iter().filter(|feature| *feature != "default" && *feature != BROKER_TESTS);
            wanted.map(|feature| format!("{}/{feature}", member.name))
        });
        features.collect::<Vec<_>>().join(",")
    }

    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let host = host()?;
        let mut cargo = shell::cargo();
        cargo.args(["metadata", "--format-version=1", "--all-features", "--filter-platform", &host]);
        let value: Value =
            serde_json::from_str(&shell::output(&mut cargo)?).context("cargo metadata's JSON")?;
        Self::read(&value).context("cargo metadata's JSON is not as expected")
    }

    fn read(value: &Value) -> Option<Self> {
        let packages = value["packages"].as_array()?.iter().map(|package| {
            let id = package["id"].as_str()?.to_owned();
            Some((id, Package::read(package)?))
        });
        let edges = value["resolve"]["nodes"].as_array()?.iter().map(|node| {
            let edges = node["deps"].as_array()?.iter().map(|edge| {
                let kinds = edge["dep_kinds"].as_array()?;
                let is_dev = kinds.iter().all(|kind| kind["kind"] == "dev");
                Some((edge["pkg"].as_str()?.to_owned(), is_dev))
            });
            Some((node["id"].as_str()?.to_owned(), edges.collect::<Option<Vec<_>>>()?))
        });
        Some(Self {
            packages: packages.collect::<Option<_>>()?,
            members: strings(&value["workspace_members"])?,
            edges: edges.collect::<Option<_>>()?,
        })
    }

    /// The workspace's members.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter_map(|id| self.packages.get(id))
    }

    /// The members that others build on: they promise a least version of Rust.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Package> {
        self.members().filter(|member| member.is_library && member.rust_version.is_some())
    }

    /// Everything the members need, tests, benches and examples left out.
    pub(crate) fn shipped(&self) -> Vec<&Package> {
        let mut seen: BTreeSet<&str> = self.members.iter().map(String::as_str).collect();
        let mut queue: VecDeque<&str> = seen.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            for (next, is_dev) in self.edges.get(id).into_iter().flatten() {
                if !is_dev && seen.insert(next) {
                    queue.push_back(next);
                }
            }
        }
        seen.into_iter().filter_map(|id| self.packages.get(id)).collect()
    }
}

impl Package {
    fn read(value: &Value) -> Option<Self> {
        let dependencies = value["dependencies"].as_array()?.iter().map(|dependency| {
            Some(Dependency {
                name: dependency["name"].as_str()?.to_owned(),
                requirement: match dependency["source"].is_null() {
                    true => String::new(),
                    false => dependency["req"].as_str()?.to_owned(),
                },
                is_dev: dependency["kind"] == "dev",
            })
        });
        let mut targets = value["targets"].as_array()?.iter().filter_map(|target| target["kind"].as_array());
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            version: value["version"].as_str()?.to_owned(),
            license: value["license"].as_str().map(str::to_owned),
            publishable: value["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            rust_version: value["rust_version"].as_str().map(str::to_owned),
            features: value["features"].as_object()?.keys().cloned().collect(),
            dependencies: dependencies.collect::<Option<_>>()?,
            dir: Path::new(value["manifest_path"].as_str()?).parent()?.to_path_buf(),
            is_library: targets.any(|kinds| kinds.iter().any(|kind| kind == "lib")),
        })
    }
}

/// The platform this machine compiles for.
pub(crate) fn host() -> Result<String> {
    let version = shell::output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}
