//! Operation lists on a sender, made up here and replayed from the fuzz corpus.

use std::time::Instant;

use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "any instant will do to begin with; the test moves on from it")]
fn start() -> Instant {
    Instant::now()
}

proptest! {
    #[test]
    fn any_list_keeps_the_promises(
        mode in any::<u8>(),
        version in any::<u8>(),
        ops in proptest::collection::vec(any::<(u8, u8)>(), 0..300),
    ) {
        let mut data = vec![mode, version];
        data.extend(ops.iter().flat_map(|&(op, detail)| [op, detail]));
        crate::fuzzing::sender_ops(&data, start());
    }

    /// As things are most of the time: records come, batches are drawn, sealed and sent, and a fault now and then.
    #[test]
    fn a_life_with_some_faults_keeps_the_promises(
        mode in any::<u8>(),
        version in any::<u8>(),
        rounds in proptest::collection::vec(any::<(u8, u8, u8, u8)>(), 0..60),
    ) {
        let mut data = vec![mode, version];
        for (records, node, op, detail) in rounds {
            data.extend([0, records, 0, records / 2, 2, node, 3, 0, 4, node, op, detail, 6, node, 15, 0]);
        }
        crate::fuzzing::sender_ops(&data, start());
    }
}

#[test]
fn the_corpus_keeps_the_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/sender_ops");
    let files = std::fs::read_dir(folder).expect("the corpus is there");
    let mut count = 0;
    for file in files {
        let path = file.expect("an entry").path();
        crate::fuzzing::sender_ops(&std::fs::read(&path).expect("a readable file"), start());
        count += 1;
    }
    assert!(count > 0, "the corpus is empty");
}
