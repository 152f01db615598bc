//! Asks a broker what it is, in its own protocol.
//!
//! The two requests are written out by hand: a cluster must come up even in a checkout whose kafka-wire does not build.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What a broker says of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Highest version of Produce, which tells the generation of the broker.
    pub(crate) produce: i16,
    /// How many brokers it knows to be alive.
    pub(crate) brokers: usize,
    /// Whether somebody leads the cluster.
    pub(crate) has_controller: bool,
    /// Topics and their partitions: how many there are, and how many of them have a leader.
    pub(crate) topics: Vec<(String, usize, usize)>,
}

/// Asks for versions and metadata, within a few seconds.
pub(crate) fn ask(port: u16) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream =
        TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("no answer at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let versions = call(&mut stream, API_VERSIONS, 0, &[]).context("ApiVersions")?;
    let produce = parse_versions(&mut Cursor(&versions))?;
    // A null array of topics stands for all of them.
    let metadata = call(&mut stream, METADATA, 1, &(-1_i32).to_be_bytes()).context("Metadata")?;
    parse_metadata(&mut Cursor(&metadata), produce)
}

fn call(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(body);
    let size = u32::try_from(request.len())?;
    stream.write_all(&size.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(u32::from_be_bytes(size))?;
    ensure!((4..=MAX_ANSWER).contains(&size), "an answer of {size} bytes: that is no Kafka broker");
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    let body = answer.split_off(4);
    ensure!(answer == CORRELATION.to_be_bytes(), "an answer to another question: that is no Kafka broker");
    Ok(body)
}

fn parse_versions(answer: &mut Cursor<'_>) -> Result<i16> {
    let error = answer.i16()?;
    ensure!(error == 0, "error {error}");
    let mut produce = -1;
    for _ in 0..answer.i32()? {
        let (api, _, max) = (answer.i16()?, answer.i16()?, answer.i16()?);
        if api == PRODUCE {
            produce = max;
        }
    }
    Ok(produce)
}

fn parse_metadata(answer: &mut Cursor<'_>, produce: i16) -> Result<Answer> {
    let brokers = answer.i32()?;
    for _ in 0..brokers {
        let (_id, _host, _port, _rack) = (answer.i32()?, answer.text()?, answer.i32()?, answer.text()?);
    }
    let controller = answer.i32()?;
    let mut topics = Vec::new();
    for _ in 0..answer.i32()? {
        let (_error, name, _internal) = (answer.i16()?, answer.text()?, answer.take(1)?);
        let (mut partitions, mut led) = (0, 0);
        for _ in 0..answer.i32()? {
            let (_error, _index, leader) = (answer.i16()?, answer.i32()?, answer.i32()?);
            for _replicas_then_in_sync in 0..2 {
                for _ in 0..answer.i32()? {
                    answer.i32()?;
                }
            }
            partitions += 1;
            led += usize::from(leader >= 0);
        }
        topics.push((name.unwrap_or_default(), partitions, led));
    }
    Ok(Answer { produce, brokers: usize::try_from(brokers)?, has_controller: controller >= 0, topics })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(size).context("the answer ends too early")?;
        self.0 = tail;
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn text(&mut self) -> Result<Option<String>> {
        let size = self.i16()?;
        if size < 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8(self.take(usize::try_from(size)?)?.to_vec())?))
    }
}

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const CORRELATION: i32 = 1;
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 16 << 20;
