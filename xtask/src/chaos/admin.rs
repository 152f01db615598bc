//! Kafka's own administration client, in one Java process.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{jars, shell};

/// Ends when dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A partition as its brokers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) leader: Option<u16>,
    pub(crate) replicas: u16,
    pub(crate) in_sync: u16,
}

impl Admin {
    pub(crate) fn start(lib: &Path, bootstrap: &str, dir: &Path) -> Result<Self> {
        let mut java = jars::tool(lib);
        java.arg(shell::workspace().join("xtask/java/Chaos.java")).arg(bootstrap);
        let log = File::options().create(true).append(true).open(dir.join("admin.log"))?;
        // Not in the terminal's group of processes: Ctrl-C there must not reach it.
        std::os::unix::process::CommandExt::process_group(&mut java, 0);
        let mut process = java
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start java")?;
        let commands = process.stdin.take().context("it was asked for")?;
        let answers = BufReader::new(process.stdout.take().context("it was asked for")?);
        Ok(Self { process, commands, answers })
    }

    /// One command; what it answers.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.commands, "{command}").context("the Java process takes no commands")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end().split_once(' ') {
            None if answer.trim_end() == "ok" => Ok(String::new()),
            Some(("ok", rest)) => Ok(rest.to_owned()),
            Some(("error", why)) => bail!("{command}: {why}"),
            _ => bail!("{command}: the Java process answers {answer:?}"),
        }
    }

    /// As [`ask`](Self::ask), again and again while the cluster may be about something else.
    pub(crate) fn insist(&mut self, command: &str) -> Result<String> {
        let mut attempts = 0;
        loop {
            match self.ask(command) {
                Err(error) if attempts == MAX_ATTEMPTS => return Err(error),
                Err(_) => attempts += 1,
                Ok(answer) => return Ok(answer),
            }
            thread::sleep(RETRY_AFTER);
        }
    }

    pub(crate) fn state(&mut self, topic: &str) -> Result<Vec<Partition>> {
        let answer = self.insist(&format!("state {topic}"))?;
        let parse = |word: &str| -> Option<Partition> {
            let mut numbers = word.split('/');
            let leader = numbers.next()?.parse::<i32>().ok()?;
            let (replicas, in_sync) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
            Some(Partition { leader: u16::try_from(leader).ok(), replicas, in_sync })
        };
        answer.split(' ').map(parse).collect::<Option<_>>().with_context(|| format!("state: {answer}"))
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const MAX_ATTEMPTS: u32 = 20;
const RETRY_AFTER: Duration = Duration::from_millis(500);
