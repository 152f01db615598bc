//! The fuzz targets' corpora, replayed on the stable toolchain.

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        run(&std::fs::read(&path).expect("a seed"));
        count += 1;
    }
    assert!(count > 5, "no corpus in {}", dir.display());
}

#[test]
fn batch() {
    replay("batch", crate::fuzzing::batch);
}

#[test]
fn append_ops() {
    replay("append_ops", crate::fuzzing::append_ops);
}
