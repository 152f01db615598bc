//! The cluster behind TCP: sockets, tasks, and the one clock.

mod builder;
mod clock;
mod connection;
mod listener;
mod mock;
mod other;
mod shared;

use std::sync::Arc;

use tokio::sync::watch;

pub use builder::{Builder, StartError};
pub use mock::MockCluster;
pub use other::OtherCluster;

/// Where lines for people go.
pub(crate) type LogLine = Option<Arc<dyn Fn(&str) + Send + Sync>>;

pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    // An IPv6 address would run into its port.
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Looks each time that something has moved, until it holds.
pub(crate) async fn until(activity: &watch::Sender<()>, mut holds: impl FnMut() -> bool) {
    let mut activity = activity.subscribe();
    loop {
        activity.borrow_and_update();
        if holds() {
            return;
        }
        // The sender was borrowed: it is there.
        let _ = activity.changed().await;
    }
}
