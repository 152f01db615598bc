//! [`Connect`]: how a connection is opened, for whoever needs other than plain TCP.

use std::{fmt, io, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::dial::dial;
use crate::config::{Endpoint, NetConfig};

/// Opens connections to brokers.
///
/// Without one, [`dial`] is used. With one, each connection comes from here: through a tunnel or a proxy, over a socket
/// of another kind, or over a pipe in memory, which is what a simulation of a cluster needs. Backing off, time-outs,
/// negotiation and all that follows are the same for every stream.
///
/// ```
/// use std::io;
///
/// use futures::future::{BoxFuture, FutureExt};
/// use kafka_net::io::{BoxStream, Connect, Target};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// Reaches every broker through a proxy that is told in one line whom to connect to.
/// struct Proxy {
///     address: &'static str,
/// }
///
/// impl Connect for Proxy {
///     fn connect<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, io::Result<BoxStream>> {
///         async move {
///             let mut stream = tokio::net::TcpStream::connect(self.address).await?;
///             stream.write_all(format!("CONNECT {}\n", target.endpoint).as_bytes()).await?;
///             match stream.read_u8().await? {
///                 b'\n' => Ok(Box::new(stream) as BoxStream),
///                 _ => Err(io::Error::other("the proxy refused")),
///             }
///         }
///         .boxed()
///     }
/// }
///
/// let mut config = kafka_net::NetConfig::default();
/// config.connector = kafka_net::io::Connector::new(Proxy { address: "proxy:1080" });
/// ```
pub trait Connect: Send + Sync + 'static {
    /// Opens one connection.
    ///
    /// *Cancel safety*: the future is dropped when its time is over or the connection is not wanted any more; it should
    /// then leave nothing open.
    ///
    /// # Errors
    /// Whatever kept it from being opened. It counts as a broker that cannot be reached, which is tried again.
    fn connect<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, io::Result<BoxStream>>;
}

/// What a [`Connect`] gives: bytes in both directions.
///
/// It is written to with [vectored writes](AsyncWrite::poll_write_vectored), of which a stream that can do them
/// should make use.
pub type BoxStream = Box<dyn ByteStream>;

/// Everything that can be a [`BoxStream`].
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// Whom a [`Connect`] is to reach.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target<'a> {
    /// The broker's address: one of those to begin with, or one that brokers advertise.
    pub endpoint: &'a Endpoint,
    /// The settings of the connection.
    pub config: &'a NetConfig,
    /// How many attempts in a row came to nothing before this one: what [`dial`] takes as `skip`.
    pub skip: usize,
    /// When the attempt will be given up, counted from now.
    pub timeout: Duration,
}

impl Target<'_> {
    /// A TCP connection to the endpoint, as it would be without a [`Connect`]: all addresses of the name are tried.
    ///
    /// *Cancel safety*: as of [`dial`].
    ///
    /// # Errors
    /// As of [`dial`], whose error is inside.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        dial(self.endpoint, self.config, self.skip, self.timeout).await.map_err(io::Error::other)
    }
}

/// A [`Connect`] among the settings, or plain TCP. Two are equal when they are clones of one.
#[derive(Clone, Default)]
pub struct Connector(Option<Arc<dyn Connect>>);

impl Connector {
    /// Connections come from `connect`.
    pub fn new(connect: impl Connect) -> Self {
        Self(Some(Arc::new(connect)))
    }

    /// Plain TCP, which is the default.
    #[must_use]
    pub fn tcp() -> Self {
        Self::default()
    }

    pub(super) fn custom(&self) -> Option<&dyn Connect> {
        self.0.as_deref()
    }
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Connector {}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Connector(custom)" } else { "Connector(tcp)" })
    }
}
