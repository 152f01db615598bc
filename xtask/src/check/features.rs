//! Lints over every feature set.

use anyhow::Result;

use crate::metadata::{Metadata, Package};
use crate::shell;

/// The whole workspace with everything in it, with default features and with all; then each library by itself, without
/// features, with each one alone and with its defaults. Only by itself does a library show that it asks for all that it
/// uses: in the workspace it profits from what the others ask for.
pub(crate) fn run(metadata: &Metadata) -> Result<String> {
    let mut sets = 2;
    clippy(&["--workspace", "--all-targets"])?;
    clippy(&["--workspace", "--all-targets", "--all-features"])?;
    for library in metadata.libraries() {
        for set in feature_sets(library) {
            let mut arguments = vec!["--package", &library.name, "--lib"];
            arguments.extend(set.iter().map(String::as_str));
            clippy(&arguments)?;
            sets += 1;
        }
    }
    Ok(format!("{sets} feature sets"))
}

fn feature_sets(library: &Package) -> Vec<Vec<String>> {
    let none = || vec!["--no-default-features".to_owned()];
    let mut sets = vec![Vec::new()];
    if !library.features.is_empty() {
        sets.push(none());
    }
    for feature in library.features.iter().filter(|feature| *feature != "default") {
        sets.push([none(), vec!["--features".to_owned(), feature.clone()]].concat());
    }
    sets
}

fn clippy(arguments: &[&str]) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["clippy", "--quiet"]).args(arguments).args(["--", "-D", "warnings"]);
    shell::output(&mut cargo).map(drop)
}
