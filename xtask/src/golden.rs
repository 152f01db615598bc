//! `cargo xtask golden`: messages written by Kafka's own classes, for kafka-wire's tests, and from them the seeds of
//! the fuzz targets; and the settings of Kafka's producer.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kafka_wire::{ALL, Api};

use crate::args::Args;
use crate::jars::{self, VERSIONS, Version};
use crate::shell;

/// `cargo xtask golden`: writes the files anew. They are part of the repository; a difference that the version
/// control shows is news.
pub(crate) fn command(args: Args) -> Result<()> {
    args.finish()?;
    let golden = shell::workspace().join("kafka-wire/tests/golden");
    fs::create_dir_all(&golden).with_context(|| format!("cannot create {}", golden.display()))?;
    let lib = jars::lib(&Version::named(VERSIONS[0].0)?)?;
    let mut java = jars::tool(&lib);
    java.arg(shell::workspace().join("xtask/java/Golden.java")).arg(&golden);
    java.arg(shell::workspace().join("kafka-producer/tests/golden/producer-settings.tsv"));
    java.args(ALL.iter().map(|api| api.name));
    shell::output(&mut java).context("Kafka's classes did not write the golden messages")?;
    println!("{}: {} messages by Kafka {}", golden.display(), 2 * ALL.len(), VERSIONS[0].0);
    seeds(&golden, &shell::workspace().join("fuzz/corpus"))
}

/// Seeds of the targets `frame` and `message`: every message in its oldest, its first flexible and its newest version.
fn seeds(golden: &Path, corpus: &Path) -> Result<()> {
    let (frame, message) = (corpus.join("frame"), corpus.join("message"));
    for dir in [&frame, &message] {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let mut count = 0;
    for api in ALL {
        for (schema, is_response) in [(api.request.schema, false), (api.response.schema, true)] {
            let path = golden.join(format!("{}.hex", schema.name));
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let [version, variant, header, body] = fields(line).context(path.display().to_string())?;
                let version: i16 =
                    version.parse().with_context(|| format!("a version in {}", path.display()))?;
                if !is_seed(api, version, variant) {
                    continue;
                }
                let (header, body) = (bytes(header)?, bytes(body)?);
                let name = format!("{}-v{version}-{variant}", schema.name);
                let input = message_input(api, version, is_response, &body)?;
                write(&message.join(&name), &input)?;
                if !is_response {
                    let len =
                        u32::try_from(header.len() + body.len()).context("a golden message is small")?;
                    write(&frame.join(&name), &[&len.to_be_bytes()[..], &header, &body].concat())?;
                }
                count += 1;
            }
        }
    }
    println!("{}: {count} seeds", corpus.display());
    Ok(())
}

/// What the target `message` reads as this body: the place of the API in the registry, the place of the version in its
/// range, and whether it is a response, a byte each; then the body.
fn message_input(api: &Api, version: i16, is_response: bool, body: &[u8]) -> Result<Vec<u8>> {
    let index = ALL.iter().position(|other| other.key == api.key).context("an API outside the registry")?;
    let mut input = vec![u8::try_from(index)?, u8::try_from(version - api.versions.min)?, is_response.into()];
    input.extend_from_slice(body);
    Ok(input)
}

fn is_seed(api: &Api, version: i16, variant: &str) -> bool {
    let edge =
        version == api.versions.min || version == api.versions.max || Some(version) == api.flexible_since;
    variant == "filled" && edge || variant == "nulls" && version == api.versions.max
}

fn fields(line: &str) -> Result<[&str; 4]> {
    let fields: Vec<&str> = line.split(' ').collect();
    match fields.try_into() {
        Ok(fields) => Ok(fields),
        Err(_) => bail!("not `version variant header body`: {line}"),
    }
}

/// Hexadecimal, or `-` for nothing.
fn bytes(hex: &str) -> Result<Vec<u8>> {
    if hex == "-" {
        return Ok(Vec::new());
    }
    let pairs = hex.as_bytes().chunks(2).map(std::str::from_utf8);
    pairs
        .map(|pair| Ok(u8::from_str_radix(pair?, 16)?))
        .collect::<Result<_>>()
        .with_context(|| format!("not hexadecimal: {hex}"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
