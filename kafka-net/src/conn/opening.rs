//! [`Opening`]: how a connection begins.

use std::sync::Arc;

/// What is expected of the broker behind an address: see [`Metadata::expectation`](crate::Metadata::expectation).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expectation {
    /// The id of the cluster that it belongs to.
    pub cluster: Arc<str>,
    /// No other cluster will ever do: said in the error.
    pub for_good: bool,
}

impl Expectation {
    /// A broker of this cluster.
    #[must_use]
    pub fn of(cluster: Arc<str>, for_good: bool) -> Self {
        Self { cluster, for_good }
    }
}

/// What a [`Connection`](crate::Connection) begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    pub(super) expectation: Option<Expectation>,
    pub(super) api_versions: Option<i16>,
}

impl Opening {
    /// Nothing is expected of the broker, and nothing known of it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Before it takes calls, the broker is asked whether it is the node that is meant, of this cluster. Of an address of
    /// the bootstrap list (a node below zero) nothing is expected.
    #[must_use]
    pub fn expecting(mut self, expectation: Option<Expectation>) -> Self {
        self.expectation = expectation;
        self
    }

    /// The version of ApiVersions that the broker took the last time: asking in a newer one costs a refusal, and with it a
    /// round trip.
    #[must_use]
    pub fn asking_in(mut self, api_versions: Option<i16>) -> Self {
        self.api_versions = api_versions;
        self
    }
}
