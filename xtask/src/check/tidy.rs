//! What no compiler checks: who may depend on whom (between crates here, between modules in `circles`), where tokio may be named, how long files may get, and words that
//! must not be there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::circles;
use super::source::{code, has_word, without_tests};
use crate::metadata::Metadata;
use crate::shell;

/// What each library may depend on, its tests left out. The others are programs and may use what they like.
const EDGES: [(&str, &[&str]); 5] = [
    ("kafka-wire", &["bytes", "nom"]),
    // The last five are behind features, one for each codec.
    ("kafka-batch", &["kafka-wire", "bytes", "crc32c", "flate2", "lz4", "lz4_flex", "snap", "zstd"]),
    ("kafka-net", &["kafka-wire", "bytes", "fastrand", "futures", "tokio", "tokio-util", "tracing"]),
    (
        "kafka-producer",
        &["kafka-wire", "kafka-batch", "kafka-net", "bytes", "fastrand", "futures", "tokio", "tracing"],
    ),
    (
        "kafka-mock",
        &[
            "kafka-wire",
            "kafka-batch",
            "bytes",
            "fastrand",
            "futures",
            "tokio",
            "tracing",
            // Behind the feature `toml`.
            "serde",
            "toml",
        ],
    ),
];

/// Programs, which nothing but themselves may depend on.
const PROGRAMS: [&str; 2] = ["kafka-cli", "xtask"];

/// Crates whose sources may name tokio below a module `io`, and nowhere else.
const WITH_IO: [&str; 3] = ["kafka-net", "kafka-producer", "kafka-mock"];

/// Lines of a file, its module of tests left out.
const MAX_LINES: usize = 800;

/// Lines of a fuzz target.
const MAX_FUZZ_LINES: usize = 15;

/// Macros and attributes that stand for work not done.
const NOT_DONE: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// Endings of names that say nothing.
const EMPTY_NAMES: [&str; 4] = ["Manager", "Helper", "Util", "Utils"];

/// What must not be in any file: each part alone is harmless, so that this list may be here.
const FORBIDDEN: [(&str, &str, &str); 9] = [
    ("TO", "DO", "say what is missing in an issue"),
    ("FIX", "ME", "put it right, or say what is missing in an issue"),
    ("/wo", "rk/", "a folder of one machine"),
    ("../sha", "red", "a folder of one machine"),
    ("crates", ".io", "the host of a registry: name the package"),
    ("repo.maven", ".apache", "the host of a registry: name the package"),
    ("deb.debian", ".org", "the host of a registry: name the package"),
    ("Co-Autho", "red-By", "no concern of the files"),
    ("retry", "able", "the word is `retriable`"),
];

/// A file, by its path from the workspace.
struct File {
    path: String,
    text: String,
}

/// Looks at the manifests and at every file that git knows or would take.
pub(crate) fn run(metadata: &Metadata) -> Result<String> {
    let files = files()?;
    let mut faults = edges(metadata);
    faults.extend(manifests(metadata)?);
    faults.extend(c_libraries()?);
    faults.extend(files.iter().flat_map(file_faults));
    faults.extend(fuzz_targets(&files));
    faults.extend(circles::faults(files.iter().map(|file| (file.path.as_str(), file.text.as_str()))));
    if faults.is_empty() {
        return Ok(format!("{} files", files.len()));
    }
    bail!("{}", faults.join("\n"))
}

fn files() -> Result<Vec<File>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(shell::workspace());
    let mut files = Vec::new();
    for path in shell::output(&mut git)?.split_terminator('\0') {
        // Deleted, or no text: nothing to look at.
        if let Ok(text) = fs::read_to_string(shell::workspace().join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

fn edges(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    for member in metadata.members() {
        let allowed = EDGES.iter().find(|(name, _)| *name == member.name).map(|(_, allowed)| *allowed);
        for dependency in &member.dependencies {
            let name = dependency.name.as_str();
            if PROGRAMS.contains(&name) && name != member.name {
                faults.push(format!("{} must not depend on the program {name}", member.name));
            }
            let strangers = ["kafka-batch", "kafka-net"];
            if strangers.contains(&member.name.as_str()) && strangers.contains(&name) {
                faults.push(format!("{} must not know {name}, not even in its tests", member.name));
            }
            if !dependency.is_dev && allowed.is_some_and(|allowed| !allowed.contains(&name)) {
                faults.push(format!(
                    "{} must not depend on {name}: xtask/src/check/tidy.rs has the list, and a new entry there says in \
                     its commit what it replaces and what it pulls in",
                    member.name
                ));
            }
        }
        if allowed.is_none() && !PROGRAMS.contains(&member.name.as_str()) {
            faults.push(format!(
                "{} is new: say in xtask/src/check/tidy.rs what it may depend on",
                member.name
            ));
        }
    }
    faults
}

fn manifests(metadata: &Metadata) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for member in metadata.members() {
        let file: PathBuf = member.dir.join("Cargo.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if !text.contains("[lints]\nworkspace = true\n") {
            faults.push(format!("{}: does not take the workspace's lints", file.display()));
        }
        if member.publishable {
            faults.push(format!("{}: needs `publish.workspace = true`", file.display()));
        }
    }
    Ok(faults)
}

/// Nothing that compiles or links C may be in the producer's graph, and nothing at all but bytes and nom in
/// kafka-wire's, as long as nobody turns features on.
fn c_libraries() -> Result<Vec<String>> {
    let tree = |package: &str, edges: &str| {
        let mut cargo = shell::cargo();
        cargo.args(["tree", "--quiet", "--package", package, "--edges", edges, "--prefix", "none"]);
        cargo.args(["--format", "{lib}|{p}"]);
        shell::output(&mut cargo)
    };
    let mut faults = Vec::new();
    for name in names(&tree("kafka-producer", "normal,build")?) {
        let binding = name.ends_with("-sys") && !["linux-raw-sys", "windows-sys"].contains(&name.as_str());
        if binding || ["cc", "cmake", "pkg-config", "bindgen"].contains(&name.as_str()) {
            faults.push(format!("kafka-producer's default features bring C in: {name}"));
        }
    }
    for name in names(&tree("kafka-wire", "normal,build")?) {
        if !["kafka-wire", "bytes", "nom", "memchr"].contains(&name.as_str()) {
            faults.push(format!("kafka-wire's graph has more than bytes and nom: {name}"));
        }
    }
    Ok(faults)
}

/// The names in the lines of `cargo tree`, each once.
fn names(tree: &str) -> Vec<String> {
    let lines = tree.lines().filter_map(|line| line.split_once('|')?.1.split_whitespace().next());
    let mut names: Vec<String> = lines.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// A fuzz target only calls a body that is in a library, and has inputs that `cargo test` replays.
fn fuzz_targets(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let Some(name) =
            file.path.strip_prefix("fuzz/fuzz_targets/").and_then(|name| name.strip_suffix(".rs"))
        else {
            continue;
        };
        if file.text.lines().count() > MAX_FUZZ_LINES {
            faults.push(format!(
                "{}: more than {MAX_FUZZ_LINES} lines: the body belongs into a library",
                file.path
            ));
        }
        let corpus = shell::workspace().join("fuzz").join("corpus").join(name);
        if !fs::read_dir(&corpus).is_ok_and(|mut inputs| inputs.next().is_some()) {
            faults.push(format!("{}: there are no inputs in fuzz/corpus/{name}", file.path));
        }
        if !files.iter().any(|file| replays(file, name)) {
            faults.push(format!("{}: no test replays fuzz/corpus/{name}", file.path));
        }
    }
    faults
}

/// Whether a test goes through the inputs of that name.
fn replays(file: &File, name: &str) -> bool {
    let names = [format!("\"{name}\""), format!("corpus/{name}")];
    file.path.contains("/tests/")
        && file.text.contains("corpus")
        && names.iter().any(|name| file.text.contains(name))
}

fn file_faults(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    if file.path != "Cargo.lock" && !file.path.ends_with("/Cargo.lock") {
        words(file, &mut faults);
    }
    if file.path.ends_with(".rs") {
        rust(file, &mut faults);
    }
    faults
}

fn words(file: &File, faults: &mut Vec<String>) {
    for (number, line) in file.text.lines().enumerate() {
        for (head, tail, why) in FORBIDDEN {
            if line.contains(&format!("{head}{tail}")) {
                faults.push(format!("{}:{}: `{head}{tail}`: {why}", file.path, number + 1));
            }
        }
    }
}

fn rust(file: &File, faults: &mut Vec<String>) {
    let path = &file.path;
    let code = code(&file.text);
    let shipped = without_tests(&code);
    let lines = shipped.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{path}: {lines} lines; {MAX_LINES} are the most, tests in the file left out"));
    }
    let tokio_free = may_not_name_tokio(path);
    for (number, line) in code.lines().enumerate() {
        let number = number + 1;
        for word in NOT_DONE {
            if line.contains(word) {
                faults.push(format!("{path}:{number}: `{word}`: it must be done, and every test must run"));
            }
        }
        if tokio_free && number <= lines && has_word(line, "tokio") {
            faults.push(format!("{path}:{number}: tokio is named only below a module called io"));
        }
        let mut words =
            line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let defines = ["struct", "enum", "trait", "type"].contains(&word);
            let name = if defines || word == "fn" { words.next().unwrap_or_default() } else { continue };
            if defines && EMPTY_NAMES.iter().any(|ending| name.ends_with(ending)) {
                faults.push(format!("{path}:{number}: `{name}`: say what it is"));
            }
            if !defines && name.starts_with("get_") {
                faults.push(format!("{path}:{number}: `{name}`: without `get_`"));
            }
        }
    }
    for (number, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        if line.starts_with("//") && line.contains("```") && has_word(line, "ignore") {
            faults.push(format!(
                "{path}:{}: an example that is not compiled; `no_run` is the least",
                number + 1
            ));
        }
    }
    if path.starts_with("kafka-wire/src/messages/") {
        columns(file, faults);
    }
}

/// Libraries' sources outside `io`; tests, benches and examples may name it.
fn may_not_name_tokio(path: &str) -> bool {
    let Some((name, inside)) = path.split_once("/src/") else { return false };
    let below_io = inside.starts_with("io/") || inside == "io.rs" || inside.contains("/io/");
    let is_test = inside.ends_with("/tests.rs") || inside.contains("/tests/");
    (WITH_IO.contains(&name) && !below_io && !is_test) || name == "kafka-wire" || name == "kafka-batch"
}

/// In a table of messages, the names of a block's fields stand below each other.
fn columns(file: &File, faults: &mut Vec<String>) {
    let mut column = None;
    for (number, line) in file.text.lines().enumerate() {
        if line.ends_with('{') || line.trim_start().starts_with('}') {
            column = None;
        }
        let Some(rest) = line.trim_start().strip_prefix('[') else { continue };
        let Some((_, field)) = rest.split_once(']') else { continue };
        let at = line.len() - field.trim_start().len();
        if *column.get_or_insert(at) != at {
            faults.push(format!(
                "{}:{}: the names of a block's fields stand below each other",
                file.path,
                number + 1
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> String {
        file_faults(&File { path: path.to_owned(), text: text.to_owned() }).join("\n")
    }

    #[test]
    fn clean_files_pass() {
        assert_eq!(faults("kafka-net/src/io/pump.rs", "use tokio::net::TcpStream;\n"), "");
        assert_eq!(
            faults("kafka-net/src/codec.rs", "// tokio's\nuse tokio_util::codec;\nfn target() {}\n"),
            ""
        );
        let tested = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn b() {}\n}\n";
        assert_eq!(faults("kafka-net/src/conn/mod.rs", tested), "");
    }

    #[test]
    fn tokio_outside_io_is_found() {
        assert!(faults("kafka-net/src/conn/mod.rs", "use tokio::net;\n").contains("mod.rs:1: tokio"));
        assert!(
            faults("kafka-producer/src/producer.rs", "\nlet a = tokio::spawn(b);\n").contains(":2: tokio")
        );
        assert_eq!(faults("kafka-cli/src/main.rs", "use tokio::net;\n"), "");
        assert_eq!(faults("kafka-net/tests/a.rs", "use tokio::net;\n"), "");
    }

    #[test]
    fn unfinished_work_is_found() {
        assert!(faults("a/src/lib.rs", &format!("fn a() {{ {}() }}\n", "todo!")).contains("must be done"));
        assert!(
            faults("a/src/lib.rs", &format!("    #[{}]\n    fn a() {{}}\n", "ignore")).contains("must run")
        );
        assert!(faults("a/src/lib.rs", "/// ```ignore\n").contains("not compiled"));
        assert!(faults("README.md", concat!("TO", "DO: write\n")).contains("README.md:1"));
        assert!(faults("a.rs", "struct BufferManager;\n").contains("say what it is"));
        assert!(faults("a.rs", "pub fn get_size() {}\n").contains("without `get_`"));
        assert!(faults("a.rs", &"a();\n".repeat(801)).contains("801 lines"));
    }

    #[test]
    fn crooked_tables_are_found() {
        let table = "    group A {\n        [_]      name: i32,\n        [1..=3]  other: i32,\n    }\n";
        assert_eq!(faults("kafka-wire/src/messages/a.rs", table), "");
        let table = table.replace("[_]      ", "[_]   ");
        assert!(faults("kafka-wire/src/messages/a.rs", &table).contains("a.rs:3"));
    }
}
