//! `cargo xtask kafka`: real clusters on loopback.

pub(crate) mod cluster;
pub(crate) mod config;
mod probe;
pub(crate) mod process;

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::clock::Stopwatch;
use crate::jars::Version;

use self::cluster::Cluster;
use self::config::Spec;

pub(crate) use self::config::BESIDE;

const HELP: &str = "\
Real Kafka clusters on loopback.

usage: cargo xtask kafka up [--version V] [--brokers N] [--port P] [-o NAME=VALUE]...
       cargo xtask kafka renew --port P
       cargo xtask kafka down [--version V] [--port P]
       cargo xtask kafka status

  up       starts a cluster, waits until every broker knows all the others, and prints its addresses
  renew    ends a cluster, throws away its data, and begins another one, with another id, under the same addresses
  down     ends the clusters started from this checkout (all, or those that fit) and removes their data
  status   tells which there are and how they do

  --version V   4.4.0 (default), 4.3.1, 3.9.1, all led by a KRaft quorum, or 2.8.2, led by ZooKeeper
  --brokers N   1 (default) to 9; 3 have replication factor 3 and min.insync.replicas 2
  --port P      of the first broker, the others follow; controllers (or ZooKeeper) are at P + 100 and on.
                Default: 29092 for 4.4.0, 28792 for 4.3.1, 29392 for 3.9.1, 29692 for 2.8.2;
                other ports make clusters side by side
  -o NAME=VALUE a broker setting, put last

Jars come from $KAFKA_HOME/libs where that holds the version, else by Maven, once, into $LINGER_CACHE or target/kafka.
Configuration, logs and data of a cluster are in target/kafka/clusters/PORT.
";

/// `cargo xtask kafka ...`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        print!("{HELP}");
        return Ok(());
    }
    match args.word().as_deref() {
        Some("up") => up(args),
        Some("renew") => renew(args),
        Some("down") => down(args),
        Some("status") => status(args),
        Some(other) => bail!("`kafka {other}`: it is up, renew, down or status\n\n{HELP}"),
        None => {
            print!("{HELP}");
            Ok(())
        }
    }
}

fn up(mut args: Args) -> Result<()> {
    let version = match args.text("--version")? {
        Some(name) => Version::named(&name)?,
        None => Version::default_one()?,
    };
    let brokers = args.value("--brokers")?.unwrap_or(1);
    let port = args.value("--port")?.unwrap_or(version.port);
    let settings = args.all("-o")?;
    args.finish()?;
    let watch = Stopwatch::start();
    let cluster = Cluster::up(&Spec { version, brokers, port, settings })?;
    eprintln!("Kafka {} is ready after {:.1} s", cluster.version, watch.elapsed().as_secs_f32());
    println!("{}", cluster.bootstrap());
    Ok(())
}

fn renew(mut args: Args) -> Result<()> {
    let port: Option<u16> = args.value("--port")?;
    args.finish()?;
    let port = port.context("`kafka renew` throws data away: --port P says whose")?;
    let cluster = Cluster::all()?.into_iter().find(|cluster| cluster.port == port);
    let cluster =
        cluster.with_context(|| format!("no cluster at port {port} was started from this checkout"))?;
    let watch = Stopwatch::start();
    cluster.renew()?;
    eprintln!("another cluster is ready after {:.1} s", watch.elapsed().as_secs_f32());
    Ok(())
}

fn down(mut args: Args) -> Result<()> {
    let version = args.text("--version")?;
    let port: Option<u16> = args.value("--port")?;
    args.finish()?;
    let mut found = false;
    for cluster in Cluster::all()? {
        if version.as_ref().is_none_or(|version| *version == cluster.version)
            && port.is_none_or(|port| port == cluster.port)
        {
            cluster.down()?;
            println!("ended Kafka {} at {}", cluster.version, cluster.bootstrap());
            found = true;
        }
    }
    if !found {
        println!("no such cluster was started from this checkout");
    }
    Ok(())
}

fn status(args: Args) -> Result<()> {
    args.finish()?;
    let clusters = Cluster::all()?;
    if clusters.is_empty() {
        println!("no cluster was started from this checkout");
    }
    for cluster in clusters {
        print!("{}", cluster.status()?);
    }
    Ok(())
}
