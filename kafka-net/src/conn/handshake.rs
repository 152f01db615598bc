//! What a connection says before it takes calls: one request at a time, each from the answer to the one before.
//!
//! Today that is the negotiation of versions (KIP-35, KIP-511), and the question whether this is the broker that is meant
//! (KIP-1242). SASL comes before both, as further steps of [`Step`]; TLS is below, in the stream.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_wire::{
    ApiKey, CorrelationId, ErrorCode, FrameBuf, Message, NodeId, Request, Response, VersionRange,
    messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse},
};

use super::{opening::Opening, versions::Versions};
use crate::{
    config::NetConfig,
    error::{Kind, Other},
};

#[derive(Debug)]
pub(crate) struct Handshake {
    step: Step,
    node: NodeId,
    /// The cluster that the broker must be of, if that is known.
    cluster: Option<Arc<str>>,
    for_good: bool,
    /// The broker has said that it is not the one that was named; it is asked which cluster it is of.
    is_other: bool,
    /// A newer version than the one that was taken may still be tried.
    may_rise: bool,
    versions: Versions,
    /// The version of ApiVersions to begin with next time.
    api_versions: Option<i16>,
    throttle: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Ask for the broker's versions, in this version of ApiVersions.
    Versions { version: i16 },
    /// Ask which cluster it is of, in this version of Metadata.
    Cluster { version: i16 },
}

/// A request of the handshake, ready to be written.
pub(crate) struct Said {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) frame: FrameBuf,
}

/// Where an answer led.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Say the next thing.
    Next,
    /// Calls can begin. `is_proven`: the broker is of the cluster that was expected.
    Done { versions: Versions, throttle: Duration, is_proven: bool },
}

impl Handshake {
    pub(crate) fn new(node: NodeId, opening: Opening) -> Self {
        // An address of the bootstrap list is nobody in particular.
        let expectation = opening.expectation.filter(|_| node.0 >= 0);
        let known = opening.api_versions.filter(|&version| ApiVersionsRequest::VERSIONS.contains(version));
        Self {
            step: Step::Versions { version: known.unwrap_or(ApiVersionsRequest::VERSIONS.max) },
            node,
            for_good: expectation.as_ref().is_some_and(|it| it.for_good),
            cluster: expectation.map(|it| it.cluster),
            is_other: false,
            may_rise: true,
            versions: Versions::default(),
            api_versions: known,
            throttle: Duration::ZERO,
        }
    }

    /// The version of ApiVersions that the broker takes, as far as is known.
    pub(crate) fn api_versions(&self) -> Option<i16> {
        self.api_versions
    }

    /// What the end of the connection means now, if it means more than that.
    pub(crate) fn verdict(&self) -> Option<Kind> {
        self.is_other.then(|| self.other(None))
    }

    /// Whether the broker has named its versions, and is asked for more.
    pub(crate) fn has_answered(&self) -> bool {
        matches!(self.step, Step::Cluster { .. })
    }

    /// What to say now.
    pub(crate) fn say(&self, id: CorrelationId, config: &NetConfig) -> Result<Said, Kind> {
        match self.step {
            Step::Versions { version } => {
                let cluster = self.cluster.clone().filter(|_| self.names_cluster(version));
                let request = ApiVersionsRequest {
                    client_software_name: config.software_name.clone(),
                    client_software_version: config.software_version.clone(),
                    node_id: if cluster.is_some() { self.node } else { NodeId::NONE },
                    cluster_id: cluster.map(|cluster| cluster.to_string()),
                };
                said(&request, version, id, config)
            }
            // No topics: who it is says any broker, whatever may be read there.
            Step::Cluster { version } => said(&MetadataRequest::default(), version, id, config),
        }
    }

    /// The answer to what was said last.
    pub(crate) fn handle_reply(&mut self, frame: &Bytes) -> Result<Progress, Kind> {
        let progress = match self.step {
            Step::Versions { version } => self.handle_versions(frame, version),
            Step::Cluster { version } => self.handle_cluster(frame, version),
        };
        // It is not the broker that is meant, whatever else is wrong with it.
        progress.map_err(|kind| match kind {
            Kind::OtherCluster(_) | Kind::OtherNode { .. } => kind,
            kind => self.verdict().unwrap_or(kind),
        })
    }

    fn handle_versions(&mut self, frame: &Bytes, version: i16) -> Result<Progress, Kind> {
        let api = ApiKey::API_VERSIONS;
        // A broker that does not know the version answers UNSUPPORTED_VERSION in version 0, which kafka-wire reads.
        let response: ApiVersionsResponse = heard(frame, version)?;
        match response.error_code {
            ErrorCode::NONE => {
                self.note_throttle(version, &response);
                self.versions = Versions::new(&response.api_keys);
                let newest = self.versions.common(api, ApiVersionsRequest::VERSIONS).unwrap_or(version);
                self.api_versions = Some(newest);
                self.after_versions(version, newest)
            }
            ErrorCode::UNSUPPORTED_VERSION => {
                let versions = Versions::new(&response.api_keys);
                let next = versions.common(api, ApiVersionsRequest::VERSIONS).unwrap_or(0);
                self.may_rise = false;
                if next >= version {
                    // It names a version that it has just refused: asking again would never end.
                    let theirs = versions.of(api);
                    return Err(Kind::Unsupported { api, ours: ApiVersionsRequest::VERSIONS, theirs });
                }
                self.step = Step::Versions { version: next };
                Ok(Progress::Next)
            }
            // It says nothing of who it is. Asked by nobody in particular, it may.
            ErrorCode::REBOOTSTRAP_REQUIRED if self.cluster.is_some() && self.names_cluster(version) => {
                self.is_other = true;
                Ok(Progress::Next)
            }
            code => Err(Kind::Refused { doing: "to name the API versions it knows", code }),
        }
    }

    /// The broker has named its versions, the newest of ApiVersions among them.
    fn after_versions(&mut self, version: i16, newest: i16) -> Result<Progress, Kind> {
        if self.cluster.is_none() || self.names_cluster(version) {
            return Ok(self.done(self.cluster.is_some()));
        }
        if !self.is_other && newest > version && self.names_cluster(newest) && self.may_rise {
            // It was an older one when its version was noted.
            self.may_rise = false;
            self.step = Step::Versions { version: newest };
            return Ok(Progress::Next);
        }
        match self.versions.common(ApiKey::METADATA, WITH_CLUSTER_ID) {
            Some(version) => {
                self.step = Step::Cluster { version };
                Ok(Progress::Next)
            }
            None if self.is_other => Err(self.other(None)),
            // Nothing can be known.
            None => Ok(self.done(false)),
        }
    }

    fn handle_cluster(&mut self, frame: &Bytes, version: i16) -> Result<Progress, Kind> {
        let response: MetadataResponse = heard(frame, version)?;
        self.note_throttle(version, &response);
        let is_same = response.cluster_id.as_deref() == self.cluster.as_deref();
        match (response.cluster_id, self.is_other) {
            (_, true) if is_same => {
                Err(Kind::OtherNode { cluster: self.cluster.clone().unwrap_or_default() })
            }
            (found, true) => Err(self.other(found)),
            (Some(found), false) if !is_same => Err(self.other(Some(found))),
            // One that does not know its cluster proves nothing.
            (found, false) => Ok(self.done(found.is_some())),
        }
    }

    /// Whether ApiVersions in this version says who is meant, and does.
    fn names_cluster(&self, version: i16) -> bool {
        version >= FIRST_WITH_CLUSTER_ID && !self.is_other
    }

    fn done(&mut self, is_proven: bool) -> Progress {
        Progress::Done { versions: std::mem::take(&mut self.versions), throttle: self.throttle, is_proven }
    }

    fn other(&self, found: Option<String>) -> Kind {
        let expected = self.cluster.clone().unwrap_or_default();
        Kind::OtherCluster(Box::new(Other { expected, found: found.map(Arc::from), for_good: self.for_good }))
    }

    /// A pause that the broker asked for and leaves to us.
    fn note_throttle<R: Response>(&mut self, version: i16, response: &R) {
        if version >= R::API.throttled_since() {
            self.throttle = self.throttle.max(response.throttle_time());
        }
    }
}

fn said<R: Request>(request: &R, version: i16, id: CorrelationId, config: &NetConfig) -> Result<Said, Kind> {
    let api = R::API;
    kafka_wire::encode_request(request, version, id, Some(&config.client_id))
        .map(|frame| Said { api, version, frame })
        .map_err(|source| Kind::Unencodable { api, version, source })
}

fn heard<R: Response>(frame: &Bytes, version: i16) -> Result<R, Kind> {
    kafka_wire::decode_response::<R>(frame, version)
        .map(|(_, response)| response)
        .map_err(|source| Kind::Undecodable { api: R::API, version, source })
}

/// The first version of ApiVersions that says which broker of which cluster is meant.
const FIRST_WITH_CLUSTER_ID: i16 = 5;
/// The versions of Metadata whose answers name the cluster.
const WITH_CLUSTER_ID: VersionRange = VersionRange::new(2, MetadataRequest::VERSIONS.max);
