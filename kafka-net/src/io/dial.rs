//! Dialling: names to addresses, addresses to a connected socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use kafka_wire::NodeId;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::{
    config::{Endpoint, NetConfig},
    error::{Kind, NetError, Place},
};

/// Connects to an endpoint, within `timeout`.
///
/// Every address of the name is tried, IPv6 and IPv4 in turn, beginning with the one after `skip` others (so that
/// an address that connects but does not answer is not the first again): the next one as soon as one fails, or
/// when one has kept silent for a quarter of a second, without giving it up (RFC 8305). The first that connects
/// wins. The socket has TCP_NODELAY, keep-alive, and the buffer sizes of the settings.
///
/// *Cancel safety*: dropping the future closes whatever it opened.
///
/// # Errors
/// The name does not resolve, or the last address's failure when all have failed, or the time ran out.
pub async fn dial(
    endpoint: &Endpoint,
    config: &NetConfig,
    skip: usize,
    timeout: Duration,
) -> Result<TcpStream, NetError> {
    let place = Place { node: NodeId::NONE, address: endpoint.to_string().into() };
    dial_within(endpoint, config, skip, timeout).await.map_err(|kind| NetError::at(kind, &place))
}

pub(super) async fn dial_within(
    endpoint: &Endpoint,
    config: &NetConfig,
    skip: usize,
    timeout: Duration,
) -> Result<TcpStream, Kind> {
    let connected = async {
        let resolved = lookup_host((endpoint.host(), endpoint.port())).await.map_err(Kind::Resolve)?;
        race(resolved.collect(), config, skip).await
    };
    tokio::time::timeout(timeout, connected)
        .await
        .unwrap_or(Err(Kind::SetupTimeout { after: timeout, connected: false }))
}

/// Connects to one of the addresses of a name.
async fn race(resolved: Vec<SocketAddr>, config: &NetConfig, skip: usize) -> Result<TcpStream, Kind> {
    let mut addresses = in_turn(resolved);
    if addresses.is_empty() {
        return Err(Kind::Resolve(io::ErrorKind::NotFound.into()));
    }
    let first = skip % addresses.len();
    addresses.rotate_left(first);
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        let more = match addresses.next() {
            Some(address) => {
                attempts.push(connect(address, config));
                addresses.len() > 0
            }
            None => false,
        };
        let outcome = if more {
            // Silence: the outer loop starts the next one beside it.
            tokio::time::timeout(STAGGER, attempts.next()).await.unwrap_or(None)
        } else {
            attempts.next().await
        };
        match outcome {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = Some(error),
            None => {}
        }
        if attempts.is_empty() && addresses.len() == 0 {
            return Err(Kind::Connect(last.unwrap_or_else(|| io::ErrorKind::NotConnected.into())));
        }
    }
}

async fn connect(address: SocketAddr, config: &NetConfig) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Before connecting: the receive buffer decides the window scale told in the first packet.
    if let Some(size) = config.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    if let Some(size) = config.receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Each address once, the families in turn, beginning with the resolver's favourite; at most so many.
fn in_turn(resolved: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in resolved {
        if unique.len() < MAX_ADDRESSES && !unique.contains(&address) {
            unique.push(address);
        }
    }
    let favourite = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        unique.into_iter().partition(|address| matches!(address.ip(), IpAddr::V6(_)) == favourite);
    first.reverse();
    second.reverse();
    let mut addresses = Vec::new();
    while !(first.is_empty() && second.is_empty()) {
        addresses.extend(first.pop());
        addresses.extend(second.pop());
    }
    addresses
}

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;
/// How long an address may keep silent before the next one is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|address| address.parse().expect("an address")).collect()
        };
        let resolved = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let expected = addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        assert_eq!(in_turn(resolved), expected);
        assert_eq!(in_turn((1..=99).map(|port| ([10, 0, 0, 1], port).into()).collect()).len(), MAX_ADDRESSES);
        assert!(in_turn(Vec::new()).is_empty());
    }

    /// An address on loopback that answers nothing: as many wait there to be accepted as may. (Where that is refused, it is
    /// one more closed port.)
    async fn silent() -> (SocketAddr, (tokio::net::TcpListener, Vec<TcpStream>)) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("bound");
        let mut waiting = Vec::new();
        for _ in 0..64 {
            match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => waiting.push(stream),
                _ => break,
            }
        }
        assert!(waiting.len() < 64, "its queue is full");
        // Kept by the caller: it must neither accept nor close.
        (address, (listener, waiting))
    }

    /// Scenario 26: addresses of one name where nobody is, refused or silent, in front of the one that works.
    #[tokio::test]
    async fn dead_addresses_of_a_name_are_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let alive = listener.local_addr().expect("bound");
        let closed = {
            let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            other.local_addr().expect("bound")
        };
        let (silent, _kept) = silent().await;
        // Where there is no IPv6 it cannot be reached; elsewhere nobody listens there.
        let sixth = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), closed.port());
        let config = NetConfig::default();
        for dead in [vec![closed], vec![silent], vec![closed, silent], vec![silent, closed], vec![sixth]] {
            for skip in 0..=dead.len() {
                let addresses = dead.iter().copied().chain([alive]).collect();
                let limit = Duration::from_secs(30);
                let stream = tokio::time::timeout(limit, race(addresses, &config, skip)).await;
                let stream = stream.expect("in time").expect("one of them answers");
                assert_eq!(stream.peer_addr().expect("connected"), alive, "{dead:?}, {skip}");
            }
        }
        let error = race(vec![closed, closed], &config, 0).await.expect_err("nobody is there");
        assert!(matches!(error, Kind::Connect(_)), "{error:?}");
        assert!(matches!(race(Vec::new(), &config, 0).await, Err(Kind::Resolve(_))));
    }
}
