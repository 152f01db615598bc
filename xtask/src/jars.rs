//! Kafka's jars: a whole broker and all its tools, resolved by Maven once and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::shell;

/// A version of Kafka, and what differs between versions in how one starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// As Maven names it.
    pub(crate) name: String,
    /// Where its clusters listen when nobody says otherwise.
    pub(crate) port: u16,
    /// Whether a quorum of controllers leads it, or ZooKeeper.
    pub(crate) kraft: bool,
    /// Whether it logs by log4j 2, or by the old log4j.
    pub(crate) log4j2: bool,
}

/// The versions that this project is tried against, newest first, and the default ports of their clusters.
pub(crate) const VERSIONS: [(&str, u16); 4] =
    [("4.4.0", 29_092), ("4.3.1", 28_792), ("3.9.1", 29_392), ("2.8.2", 29_692)];

impl Version {
    /// The version of that name: one of the table, or the one in `$KAFKA_HOME`.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let port = VERSIONS.iter().find(|(known, _)| *known == name).map(|(_, port)| *port);
        if port.is_none() && home()?.is_none_or(|home| home.version != name) {
            let known = VERSIONS.map(|(known, _)| known).join(", ");
            bail!(
                "Kafka {name} is not one of the versions this project is tried against ({known}); for another, \
                 set KAFKA_HOME to the folder of its release"
            );
        }
        let major: u32 = name.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            port: port.unwrap_or(VERSIONS[0].1),
            kraft: major >= 3,
            log4j2: major >= 4,
        })
    }

    /// What commands take when no version is named: the one in `$KAFKA_HOME`, or else the newest.
    pub(crate) fn default_one() -> Result<Self> {
        match home()? {
            Some(home) => Self::named(&home.version),
            None => Self::named(VERSIONS[0].0),
        }
    }
}

/// The folder with the version's jars, filled by Maven when it is not there yet. `$KAFKA_HOME` is taken where it holds
/// this version.
pub(crate) fn lib(version: &Version) -> Result<PathBuf> {
    if let Some(home) = home()?
        && home.version == version.name
    {
        return Ok(home.libs);
    }
    let dir = shell::cache().join(&version.name);
    let lib = dir.join("lib");
    if lib.is_dir() {
        return Ok(lib);
    }
    need_java()?;
    shell::need("mvn", "Maven resolves Kafka's jars (Debian: apt-get install maven)")?;
    resolve(version, &dir, &lib)?;
    Ok(lib)
}

/// A class path of every jar in the folder.
pub(crate) fn class_path(lib: &Path) -> String {
    lib.join("*").display().to_string()
}

/// `java` with that class path, for a short-lived tool: the quick compiler only, and one thread to collect garbage.
pub(crate) fn tool(lib: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]).arg(class_path(lib));
    java
}

/// Fails, naming the package, where there is no Java.
pub(crate) fn need_java() -> Result<()> {
    shell::need("java", "Kafka runs on Java 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)")
}

/// `cargo xtask jars [VERSION]`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    let version = match args.word() {
        Some(name) => Version::named(&name)?,
        None => Version::default_one()?,
    };
    args.finish()?;
    println!("{}", lib(&version)?.display());
    Ok(())
}

/// An unpacked release of Kafka that `$KAFKA_HOME` names.
struct Home {
    version: String,
    libs: PathBuf,
}

fn home() -> Result<Option<Home>> {
    let Some(home) = std::env::var_os("KAFKA_HOME").filter(|home| !home.is_empty()) else { return Ok(None) };
    let libs = Path::new(&home).join("libs");
    let entries = fs::read_dir(&libs).with_context(|| {
        format!("KAFKA_HOME must name an unpacked release of Kafka, but {} cannot be read", libs.display())
    })?;
    let version = entries.flatten().find_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (_, version) = name.strip_suffix(".jar")?.strip_prefix("kafka_2.")?.split_once('-')?;
        version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
    });
    let version = version.with_context(|| {
        format!(
            "KAFKA_HOME must name a release of Kafka, but {} has no kafka_2.*-VERSION.jar",
            libs.display()
        )
    })?;
    Ok(Some(Home { version, libs }))
}

/// Resolves beside the final place and renames at the end, so that a cut-off download is never taken for a whole one.
fn resolve(version: &Version, dir: &Path, lib: &Path) -> Result<()> {
    let work = dir.join(format!("resolving.{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let pom = work.join("pom.xml");
    fs::write(&pom, POM.replace("VERSION", &version.name))
        .with_context(|| format!("cannot write {}", pom.display()))?;
    eprintln!("resolving Kafka {}'s jars by Maven into {}", version.name, lib.display());
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"]);
    let resolved = shell::output(&mut maven);
    if resolved.is_ok() && !lib.is_dir() {
        // Somebody else may have been quicker; theirs is as good.
        if let Err(error) = fs::rename(work.join("lib"), lib)
            && !lib.is_dir()
        {
            return Err(error).with_context(|| format!("cannot put the jars into {}", lib.display()));
        }
    }
    let _ = fs::remove_dir_all(&work);
    resolved.map(drop).with_context(|| format!("Maven could not resolve Kafka {}", version.name))
}

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>linger</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>VERSION</version></dependency>
  </dependencies>
</project>
"#;
