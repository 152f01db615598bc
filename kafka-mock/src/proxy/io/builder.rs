//! [`ProxyBuilder`]: how a [`Proxy`] is set up.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::handle::Proxy;
use super::ports::{self, Ports};
use super::shared::Shared;
use crate::io::LogLine;
use crate::proxy::{Line, Tamper};

/// Sets up a [`Proxy`]: made by [`Proxy::builder`].
#[must_use = "nothing runs before `start`"]
pub struct ProxyBuilder {
    upstream: String,
    listen: SocketAddr,
    advertised_host: Option<String>,
    tampers: Vec<Tamper>,
    line: Line,
    seed: u64,
    log: LogLine,
}

impl Proxy {
    /// A proxy in front of these servers, named as in a client's `bootstrap.servers`.
    pub fn builder(upstream: impl Into<String>) -> ProxyBuilder {
        ProxyBuilder::new(upstream.into())
    }
}

impl ProxyBuilder {
    fn new(upstream: String) -> Self {
        Self {
            upstream,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertised_host: None,
            tampers: Vec::new(),
            line: Line::new(),
            seed: 0,
            log: None,
        }
    }

    /// Where clients start; a free port of the loopback address unless set. Where the port is given, the brokers that become
    /// known get the ports after it, in the order they become known; else free ones.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The host by which clients reach the proxy, and which they are told of every broker; the address listened on unless set.
    /// Where that is all addresses (`0.0.0.0`), it has to be set.
    pub fn advertised_host(mut self, host: impl Into<String>) -> Self {
        self.advertised_host = Some(host.into());
        self
    }

    /// What is done to frames, beside what was told before.
    pub fn tamper(mut self, tamper: Tamper) -> Self {
        self.tampers.push(tamper);
        self
    }

    /// What connections are like.
    pub fn line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    /// Where the generator of probabilities, delays and lifetimes starts. 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Is told, in one sentence each, what went wrong that nobody asked for. `tracing` gets the same.
    pub fn on_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Binds the port and starts the proxy on the current tokio runtime. Brokers are not asked for before a client is there.
    ///
    /// # Errors
    /// When the port cannot be bound, the upstream servers are no addresses, or clients cannot be told an address.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it leaves nothing behind.
    pub async fn start(self) -> Result<Proxy, ProxyError> {
        let upstream: Vec<(String, u16)> = self
            .upstream
            .split(',')
            .map(|server| {
                let server = server.trim();
                let parsed =
                    server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
                parsed
                    .filter(|(host, _)| !host.is_empty())
                    .map(|(host, port)| (host.trim_matches(['[', ']']).to_owned(), port))
                    .ok_or_else(|| ProxyError(Failure::Upstream(server.to_owned())))
            })
            .collect::<Result<_, _>>()?;
        let host = match self.advertised_host {
            Some(host) => host,
            None if self.listen.ip().is_unspecified() => {
                return Err(ProxyError(Failure::Unreachable(self.listen.ip())));
            }
            None => self.listen.ip().to_string(),
        };
        let bind = |source| ProxyError(Failure::Bind { address: self.listen, source });
        let listener = ports::bind(self.listen).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        // The ports after a given one; free ones otherwise.
        let ports = (self.listen.port() != 0).then_some(self.listen.port());
        let servers = Ports::new(address.ip(), host, ports, upstream);
        let shared = Shared::new(servers, self.tampers, self.line, self.seed, self.log);
        Ok(Proxy::start(listener, address.port(), shared))
    }
}

impl fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("upstream", &self.upstream)
            .field("listen", &self.listen)
            .field("advertised_host", &self.advertised_host)
            .field("tampers", &self.tampers)
            .field("line", &self.line)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Why a proxy did not start.
#[derive(Debug)]
pub struct ProxyError(Failure);

#[derive(Debug)]
enum Failure {
    Bind { address: SocketAddr, source: io::Error },
    Upstream(String),
    Unreachable(IpAddr),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Bind { address, .. } => write!(f, "cannot listen on {address}"),
            Failure::Upstream(server) => {
                write!(f, "{server:?} is no address of a broker: expected host:port")
            }
            Failure::Unreachable(ip) => write!(
                f,
                "clients cannot be told to connect to {ip}: say by which host they reach this machine (advertised host)"
            ),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Failure::Bind { source, .. } => Some(source),
            Failure::Upstream(_) | Failure::Unreachable(_) => None,
        }
    }
}

#[cfg(all(test, feature = "toml"))]
mod tests {
    use super::*;
    use crate::proxy::Way;

    #[test]
    fn a_text_changes_what_it_speaks_of_and_nothing_else() {
        let line = Line::new().rate(7);
        let builder = ProxyBuilder::new("localhost:9092".to_owned()).seed(5).line(line.clone());
        let builder = builder.script_toml("[[tamper]]\nway = \"requests\"\nstall = true\n").expect("sound");
        assert_eq!((builder.seed, &builder.line, builder.tampers.len()), (5, &line, 1));
        let builder = builder.script_toml("seed = 6\n[line]\npause = \"requests\"\n").expect("sound");
        let paused = Line::new().pause(Way::Requests);
        assert_eq!((builder.seed, &builder.line, builder.tampers.len()), (6, &paused, 1));
    }
}
