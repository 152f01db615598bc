//! Whether a runtime has what connections need.

use std::panic;

use tokio::{net::UdpSocket, runtime::Handle};

use super::Connector;

/// What is missing where this is called for connections to work, in words and with what to do; none if nothing is.
///
/// Tokio tells a driver that is missing by a panic alone. It is caught here, at the beginning, instead of ending a task later
/// that nobody waits for; the panic's own message is printed all the same, unless a hook says otherwise.
#[must_use]
pub fn runtime_lack(connector: &Connector) -> Option<&'static str> {
    if Handle::try_current().is_err() {
        return Some("there is no tokio runtime here: call it within one, as in #[tokio::main]");
    }
    let timers = panic::catch_unwind(|| drop(tokio::time::sleep(std::time::Duration::ZERO)));
    if timers.is_err() {
        return Some("the tokio runtime has no timers: build it with enable_time() or enable_all()");
    }
    // Streams of one's own may need no sockets.
    let sockets = || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    };
    // Where there is no address to bind to, nothing is known.
    if connector.custom().is_none() && panic::catch_unwind(sockets).is_err() {
        return Some("the tokio runtime has no I/O: build it with enable_io() or enable_all()");
    }
    None
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::BoxFuture};
    use tokio::runtime::Builder;

    use super::*;
    use crate::{Client, Endpoint, io::*};

    struct Pipe;

    impl Connect for Pipe {
        fn connect<'a>(&'a self, _: Target<'a>) -> BoxFuture<'a, std::io::Result<BoxStream>> {
            async { Ok(Box::new(tokio::io::empty()) as BoxStream) }.boxed()
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let lack = |builder: &mut Builder, connector: Connector| {
            builder
                .build()
                .expect("a runtime")
                .block_on(async { runtime_lack(&connector) })
                .unwrap_or("nothing")
        };
        let single = Builder::new_current_thread;
        assert!(runtime_lack(&Connector::tcp()).is_some_and(|lack| lack.contains("no tokio runtime")));
        assert!(lack(&mut single(), Connector::tcp()).contains("enable_time"));
        assert!(lack(single().enable_io(), Connector::tcp()).contains("enable_time"));
        assert!(lack(single().enable_time(), Connector::tcp()).contains("enable_io"));
        assert_eq!(lack(single().enable_time(), Connector::new(Pipe)), "nothing");
        assert_eq!(lack(single().enable_all(), Connector::tcp()), "nothing");
        assert_eq!(
            lack(Builder::new_multi_thread().worker_threads(1).enable_all(), Connector::tcp()),
            "nothing"
        );
    }

    #[test]
    fn a_client_says_so() {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let error = runtime.block_on(Client::connect_to(&[Endpoint::new("a", 1)], Default::default()));
        let error = error.expect_err("without sockets");
        assert!(error.to_string().contains("enable_io") && !error.is_retriable(), "{error}");
    }
}
