//! The options that name brokers and settings, the same for each command.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use kafka_producer::{ProducerConfig, Settings};

use crate::report;

/// Brokers and settings.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Brokers to ask first: HOST:PORT, several with commas between
    #[arg(short, long, value_name = "HOST:PORT,..")]
    bootstrap_server: Option<String>,

    /// Any setting of Kafka's producer, as in `-X linger.ms=20`; can be repeated
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    set: Vec<String>,

    /// A Java .properties file with settings; those given by -X count more
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Options {
    /// Takes these brokers, whatever was named.
    pub(crate) fn override_servers(&mut self, servers: String) {
        self.bootstrap_server = Some(servers);
    }

    /// The settings, with what is remarkable about them told on standard error.
    pub(crate) fn config(&self) -> Result<(ProducerConfig, Settings)> {
        let mut config = ProducerConfig::default();
        if let Some(path) = &self.config {
            apply_file(&mut config, path)?;
        }
        let mut seen = BTreeMap::new();
        for setting in &self.set {
            let parts = setting.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            let Some((name, value)) = parts else {
                bail!("-X {setting}: expected NAME=VALUE, as in -X linger.ms=20");
            };
            let warning = config.set(name, value).with_context(|| format!("-X {name}"))?;
            warning.iter().for_each(|warning| report::warn(&format!("-X {name}: {warning}")));
            let (times, last) = seen.entry(name.trim()).or_insert((0, value));
            (*times, *last) = (*times + 1, value);
        }
        for (name, (_, last)) in seen.iter().filter(|(_, (times, _))| *times > 1) {
            report::warn(&format!("-X {name} is given twice; the last one, {last}, counts"));
        }
        if let Some(servers) = &self.bootstrap_server {
            if seen.contains_key("bootstrap.servers") {
                report::warn("--bootstrap-server counts, not -X bootstrap.servers");
            }
            let warning = config.set("bootstrap.servers", servers).context("--bootstrap-server")?;
            warning.iter().for_each(|warning| report::warn(&format!("--bootstrap-server: {warning}")));
        }
        if !config.is_set("bootstrap.servers") {
            bail!(
                "no broker is named: use --bootstrap-server HOST:PORT. For a cluster to play with, run \
                 `linger mock` in another terminal and use --bootstrap-server 127.0.0.1:9092"
            );
        }
        let (settings, warnings) = config.settle()?;
        warnings.iter().for_each(|warning| report::warn(&warning.to_string()));
        Ok((config, settings))
    }
}

/// Reads a Java .properties file into a configuration, and tells on standard error what is remarkable about it.
pub(crate) fn apply_file(config: &mut ProducerConfig, path: &Path) -> Result<()> {
    let name = path.display();
    let text = read(path)?;
    let warnings = config.apply_properties(&text).with_context(|| name.to_string())?;
    warnings.iter().for_each(|warning| report::warn(&format!("{name}, {warning}")));
    Ok(())
}

/// The text of a file with settings.
fn read(path: &Path) -> Result<String> {
    let name = path.display();
    let cannot = || format!("cannot read the settings in {name}");
    let mut bytes = Vec::new();
    // No more than that, whatever size the file says it has: it may be a device.
    File::open(path).with_context(cannot)?.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        bail!("{name} has more than {MAX_FILE} bytes, far more than settings need: is it the right file?");
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&byte| byte == b'\n').count();
        anyhow!("{name}, line {line}: not UTF-8; write other characters as \\u escapes")
    })
}

/// Files of settings have a page or two; this is to notice a wrong file before it fills the memory.
const MAX_FILE: u64 = 1 << 20;
