//! Lists of operations on an accumulator beside a model of it.

use proptest::prelude::*;

use crate::fuzzing::{Config, Op, World};

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..300, 300_u32..20_000, 20_000_u32..200_000, Just(16_384)]
}

fn config() -> impl Strategy<Value = Config> {
    (size(), size(), 0_u8..24, 0_u8..50, any::<u8>()).prop_map(
        |(batch_size, max_request_size, chunks, linger, codec)| Config {
            batch_size,
            max_request_size,
            chunks,
            linger,
            codec,
        },
    )
}

fn length() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![
        1 => Just(None),
        6 => (0_u16..150).prop_map(Some),
        2 => (150_u16..9000).prop_map(Some),
        1 => (9000_u16..60_000).prop_map(Some),
    ]
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -70_i64..200, 2 => -9000_i64..9000, 1 => any::<i64>()]
}

fn op() -> impl Strategy<Value = Op> {
    let append = (any::<u8>(), length(), length(), prop_oneof![3 => Just(0_u8), 1 => 0_u8..4], timestamp());
    prop_oneof![
        12 => append.prop_map(|(partition, key, value, headers, timestamp)| {
            Op::Append { partition, key, value, headers, timestamp }
        }),
        2 => (0_u16..60).prop_map(Op::Advance),
        1 => any::<u16>().prop_map(Op::Advance),
        4 => Just(Op::Poll),
        3 => any::<u8>().prop_map(Op::Resolve),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(which, sequence)| Op::SendAgain(which, sequence)),
        1 => any::<u8>().prop_map(Op::Split),
        1 => Just(Op::Flush),
        1 => Just(Op::Expire),
    ]
}

/// A few seconds' worth, unless the environment says how many.
fn cases() -> ProptestConfig {
    let told = std::env::var_os("PROPTEST_CASES").is_some();
    if told { ProptestConfig::default() } else { ProptestConfig::with_cases(100) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_accumulator_behaves_as_its_model(config in config(), ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new(config);
        for op in &ops {
            world.apply(op);
        }
        world.finish();
    }
}
