//! Processes that outlive the command that started them.
//!
//! Each has a file with its id and the time it started: an id alone may by now belong to somebody else, and nothing but
//! our own is ever stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell;

/// A process of ours, dead or alive.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// What it does in its cluster, such as `broker-1`.
    pub(crate) name: String,
    id: u32,
    /// When it started, in whatever words the system has for it.
    started: String,
    file: PathBuf,
}

impl Process {
    /// Starts it in the background, its output going to `NAME.log` in the folder, and notes it in `NAME.pid`.
    pub(crate) fn start(command: &mut Command, dir: &Path, name: &str) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        // What it wrote before it was started again stays.
        let out = fs::File::options().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        // Not in the terminal's group of processes: Ctrl-C there must not reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let shown = shell::show(command);
        let child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let id = child.id();
        let started =
            start_time(id).with_context(|| format!("{name} ended at once; see {}", log.display()))?;
        let file = dir.join(format!("{name}.pid"));
        fs::write(&file, format!("{id} {started}\n"))
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { name: name.to_owned(), id, started, file })
    }

    /// Those noted in the folder.
    pub(crate) fn noted(dir: &Path) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let file = entry?.path();
            let Some(name) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".pid")) else {
                continue;
            };
            let text = fs::read_to_string(&file)?;
            let Some((id, started)) = text.trim().split_once(' ') else { continue };
            let id = id.parse().with_context(|| format!("{} is no pid file of ours", file.display()))?;
            found.push(Self { name: name.to_owned(), id, started: started.to_owned(), file: file.clone() });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.id).is_some_and(|started| started == self.started)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Sends it a signal, named as `kill` does it: `TERM`, `STOP`, `CONT`, ...
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        if !self.is_alive() {
            bail!("{} (process {}) has ended: it cannot be sent SIG{signal}", self.name, self.id);
        }
        shell::output(Command::new("kill").args([&format!("-{signal}"), &self.id.to_string()])).map(drop)
    }

    /// Ends it at once: what it has on disk is thrown away, so nothing is gained by a graceful end.
    pub(crate) fn stop(&self) -> Result<()> {
        for _ in 0..STOP_POLLS {
            if !self.is_alive() {
                let _ = fs::remove_file(&self.file);
                return Ok(());
            }
            // It may end between the question and the signal: what counts is the question asked next.
            let _ = Command::new("kill")
                .args(["-KILL", &self.id.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            sleep(STOP_POLL);
        }
        bail!("{} (process {}) cannot be stopped", self.name, self.id)
    }
}

/// When the process started; `None` where there is no such process, or only what is left of one.
fn start_time(id: u32) -> Option<String> {
    let stat = Path::new("/proc/self/stat").exists().then(|| fs::read_to_string(format!("/proc/{id}/stat")));
    if let Some(stat) = stat {
        let stat = stat.ok()?;
        // The second field is the program's name in brackets, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, started) = (fields.first()?, fields.get(19)?);
        return (*state != "Z").then(|| (*started).to_owned());
    }
    let lines =
        shell::output(Command::new("ps").args(["-o", "stat=,lstart=", "-p", &id.to_string()])).ok()?;
    let (state, started) = lines.trim().split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

const STOP_POLL: Duration = Duration::from_millis(50);
const STOP_POLLS: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_its_own_and_only_its_own() {
        let dir = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let ours = Process::start(Command::new("sleep").arg("60"), &dir, "ours").unwrap();
        assert!(ours.is_alive());
        let noted = Process::noted(&dir).unwrap();
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].name, "ours");

        // Somebody else's process under an id that once was ours.
        let mut theirs = Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(dir.join("theirs.pid"), format!("{} long-ago\n", theirs.id())).unwrap();
        let noted = Process::noted(&dir).unwrap();
        for process in &noted {
            process.stop().unwrap();
        }
        assert!(!ours.is_alive());
        assert!(theirs.try_wait().unwrap().is_none(), "a stranger was stopped");
        theirs.kill().unwrap();
        theirs.wait().unwrap();
        assert!(Process::noted(&dir).unwrap().is_empty());
        fs::remove_dir_all(&dir).unwrap();
    }
}
