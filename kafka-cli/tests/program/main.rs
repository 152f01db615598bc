//! The program `linger` as people run it: real processes, against clusters in this one.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod answers;
mod bad_input;
mod common;
mod good_weather;
mod isolation;
mod lines;
mod messages;
#[cfg(unix)]
mod scripts;
#[cfg(unix)]
mod signals;
