//! The libraries, their tests left out, with the least version of Rust that they promise.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::metadata::Metadata;
use crate::shell;

/// Checks them with every feature on, and with default features off.
pub(crate) fn run(metadata: &Metadata) -> Result<String> {
    let mut promised: Vec<&str> =
        metadata.libraries().filter_map(|library| library.rust_version.as_deref()).collect();
    promised.dedup();
    let [promised] = promised[..] else {
        bail!("the libraries promise different versions: {}", promised.join(", "))
    };
    let toolchain = Toolchain::find(promised)?;
    for features in ["--all-features", "--no-default-features"] {
        let mut cargo = toolchain.cargo();
        cargo.args(["check", "--quiet", "--locked", "--lib", features]);
        for library in metadata.libraries() {
            cargo.args(["--package", &library.name]);
        }
        shell::output(&mut cargo).with_context(|| {
            format!("the libraries promise Rust {promised}; newer features and dependencies must not get into them")
        })?;
    }
    Ok(format!("Rust {promised}, {}", toolchain.origin))
}

/// A compiler of an old version, and its cargo.
struct Toolchain {
    rustc: PathBuf,
    cargo: PathBuf,
    /// Shared libraries that it needs and the system may lack.
    libraries: Option<OsString>,
    origin: String,
}

impl Toolchain {
    /// The one that `$LINGER_MSRV_RUSTC` names, else the one in Debian's packages, unpacked into the cache: installed, it
    /// would take the place of another version.
    fn find(version: &str) -> Result<Self> {
        if let Some(rustc) = std::env::var_os("LINGER_MSRV_RUSTC").filter(|rustc| !rustc.is_empty()) {
            let rustc = PathBuf::from(rustc);
            let cargo = rustc.with_file_name("cargo");
            let found =
                Self { rustc, cargo, libraries: None, origin: "that of $LINGER_MSRV_RUSTC".to_owned() };
            return found.checked(version);
        }
        let dir = shell::cache().join(format!("rust-{version}"));
        if !dir.is_dir() {
            unpack(version, &dir).with_context(|| {
                format!(
                    "Rust {version} cannot be had from Debian's packages; LINGER_MSRV_RUSTC=PATH names another rustc \
                     of that version, with its cargo beside it"
                )
            })?;
        }
        let bin = dir.join("usr").join("bin");
        let found = Self {
            rustc: bin.join("rustc"),
            cargo: bin.join("cargo"),
            libraries: Some(std::env::join_paths(library_folders(&dir))?),
            origin: "from Debian's packages".to_owned(),
        };
        found.checked(version)
    }

    fn checked(self, version: &str) -> Result<Self> {
        for program in [&self.rustc, &self.cargo] {
            let said = shell::output(self.with_libraries(&mut Command::new(program)).arg("--version"))?;
            let word = said.split_whitespace().nth(1).unwrap_or_default();
            ensure!(
                word == version || word.starts_with(&format!("{version}.")),
                "{} is of version {word}, not {version}",
                program.display()
            );
        }
        Ok(self)
    }

    fn with_libraries<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Its cargo, building beside everything else: the two compilers' outputs cannot be shared.
    fn cargo(&self) -> Command {
        let mut cargo = Command::new(&self.cargo);
        self.with_libraries(&mut cargo);
        cargo.current_dir(shell::workspace()).env("RUSTC", &self.rustc).env_remove("RUSTUP_TOOLCHAIN");
        // A wrapper or a documenter that the caller has set up belongs to the caller's compiler.
        cargo
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTDOC")
            .env("CARGO_TARGET_DIR", shell::target().join("msrv"));
        cargo
    }
}

/// Fetches the packages, and what they need that is not installed, and unpacks them.
fn unpack(version: &str, dir: &Path) -> Result<()> {
    shell::need("apt-get", "Debian's packages are fetched with it")?;
    shell::need("dpkg", "it unpacks Debian's packages")?;
    let mut wanted = available(version)?;
    if wanted.is_none() {
        // No lists of packages yet, or old ones. Whoever may not fetch them is told below what is missing.
        let _ = shell::output(Command::new("apt-get").args(["update", "--quiet"]));
        wanted = available(version)?;
    }
    let wanted =
        wanted.with_context(|| format!("neither rustc-web nor rustc is there in version {version}"))?;
    let work = dir.with_extension(format!("unpacking.{}", std::process::id()));
    let root = work.join("root");
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let result = fetch(&wanted, &work, &root).and_then(|()| {
        fs::rename(&root, dir).with_context(|| format!("cannot move {} to {}", root.display(), dir.display()))
    });
    let _ = fs::remove_dir_all(&work);
    result
}

/// The packages of that version, `name=version`.
fn available(version: &str) -> Result<Option<[String; 3]>> {
    for [rustc, cargo, std] in
        [["rustc-web", "cargo-web", "libstd-rust-web-dev"], ["rustc", "cargo", "libstd-rust-dev"]]
    {
        // Lines such as ` rustc-web | 1.85.0+dfsg3-1 | http... Packages`.
        let table = shell::output(Command::new("apt-cache").args(["madison", rustc]))?;
        let mut versions = table.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim()));
        if let Some(full) = versions.find(|full| full.starts_with(&format!("{version}."))) {
            return Ok(Some([rustc, cargo, std].map(|name| format!("{name}={full}"))));
        }
    }
    Ok(None)
}

fn fetch(wanted: &[String; 3], work: &Path, root: &Path) -> Result<()> {
    let mut plan = Command::new("apt-get");
    plan.args(["install", "--simulate", "--no-install-recommends"]).args(wanted);
    // Lines such as `Inst libllvm19 (1:19.1.7-3 Debian:12 [amd64])`: what is installed already is not among them.
    let plan = shell::output(&mut plan)?;
    let packages = plan.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (_, version) = rest.split_once('(')?;
        Some(format!("{name}={}", version.split_whitespace().next()?))
    });
    let mut packages: Vec<String> = packages.collect();
    for package in wanted {
        if !packages.contains(package) {
            packages.push(package.clone());
        }
    }
    shell::output(Command::new("apt-get").arg("download").args(&packages).current_dir(work))?;
    for entry in fs::read_dir(work)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            shell::output(Command::new("dpkg").arg("--extract").arg(&file).arg(root))?;
        }
    }
    Ok(())
}

/// Where Debian's packages put shared libraries.
fn library_folders(dir: &Path) -> [PathBuf; 2] {
    let name = format!("{}-linux-gnu", std::env::consts::ARCH);
    [dir.join("usr").join("lib").join(&name), dir.join("lib").join(&name)]
}
