//! A proxy between any client and any brokers that knows Kafka's frames: what it is told to do to them.
//!
//! The mock cluster misbehaves as a broker does; [`Proxy`] misbehaves as a network does, in front of a mock cluster as well as of
//! a real one. It knows where frames begin, which API each is about and which answer belongs to which request, so that a
//! fault hits what it is meant for:
//!
//! ```
//! use std::time::Duration;
//!
//! use kafka_mock::MockCluster;
//! use kafka_mock::proxy::{Line, Proxy, Tamper, Way};
//! use kafka_wire::ApiKey;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = MockCluster::builder().brokers(3).topic("orders", 12).start().await?;
//! let proxy = Proxy::builder(cluster.bootstrap_servers())
//!     // The first batch is written, and its acknowledgement lost half way.
//!     .tamper(Tamper::with(Way::Responses).api(ApiKey::PRODUCE).times(1).reset_after(7))
//!     // One answer in a hundred is late.
//!     .tamper(Tamper::with(Way::Responses).probability(0.01).delay(Duration::from_secs(2)))
//!     .start()
//!     .await?;
//!
//! // This goes to the client instead of the brokers' own addresses.
//! let servers = proxy.bootstrap_servers();
//!
//! // Later: nothing gets through for a while, then 125 kB a second.
//! proxy.set_line(Line::new().pause(Way::Requests).pause(Way::Responses));
//! proxy.set_line(Line::new().rate(125_000));
//! # drop(servers);
//! # Ok(())
//! # }
//! ```
//!
//! Brokers tell clients their addresses; the proxy replaces these by its own, one port for each broker, in the answers to
//! Metadata, DescribeCluster, FindCoordinator and Produce. Fetch answers, which may be large, are not read through: the proxy
//! has brokers offer only the versions that carry no address. Not known to it are TLS, and the addresses in answers to share
//! groups (ShareFetch, ShareAcknowledge).
//!
//! Its memory is bounded: frames are passed on piece by piece. Only those are held whole that are rewritten or doubled, up to
//! 16 MiB each. Of the requests without an answer, the last 10 000 of a connection are remembered, and fewer where their clients' ids
//! are more than a mebibyte in all; an answer to an earlier one passes unrecognised.

mod dissect;
mod io;
mod judge;
mod line;
mod rewrite;
mod tamper;

pub use io::{Proxy, ProxyBuilder, ProxyError};

pub(crate) use dissect::{Asked, Dissected, Head, InFlight};
pub(crate) use judge::{Judge, Verdict};
pub use line::Line;
pub(crate) use line::{Accept, Lines, Resets};
pub(crate) use rewrite::{is_rewritten, rewrite};
pub use tamper::{Tamper, Way};
