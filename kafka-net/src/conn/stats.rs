//! Counters of one connection.

use std::time::Duration;

/// What has passed over one connection. Plain counters, set-up included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Requests handed to the connection and encoded.
    pub requests: u64,
    /// Those of them that are calls, and not the set-up's.
    pub calls: u64,
    /// Answers received.
    pub replies: u64,
    /// Bytes the socket took.
    pub bytes_sent: u64,
    /// Bytes of whole frames received, lengths included.
    pub bytes_received: u64,
    /// From handing the last answered request in until its answer; zero before the first.
    pub last_latency: Duration,
    /// The longest of these.
    pub max_latency: Duration,
    /// Their sum: divide by `replies` for the mean.
    pub total_latency: Duration,
    /// Throttle times the broker told, summed up.
    pub throttled: Duration,
}

impl ConnectionStats {
    pub(crate) fn frame_received(&mut self, len: usize) {
        self.bytes_received += (len + FRAME_LENGTH) as u64;
    }

    pub(crate) fn answered(&mut self, latency: Duration) {
        self.replies += 1;
        self.last_latency = latency;
        self.max_latency = self.max_latency.max(latency);
        self.total_latency += latency;
    }
}

/// Bytes of a frame's length.
const FRAME_LENGTH: usize = 4;
