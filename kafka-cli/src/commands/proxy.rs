//! `linger proxy`: a bad network between clients and brokers.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use kafka_mock::proxy::{Proxy as FaultProxy, Way};
use kafka_wire::ApiKey;

use super::mock::script;
use crate::report::number::counted;
use crate::{Ending, clock, output, report};

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
    #[arg(long, value_name = "HOST")]
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

impl Proxy {
    pub(crate) async fn run(self) -> Result<Ending> {
        let mut builder = FaultProxy::builder(&self.upstream).listen(self.listen).on_log(report::say);
        if let Some(host) = &self.advertised_host {
            builder = builder.advertised_host(host);
        }
        if let Some(file) = &self.script {
            builder = script(file, |text| builder.script_toml(text))?;
        }
        let proxy = builder.start().await?;
        let servers = proxy.bootstrap_servers();
        let welcome = format!(
            "A proxy in front of {}. Ctrl-C ends it.\n\n  bootstrap servers  {servers}\n\n\
             In another terminal, for example:\n\n  \
             echo hello | linger produce -b {servers} --topic orders\n  \
             echo hello | kcat -b {servers} -P -t orders\n",
            self.upstream
        );
        output::print(&welcome).context("the proxy was about to start")?;
        clock::interrupted().await;
        report::say(&format!(
            "\nended after {}, {} and {}",
            counted(proxy.connections(), "connection"),
            counted(proxy.frames(Way::Requests, ApiKey::PRODUCE), "produce request"),
            counted(proxy.frames(Way::Responses, ApiKey::PRODUCE), "produce response")
        ));
        proxy.shutdown().await;
        Ok(Ending::Success)
    }
}
