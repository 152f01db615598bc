//! Asks a broker what it can and who leads what, over a plain socket: kafka-wire alone, and nothing else.
//!
//! ```text
//! cargo run -p kafka-wire --example metadata -- localhost:9092
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use bytes::{Buf, BytesMut};
use kafka_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse};
use kafka_wire::{CorrelationId, Message, Request, VersionRange, decode_response, encode_request, frame};

/// No answer of a broker's is as large in earnest.
const MAX_FRAME: usize = 100 << 20;

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".to_owned());
    match ask(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(address: &str) -> Result<(), Box<dyn Error>> {
    let mut socket = TcpStream::connect(address).map_err(|error| {
        format!("cannot connect to {address}: {error}; `linger mock` is a cluster at localhost:9092")
    })?;

    // A broker that does not know the version answers all the same, in version 0, and says which ones it knows.
    let request = ApiVersionsRequest {
        client_software_name: "kafka-wire".to_owned(),
        client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ApiVersionsRequest::default()
    };
    let versions: ApiVersionsResponse = call(&mut socket, &request, ApiVersionsRequest::VERSIONS.max, 1)?;
    println!("{address} has {} APIs", versions.api_keys.len());

    let theirs = versions.api_keys.iter().find(|api| api.api_key == MetadataRequest::API);
    let theirs = theirs.map(|api| VersionRange::new(api.min_version, api.max_version));
    let common = theirs.and_then(|theirs| theirs.intersect(MetadataRequest::VERSIONS));
    let version = common.ok_or("no version of Metadata that both sides know")?.max;

    // Null asks for all topics, where the version has null.
    let topics = if version == 0 { Some(Vec::new()) } else { None };
    let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
    let metadata: MetadataResponse = call(&mut socket, &request, version, 2)?;
    for broker in &metadata.brokers {
        println!("broker {} at {}:{}", broker.node_id, broker.host, broker.port);
    }
    for topic in &metadata.topics {
        let name = topic.name.as_ref().map_or("?", |name| name.as_str());
        println!("topic {name}, {} partitions", topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            if partition.error_code.is_err() {
                println!("  {index}: {}", partition.error_code);
            } else {
                println!("  {index}: led by {} in epoch {}", partition.leader_id, partition.leader_epoch);
            }
        }
    }
    Ok(())
}

/// Writes a request, waits for its answer.
fn call<R: Request>(
    socket: &mut TcpStream,
    request: &R,
    version: i16,
    correlation_id: i32,
) -> Result<R::Response, Box<dyn Error>> {
    let mut segments =
        encode_request(request, version, CorrelationId(correlation_id), Some("example"))?.into_segments();
    while segments.has_remaining() {
        let written = socket.write(segments.chunk())?;
        segments.advance(written);
    }
    let mut buf = BytesMut::new();
    let mut chunk = [0; 4096];
    let frame = loop {
        if let Some(frame) = frame::split(&mut buf, MAX_FRAME)? {
            break frame;
        }
        match socket.read(&mut chunk)? {
            0 => return Err("the broker closed the connection".into()),
            read => buf.extend_from_slice(&chunk[..read]),
        }
    };
    let (id, response) = decode_response(&frame, version)?;
    if id != CorrelationId(correlation_id) {
        return Err(format!("an answer to request {id} instead of {correlation_id}").into());
    }
    Ok(response)
}
