//! The corpora of the fuzz targets, replayed without a fuzzer.

extern crate std;

use std::fs;
use std::path::Path;
use std::println;

use crate::fuzzing;

#[test]
fn frame() {
    replay("frame", fuzzing::frame);
}

#[test]
fn message() {
    replay("message", fuzzing::message);
}

fn replay(target: &str, run: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("{}", path.display());
        run(&bytes);
        count += 1;
    }
    assert!(count > 10, "{} has {count} files", dir.display());
}
