//! [`Topic`]: a handle that spares the look-up of its name.

use std::{fmt, sync::Arc};

use crate::plane::TopicShared;

/// A topic that the producer knows: its name, and where its partitions are.
///
/// Cheap to clone; stays right when leaders move and partitions are added. It works with the producer that made it,
/// and its clones; for another producer it is no more than its name.
#[derive(Clone)]
pub struct Topic {
    pub(crate) shared: Arc<TopicShared>,
}

impl Topic {
    /// The name.
    pub fn name(&self) -> &str {
        self.shared.name.as_str()
    }

    /// How many partitions the topic has, as far as is known.
    pub fn partition_count(&self) -> u32 {
        self.shared.count()
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name())
            .field("partitions", &self.partition_count())
            .finish()
    }
}
