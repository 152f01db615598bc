//! What is wrong with bytes that are not the protocol.

use core::fmt;

/// Bytes that are not the protocol, or a value the protocol has no bytes for.
///
/// Says what is wrong, in which field and at which byte of the frame. After an error in something that was read the
/// connection is of no use any more: nobody knows where the next frame starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WireError {
    kind: WireErrorKind,
    /// The innermost field, empty where there is none.
    field: &'static str,
    offset: u32,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// The frame ends before the value does.
    Truncated,
    /// A length is negative, or promises more than the frame has left.
    BadLength,
    /// A variable-length integer has more bits than its type.
    BadVarint,
    /// A string is not UTF-8.
    BadUtf8,
    /// Null, where this version has no null.
    UnexpectedNull,
    /// Bytes are left over after the last field.
    TrailingBytes,
    /// Longer than its length field can say, or than the limit of a frame.
    TooLong,
    /// The message does not exist in this version.
    UnsupportedVersion,
    /// A request for another API than the one asked for.
    WrongApi,
}

impl WireError {
    /// An error at the given byte of a frame, in no field yet.
    #[must_use]
    pub const fn new(kind: WireErrorKind, offset: u32) -> Self {
        Self { kind, field: "", offset }
    }

    /// The same error in `field`, unless it already knows a more precise one.
    #[must_use]
    pub const fn in_field(mut self, field: &'static str) -> Self {
        if self.field.is_empty() {
            self.field = field;
        }
        self
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> WireErrorKind {
        self.kind
    }

    /// The innermost field that was read or written; `None` outside any field.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        if self.field.is_empty() { None } else { Some(self.field) }
    }

    /// Where in the frame, counted in bytes after the frame's length.
    #[must_use]
    pub const fn offset(&self) -> u32 {
        self.offset
    }

    /// The error inside nom's wrapper. Parsers of this crate never ask for more input.
    pub(crate) fn from_nom(error: nom::Err<Self>) -> Self {
        match error {
            nom::Err::Error(error) | nom::Err::Failure(error) => error,
            nom::Err::Incomplete(_) => Self::new(WireErrorKind::Truncated, 0),
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())?;
        if !self.field.is_empty() {
            write!(f, " in {}", self.field)?;
        }
        write!(f, " at byte {}", self.offset)
    }
}

impl fmt::Debug for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireError({self})")
    }
}

impl core::error::Error for WireError {}

impl WireErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BadLength => "bad length",
            Self::BadVarint => "bad varint",
            Self::BadUtf8 => "not UTF-8",
            Self::UnexpectedNull => "unexpected null",
            Self::TrailingBytes => "trailing bytes",
            Self::TooLong => "too long",
            Self::UnsupportedVersion => "unsupported version",
            Self::WrongApi => "wrong api",
        }
    }
}

impl fmt::Display for WireErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
