//! `linger proxy`: a bad network between clients and brokers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use kafka_mock::proxy::{Proxy as FaultProxy, Way};
use kafka_net::Endpoint;
use kafka_producer::{ProducerConfig, Settings};
use kafka_wire::ApiKey;

use super::mock::script;
use crate::report::number::counted;
use crate::signals::Signals;
use crate::{Ending, cluster, output, report};

/// Be a bad network between any client and any brokers
///
/// It knows Kafka's frames: drops, delays, doubles or cuts them, pauses a direction, resets connections, caps their rate. It
/// tells clients its own ports instead of the brokers' addresses. Without a script it only passes everything on. Ctrl-C ends
/// it.
#[derive(Debug, Args)]
pub(crate) struct Proxy {
    /// Brokers to pass on to
    #[arg(short = 'b', long, value_name = "HOST:PORT[,HOST:PORT...]", visible_alias = "bootstrap-server")]
    upstream: String,

    /// Where clients start; the brokers get the ports after it. 0 for free ports
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:19092")]
    listen: SocketAddr,

    /// The host by which clients reach this machine, if that is not the address listened on
    #[arg(long, value_name = "HOST", value_parser = host)]
    advertised_host: Option<String>,

    /// Do as this file says, in TOML
    ///
    /// For example, the third acknowledgement breaks off, and each connection carries 125 kB a second and lives for a second:
    ///
    ///   [line]
    ///   rate = 125000
    ///   lifetime = ["500ms", "1.5s"]
    ///
    ///   [[tamper]]
    ///   way = "responses"
    ///   api = "Produce"
    ///   nth = 3
    ///   reset-after = 7
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    #[expect(rustdoc::broken_intra_doc_links, reason = "headings of TOML tables are no links")]
    script: Option<PathBuf>,
}

/// A host without a port; an IPv6 address with or without the brackets that it needs before one.
fn host(text: &str) -> Result<String, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    // As it would be read by clients.
    let read = if inner.contains(':') { format!("[{inner}]:1") } else { format!("{inner}:1") };
    match read.parse::<Endpoint>() {
        Ok(endpoint) => Ok(endpoint.host().to_owned()),
        Err(_) => Err("expected a host name or address, without a port".to_owned()),
    }
}

impl Proxy {
    /// The target, as settings of a client.
    fn target(&self) -> Result<Settings> {
        let mut config = ProducerConfig::default();
        let warning = config.set("bootstrap.servers", &self.upstream).context("--upstream")?;
        warning.iter().for_each(|warning| report::warn(&format!("--upstream: {warning}")));
        config.set("max.block.ms", LOOK)?;
        Ok(config.settle().context("--upstream")?.0)
    }

    /// Whether it is the address that is listened on, as far as names tell.
    fn is_here(&self, server: &Endpoint) -> bool {
        let here = self.listen.ip();
        let is_alike = match server.host().parse::<IpAddr>() {
            Ok(address) => address == here || (here.is_unspecified() && address.is_loopback()),
            Err(_) => server.host() == "localhost" && (here.is_loopback() || here.is_unspecified()),
        };
        server.port() == self.listen.port() && is_alike
    }

    /// Whether Kafka is where frames are passed on to. Brokers may come later; another protocol will not go away.
    async fn check_target(&self, settings: &Settings) -> Result<()> {
        match cluster::reach(settings).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_retriable() => {
                let error = anyhow::Error::from(error);
                report::warn(&format!("no broker answers at {} yet: {error:#}", self.upstream));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn run(self, signals: &mut Signals) -> Result<Ending> {
        let target = self.target()?;
        if let Some(itself) = target.bootstrap_servers.iter().find(|server| self.is_here(server)) {
            bail!(
                "the proxy would pass on to itself: --upstream {itself} is where it listens, --listen {}",
                self.listen
            );
        }
        let upstream: Vec<_> = target.bootstrap_servers.iter().map(ToString::to_string).collect();
        let mut builder = FaultProxy::builder(upstream.join(",")).listen(self.listen).on_log(report::say);
        if let Some(host) = &self.advertised_host {
            builder = builder.advertised_host(host);
        }
        if let Some(file) = &self.script {
            builder = script(file, |text| builder.script_toml(text))?;
        }
        let proxy = builder.start().await?;
        tokio::select! {
            checked = self.check_target(&target) => checked?,
            caught = signals.recv() => return Ok(Ending::Signal(caught)),
        }
        let servers = proxy.bootstrap_servers();
        let welcome = format!(
            "A proxy in front of {}. Ctrl-C ends it.\n\n  bootstrap servers  {servers}\n\n\
             In another terminal, for example:\n\n  \
             echo hello | linger produce -b {servers} --topic orders\n  \
             echo hello | kcat -b {servers} -P -t orders\n",
            self.upstream
        );
        output::print(&welcome).context("the proxy was about to start")?;
        let caught = signals.recv().await;
        report::say(&format!(
            "\nended after {}, {} and {}",
            counted(proxy.connections(), "connection"),
            counted(proxy.frames(Way::Requests, ApiKey::PRODUCE), "produce request"),
            counted(proxy.frames(Way::Responses, ApiKey::PRODUCE), "produce response")
        ));
        proxy.shutdown().await;
        Ok(Ending::Signal(caught))
    }
}

/// How long it is looked for a broker behind the proxy, in milliseconds.
const LOOK: &str = "2000";
