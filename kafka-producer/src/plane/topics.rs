//! [`Topics`]: the topics of a producer by their names.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use kafka_wire::TopicName;

use super::topic::TopicShared;

/// The topics of a producer: those that exist, which stay for its life as their lanes do, and names that somebody wants to
/// send to. Of the latter, those nobody uses any more are forgotten once there are many: who sends to whatever name he is
/// given must not fill the memory with names of nothing.
///
/// No other lock is taken while this one is held.
pub(crate) struct Topics {
    names: RwLock<Names>,
}

struct Names {
    topics: BTreeMap<TopicName, Arc<TopicShared>>,
    /// So many are left to be looked through: twice as many as there were after the last time.
    look_at: usize,
    /// Each topic's walk over its partitions begins with another number of these.
    rng: fastrand::Rng,
}

impl Topics {
    pub(crate) fn new(seed: u64) -> Self {
        let names = Names { topics: BTreeMap::new(), look_at: 0, rng: fastrand::Rng::with_seed(seed) };
        Self { names: RwLock::new(names) }
    }

    /// A topic, if its name was ever used.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<TopicShared>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).topics.get(name).cloned()
    }

    /// A topic, made if need be.
    pub(crate) fn named(&self, name: &TopicName, producer: u64) -> Arc<TopicShared> {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = &mut *names;
        let make = || Arc::new(TopicShared::new(name.clone(), producer, names.rng.u64(..)));
        let topic = Arc::clone(names.topics.entry(name.clone()).or_insert_with(make));
        if names.topics.len() > names.look_at.max(MANY) {
            // Whoever uses one has a reference, and takes it under this lock.
            names.topics.retain(|_, topic| topic.exists() || Arc::strong_count(topic) > 1);
            names.look_at = 2 * names.topics.len();
        }
        topic
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<TopicShared>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).topics.values().cloned().collect()
    }
}

/// Names from which on those of nothing are forgotten.
const MANY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn make(topics: &Topics, name: &str) -> Arc<TopicShared> {
        topics.named(&TopicName::from(name), 1)
    }

    #[test]
    fn names_of_nothing_are_forgotten_and_those_in_use_are_not() {
        let topics = Topics::new(1);
        let kept: Vec<_> = (0..3 * MANY).map(|number| make(&topics, &format!("kept-{number}"))).collect();
        make(&topics, "exists").grow(Vec::new());
        for number in 0..100_000 {
            drop(make(&topics, &format!("nothing-{number}")));
            // Twice what was in use when it was last looked: those, the one that exists, and the one just made.
            let count = topics.names.read().expect("no panic").topics.len();
            assert!(count <= 2 * (kept.len() + 2), "{number}: {count}");
        }
        for topic in &kept {
            let found = topics.get(topic.name.as_str()).expect("it is in use");
            assert!(Arc::ptr_eq(&found, topic), "{} is the same", topic.name);
        }
        assert!(topics.get("exists").is_some());
        assert!(topics.get("nothing-0").is_none());
    }
}
