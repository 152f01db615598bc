//! Operation lists on a connection, made up here and replayed from the fuzz corpus.

use std::time::Instant;

use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "any instant will do to begin with; the test moves on from it")]
fn start() -> Instant {
    Instant::now()
}

proptest! {
    #[test]
    fn any_list_keeps_the_promises(ops in proptest::collection::vec(any::<(u8, u8)>(), 0..200)) {
        // Negotiated first, or most lists would never get to a call.
        let mut data = vec![3, 255, 4, 0];
        data.extend(ops.iter().flat_map(|&(op, detail)| [op, detail]));
        crate::fuzzing::connection_ops(&data, start());
    }

    #[test]
    fn any_list_keeps_the_promises_where_a_cluster_is_meant(
        is_known in any::<bool>(),
        answers in proptest::collection::vec(any::<u8>(), 0..6),
        ops in proptest::collection::vec(any::<(u8, u8)>(), 0..100),
    ) {
        // The first write says besides that a cluster is meant, and whether the broker's version is known.
        let mut data = vec![if is_known { 203 } else { 133 }, 255];
        data.extend(answers.iter().flat_map(|&detail| [4, detail, 3, 255]));
        data.extend(ops.iter().flat_map(|&(op, detail)| [op, detail]));
        crate::fuzzing::connection_ops(&data, start());
    }

    #[test]
    fn any_list_from_the_first_byte(data in proptest::collection::vec(any::<u8>(), 0..100)) {
        crate::fuzzing::connection_ops(&data, start());
    }
}

#[test]
fn the_corpus_keeps_the_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/connection_ops");
    let files = std::fs::read_dir(folder).expect("the corpus is there");
    let mut count = 0;
    for file in files {
        let path = file.expect("an entry").path();
        crate::fuzzing::connection_ops(&std::fs::read(&path).expect("a readable file"), start());
        count += 1;
    }
    assert!(count > 0, "the corpus is empty");
}
