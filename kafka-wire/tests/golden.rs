//! Bytes that Kafka's own message classes wrote (`cargo xtask golden`), in every version.
//!
//! Each file of `tests/golden` is a message; each line `version variant header body`. The variants are a new object of
//! Kafka's (`default`), one with a value in every field (`filled`), and one with null wherever it may be (`nulls`).

use std::path::Path;

use bytes::Bytes;
use kafka_wire::messages::*;
use kafka_wire::{
    ALL, ApiKey, CorrelationId, ErrorCode, FrameBuf, Message, NodeId, PartitionId, Request, Response,
    TopicId, decode_body, decode_request, decode_request_header, decode_response, encode_body,
    encode_request, encode_response,
};

/// What the program that wrote the files gave every header.
const CORRELATION_ID: CorrelationId = CorrelationId(0x0102_0304);
const CLIENT_ID: &str = "golden";

#[test]
fn every_message_is_written_as_kafka_writes_it() {
    let mut apis = 0;
    macro_rules! check {
        ($($request:ty),* $(,)?) => {$(
            requests::<$request>();
            responses::<<$request as Request>::Response>();
            apis += 1;
        )*};
    }
    check! {
        ProduceRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ApiVersionsRequest, CreateTopicsRequest,
        DeleteTopicsRequest, InitProducerIdRequest, DescribeConfigsRequest, CreatePartitionsRequest,
        DescribeClusterRequest,
    }
    assert_eq!(apis, ALL.len(), "an api is not in the list above");
}

fn requests<R: Request>() {
    for Line { version, variant, header, body } in &lines(R::NAME) {
        let at = format!("{} v{version} {variant}", R::NAME);
        let frame = Bytes::from([&**header, body].concat());
        let (parsed, rest) = decode_request_header(&frame).expect(&at);
        assert_eq!(parsed.api_key, R::API, "{at}");
        assert_eq!(parsed.api_version, *version, "{at}");
        assert_eq!(parsed.correlation_id, CORRELATION_ID, "{at}");
        assert_eq!(parsed.client_id.as_deref(), Some(CLIENT_ID), "{at}");
        let request: R = decode_request(&parsed, rest).expect(&at);
        let encoded = encode_request(&request, *version, CORRELATION_ID, Some(CLIENT_ID)).expect(&at);
        assert_eq!(without_len(encoded), frame, "{at}");
        default_is_kafkas::<R>(*version, variant, body);
    }
}

fn responses<R: Response>() {
    for Line { version, variant, header, body } in &lines(R::NAME) {
        let at = format!("{} v{version} {variant}", R::NAME);
        let frame = Bytes::from([&**header, body].concat());
        let (correlation_id, response) = decode_response::<R>(&frame, *version).expect(&at);
        assert_eq!(correlation_id, CORRELATION_ID, "{at}");
        let encoded = encode_response(&response, *version, CORRELATION_ID).expect(&at);
        assert_eq!(without_len(encoded), frame, "{at}");
        default_is_kafkas::<R>(*version, variant, body);
    }
}

fn default_is_kafkas<M: Message>(version: i16, variant: &str, body: &[u8]) {
    if variant == "default" {
        let mut buf = FrameBuf::new();
        let size = encode_body(&M::default(), version, &mut buf).expect(M::NAME);
        assert_eq!(buf.into_bytes(), body, "default of {} v{version}", M::NAME);
        assert_eq!(size, body.len(), "size of the default of {} v{version}", M::NAME);
    }
}

/// Equal bytes would hide two fields that are swapped; these values were given by name.
#[test]
fn fields_have_the_values_that_kafka_gave_them() {
    let request: ProduceRequest = filled(9);
    assert_eq!(request.transactional_id.as_ref().map(|id| id.as_str()), Some("transactional_id-1-ä"));
    assert_eq!(request.acks.get(), 0x0202);
    assert_eq!(request.timeout_ms, 0x0303_0303);
    let topic = &request.topic_data[0];
    assert_eq!(topic.name, "name-5-ä");
    assert_eq!(topic.topic_id, TopicId::ZERO);
    assert_eq!(topic.partition_data[0].index, PartitionId(0x0707_0707));
    let records = topic.partition_data[0].records.as_ref().expect("not null");
    assert_eq!(records.to_bytes(), "records-8");

    let response: ProduceResponse = filled(13);
    let topic = &response.responses[0];
    assert_eq!(topic.name, "");
    assert_eq!(topic.topic_id.to_string(), "AAAAAAAAEAIAAAAAAAAgAg");
    let partition = &topic.partition_responses[0];
    assert_eq!(partition.error_code, ErrorCode(0x0505));
    assert_eq!(partition.base_offset, 0x0606_0606_0606_0606);
    assert_eq!(partition.log_append_time_ms, 0x0707_0707_0707_0707);
    assert_eq!(partition.log_start_offset, 0x0808_0808_0808_0808);
    assert_eq!(partition.record_errors[0].batch_index, 0x0a0a_0a0a);
    assert_eq!(partition.error_message.as_deref(), Some("error_message-14-ä"));
    assert_eq!(partition.current_leader.leader_id, NodeId(0x1010_1010));
    assert_eq!(partition.current_leader.leader_epoch, 0x1111_1111);

    let metadata: MetadataResponse = filled(12);
    assert_eq!(metadata.brokers[0].node_id, NodeId(0x0303_0303));
    assert_eq!(metadata.brokers[0].host, "host-4-ä");
    assert_eq!(metadata.brokers[0].port, 0x0505_0505);
    assert_eq!(metadata.brokers[0].rack.as_deref(), Some("rack-6-ä"));
    assert_eq!(metadata.cluster_id.as_deref(), Some("cluster_id-11-ä"));
    assert_eq!(metadata.controller_id, NodeId(0x0c0c_0c0c));
    let topic = &metadata.topics[0];
    assert_eq!(topic.name.as_ref().map(|name| name.as_str()), Some("name-15-ä"));
    assert!(topic.is_internal);
    let partition = &topic.partitions[0];
    assert_eq!(partition.partition_index, PartitionId(0x1414_1414));
    assert_eq!(partition.leader_id, NodeId(0x1515_1515));
    assert_eq!(partition.leader_epoch, 0x1616_1616);
    assert_eq!(partition.replica_nodes, [NodeId(0x1818_1818), NodeId(0x1919_1919)]);
    assert_eq!(partition.isr_nodes, [NodeId(0x1b1b_1b1b), NodeId(0x1c1c_1c1c)]);
    assert_eq!(partition.offline_replicas, [NodeId(0x1e1e_1e1e), NodeId(0x1f1f_1f1f)]);
}

/// What a version does not have is read as its default.
#[test]
fn fields_of_other_versions_have_their_defaults() {
    let metadata: MetadataResponse = filled(0);
    assert_eq!(metadata.controller_id, NodeId::NONE);
    assert_eq!(metadata.cluster_id, None);
    assert_eq!(metadata.topics[0].partitions[0].leader_epoch, -1);
    assert_eq!(metadata.cluster_authorized_operations, i32::MIN);
    let request: MetadataRequest = filled(3);
    assert!(request.allow_auto_topic_creation);
    let response: ProduceResponse = filled(3);
    assert_eq!(response.responses[0].partition_responses[0].log_start_offset, -1);
}

#[test]
fn errors_are_kafkas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/errors.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let ours = ErrorCode::ALL.iter().map(|code| {
        let what = match (code.is_invalid_metadata(), code.is_retriable()) {
            (true, _) => "refresh",
            (false, true) => "retriable",
            (false, false) => "final",
        };
        format!("{} {} {what}", code.get(), code.name())
    });
    let theirs: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(ours.collect::<Vec<_>>(), theirs);
}

/// KIP-511: a broker that does not know the version asked answers in version 0.
#[test]
fn an_answer_in_version_0_is_read_whatever_version_was_asked() {
    // Made by hand: correlation id, UNSUPPORTED_VERSION, one key: ApiVersions 0 to 2.
    let frame = Bytes::from_static(&[1, 2, 3, 4, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2]);
    for version in ApiVersionsResponse::VERSIONS.iter() {
        let result = decode_response::<ApiVersionsResponse>(&frame, version);
        let (correlation_id, response) = result.unwrap_or_else(|error| panic!("v{version}: {error}"));
        assert_eq!(correlation_id, CORRELATION_ID);
        assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
        let range = ApiVersion { api_key: ApiKey::API_VERSIONS, min_version: 0, max_version: 2 };
        assert_eq!(response.api_keys, [range]);
    }
}

struct Line {
    version: i16,
    variant: String,
    header: Vec<u8>,
    body: Vec<u8>,
}

/// The message that has a value in every field.
fn filled<M: Message>(version: i16) -> M {
    let lines = lines(M::NAME);
    let line = lines.iter().find(|line| line.version == version && line.variant == "filled").expect(M::NAME);
    decode_body(&Bytes::from(line.body.clone()), version).expect(M::NAME)
}

fn lines(name: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("hex");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<Line> = text.lines().filter(|line| !line.starts_with('#')).map(line).collect();
    let api = ALL.iter().find(|api| [api.request, api.response].iter().any(|body| body.schema.name == name));
    let mut versions: Vec<i16> = lines.iter().map(|line| line.version).collect();
    versions.dedup();
    assert_eq!(versions, api.expect(name).versions.iter().collect::<Vec<_>>(), "{name}");
    lines
}

fn line(line: &str) -> Line {
    let fields: Vec<&str> = line.split(' ').collect();
    let [version, variant, header, body] = fields[..] else {
        panic!("not four fields: {line}");
    };
    Line {
        version: version.parse().expect(line),
        variant: variant.to_owned(),
        header: unhex(header),
        body: if body == "-" { Vec::new() } else { unhex(body) },
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect(hex);
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn without_len(frame: FrameBuf) -> Bytes {
    let bytes = frame.into_bytes();
    let (len, rest) = bytes.split_first_chunk().expect("a length");
    assert_eq!(u32::from_be_bytes(*len) as usize, rest.len());
    bytes.slice(4..)
}
