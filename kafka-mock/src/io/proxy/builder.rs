//! [`ProxyBuilder`]: how a [`Proxy`] is set up.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::super::builder::LogLine;
use super::handle::{Proxy, Shared};
use super::ports;
use crate::proxy::{Line, Tamper};

/// Sets up a [`Proxy`]: made by [`Proxy::builder`].
#[must_use = "nothing runs before `start`"]
pub struct ProxyBuilder {
    upstream: String,
    listen: SocketAddr,
    tampers: Vec<Tamper>,
    line: Line,
    seed: u64,
    log: LogLine,
}

impl ProxyBuilder {
    pub(super) fn new(upstream: String) -> Self {
        Self {
            upstream,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
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

    /// What a text in TOML says: `seed`, a table `[line]`, and tables `[[tamper]]` with a `way`, which is `"requests"` or
    /// `"responses"`. The names are those of the methods in Rust, with `-` for `_`.
    ///
    /// ```
    /// # fn main() -> Result<(), kafka_mock::ScriptError> {
    /// let builder = kafka_mock::proxy::Proxy::builder("localhost:9092").script_toml(r#"
    ///     seed = 7
    ///
    ///     [line]
    ///     rate = 125000                     # bytes a second
    ///     lifetime = ["500ms", "1.5s"]      # then each connection is reset
    ///     ## pause = "requests", "responses" or "both"; hold = true; refuse = true; cut-after-requests = 1000
    ///
    ///     [[tamper]]
    ///     way = "responses"
    ///     api = "Produce"
    ///     nth = 3
    ///     reset-after = 7                   # also discard, duplicate, stall, delay, close-after
    /// "#)?;
    /// # drop(builder);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the text is no TOML, or says something that no script says: the error names the line.
    #[cfg(feature = "toml")]
    pub fn script_toml(mut self, text: &str) -> Result<Self, crate::ScriptError> {
        let file = crate::files::ProxyFile::read(text)?;
        self.seed = file.seed;
        self.line = file.line();
        self.tampers.extend(file.tampers());
        Ok(self)
    }

    /// Is told, in one sentence each, what went wrong that nobody asked for. `tracing` gets the same.
    pub fn on_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Binds the port and starts the proxy on the current tokio runtime. Brokers are not asked for before a client is there.
    ///
    /// # Errors
    /// When the port cannot be bound, or the upstream servers are no addresses.
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
        let bind = |source| ProxyError(Failure::Bind { address: self.listen, source });
        let listener = ports::bind(self.listen).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        // The ports after a given one; free ones otherwise.
        let ports = (self.listen.port() != 0).then_some(self.listen.port());
        let shared = Shared::new(address, ports, upstream, self.tampers, self.line, self.seed, self.log);
        Ok(Proxy::start(listener, address, shared))
    }
}

impl fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("upstream", &self.upstream)
            .field("listen", &self.listen)
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
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Bind { address, .. } => write!(f, "cannot listen on {address}"),
            Failure::Upstream(server) => {
                write!(f, "{server:?} is no address of a broker: expected host:port")
            }
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Failure::Bind { source, .. } => Some(source),
            Failure::Upstream(_) => None,
        }
    }
}
