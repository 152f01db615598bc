//! What a caller hands over: a borrowed record, and the form that owns its bytes.

use bytes::Bytes;

/// A record as a caller hands it over: borrowed, because it is encoded once and never kept.
///
/// `timestamp` is milliseconds since the epoch. A `None` value is Kafka's null, which compacted topics read as "this key is
/// gone" (a tombstone); it is not the same as an empty value.
///
/// The fields are public and the struct is exhaustive: it is made once per record, with a literal.
#[expect(clippy::exhaustive_structs, reason = "built with a literal on the hot path")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// Headers, in order; the same key may occur more than once.
    pub headers: &'a [Header<'a>],
}

/// One header of a [`Record`].
#[expect(clippy::exhaustive_structs, reason = "built with a literal on the hot path")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header<'a> {
    /// The name.
    pub key: &'a str,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
}

/// A record that owns its bytes: what [`BatchReader`](crate::BatchReader) yields, and what a queue in front of the
/// accumulator can hold.
#[expect(clippy::exhaustive_structs, reason = "a plain value, matched and built by callers")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedRecord {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<OwnedHeader>,
}

/// One header of an [`OwnedRecord`].
///
/// The name is bytes that were checked to be UTF-8 when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedHeader {
    key: Bytes,
    value: Option<Bytes>,
}

impl OwnedHeader {
    /// A header with this name and value.
    #[must_use]
    pub fn new(key: impl Into<String>, value: Option<Bytes>) -> Self {
        Self { key: Bytes::from(key.into()), value }
    }

    /// A header whose name comes from the network: `None` unless it is UTF-8.
    pub(crate) fn from_wire(key: Bytes, value: Option<Bytes>) -> Option<Self> {
        std::str::from_utf8(&key).ok()?;
        Some(Self { key, value })
    }

    /// The name.
    #[must_use]
    pub fn key(&self) -> &str {
        // Checked in every constructor; the empty name is what a bug here would show, instead of a panic.
        std::str::from_utf8(&self.key).unwrap_or_default()
    }

    /// The value, or null.
    #[must_use]
    pub fn value(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// The same header, borrowed.
    #[must_use]
    pub fn borrow(&self) -> Header<'_> {
        Header { key: self.key(), value: self.value.as_deref() }
    }
}

impl OwnedRecord {
    /// Runs `f` with the record borrowed; the headers need a place to live in between.
    pub fn with_borrowed<R>(&self, f: impl FnOnce(&Record<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = self.headers.iter().map(OwnedHeader::borrow).collect();
        f(&Record {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
        })
    }
}

impl From<&Record<'_>> for OwnedRecord {
    fn from(record: &Record<'_>) -> Self {
        let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        Self {
            timestamp: record.timestamp,
            key: record.key.map(copy),
            value: record.value.map(copy),
            headers: record.headers.iter().map(|h| OwnedHeader::new(h.key, h.value.map(copy))).collect(),
        }
    }
}
