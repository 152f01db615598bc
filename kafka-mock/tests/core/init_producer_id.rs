//! InitProducerId: ids for idempotent producers, none for transactional ones.

use kafka_wire::messages::InitProducerIdRequest;
use kafka_wire::{ErrorCode, NodeId, ProducerEpoch, ProducerId, TransactionalId};

use crate::harness::{LEADER, World};

#[test]
fn each_asker_gets_an_id_of_its_own_in_every_version() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for version in 0..=5 {
        let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
        let response = world.call(NodeId(1 + i32::from(version) % 3), version, &request);
        assert_eq!((response.error_code, response.producer_epoch), (ErrorCode::NONE, ProducerEpoch(0)));
        assert!(response.producer_id.0 >= 0 && !seen.contains(&response.producer_id));
        seen.push(response.producer_id);
    }
}

#[test]
fn one_who_used_up_its_epochs_gets_another_id() {
    let mut world = World::new();
    let request = InitProducerIdRequest {
        transactional_id: None,
        producer_id: ProducerId(1000),
        producer_epoch: ProducerEpoch(i16::MAX),
        ..Default::default()
    };
    let first = world.call(LEADER, 5, &request).producer_id;
    assert_ne!(world.call(LEADER, 5, &request).producer_id, first);
}

#[test]
fn there_are_no_transactions() {
    let mut world = World::new();
    for (id, code) in [("payments", ErrorCode::UNSUPPORTED_VERSION), ("", ErrorCode::INVALID_REQUEST)] {
        let request =
            InitProducerIdRequest { transactional_id: Some(TransactionalId::from(id)), ..Default::default() };
        let response = world.call(LEADER, 5, &request);
        assert_eq!((response.error_code, response.producer_id), (code, ProducerId::NONE));
    }
}
