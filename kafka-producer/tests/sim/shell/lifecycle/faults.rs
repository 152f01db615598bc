//! Faults of the producer itself, and of its process: a panic in the midst of a change, work that nobody does, a fork. Whatever was
//! accepted gets its answer, and a true one.

use std::cell::Cell;

use super::*;
use crate::{Compression, planted};

type Sent = (String, Delivery);

/// Whatever was accepted has an answer, and what is in the log was not denied.
fn all_are_answered_truthfully(net: &Net, sent: &[Sent]) {
    let written = values(net);
    for (value, delivery) in sent {
        let told = delivery.peek().unwrap_or_else(|| panic!("{value:.10} has no answer"));
        let is_written = written.contains(value);
        match told {
            Ok(_) => assert!(is_written, "{value:.10} was acknowledged"),
            Err(error) if error.persistence() == Persistence::NotPersisted => {
                assert!(!is_written, "{value:.10} is written: {error}");
            }
            Err(_) => {}
        }
    }
}

/// Sends records of so many bytes to partition 0.
async fn send_some(producer: &Producer, sent: &mut Vec<Sent>, count: u32, size: usize) {
    for _ in 0..count {
        let value = format!("{} {}", sent.len(), "x".repeat(size));
        let sending = AssertUnwindSafe(producer.send(order(&value))).catch_unwind();
        if let Ok(Ok(delivery)) = sending.await {
            sent.push((value, delivery));
        }
    }
}

/// Batches that are acknowledged, refused, split, sent again, and that expire.
async fn eventful(net: &Net, producer: &Producer) -> Vec<Sent> {
    let mut sent = Vec::new();
    send_some(producer, &mut sent, 3, 10).await;
    sleep(SECOND).await;
    net.refuse([Refuse { code: ErrorCode::INVALID_RECORD, is_applied: false }]);
    send_some(producer, &mut sent, 1, 10).await;
    sleep(SECOND).await;
    net.refuse([Refuse { code: ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, is_applied: true }]);
    send_some(producer, &mut sent, 1, 10).await;
    sleep(SECOND * 3).await;
    net.refuse([Refuse { code: ErrorCode::MESSAGE_TOO_LARGE, is_applied: false }]);
    send_some(producer, &mut sent, 4, 900).await;
    sleep(SECOND * 3).await;
    freeze(net);
    send_some(producer, &mut sent, 2, 3_000).await;
    sleep(SECOND * 60).await;
    net.clear();
    sleep(SECOND * 30).await;
    sent
}

/// At each slippery place in turn.
#[test]
fn a_panic_in_the_midst_of_a_change_ends_the_producer_truthfully() {
    let mut slipped = 0;
    for after in 0.. {
        let ((producer, sent), net) = play(|net| async move {
            planted::slip_after(after);
            let settings = config(&net).batch_size(4_000).request_timeout(SECOND * 10);
            let producer = start(settings.delivery_timeout(SECOND * 40).max_block(SECOND));
            let sent = eventful(&net, &producer).await;
            (producer, sent)
        });
        all_are_answered_truthfully(&net, &sent);
        if !planted::has_slipped() {
            assert_eq!(sent.len(), 11, "all were accepted");
            break;
        }
        slipped += 1;
        let refused = producer.try_send(order("later")).expect_err("it has ended");
        let refused = refused.as_send_error().expect("for good").clone();
        assert!(refused.is_closed() && refused.to_string().contains("a panic"), "{after}: {refused}");
        assert_eq!(producer.shared().plane.pool.used(), 0, "after {after}");
    }
    assert!(slipped > 30, "{slipped} places were passed");
}

/// A panic in another thread, of code of ours that holds a lock, as far as locks tell.
#[test]
fn a_lane_or_a_gate_that_a_panic_has_torn_ends_the_producer_truthfully() {
    for is_lane in [true, false] {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net).linger(SECOND * 5));
            warm_up(&producer).await;
            let waits = producer.send(order("waits")).await.expect("accepted");
            let topic = producer.shared().plane.topic("orders").expect("a legal name");
            let torn = std::thread::spawn(move || {
                let lane = topic.lane(0).expect("it is there");
                if is_lane {
                    let _lane = lane.lock();
                    panic!("a mistake of ours");
                }
                let gate = Arc::clone(&lane.lock().gate);
                let _gate = gate.lock();
                panic!("a mistake of ours");
            });
            torn.join().expect_err("it panics");
            sleep(SECOND * 10).await;
            let error = waits.peek().expect("it is resolved").expect_err("not sent");
            assert!(error.is_aborted() && error.persistence() == Persistence::NotPersisted, "{error}");
            assert!(error.to_string().contains("a panic"), "{error}");
            let refused = producer.send(order("later")).await.map(drop).expect_err("it has ended");
            assert!(refused.is_closed() && refused.to_string().contains("a panic"), "{refused}");
            assert_eq!(producer.shared().plane.pool.used(), 0);
        });
        assert_eq!(values(&net), Vec::<String>::new());
    }
}

#[test]
fn an_append_finds_its_lane_torn() {
    play(|net| async move {
        let producer = start(config(&net).linger(SECOND * 5));
        warm_up(&producer).await;
        let waits = producer.send(order("waits")).await.expect("accepted");
        let topic = producer.shared().plane.topic("orders").expect("a legal name");
        let torn = std::thread::spawn(move || {
            let _lane = topic.lane(0).expect("it is there").lock();
            panic!("a mistake of ours");
        });
        torn.join().expect_err("it panics");
        // It does not fit into the batch that waits, which has to be closed for it.
        let large = "x".repeat(OF_TWO_CHUNKS);
        let refused = producer.try_send(order(&large)).expect_err("torn");
        assert!(refused.as_send_error().expect("for good").to_string().contains("a panic"));
        assert!(waits.peek().expect("it is resolved").expect_err("not sent").is_aborted());
    });
}

#[test]
fn a_batch_that_nobody_compresses_is_given_up_truthfully() {
    for work in [Work::Dropped, Work::Panics] {
        let ((), net) = play(|net| async move {
            let tasks = SimulatedTasks::new(None);
            let producer = start_on(config(&net).compression(Compression::Snappy), &tasks);
            warm_up(&producer).await;
            tasks.set_work(work);
            let lost = producer.send(order("lost")).await.expect("accepted");
            let error = timeout(SECOND, lost).await.expect("resolved").expect_err("nobody compresses it");
            assert_eq!(error.persistence(), Persistence::NotPersisted);
            assert!(error.to_string().contains("could not be compressed"), "{error}");
            tasks.set_work(Work::Done);
            producer.send(order("after")).await.expect("accepted").await.expect("delivered");
        });
        assert_eq!(values(&net), ["after"]);
    }
}

#[test]
fn a_batch_that_nobody_splits_is_given_up_truthfully() {
    for work in [Work::Dropped, Work::Panics] {
        play(|net| async move {
            let tasks = SimulatedTasks::new(None);
            let producer = start_on(config(&net).linger(SECOND), &tasks);
            warm_up(&producer).await;
            net.refuse([Refuse { code: ErrorCode::MESSAGE_TOO_LARGE, is_applied: false }]);
            tasks.set_work(work);
            let lost = join_all([producer.send(order("1")), producer.send(order("2"))]).await;
            for delivery in lost {
                let delivery = delivery.expect("accepted");
                let error = timeout(SECOND * 3, delivery).await.expect("resolved").expect_err("not split");
                assert_eq!(error.persistence(), Persistence::NotPersisted);
                assert!(error.to_string().contains("could not be compressed or split"), "{error}");
            }
            tasks.set_work(Work::Done);
            producer.send(order("after")).await.expect("accepted").await.expect("delivered");
        });
    }
}

thread_local! {
    /// The id of this process, as far as the producer is told.
    static PROCESS: Cell<u32> = const { Cell::new(1) };
}

/// As with a runtime of one thread, whose tasks go on in the child.
#[test]
fn in_a_fork_nothing_is_written_and_everything_is_refused() {
    let ((), net) = play(|net| async move {
        PROCESS.set(1);
        let tasks = SimulatedTasks::new(None);
        tasks.set_process(|| PROCESS.get());
        let producer = start_on(config(&net), &tasks);
        warm_up(&producer).await;
        freeze(&net);
        let in_flight = producer.send(order("in flight")).await.expect("accepted");
        sleep(SECOND).await;
        let queued = join_all((0..20).map(|_| producer.send(order("queued")))).await;
        let had = (net.dials(), net.open_pipes());
        PROCESS.set(2);
        // So often it is looked for.
        sleep(Duration::from_millis(1)).await;
        let refused = producer.try_send(Record::to("orders").partition(1).value("child"));
        let refused = refused.expect_err("it is the parent's").as_send_error().expect("for good").clone();
        assert!(refused.is_closed() && refused.to_string().contains("a fork"), "{refused}");
        net.clear();
        sleep(SECOND * 60).await;
        for delivery in queued.into_iter().map(|it| it.expect("accepted")).chain([in_flight]) {
            let error = delivery.peek().expect("resolved").expect_err("the parent is told");
            assert!(error.to_string().contains("a fork"), "{error}");
            assert_eq!(error.persistence(), Persistence::PossiblyPersisted, "the parent may write it");
        }
        let refused = [
            producer.send(order("child")).await.map(drop).expect_err("closed"),
            producer.flush().await.map(drop).expect_err("closed"),
            producer.topic("orders").await.map(drop).expect_err("closed"),
            producer.partitions_for("orders").await.map(drop).expect_err("closed"),
        ];
        assert!(refused.iter().all(|refused| refused.to_string().contains("a fork")));
        assert_eq!(producer.purge(crate::Purge::All), crate::Purged::default());
        let error = producer.close(SECOND).await.expect_err("it is not the child's to close");
        assert!(error.to_string().contains("a fork"), "{error}");
        drop(producer);
        sleep(SECOND * 5).await;
        assert_eq!((net.dials(), net.open_pipes()), had, "the parent's connections stand");
    });
    assert!(values(&net).iter().all(|value| value == "in flight"), "{:?}", values(&net));
}
