//! What a request costs: produce requests written, their answers and metadata read.

use std::hint::black_box;

use bytes::{Buf, Bytes};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka_wire::messages::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use kafka_wire::{
    Acks, CorrelationId, FrameBuf, NodeId, PartitionId, Records, TopicId, TopicName, decode_response,
    encode_request, encode_response,
};

/// By name the newest, and by topic id.
const VERSIONS: [i16; 2] = [12, 13];
const PARTITIONS: [i32; 2] = [4, 100];
const BATCH: usize = 16 << 10;
/// Of a batch's header, which is a chunk of its own.
const HEADER: usize = 61;

fn produce(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire/produce_encode");
    for partitions in PARTITIONS {
        let request = produce_request(partitions);
        group.throughput(Throughput::Elements(partitions as u64));
        for version in VERSIONS {
            group.bench_function(BenchmarkId::new(format!("v{version}"), partitions), |b| {
                b.iter(|| {
                    let frame = encode_request(black_box(&request), version, CorrelationId(1), Some("bench"));
                    frame.expect("it has bytes").into_segments().remaining()
                });
            });
        }
    }
    group.finish();

    let mut group = c.benchmark_group("wire/produce_response_decode");
    for partitions in PARTITIONS {
        let response = produce_response(partitions);
        group.throughput(Throughput::Elements(partitions as u64));
        for version in VERSIONS {
            let frame = frame(encode_response(&response, version, CorrelationId(1)).expect("it has bytes"));
            group.bench_function(BenchmarkId::new(format!("v{version}"), partitions), |b| {
                b.iter(|| decode_response::<ProduceResponse>(black_box(&frame), version));
            });
        }
    }
    group.finish();
}

fn metadata(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire/metadata_decode");
    for partitions in [12, 1200] {
        let frame = frame(
            encode_response(&metadata_response(partitions), 12, CorrelationId(1)).expect("it has bytes"),
        );
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::new("v12", partitions), |b| {
            b.iter(|| decode_response::<MetadataResponse>(black_box(&frame), 12));
        });
    }
    group.finish();
}

fn produce_request(partitions: i32) -> ProduceRequest {
    let header = Bytes::from(vec![1; HEADER]);
    let payload = Bytes::from(vec![2; BATCH]);
    let partition_data = (0..partitions).map(|index| PartitionProduceData {
        index: PartitionId(index),
        records: Some(Records::from_chunks([header.clone(), payload.clone()])),
    });
    let topic = TopicProduceData {
        name: TopicName::from("orders"),
        topic_id: TopicId([7; 16]),
        partition_data: partition_data.collect(),
    };
    ProduceRequest { acks: Acks::ALL, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

fn produce_response(partitions: i32) -> ProduceResponse {
    let partition_responses = (0..partitions).map(|index| PartitionProduceResponse {
        index: PartitionId(index),
        base_offset: 1_000_000,
        log_start_offset: 0,
        ..Default::default()
    });
    let topic = TopicProduceResponse {
        name: TopicName::from("orders"),
        topic_id: TopicId([7; 16]),
        partition_responses: partition_responses.collect(),
    };
    ProduceResponse { responses: vec![topic], ..Default::default() }
}

fn metadata_response(partitions: i32) -> MetadataResponse {
    let nodes = [NodeId(0), NodeId(1), NodeId(2)];
    let brokers = nodes.iter().map(|node| MetadataResponseBroker {
        node_id: *node,
        host: format!("broker-{node}.example.com"),
        port: 9092,
        rack: None,
    });
    let partitions = (0..partitions).map(|index| MetadataResponsePartition {
        partition_index: PartitionId(index),
        leader_id: NodeId(index % 3),
        leader_epoch: 5,
        replica_nodes: nodes.to_vec(),
        isr_nodes: nodes.to_vec(),
        ..Default::default()
    });
    let topic = MetadataResponseTopic {
        name: Some(TopicName::from("orders")),
        partitions: partitions.collect(),
        ..Default::default()
    };
    MetadataResponse { brokers: brokers.collect(), topics: vec![topic], ..Default::default() }
}

/// Without its length.
fn frame(buf: FrameBuf) -> Bytes {
    buf.into_bytes().slice(4..)
}

criterion_group!(benches, produce, metadata);
criterion_main!(benches);
