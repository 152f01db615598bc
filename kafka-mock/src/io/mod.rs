//! The cluster behind TCP: sockets, tasks, and the one clock.

mod builder;
mod clock;
mod connection;
mod listener;
mod mock;

pub use builder::{Builder, StartError};
pub use mock::MockCluster;
