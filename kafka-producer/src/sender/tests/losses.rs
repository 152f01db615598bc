//! Acknowledged records that brokers lost: when that can be seen, and when it only looks like it.

use std::time::Duration;

use kafka_wire::ErrorCode;

use super::rig::{A, B, Rig, offset};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;

/// The log of partition 0 ends at 3, and its leader is another one now.
fn elected_after_three() -> Rig {
    let mut rig = Rig::new(1);
    for (records, offset) in [(1, 0), (2, 1)] {
        drop(rig.batch(0, records));
        let request = rig.request(A).expect("the batch");
        rig.answer(request, &[(OK, offset)]);
    }
    rig.leaders[0] = (B, 2);
    rig.refresh();
    rig
}

fn losses(rig: &Rig) -> u64 {
    rig.sender.counters().losses
}

#[test]
fn where_a_record_stands_that_was_acknowledged_no_other_can_stand() {
    let mut rig = elected_after_three();
    for (offset, told) in [(3, 0), (4, 0), (2, 1), (3, 1), (3, 2), (9, 2)] {
        drop(rig.batch(0, 1));
        let request = rig.request(B).expect("the batch");
        rig.answer(request, &[(OK, offset)]);
        assert_eq!(losses(&rig), told, "at {offset}");
    }
}

#[test]
fn a_leader_that_lacks_what_comes_before_the_next_number_has_lost_it() {
    let mut rig = elected_after_three();
    drop(rig.batch(0, 1));
    let request = rig.request(B).expect("the batch");
    rig.answer(request, &[(OUT_OF_ORDER, -1)]);
    assert_eq!(losses(&rig), 1);
    // Which is known: that it stands so far in front says no more.
    rig.advance(Duration::from_millis(200));
    let request = rig.request(B).expect("under the next epoch");
    rig.answer(request, &[(OK, 1)]);
    assert_eq!(losses(&rig), 1);
}

#[test]
fn what_is_answered_late_or_behind_a_gap_of_our_own_is_not_lost() {
    let mut rig = elected_after_three();
    drop(rig.batch(0, 1));
    let request = rig.request(B).expect("the batch");
    rig.answer(request, &[(OK, 3)]);
    let deliveries = [rig.batch(0, 1), rig.batch(0, 1), rig.batch(0, 1)];
    let mut requests = rig.requests(B).into_iter();
    // The first one's answer does not come; the second one's does, and then it is asked for again.
    rig.lose(requests.next().expect("three"), true);
    rig.answer(requests.next().expect("three"), &[(OK, 5)]);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(B).expect("the first again");
    rig.answer(again, &[(OK, 4)]);
    assert_eq!((offset(&deliveries[0][0]), losses(&rig)), (Some(4), 0));
    rig.answer(requests.next().expect("three"), &[(ErrorCode::INVALID_RECORD, -1)]);
    drop(rig.batch(0, 1));
    while let Some(request) = rig.request(B) {
        rig.answer(request, &[(OUT_OF_ORDER, -1)]);
    }
    assert_eq!(losses(&rig), 0, "the gap is our own");
}
