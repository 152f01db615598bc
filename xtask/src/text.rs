//! `cargo xtask test --kafka --text FILE`: a text through `linger produce` into three real brokers with each codec, and
//! back through other people's readers, compared byte for byte.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::programs;
use crate::bench::table::Table;
use crate::clock::Stopwatch;
use crate::jars;
use crate::kafka::cluster::Cluster;
use crate::shell;

/// Produces the text with each codec and reads it back with each reader.
pub(crate) fn run(file: &Path, cluster: &Cluster, lib: &Path) -> Result<()> {
    let text = Text::new(file)?;
    let linger = programs::build_linger()?;
    let mut table =
        Table::new(["codec", "on a disk", "linger produce", "kcat", "console consumer", "linger consume"]);
    for codec in CODECS {
        let topic = format!("text-{codec}");
        let mut produce = Command::new(&linger);
        produce.arg("produce").arg(&text.path);
        produce.args(["-b", &cluster.bootstrap(), "--topic", &topic, "--partition", "0"]);
        produce.args(["-X", &format!("compression.type={codec}")]);
        eprintln!("$ {}", shell::show(&produce));
        let watch = Stopwatch::start();
        shell::run(&mut produce)?;
        let produced = text.speed(watch);
        let size = megabytes(on_disk(cluster, &topic)?);
        let mut read = [const { String::new() }; 3];
        for (mut reader, speed) in readers(&linger, lib, cluster, &topic, &text).into_iter().zip(&mut read) {
            eprintln!("$ {}", shell::show(&reader));
            let watch = Stopwatch::start();
            text.compare(&mut reader)?;
            *speed = text.speed(watch);
        }
        let [kcat, console, consume] = read;
        table.row([codec.to_owned(), size, produced, kcat, console, consume]);
    }
    println!(
        "\n{} lines, {} ({}{}), through three brokers of Kafka {} with each codec: every reader gave back exactly the \
         input\n\n{table}",
        text.lines,
        megabytes(text.size),
        file.display(),
        if text.times > 1 { format!(", repeated {} times", text.times) } else { String::new() },
        cluster.version
    );
    Ok(())
}

/// Three readers that share no code: librdkafka, Kafka's own, and ours.
fn readers(linger: &Path, lib: &Path, cluster: &Cluster, topic: &str, text: &Text) -> [Command; 3] {
    let bootstrap = cluster.bootstrap();
    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-b", &bootstrap, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"]);
    kcat.args(["-X", "check.crcs=true"]);
    // The same Java as a person starts: it reads too much for the quick compiler that short-lived tools get.
    let mut console = Command::new("java");
    console.args(["-Xmx512m", "-cp", &jars::class_path(lib)]);
    console.args(["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", &bootstrap]);
    console.args(["--topic", topic, "--partition", "0", "--offset", "earliest"]);
    console.args(["--max-messages", &text.lines.to_string(), "--timeout-ms", "60000"]);
    let mut consume = Command::new(linger);
    consume.args(["consume", "-b", &bootstrap, "--topic", topic]);
    [kcat, console, consume]
}

/// What is produced, in a file of its own, which is removed in the end.
struct Text {
    path: PathBuf,
    size: u64,
    lines: u64,
    /// How often the given file is in it.
    times: u64,
}

impl Text {
    /// The file, its last line ended, repeated until it is large enough to mean something.
    fn new(file: &Path) -> Result<Self> {
        let mut once = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(!once.is_empty(), "{} is empty", file.display());
        if !once.ends_with(b"\n") {
            once.push(b'\n');
        }
        let times = LEAST.div_ceil(once.len() as u64);
        let lines = once.iter().filter(|byte| **byte == b'\n').count() as u64 * times;
        let path = shell::target().join("kafka").join(format!("text.{}", std::process::id()));
        let mut copy = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let text = Self { path, size: once.len() as u64 * times, lines, times };
        for _ in 0..times {
            std::io::Write::write_all(&mut copy, &once)
                .with_context(|| format!("cannot write {}", text.path.display()))?;
        }
        Ok(text)
    }

    /// Runs a reader to its end: what it prints must be the text.
    fn compare(&self, reader: &mut Command) -> Result<()> {
        let shown = shell::show(reader);
        let mut child = reader
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let printed = child.stdout.take().context("its output was asked for")?;
        let text = File::open(&self.path).with_context(|| format!("cannot open {}", self.path.display()))?;
        let difference = difference(BufReader::new(text), printed);
        // Stopped before it is waited for, where it still has something to say that nobody reads.
        if !matches!(difference, Ok(None)) {
            let _ = child.kill();
        }
        let status = child.wait()?;
        if let Some(difference) = difference.with_context(|| format!("`{shown}`"))? {
            bail!("`{shown}` gave back something else: {difference}");
        }
        ensure!(status.success(), "`{shown}` gave back the input, but ended with {status}");
        Ok(())
    }

    fn speed(&self, watch: Stopwatch) -> String {
        let seconds = watch.elapsed().as_secs_f64();
        format!("{seconds:.1} s, {:.0} MB/s", self.size as f64 / 1e6 / seconds)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("warning: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Where, and how, the second differs from the first.
fn difference(mut text: impl Read, mut printed: impl Read) -> std::io::Result<Option<String>> {
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        expected.clear();
        found.clear();
        text.by_ref().take(STEP).read_to_end(&mut expected)?;
        printed.by_ref().take(STEP).read_to_end(&mut found)?;
        if expected != found {
            let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
            let show = |bytes: &[u8]| match &bytes[same..bytes.len().min(same + SHOWN)] {
                [] => "nothing more".to_owned(),
                rest => format!("`{}`", rest.escape_ascii()),
            };
            let what = format!("at byte {}: {} in place of {}", at + same, show(&found), show(&expected));
            return Ok(Some(what));
        }
        if expected.is_empty() {
            return Ok(None);
        }
        at += expected.len();
    }
}

/// The size of the topic's log on the first broker's disk.
fn on_disk(cluster: &Cluster, topic: &str) -> Result<u64> {
    let dir = cluster.dir.join("data-1").join(format!("{topic}-0"));
    let mut size = 0;
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            size += entry.metadata()?.len();
        }
    }
    Ok(size)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// The size a text is repeated to.
const LEAST: u64 = 50_000_000;
/// How much is compared at once.
const STEP: u64 = 1 << 16;
/// How many bytes of a difference are shown.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let told = |printed: &str| difference("one\ntwo\n".as_bytes(), printed.as_bytes()).unwrap();
        assert_eq!(told("one\ntwo\n"), None);
        assert_eq!(told("one\ntow\n").unwrap(), "at byte 5: `ow\\n` in place of `wo\\n`");
        assert_eq!(told("one\n").unwrap(), "at byte 4: nothing more in place of `two\\n`");
        assert_eq!(told("one\ntwo\nx").unwrap(), "at byte 8: `x` in place of nothing more");
        let long = vec![b'x'; 200_000];
        assert_eq!(difference(&long[..], &long[..]).unwrap(), None);
        let other = [&long[..150_000], b"y", &long[150_001..]].concat();
        assert!(difference(&long[..], &other[..]).unwrap().unwrap().starts_with("at byte 150000: `yx"));
    }
}
