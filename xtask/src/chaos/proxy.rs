//! The fault proxy, in a program of its own: what it takes must not count as the producer's.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Ends when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What a client is given to start from.
    pub(crate) bootstrap: String,
}

impl Proxy {
    /// Stands before the brokers, and does nothing to connections so far.
    pub(crate) fn start(program: &Path, brokers: &str, seed: u64) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(brokers).arg(seed.to_string());
        // Not in the terminal's group of processes: Ctrl-C there must not reach it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let commands = process.stdin.take().context("it was asked for")?;
        let answers = BufReader::new(process.stdout.take().context("it was asked for")?);
        let mut proxy = Self { process, commands, answers, bootstrap: String::new() };
        proxy.bootstrap = proxy.hear()?;
        Ok(proxy)
    }

    /// From now on each connection lives for a random time. How many connections there were before.
    pub(crate) fn cut(&mut self) -> Result<u64> {
        self.tell("cut")
    }

    /// From now on new connections live on. How many there were before.
    pub(crate) fn mend(&mut self) -> Result<u64> {
        self.tell("mend")
    }

    /// From now on no answer comes through. How many connections there were before.
    pub(crate) fn mute(&mut self) -> Result<u64> {
        self.tell("mute")
    }

    /// Resets all connections, with what they hold; new ones live on. How many there were before.
    pub(crate) fn reset(&mut self) -> Result<u64> {
        self.tell("reset")
    }

    fn tell(&mut self, command: &str) -> Result<u64> {
        writeln!(self.commands, "{command}").context("the proxy takes no commands")?;
        let answer = self.hear()?;
        answer.parse().with_context(|| format!("the proxy answers {answer:?}"))
    }

    fn hear(&mut self) -> Result<String> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(answer.ends_with('\n'), "the proxy has ended by itself");
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
