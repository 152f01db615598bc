//! The cluster behind TCP: sockets, tasks, and the one clock.

mod builder;
mod clock;
mod connection;
mod listener;
mod mock;
mod proxy;

pub use builder::{Builder, StartError};
pub use mock::MockCluster;
pub use proxy::{Proxy, ProxyBuilder, ProxyError};
