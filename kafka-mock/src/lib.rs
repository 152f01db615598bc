//! A Kafka cluster in this process, for anyone's tests, with any client.
//!
//! # How to test your code with it
//!
//! Start a [`MockCluster`], give its addresses to the code under test as `bootstrap.servers`, and look at what arrived:
//!
//! ```
//! use kafka_mock::MockCluster;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = MockCluster::builder().brokers(3).topic("orders", 12).start().await?;
//!
//! // Hand this to your producer, whatever library it is made of.
//! let servers = cluster.bootstrap_servers();
//! assert_eq!(servers.split(',').count(), 3);
//!
//! // Afterwards: what is in the log, partition by partition?
//! for partition in 0..12 {
//!     for stored in cluster.records("orders", partition) {
//!         println!("{partition}-{}: {:?}", stored.offset, stored.record.value);
//!     }
//! }
//!
//! // Make life hard for it: another broker leads the partition now.
//! let (leader, epoch) = cluster.leader("orders", 0).expect("there is such a partition");
//! let other = cluster.nodes().find(|&node| node != leader).expect("there are three");
//! cluster.move_leader("orders", 0, other)?;
//! assert_eq!(cluster.leader("orders", 0), Some((other, epoch + 1)));
//!
//! cluster.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! It judges what it is sent as a real broker does, and answers with the same codes: checksum, format, record counts, offset
//! deltas, timestamps, sizes, sequence numbers and epochs of idempotent producers. So a test that passes here has not only
//! found somebody who nods. A broker that restarts knows of each producer the last batch only, as a real one does, and one
//! that stayed up the last five. Where it differs from a broker: records are acknowledged without replication, nothing
//! touches a disk, and what is beyond a bound ([`ClusterConfig`]) is dropped, oldest first.
//!
//! # Faults
//!
//! A [`Script`] has the cluster misbehave on cue: [`Rule`]s say on which requests (by API, broker, topic, partition, client,
//! version; the n-th, some, or with a probability) and how: error codes, before or after what was asked is done, delays,
//! silence, disconnects, throttling, bytes that no broker writes. [`Change`]s stop and start brokers, move leaders, elect
//! ones that lack the end of the log, let topics grow or be made anew, serve older versions. Rules can come and go while the cluster runs, and requests can be recorded, with
//! a hash of each batch's bytes. The same can be said in a text file (`Script::from_toml`, feature `toml`), and
//! `linger mock --script FILE` runs it for clients in any language.
//!
//! Clusters are taken for one another, too: an address [comes to lead](Change::Reroute) to a broker of another cluster, a cluster is
//! [wiped](Change::Wipe) and begun anew, a broker [lags behind](Change::LagBehind) and does not know what the others know, a
//! [controller](Builder::controllers) stands where a broker was meant.
//!
//! What a network does is the part of the [`proxy`], which can stand in front of real brokers, too.
//!
//! ```
//! use kafka_mock::{MockCluster, Rule};
//! use kafka_wire::ApiKey;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = MockCluster::builder().brokers(3).topic("orders", 12).record_requests(1000).start().await?;
//! // The next batch is appended, but its answer never comes: does your service write it a second time?
//! cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(1).disconnect_after_apply().named("lost answer"));
//!
//! // ... let your service do its work with `cluster.bootstrap_servers()`, and then:
//! # let service_did_its_work = false;
//! # if service_did_its_work {
//! cluster.until(|cluster| cluster.fired("lost answer") == 1).await;
//! assert_eq!(cluster.records("orders", 0).len(), 1);
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/faults.rs` has two whole tests of a small service.
//!
//! # What is served
//!
//! ApiVersions, Metadata, Produce, Fetch, ListOffsets, InitProducerId, CreateTopics, DeleteTopics, CreatePartitions,
//! DescribeConfigs and DescribeCluster, in all versions from Kafka 2.1's to 4.4's newest. Not served: consumer groups and
//! transactions. A consumer names its partitions and offsets itself (Kafka's console consumer: `--partition N --offset
//! earliest`), and is told `UNSUPPORTED_VERSION` where it asks for a group.
//!
//! # Without sockets
//!
//! [`Cluster`] is the same as plain data: a frame goes in, an answer comes out, and the time is told to it. It is what a
//! simulation drives.
//!
//! ```
//! use std::time::Instant;
//!
//! use kafka_mock::{Answer, Cluster, ClusterConfig, Now};
//! use kafka_wire::messages::MetadataRequest;
//! use kafka_wire::{CorrelationId, NodeId};
//!
//! let mut cluster = Cluster::new(ClusterConfig::default().brokers(3));
//! cluster.create_topic("orders", 12)?;
//!
//! let request = MetadataRequest { topics: None, ..Default::default() };
//! let frame = kafka_wire::encode_request(&request, 12, CorrelationId(1), Some("simulated"))?.into_bytes();
//! // A frame is handed over without its length.
//! let answer = cluster.handle(NodeId(2), frame.slice(4..), Now::new(Instant::now(), 1_700_000_000_000));
//! assert!(matches!(answer, Answer::Reply(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod close;
mod cluster;
mod config;
mod fault;
#[cfg(feature = "toml")]
mod files;
mod handlers;
mod inspect;
mod io;
mod log;
#[macro_use]
mod occasions;
mod producers;
pub mod proxy;
mod random;
mod records;
mod request;
mod script;
mod settings;
mod staging;
mod state;
mod topic;
mod unserved;

pub use answer::{Answer, Waiting};
pub use close::CloseReason;
pub use config::ClusterConfig;
#[cfg(feature = "toml")]
pub use files::ScriptError;
pub use io::{Builder, MockCluster, OtherCluster, StartError};
pub use records::StoredRecord;
pub use request::Request;
pub use script::{Change, Lag, Malformation, Rule, Script, Scripted, Then};
pub use state::{Cluster, Now, Recorded, RecordedBatch, Refusal};
