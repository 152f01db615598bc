//! The programs that look at what was produced: kcat, and Kafka's own, the latter in one Java process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::dump;
use crate::read::{Console, Kcat};

/// A cluster that `cargo xtask test --kafka` started.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) bootstrap: String,
    pub(crate) brokers: i16,
    dir: PathBuf,
}

impl Cluster {
    /// The one of that version.
    pub(crate) fn of(version: &str) -> Self {
        Self::named(&format!("LINGER_KAFKA_{}", version.replace('.', "_")))
    }

    /// The second one of that version: a single broker, whose id one in the first cluster has, too.
    pub(crate) fn other_of(version: &str) -> Self {
        Self::named(&format!("LINGER_KAFKA_{}_OTHER", version.replace('.', "_")))
    }

    fn named(name: &str) -> Self {
        let bootstrap = variable(name);
        let brokers = i16::try_from(bootstrap.split(',').count()).expect("a few brokers");
        Self { bootstrap, brokers, dir: variable(&format!("{name}_DIR")).into() }
    }

    /// The id of the cluster, as it is on a broker's disk.
    pub(crate) fn id(&self) -> String {
        let file = self.dir.join("data-1").join("meta.properties");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let id = text.lines().find_map(|line| line.strip_prefix("cluster.id="));
        id.expect("the broker's folder was formatted").to_owned()
    }

    /// Where the controllers listen, in the same processes as the brokers.
    pub(crate) fn controllers(&self) -> String {
        let addresses = self.bootstrap.split(',').map(|address| {
            let (host, port) = address.rsplit_once(':').expect("host:port");
            format!("{host}:{}", port.parse::<u16>().expect("a port") + CONTROLLERS)
        });
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Throws away what it has, and begins it anew under the same address, as another cluster with another id.
    pub(crate) fn renew(&self) {
        let (_, port) = self.bootstrap.rsplit_once(':').expect("host:port");
        let mut renew = Command::new(variable("LINGER_XTASK"));
        let output = renew.args(["kafka", "renew", "--port", port]).output().expect("xtask starts");
        assert!(output.status.success(), "not renewed: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The first segment of a partition's log, on every broker that has one.
    pub(crate) fn logs(&self, topic: &str, partition: i32) -> Vec<PathBuf> {
        let file = |node| {
            let folder = self.dir.join(format!("data-{node}")).join(format!("{topic}-{partition}"));
            folder.join("00000000000000000000.log")
        };
        (1..=self.brokers).map(file).filter(|file| file.is_file()).collect()
    }
}

/// Makes topics and waits until every partition's leader takes requests.
pub(crate) fn create(cluster: &Cluster, topics: &[String], partitions: i32) {
    create_unready(cluster, topics, partitions);
    java(&["led", &cluster.bootstrap, &partitions.to_string(), &topics.join(",")]);
}

/// Makes topics that brokers know of, but whose leaders need not take requests yet.
pub(crate) fn create_unready(cluster: &Cluster, topics: &[String], partitions: i32) {
    let replicas = cluster.brokers.min(3).to_string();
    java(&["create", &cluster.bootstrap, &partitions.to_string(), &replicas, &topics.join(",")]);
}

/// What kcat reads from the beginning to the end, checksums checked.
pub(crate) fn kcat(cluster: &Cluster, topic: &str) -> Vec<u8> {
    kcat_prints(cluster, topic, Kcat::FORMAT)
}

/// The values in a topic's partitions as kcat reads them, each with its partition and offset. None of them may have a blank or a
/// line's end in it.
pub(crate) fn values(cluster: &Cluster, topic: &str) -> Vec<((i32, i64), String)> {
    let text = String::from_utf8(kcat_prints(cluster, topic, "%p %o %s\n")).expect("text was sent");
    let line = |line: &str| {
        let mut words = line.split(' ');
        let place = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((place, words.next()?.to_owned()))
    };
    text.lines().map(|it| line(it).unwrap_or_else(|| panic!("kcat printed: {it}"))).collect()
}

fn kcat_prints(cluster: &Cluster, topic: &str, format: &str) -> Vec<u8> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-b", &cluster.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q"]);
    kcat.args(["-X", "check.crcs=true", "-X", "fetch.wait.max.ms=50", "-f", format]);
    kcat.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut kcat = kcat.spawn().expect("kcat starts");
    let mut out = kcat.stdout.take().expect("it was asked for");
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        let mut read = Vec::new();
        let _ = tx.send(out.read_to_end(&mut read).map(|_| read));
    });
    let Ok(read) = rx.recv_timeout(LIMIT) else {
        let _ = kcat.kill();
        panic!("kcat did not come to the end of {topic} within {LIMIT:?}");
    };
    let status = kcat.wait().expect("kcat was started");
    assert!(status.success(), "kcat ended with {status}; what it says of it is above");
    read.expect("its output can be read")
}

/// What Kafka's console consumer reads, up to that many records.
pub(crate) fn console(cluster: &Cluster, topic: &str, count: usize) -> Vec<u8> {
    let out = scratch(&format!("console-{topic}"));
    let count = count.to_string();
    let mut words = vec!["consume", &out, "--bootstrap-server", &cluster.bootstrap, "--topic", topic];
    words.extend(["--from-beginning", "--max-messages", &count, "--timeout-ms", "30000"]);
    for property in Console::PROPERTIES {
        words.extend(["--formatter-property", property]);
    }
    java(&words);
    take(&out)
}

/// What is in the files of logs, batch by batch.
pub(crate) fn dump(topic: &str, files: &[PathBuf]) -> Vec<(PathBuf, Vec<dump::Batch>)> {
    let out = scratch(&format!("dump-{topic}"));
    let names: Vec<&str> = files.iter().map(|file| file.to_str().expect("a path in UTF-8")).collect();
    java(&["dump", &out, "--deep-iteration", "--files", &names.join(",")]);
    let text = String::from_utf8(take(&out)).expect("the tool prints UTF-8");
    let mut found = dump::parse(&text).unwrap_or_else(|error| panic!("{topic}: {error}"));
    let mut batches = |name: &str| found.remove(name).unwrap_or_else(|| panic!("{name} was not dumped"));
    files.iter().zip(names).map(|(file, name)| (file.clone(), batches(name))).collect()
}

/// The partitions that Kafka's own producer sends records with these keys to.
pub(crate) fn partitions_by_java(cluster: &Cluster, topic: &str, keys: &[Vec<u8>]) -> Vec<i32> {
    let (list, out) = (scratch(&format!("keys-{topic}")), scratch(&format!("partitions-{topic}")));
    let sized =
        |key: &Vec<u8>| [&u32::try_from(key.len()).expect("short").to_be_bytes(), key.as_slice()].concat();
    fs::write(&list, keys.iter().flat_map(sized).collect::<Vec<u8>>()).expect("a file is written");
    java(&["send", &cluster.bootstrap, topic, &list, &out]);
    let text = String::from_utf8(take(&out)).expect("numbers");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

struct Java {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

/// Runs one of the commands of `Tools.java`; one at a time, each within a time.
fn java(words: &[&str]) {
    static JAVA: Mutex<Option<Java>> = Mutex::new(None);
    // A test that failed meanwhile has left it between two commands.
    let mut slot = JAVA.lock().unwrap_or_else(PoisonError::into_inner);
    let java = slot.get_or_insert_with(start_java);
    writeln!(java.commands, "{}", words.join("\t")).expect("the Java process takes commands");
    let answer = java.answers.recv_timeout(LIMIT);
    if answer.is_err()
        && let Some(mut stuck) = slot.take()
    {
        // Killed, or else the tests that wait for their turn would wait for this one's command. They get a new one.
        let _ = stuck.process.kill();
        let _ = stuck.process.wait();
    }
    drop(slot);
    match answer {
        Ok(answer) => assert!(answer == "ok", "`{}`: {answer}{}", words.join(" "), said()),
        Err(RecvTimeoutError::Timeout) => {
            panic!("`{}` did not end within {LIMIT:?}{}", words.join(" "), said())
        }
        Err(RecvTimeoutError::Disconnected) => {
            panic!("the Java process ended in `{}`{}", words.join(" "), said())
        }
    }
}

fn start_java() -> Java {
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
    java.arg(Path::new(&variable("LINGER_KAFKA_LIB")).join("*"));
    java.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broker/Tools.java"));
    // Kafka's tools talk a lot, which only a failure makes worth reading.
    let log = fs::File::create(scratch("tools")).expect("a file can be made");
    // It ends when its standard input does: with this process.
    java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut process = java.spawn().expect("java starts");
    let commands = process.stdin.take().expect("it was asked for");
    let lines = BufReader::new(process.stdout.take().expect("it was asked for")).lines();
    let (tx, answers) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tx.send(line)));
    Java { process, commands, answers }
}

/// The end of what the Java process has said.
fn said() -> String {
    let file = scratch("tools");
    let text = fs::read(&file).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(4000)..];
    format!("; it said last, in {file}:\n{}", String::from_utf8_lossy(tail))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `cargo xtask test --kafka` starts the clusters and runs these tests")
    })
}

fn scratch(name: &str) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
    fs::create_dir_all(&dir).expect("a folder is made");
    dir.join(format!("{name}.{}", std::process::id())).to_str().expect("a path in UTF-8").to_owned()
}

fn take(file: &str) -> Vec<u8> {
    let bytes = fs::read(file).expect("the tool wrote its file");
    fs::remove_file(file).expect("the file can go");
    bytes
}

/// How far above a broker's port that of the controller beside it is.
const CONTROLLERS: u16 = 100;

/// How long one command of a tool, or of ours, may take: far more than any takes on a busy machine, and less than whoever looks at a
/// test that hangs has patience.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);
