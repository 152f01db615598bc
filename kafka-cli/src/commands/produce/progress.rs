//! The progress bar, where standard error is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kafka_producer::Producer;

use crate::report::number::count;

/// A bar for files, a spinner for streams, nothing where nobody looks.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(size: Option<u64>) -> Self {
        // indicatif draws on standard error, and only if it is a terminal.
        let (bar, template) = match size {
            Some(size) => (
                ProgressBar::new(size),
                "{bar:30} {percent}% {bytes} of {total_bytes}, {bytes_per_sec}, {msg}",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}, {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub(super) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Says how far the answers are.
    pub(super) fn show(&self, producer: &Producer) {
        if !self.0.is_hidden() {
            let stats = producer.stats();
            let waiting = stats.records.saturating_sub(stats.delivered + stats.failed);
            self.0.set_message(format!("{} delivered, {} waiting", count(stats.delivered), count(waiting)));
        }
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

const TICK: Duration = Duration::from_millis(100);
