//! [`Builder`]: how a [`MockCluster`] is set up.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::mock::{Listening, MockCluster};
use super::shared::{ConnectionLimits, Shared};
use super::{LogLine, clock, listener};
use crate::config::ClusterConfig;
use crate::script::Script;
use crate::state::{Cluster, Refusal};

/// Sets up a [`MockCluster`]: made by [`MockCluster::builder`].
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    config: ClusterConfig,
    topics: Vec<(String, i32)>,
    bind: IpAddr,
    ports: Vec<u16>,
    advertised_host: Option<String>,
    limits: ConnectionLimits,
    script: Script,
    log: LogLine,
}

impl MockCluster {
    /// One broker on a free port, no topics, unless told otherwise.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            config: ClusterConfig::default(),
            topics: Vec::new(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Vec::new(),
            advertised_host: None,
            limits: ConnectionLimits {
                max_frame: DEFAULT_MAX_FRAME,
                max_connections: DEFAULT_MAX_CONNECTIONS,
            },
            script: Script::new(),
            log: None,
        }
    }

    /// How many brokers there are. 1 unless set.
    pub fn brokers(self, count: u16) -> Self {
        self.config(|config| config.brokers(count))
    }

    /// How many KRaft controllers there are besides: see [`ClusterConfig::controllers`]. None unless set.
    pub fn controllers(self, count: u16) -> Self {
        self.config(|config| config.controllers(count))
    }

    /// The id of the cluster: see [`ClusterConfig::cluster_id`]. Two clusters of one test need two ids for a client to tell
    /// them apart.
    pub fn cluster_id(self, id: impl Into<String>) -> Self {
        self.config(|config| config.cluster_id(id))
    }

    /// A topic that is there from the start.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// Whether a topic comes into being when a client asks for it. Off unless set, so that a misspelt topic shows.
    pub fn auto_create(self, enabled: bool) -> Self {
        self.config(|config| config.auto_create(enabled))
    }

    /// Makes the brokers a sink for measuring producers: see [`ClusterConfig::discard`].
    pub fn sink(self) -> Self {
        self.config(|config| config.discard(true))
    }

    /// Everything else about the cluster, its limits among it.
    ///
    /// ```
    /// let builder = kafka_mock::MockCluster::builder().config(|config| config.partition_records(1000));
    /// ```
    pub fn config(mut self, change: impl FnOnce(ClusterConfig) -> ClusterConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// The ports of the brokers in order of their ids, and of the controllers behind them; nodes beyond the list, or with port 0, get a free one. All free ones
    /// unless set.
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// The address to listen on: the loopback address unless set. There is no authentication, so think before you change it.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = address;
        self
    }

    /// The host that clients are told to connect to; the address listened on unless set. Where that is all addresses
    /// (`0.0.0.0`), it has to be set.
    pub fn advertised_host(mut self, host: impl Into<String>) -> Self {
        self.advertised_host = Some(host.into());
        self
    }

    /// The largest request in bytes; a connection that announces a larger one is closed. 100 MiB unless set, as with
    /// `socket.request.max.bytes`.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.limits.max_frame = bytes;
        self
    }

    /// How many connections one broker has at a time; more are closed at once. 10 000 unless set.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.limits.max_connections = count;
        self
    }

    /// How the cluster misbehaves. A [sink](Self::sink) looks at no batch, and so refuses none.
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// How many requests are remembered, the latest ones, for [`MockCluster::recorded`]. None unless set.
    pub fn record_requests(self, count: usize) -> Self {
        self.config(|config| config.record_requests(count))
    }

    /// Is told, in one sentence each, why connections were closed and which requests are not served. `tracing` gets the same.
    pub fn on_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Binds the ports and starts the brokers on the current tokio runtime.
    ///
    /// # Errors
    /// When a port cannot be bound, clients cannot be told an address, or a topic or the script's versions cannot be so.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it leaves nothing behind.
    pub async fn start(self) -> Result<MockCluster, StartError> {
        let mut cluster = Cluster::new(self.config.clone());
        for (name, partitions) in &self.topics {
            cluster.create_topic(name, *partitions).map_err(|refusal| StartError(Failure::Topic(refusal)))?;
        }
        cluster
            .run_script(self.script, clock::now())
            .map_err(|refusal| StartError(Failure::Script(refusal)))?;
        if self.bind.is_unspecified() && self.advertised_host.is_none() {
            return Err(StartError(Failure::Unreachable(self.bind)));
        }
        let mut listeners = Vec::new();
        let mut listening = Vec::new();
        let ports = self.ports.iter().copied().chain(std::iter::repeat(0));
        for (node, port) in self.config.nodes().chain(self.config.controller_nodes()).zip(ports) {
            let (listener, address) = bind(SocketAddr::new(self.bind, port)).await?;
            let host = self.advertised_host.clone().unwrap_or_else(|| address.ip().to_string());
            cluster.set_address(node, &host, address.port());
            listeners.push((node, listener));
            let is_controller = cluster.is_controller(node);
            listening.push(Listening { node, is_controller, host, port: address.port() });
        }
        let shared = Arc::new(Shared::new(cluster, &self.config, self.limits, self.log));
        let tasks = listener::spawn(listeners, &shared);
        Ok(MockCluster::new(shared, listening, tasks))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("topics", &self.topics)
            .field("bind", &self.bind)
            .field("ports", &self.ports)
            .field("advertised_host", &self.advertised_host)
            .field("limits", &self.limits)
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| StartError(Failure::Bind { address, source }))
}

/// Why a cluster did not start.
#[derive(Debug)]
pub struct StartError(Failure);

#[derive(Debug)]
enum Failure {
    Bind { address: SocketAddr, source: io::Error },
    Topic(Refusal),
    Script(Refusal),
    Unreachable(IpAddr),
}

impl StartError {
    /// The address that could not be listened on, if it was that.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self.0 {
            Failure::Bind { address, .. } => Some(address),
            Failure::Topic(_) | Failure::Script(_) | Failure::Unreachable(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Bind { address, .. } => write!(f, "cannot listen on {address}"),
            Failure::Topic(_) => f.write_str("cannot create a topic"),
            Failure::Script(_) => f.write_str("cannot run the script"),
            Failure::Unreachable(ip) => write!(
                f,
                "clients cannot be told to connect to {ip}: say by which host they reach this machine (advertised host)"
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Failure::Bind { source, .. } => Some(source),
            Failure::Topic(refusal) | Failure::Script(refusal) => Some(refusal),
            Failure::Unreachable(_) => None,
        }
    }
}

const DEFAULT_MAX_FRAME: usize = 100 << 20;

const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
