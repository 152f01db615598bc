//! A time in messages.

use std::{fmt, time::Duration};

/// A time that passed, in the unit of the settings that bound it.
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}
