//! Licences, banned packages, and packages that are there twice.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::deny_file::DenyFile;
use crate::metadata::{Metadata, Package};
use crate::shell;

/// By cargo-deny where it is installed, and else from `cargo metadata`; both go by deny.toml.
pub(crate) fn run(metadata: &Metadata) -> Result<String> {
    let count = metadata.shipped().len();
    if shell::have("cargo-deny") {
        let mut cargo = shell::cargo();
        cargo.args(["deny", "--offline", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
        shell::output(&mut cargo)?;
        return Ok(format!("{count} packages, by cargo-deny"));
    }
    let faults = faults(&metadata.shipped(), &DenyFile::load()?);
    if faults.is_empty() {
        return Ok(format!("{count} packages, from cargo metadata"));
    }
    bail!("{}\nthe lists are in deny.toml; each exception there gives its reason", faults.join("\n"))
}

fn faults(packages: &[&Package], file: &DenyFile) -> Vec<String> {
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, license, .. } = package;
        match license {
            Some(license) if allowed(license, &file.licences) => {}
            Some(license) => faults.push(format!("{name} {version}: licence {license} is not in the list")),
            None => faults.push(format!("{name} {version}: its manifest names no licence")),
        }
        if file.denied.contains(name) {
            faults.push(format!("{name} {version} is banned"));
        }
        let known = |entry: &String| *entry == *name || *entry == format!("{name}@{version}");
        if !file.doubled.iter().any(known) {
            versions.entry(name).or_default().push(version);
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 {
            faults.push(format!("{name} is there more than once: {}", versions.join(", ")));
        }
    }
    faults
}

/// Whether a licence expression can be met by licences of the list.
fn allowed(expression: &str, list: &[String]) -> bool {
    // The slash is how manifests of old wrote OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, list };
    parser.any().is_some_and(|allowed| allowed && parser.words.is_empty())
}

struct Parser<'a> {
    words: &'a [&'a str],
    list: &'a [String],
}

impl Parser<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let is = self.words.first() == Some(&word);
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    /// `all OR all ...`; `None` where the expression makes no sense.
    fn any(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.next_is("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.next_is("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.next_is("(") {
            let met = self.any()?;
            return self.next_is(")").then_some(met);
        }
        let (name, rest) = self.words.split_first()?;
        self.words = rest;
        if self.next_is("WITH") {
            let (exception, rest) = self.words.split_first()?;
            self.words = rest;
            let both = format!("{name} WITH {exception}");
            return Some(self.list.contains(&both));
        }
        Some(self.list.iter().any(|known| known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_weighed() {
        let list: Vec<String> = ["MIT", "ISC"].map(str::to_owned).into();
        for good in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC"] {
            assert!(allowed(good, &list), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "", "MIT OR", "(MIT", "MIT)", "MIT WITH x", "MIT ISC"] {
            assert!(!allowed(bad, &list), "{bad}");
        }
    }

    #[test]
    fn faults_are_named() {
        let package = |name: &str, version: &str, license: Option<&str>| Package {
            name: name.into(),
            version: version.into(),
            license: license.map(str::to_owned),
            publishable: false,
            rust_version: None,
            features: Vec::new(),
            dependencies: Vec::new(),
            dir: std::path::PathBuf::new(),
            is_library: true,
        };
        let packages = [
            package("a", "1.0.0", Some("MIT")),
            package("a", "2.0.0", Some("MIT")),
            package("b", "1.0.0", Some("GPL-3.0")),
            package("c", "1.0.0", None),
            package("openssl", "1.0.0", Some("MIT")),
            package("d", "1.0.0", Some("MIT")),
            package("d", "2.0.0", Some("MIT")),
        ];
        let file = DenyFile {
            ignored: Vec::new(),
            licences: vec!["MIT".into()],
            denied: vec!["openssl".into()],
            doubled: vec!["d@1.0.0".into()],
        };
        let faults = faults(&packages.each_ref(), &file).join("\n");
        for expected in [
            "b 1.0.0: licence GPL-3.0",
            "c 1.0.0: its manifest",
            "openssl 1.0.0 is banned",
            "a is there more",
        ] {
            assert!(faults.contains(expected), "{expected} is not in\n{faults}");
        }
        assert!(!faults.contains("d is there"), "{faults}");
    }
}
