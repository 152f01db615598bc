//! The records that are sent: the same in each run.

/// Values and keys, made beforehand, so that making them costs nothing later.
#[derive(Debug)]
pub(super) struct Load {
    letters: Vec<u8>,
    size: usize,
    keys: Vec<String>,
}

impl Load {
    pub(super) fn new(size: usize, keys: u32) -> Self {
        // Knuth's linear congruential generator: no two neighbours alike, and nothing for a codec to live on but that
        // there are only 26 letters, as in Kafka's own tool.
        let mut state = 1_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b'A' + ((state >> 33) % 26) as u8
        };
        let letters = (0..size + VARIETY).map(|_| letter()).collect();
        let keys = (0..keys).map(|key| format!("key-{key:0width$}", width = KEY_SIZE - 4)).collect();
        Self { letters, size, keys }
    }

    pub(super) fn value(&self, index: u64) -> &[u8] {
        // A prime step visits all beginnings.
        let start = (index.wrapping_mul(STEP) % VARIETY as u64) as usize;
        &self.letters[start..start + self.size]
    }

    pub(super) fn key(&self, index: u64) -> Option<&str> {
        let count = self.keys.len() as u64;
        // Not in order: neighbours would make longer runs for one partition than real keys do.
        let index = index.wrapping_mul(STEP).checked_rem(count)?;
        self.keys.get(usize::try_from(index).ok()?).map(String::as_str)
    }
}

/// The length of a key.
pub(super) const KEY_SIZE: usize = 16;
/// How many different values there are.
const VARIETY: usize = 64 << 10;
const STEP: u64 = 7_919;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_their_size_and_differ() {
        let load = Load::new(100, 1000);
        assert!((0..10_000).all(|index| load.value(index).len() == 100));
        assert_ne!(load.value(0), load.value(1));
        let keys: std::collections::BTreeSet<_> = (0..1000).filter_map(|index| load.key(index)).collect();
        assert_eq!(keys.len(), 1000);
        assert!(keys.iter().all(|key| key.len() == KEY_SIZE));
        assert_eq!(Load::new(0, 0).key(3), None);
        assert_eq!(Load::new(0, 0).value(3), b"");
    }
}
