//! Accepting connections, one task a broker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection::{Connection, sleep_until};
use super::shared::Shared;

/// Starts a broker for each listener. They end when the set is dropped.
pub(super) fn spawn(listeners: Vec<(NodeId, TcpListener)>, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (node, listener) in listeners {
        tasks.spawn(broker(node, listener, Arc::clone(shared)));
    }
    tasks.spawn(keep_time(Arc::clone(shared)));
    tasks
}

/// Accepts until it is aborted; the connections end with it, and when the broker is stopped.
async fn broker(node: NodeId, listener: TcpListener, shared: Arc<Shared>) {
    let address = listener.local_addr();
    let mut changes = shared.control.subscribe();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut stops = 0;
    loop {
        changes.borrow_and_update();
        let (is_up, stopped) = shared.condition(node);
        // Also where it is up again by now.
        if stopped != stops {
            stops = stopped;
            listener = None;
            connections.shutdown().await;
        }
        if is_up && listener.is_none() {
            match rebind(&address).await {
                Ok(bound) => listener = Some(bound),
                Err(error) => {
                    shared.log(&format!("broker {node} cannot listen again: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            }
        }
        tokio::select! {
            accepted = accept(listener.as_ref()) => match accepted {
                Ok((_, peer)) if connections.len() >= shared.limits.max_connections => {
                    let limit = shared.limits.max_connections;
                    shared.log(&format!("broker {node} closed a connection from {peer}: it has {limit} already"));
                }
                Ok((stream, peer)) => {
                    let number = shared.count_connection();
                    // Best effort: without it small answers may come late.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(stream, node, number, Arc::clone(&shared));
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
            Ok(()) = changes.changed() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn rebind(address: &io::Result<SocketAddr>) -> io::Result<TcpListener> {
    match address {
        Ok(address) => TcpListener::bind(address).await,
        Err(error) => Err(error.kind().into()),
    }
}

/// Lets happen what scripts have at a time.
async fn keep_time(shared: Arc<Shared>) {
    let mut changes = shared.control.subscribe();
    loop {
        changes.borrow_and_update();
        let next = shared.catch_up();
        tokio::select! {
            () = sleep_until(next) => {}
            Ok(()) = changes.changed() => {}
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// How long no connection is accepted after accepting failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
