//! kafka-wire in a program that has an allocator and a panic handler of its own.
//!
//! Should std enter kafka-wire's graph, there are two panic handlers, and the program does not compile.

use std::process::Command;

use anyhow::{Context, Result};

use crate::metadata::Metadata;
use crate::shell;

/// Builds the program, and runs it: it encodes a request and a response, and decodes them again.
pub(crate) fn run(_: &Metadata) -> Result<String> {
    let manifest = shell::workspace().join("xtask").join("no_std").join("Cargo.toml");
    let target = shell::target().join("no_std");
    let mut cargo = shell::cargo();
    cargo
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target);
    shell::output(&mut cargo).context("kafka-wire and what it depends on must do without std")?;
    let program = target.join("debug").join("no-std-check");
    shell::output(&mut Command::new(program))
        .context("the program without std does not do what it should")?;
    Ok("built and run".to_owned())
}
