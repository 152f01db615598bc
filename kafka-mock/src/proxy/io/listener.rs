//! Accepting connections at the ports of the proxy, one task a port.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::NodeId;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::connection;
use super::ports::{Opened, Openings};
use super::shared::Shared;

/// Accepts at all ports until it is aborted; everything else ends with it.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>, mut opened: Openings) {
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(None, listener, Arc::clone(&shared)));
    // The sender is in `shared`.
    while let Some(Opened { node, listener }) = opened.recv().await {
        tasks.spawn(accept(Some(node), listener, Arc::clone(&shared)));
    }
}

async fn accept(node: Option<NodeId>, listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if connections.len() < MAX_CONNECTIONS => {
                    shared.count_connection();
                    connections.spawn(connection::serve(client, node, Arc::clone(&shared)));
                }
                Ok((_, peer)) => {
                    shared.log(&format!("closed a connection from {peer}: there are {MAX_CONNECTIONS} already"));
                }
                Err(error) => {
                    shared.log(&format!("cannot accept connections: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Connections of one port.
const MAX_CONNECTIONS: usize = 10_000;

/// How long no connection is accepted after accepting failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
