//! Requests, decoded: what can be found out about a frame without the cluster.

use bytes::Bytes;
use kafka_wire::messages::{
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProduceRequest,
};
use kafka_wire::{ApiKey, Input, Message, Request as WireRequest, RequestHeader, WireError};

use crate::close::CloseReason;
use crate::fault::Fault;
use crate::inspect::{self, Inspected};
use crate::unserved::Unserved;

/// A request that was decoded and not answered yet.
#[derive(Debug)]
pub struct Request {
    pub(crate) header: RequestHeader,
    pub(crate) body: Body,
    /// Which connection brought it, for the recording.
    pub(crate) connection: u64,
}

/// One variant for each API that is served.
#[derive(Debug)]
pub(crate) enum Body {
    /// With what was found out about its batches, partition by partition, if that was looked at already.
    Produce(ProduceRequest, Option<Vec<Result<Inspected, Fault>>>),
    Fetch(FetchRequest),
    ListOffsets(ListOffsetsRequest),
    Metadata(MetadataRequest),
    /// `None`: in a version that is not known here, answered in version 0 (KIP-511).
    ApiVersions(Option<ApiVersionsRequest>),
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    InitProducerId(InitProducerIdRequest),
    DescribeConfigs(DescribeConfigsRequest),
    CreatePartitions(CreatePartitionsRequest),
    DescribeCluster(DescribeClusterRequest),
    /// An API that is not served but has an answer that says so.
    Unserved(Unserved),
}

impl Request {
    /// Decodes a frame, without its length.
    ///
    /// # Errors
    /// When it is no request, or one that can only be answered by closing the connection.
    pub fn decode(frame: &Bytes) -> Result<Self, CloseReason> {
        let (header, input) = kafka_wire::decode_request_header(frame)
            .map_err(|source| CloseReason::Malformed { api: None, source })?;
        let body = match header.api_key {
            ApiKey::PRODUCE => Body::Produce(decode(&header, input)?, None),
            ApiKey::FETCH => Body::Fetch(decode(&header, input)?),
            ApiKey::LIST_OFFSETS => Body::ListOffsets(decode(&header, input)?),
            ApiKey::METADATA => Body::Metadata(decode(&header, input)?),
            ApiKey::API_VERSIONS if ApiVersionsRequest::VERSIONS.contains(header.api_version) => {
                Body::ApiVersions(Some(decode(&header, input)?))
            }
            ApiKey::API_VERSIONS => Body::ApiVersions(None),
            ApiKey::CREATE_TOPICS => Body::CreateTopics(decode(&header, input)?),
            ApiKey::DELETE_TOPICS => Body::DeleteTopics(decode(&header, input)?),
            ApiKey::INIT_PRODUCER_ID => Body::InitProducerId(decode(&header, input)?),
            ApiKey::DESCRIBE_CONFIGS => Body::DescribeConfigs(decode(&header, input)?),
            ApiKey::CREATE_PARTITIONS => Body::CreatePartitions(decode(&header, input)?),
            ApiKey::DESCRIBE_CLUSTER => Body::DescribeCluster(decode(&header, input)?),
            _ => Body::Unserved(Unserved::of(&header, input)?),
        };
        Ok(Self { header, body, connection: 0 })
    }

    /// Does the part of the work that needs no cluster, and most of the time: checksums and decompression.
    ///
    /// [`Cluster::apply`](crate::Cluster::apply) does it where this was not called. A cluster that discards what it is sent
    /// has no use for it.
    pub fn inspect(&mut self) {
        if let Body::Produce(request, batches @ None) = &mut self.body {
            *batches = Some(inspect::request(request, self.header.api_version));
        }
    }

    /// Says which connection brought it: a number that [`Recorded`](crate::Recorded) repeats.
    #[must_use]
    pub fn from_connection(mut self, connection: u64) -> Self {
        self.connection = connection;
        self
    }

    /// Whether the cluster has more to say to it than that it is not served.
    #[must_use]
    pub fn is_served(&self) -> bool {
        !matches!(self.body, Body::Unserved(_))
    }

    /// The API it asks.
    #[must_use]
    pub fn api(&self) -> ApiKey {
        self.header.api_key
    }

    /// In which version.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// What the client calls itself.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.header.client_id.as_deref()
    }
}

fn decode<R: WireRequest>(header: &RequestHeader, input: Input<'_>) -> Result<R, CloseReason> {
    if !R::VERSIONS.contains(header.api_version) {
        return Err(CloseReason::NotServed { api: header.api_key, version: header.api_version });
    }
    kafka_wire::decode_request(header, input)
        .map_err(|source: WireError| CloseReason::Malformed { api: Some(header.api_key), source })
}
