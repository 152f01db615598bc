//! What people read: numbers, tables, the summary of a producer, complaints.

pub(crate) mod failures;
pub(crate) mod number;
pub(crate) mod summary;
pub(crate) mod table;

use std::io::Write;

/// Says what went wrong, on standard error.
pub(crate) fn complain(text: &str) {
    say(&format!("linger: error: {text}"));
}

/// Says what is worth knowing, on standard error.
pub(crate) fn warn(text: &str) {
    say(&format!("linger: warning: {text}"));
}

/// A line on standard error. When that is closed, there is nobody left to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
