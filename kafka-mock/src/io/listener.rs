//! Accepting connections, one task a broker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::NodeId;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::mock::Shared;

/// Starts a broker for each listener. They end when the set is dropped.
pub(super) fn spawn(listeners: Vec<(NodeId, TcpListener)>, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (node, listener) in listeners {
        tasks.spawn(accept(node, listener, Arc::clone(shared)));
    }
    tasks
}

/// Accepts until it is aborted; the connections end with it.
async fn accept(node: NodeId, listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if connections.len() >= shared.limits.max_connections => {
                    let limit = shared.limits.max_connections;
                    shared.log(&format!("broker {node} closed a connection from {peer}: it has {limit} already"));
                }
                Ok((stream, peer)) => {
                    shared.count_connection();
                    // Best effort: without it small answers may come late.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(stream, node, Arc::clone(&shared));
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        if let Err(end) = connection.serve().await {
                            shared.log(&format!("broker {node} closed a connection from {peer}: {end}"));
                        }
                    });
                }
                Err(error) => {
                    shared.log(&format!("broker {node} cannot accept connections: {error}"));
                    if !is_of_one_connection(&error) {
                        // Most likely out of file descriptors: let connections end first.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// How long no connection is accepted after accepting failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
