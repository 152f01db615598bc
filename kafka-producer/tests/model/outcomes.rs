//! [`Outcome`]: set once; whoever waits for it is woken.

use std::{future::poll_fn, sync::Arc, task::Poll};

use kafka_wire::TopicName;
use loom::{future::block_on, thread};

use crate::{
    check,
    outcome::{BatchResult, Bystander, Counts, Outcome},
};

fn outcome() -> Arc<Outcome> {
    Arc::new(Outcome::new(TopicName::from("orders"), 0))
}

fn acknowledged() -> BatchResult {
    BatchResult::Acknowledged { base_offset: 7, log_append_time: None }
}

fn resolve(outcome: &Outcome, result: BatchResult) {
    outcome.resolve(result).into_iter().for_each(std::task::Waker::wake);
}

/// What a delivery does.
fn wait_for(outcome: &Outcome, index: u32) {
    block_on(poll_fn(|cx| match outcome.result_or_wait(index, cx.waker()) {
        None => Poll::Pending,
        Some(BatchResult::Acknowledged { base_offset, .. }) => {
            assert_eq!(*base_offset, 7);
            Poll::Ready(())
        }
        Some(other) => panic!("{other:?}"),
    }));
}

/// What a flush does.
fn flush(outcome: &Arc<Outcome>, count: u32) -> (u64, u64) {
    let (mut bystander, mut counts) = (Bystander::default(), Counts::default());
    block_on(poll_fn(|cx| Outcome::poll_counts(outcome, count, &mut bystander, &mut counts, cx.waker())));
    (counts.delivered, counts.failed)
}

#[test]
fn deliveries_of_one_batch_are_all_woken() {
    check(|| {
        let outcome = outcome();
        let threads: Vec<_> = (0..2)
            .map(|index| {
                let outcome = Arc::clone(&outcome);
                thread::spawn(move || wait_for(&outcome, index))
            })
            .collect();
        resolve(&outcome, acknowledged());
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn a_flush_and_a_delivery_do_not_take_each_others_place() {
    check(|| {
        let outcome = outcome();
        let waits = {
            let outcome = Arc::clone(&outcome);
            thread::spawn(move || wait_for(&outcome, 0))
        };
        let flushes = {
            let outcome = Arc::clone(&outcome);
            thread::spawn(move || assert_eq!(flush(&outcome, 1), (1, 0)))
        };
        resolve(&outcome, acknowledged());
        waits.join().expect("no panic");
        flushes.join().expect("no panic");
    });
}

#[test]
fn whoever_waits_follows_a_split() {
    check(|| {
        let (whole, left, right) = (outcome(), outcome(), outcome());
        let flushes = {
            let whole = Arc::clone(&whole);
            thread::spawn(move || assert_eq!(flush(&whole, 3), (2, 1)))
        };
        let parts = Box::new([(0, Arc::clone(&left)), (2, Arc::clone(&right))]);
        resolve(&whole, BatchResult::Split(parts));
        let resolves = thread::spawn(move || resolve(&left, acknowledged()));
        resolve(&right, BatchResult::Failed(Arc::new(crate::error::Failure)));
        resolves.join().expect("no panic");
        flushes.join().expect("no panic");
    });
}

#[test]
fn a_flush_that_goes_away_takes_no_wake_up_of_another_along() {
    check(|| {
        let outcome = outcome();
        let flushes = {
            let outcome = Arc::clone(&outcome);
            thread::spawn(move || assert_eq!(flush(&outcome, 1), (1, 0)))
        };
        let goes = {
            let outcome = Arc::clone(&outcome);
            thread::spawn(move || {
                let (mut bystander, mut counts) = (Bystander::default(), Counts::default());
                let waker = std::task::Waker::noop();
                let _ = Outcome::poll_counts(&outcome, 1, &mut bystander, &mut counts, waker);
            })
        };
        resolve(&outcome, acknowledged());
        flushes.join().expect("no panic");
        goes.join().expect("no panic");
    });
}
