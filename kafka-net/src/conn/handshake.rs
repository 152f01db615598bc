//! What a connection says before it takes calls: one request at a time, each from the answer to the one before.
//!
//! Today that is the negotiation of versions (KIP-35, KIP-511). SASL comes before it, as further steps of
//! [`Step`]; TLS is below, in the stream.

use bytes::Bytes;
use kafka_wire::{
    ApiKey, CorrelationId, ErrorCode, FrameBuf, Message,
    messages::{ApiVersionsRequest, ApiVersionsResponse},
};

use super::versions::Versions;
use crate::{config::NetConfig, error::Kind};

#[derive(Debug)]
pub(crate) struct Handshake {
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Ask for the broker's versions, in this version of ApiVersions.
    Versions { version: i16 },
}

/// A request of the handshake, ready to be written.
pub(crate) struct Said {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) frame: FrameBuf,
}

/// Where an answer led.
pub(crate) enum Progress {
    /// Say the next thing.
    Next,
    /// Calls can begin.
    Done { versions: Versions, throttle_ms: i32 },
}

impl Handshake {
    pub(crate) fn new() -> Self {
        Self { step: Step::Versions { version: ApiVersionsRequest::VERSIONS.max } }
    }

    /// What to say now.
    pub(crate) fn say(&self, id: CorrelationId, config: &NetConfig) -> Result<Said, Kind> {
        let Step::Versions { version } = self.step;
        let request = ApiVersionsRequest {
            client_software_name: config.software_name.clone(),
            client_software_version: config.software_version.clone(),
            ..ApiVersionsRequest::default()
        };
        let api = ApiKey::API_VERSIONS;
        kafka_wire::encode_request(&request, version, id, Some(&config.client_id))
            .map(|frame| Said { api, version, frame })
            .map_err(|source| Kind::Unencodable { api, version, source })
    }

    /// The answer to what was said last.
    pub(crate) fn handle_reply(&mut self, frame: Bytes) -> Result<Progress, Kind> {
        let Step::Versions { version } = self.step;
        let api = ApiKey::API_VERSIONS;
        // A broker that does not know the version answers UNSUPPORTED_VERSION in version 0, which kafka-wire reads.
        let (_, response) = kafka_wire::decode_response::<ApiVersionsResponse>(&frame, version)
            .map_err(|source| Kind::Undecodable { api, version, source })?;
        match response.error_code {
            ErrorCode::NONE => Ok(Progress::Done {
                versions: Versions::new(&response.api_keys),
                throttle_ms: response.throttle_time_ms,
            }),
            ErrorCode::UNSUPPORTED_VERSION => {
                let versions = Versions::new(&response.api_keys);
                let next = versions.common(api, ApiVersionsRequest::VERSIONS).unwrap_or(0);
                if next >= version {
                    // It names a version that it has just refused: asking again would never end.
                    let theirs = versions.of(api);
                    return Err(Kind::Unsupported { api, ours: ApiVersionsRequest::VERSIONS, theirs });
                }
                self.step = Step::Versions { version: next };
                Ok(Progress::Next)
            }
            code => Err(Kind::Refused { doing: "to name the API versions it knows", code }),
        }
    }
}
