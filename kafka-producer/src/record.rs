//! A record on its way in: borrowed, copied nowhere but into its batch.

use kafka_batch::Header;

use crate::topic::Topic;

/// A record to be sent: where to, and what.
///
/// It borrows everything, costs nothing to copy, and is still the caller's when `send` fails.
///
/// ```
/// use kafka_producer::Record;
///
/// let record = Record::to("orders").key(b"customer-7").value(b"{\"total\": 12}");
/// # let _ = record;
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a record does nothing until it is sent"]
pub struct Record<'a> {
    pub(crate) topic: TopicRef<'a>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header<'a>],
}

impl<'a> Record<'a> {
    /// A record for a topic, without key, value (a null value is a tombstone) or headers.
    ///
    /// The topic is a name, or a [`Topic`] handle, which spares the look-up.
    #[inline]
    pub fn to(topic: impl Into<TopicRef<'a>>) -> Self {
        Self { topic: topic.into(), partition: None, timestamp: None, key: None, value: None, headers: &[] }
    }

    /// Sets the key. Records of one key go to one partition, as with Kafka's own clients.
    #[inline]
    pub fn key<K: AsRef<[u8]> + ?Sized>(mut self, key: &'a K) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Sets the value. Without one the record is a tombstone: its value is null.
    #[inline]
    pub fn value<V: AsRef<[u8]> + ?Sized>(mut self, value: &'a V) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// Sets the headers.
    #[inline]
    pub fn headers(mut self, headers: &'a [Header<'a>]) -> Self {
        self.headers = headers;
        self
    }

    /// Names the partition, whatever the key says.
    #[inline]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the time of the record, in milliseconds since the epoch. Without it, it is the time of `send`,
    /// to within [`CLOCK_TICK`](crate::CLOCK_TICK).
    #[inline]
    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }
}

/// A topic as a record names it.
#[derive(Debug, Clone, Copy)]
pub struct TopicRef<'a>(pub(crate) Named<'a>);

/// The two ways to name a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    Name(&'a str),
    Handle(&'a Topic),
}

impl Named<'_> {
    /// Whether this is the same topic, as far as a glance tells.
    #[inline]
    pub(crate) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Handle(one), Self::Handle(other)) => std::sync::Arc::ptr_eq(&one.shared, &other.shared),
            // Both are borrowed now, so what is at one place is one name.
            (Self::Name(one), Self::Name(other)) => std::ptr::eq(one, other),
            _ => false,
        }
    }
}

impl<'a> From<&'a str> for TopicRef<'a> {
    #[inline]
    fn from(name: &'a str) -> Self {
        Self(Named::Name(name))
    }
}

impl<'a> From<&'a String> for TopicRef<'a> {
    #[inline]
    fn from(name: &'a String) -> Self {
        Self(Named::Name(name))
    }
}

impl<'a> From<&'a Topic> for TopicRef<'a> {
    #[inline]
    fn from(topic: &'a Topic) -> Self {
        Self(Named::Handle(topic))
    }
}
