//! How a producer ends while others use it: whoever waits hears of it, and is told what became of what.

use super::*;

#[test]
fn a_patient_close_is_told_of_what_an_impatient_one_gave_up() {
    play(|net| async move {
        let producer = start(config(&net));
        warm_up(&producer).await;
        freeze(&net);
        let deliveries = join_all((0..3).map(|_| producer.send(order("lost")))).await;
        let other = producer.clone();
        let began = now();
        let (patient, impatient) =
            futures::future::join(producer.close(SECOND * 30), other.close(SECOND)).await;
        assert!(now() - began < SECOND * 5, "there is nothing left to wait for");
        let (patient, impatient) = (patient.expect_err("given up"), impatient.expect_err("given up"));
        assert_eq!((patient.records(), impatient.records()), (3, 3));
        assert!(impatient.is_timeout() && !patient.is_timeout());
        assert!(patient.to_string().contains("another handle closed the producer"), "{patient}");
        for delivery in deliveries {
            assert!(delivery.expect("accepted").peek().expect("closed").is_err());
        }
        // What was settled before it began is no concern of a later one.
        assert_eq!(producer.close(Duration::ZERO).await, Ok(()));
    });
}

#[test]
fn a_send_that_waits_for_room_hears_of_a_close() {
    play(|net| async move {
        let producer = start(config(&net).buffer_memory(2 * CHUNK));
        warm_up(&producer).await;
        freeze(&net);
        let large = "x".repeat(OF_TWO_CHUNKS);
        let _accepted = producer.send(order(&large)).await.expect("accepted");
        let sending = {
            let producer = producer.clone();
            Handle::current().spawn(async move { producer.send(order("no room")).await.map(drop) })
        };
        let sinking = {
            let mut sink = producer.sink();
            Handle::current().spawn(async move { sink.send(OwnedRecord::to("orders").value("none")).await })
        };
        sleep(SECOND).await;
        assert_eq!(producer.stats().buffer_waiting, 2);
        let closing = Handle::current().spawn(async move { producer.close(SECOND * 30).await });
        let refused = timeout(SECOND, sending).await.expect("it hears of it").expect("no panic");
        assert!(refused.expect_err("closed").is_closed());
        let refused = timeout(SECOND, sinking).await.expect("it hears of it").expect("no panic");
        assert!(refused.expect_err("closed").send_error().expect("not accepted").is_closed());
        assert!(!closing.is_finished());
        assert_eq!(closing.await.expect("no panic").expect_err("frozen").records(), 1);
    });
}

/// Each was polled once, and is polled again when there is no runtime any more: its timers would panic.
#[test]
fn what_waited_when_the_runtime_went_is_closed_and_does_not_panic() {
    let runtime = runtime();
    let (producer, _net) = runtime.block_on(async {
        let net = stage();
        let producer = start(config(&net).buffer_memory(2 * CHUNK));
        warm_up(&producer).await;
        freeze(&net);
        (producer, net)
    });
    let large = "x".repeat(OF_TWO_CHUNKS);
    let delivery = futures::executor::block_on(producer.send(order(&large))).expect("accepted");
    let mut topic = Box::pin(producer.topic("unknown"));
    let mut partitions = Box::pin(producer.partitions_for("unknown"));
    let mut unknown = producer.send(Record::to("unknown").value("x"));
    let mut no_room = producer.send(order("no room"));
    let mut sink = producer.sink();
    sink.start_send_unpin(OwnedRecord::to("orders").value("x")).expect("it only stores it");
    let mut closing = Box::pin(producer.close(SECOND * 60));
    assert!(!is_ready(&mut topic) && !is_ready(&mut partitions));
    assert!(!is_ready(&mut unknown) && !is_ready(&mut no_room));
    assert!(!is_ready(&mut sink.flush()));
    drop(runtime);
    let block_on = futures::executor::block_on::<futures::future::BoxFuture<'_, crate::SendError>>;
    let closed = [
        block_on(topic.map(|it| it.expect_err("gone")).boxed()),
        block_on(partitions.map(|it| it.expect_err("gone")).boxed()),
        block_on(unknown.map(|it| it.expect_err("gone")).boxed()),
        block_on(no_room.map(|it| it.expect_err("gone")).boxed()),
        block_on(
            sink.flush().map(|it| it.expect_err("gone").send_error().expect("not accepted").clone()).boxed(),
        ),
        block_on(producer.flush().map(|it| it.expect_err("gone")).boxed()),
        block_on(producer.topic("orders").map(|it| it.expect_err("gone")).boxed()),
        block_on(producer.partitions_for("orders").map(|it| it.expect_err("gone")).boxed()),
        block_on(producer.send(order("later")).map(|it| it.expect_err("gone")).boxed()),
        producer.try_send(order("later")).expect_err("gone").as_send_error().expect("refused").clone(),
    ];
    for error in closed {
        assert!(error.is_closed(), "{error}");
        assert!(error.to_string().contains("runtime was shut down"), "{error}");
    }
    assert!(delivery.peek().expect("resolved").expect_err("gone").is_aborted());
    // It was not begun before, and finds nothing left to wait for.
    assert!(is_ready(&mut closing));
    assert_eq!(producer.shared().alarms.waiting(), 0);
}

#[test]
fn a_close_is_told_of_what_ended_with_the_runtime() {
    let runtime = runtime();
    let (producer, _net) = runtime.block_on(async {
        let net = stage();
        let producer = start(config(&net));
        warm_up(&producer).await;
        freeze(&net);
        (producer, net)
    });
    let delivery = futures::executor::block_on(producer.send(order("lost"))).expect("accepted");
    let mut closing = Box::pin(producer.close(SECOND * 60));
    assert!(!is_ready(&mut closing));
    drop(runtime);
    let error = futures::executor::block_on(closing).expect_err("given up");
    assert_eq!(error.records(), 1);
    assert!(!error.is_timeout());
    // It was closed when the runtime went: the record says the latter.
    assert!(error.to_string().contains("runtime was shut down"), "{error}");
    assert!(delivery.peek().expect("resolved").is_err());
}

#[test]
fn flushes_closes_and_waits_for_topics_that_are_dropped_leave_nothing_behind() {
    play(|net| async move {
        let producer = start(config(&net));
        warm_up(&producer).await;
        freeze(&net);
        let delivery = producer.send(order("waits")).await.expect("accepted");
        let topic = producer.shared().plane.topic("unknown").expect("a legal name");
        let mut kept = Box::pin(producer.flush());
        assert!(!is_ready(&mut kept));
        for _ in 0..10_000 {
            // Each with a waker of its own, as tasks have.
            let waker = waker(|| ());
            let mut cx = Context::from_waker(&waker);
            assert!(Box::pin(producer.flush()).poll_unpin(&mut cx).is_pending());
            assert!(Box::pin(producer.topic("unknown")).poll_unpin(&mut cx).is_pending());
        }
        assert_eq!((delivery.bystanders(), topic.waiting()), (1, 0));
        assert_eq!(producer.shared().alarms.waiting(), 0);
        let mut closing: Vec<_> = (0..100).map(|_| Box::pin(producer.close(SECOND * 60))).collect();
        closing.iter_mut().for_each(|closing| {
            let waker = waker(|| ());
            assert!(closing.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        });
        assert_eq!(producer.shared().over.waiting(), 100);
        drop(closing);
        assert_eq!((producer.shared().over.waiting(), producer.shared().alarms.waiting()), (0, 0));
        net.clear();
        assert_eq!(kept.await.expect("it was open").delivered, 1);
        delivery.await.expect("delivered");
    });
}

/// A flush that waits for a part of a batch that was split waits there, and is taken out there.
#[test]
fn a_bystander_of_a_batch_that_is_split_waits_at_its_parts() {
    use crate::delivery::{BatchResult, Bystander, Counts, Outcome};
    let outcome = || Arc::new(Outcome::new(kafka_wire::TopicName::from("orders"), 0));
    let (whole, left, right) = (outcome(), outcome(), outcome());
    let (mut bystander, mut counts) = (Bystander::default(), Counts::default());
    let mut poll =
        |bystander: &mut Bystander| Outcome::poll_counts(&whole, 2, bystander, &mut counts, Waker::noop());
    assert!(poll(&mut bystander).is_pending());
    assert_eq!(whole.bystanders(), 1);
    let parts = Box::new([(0, Arc::clone(&left)), (1, Arc::clone(&right))]);
    assert_eq!(whole.resolve(BatchResult::Split(parts)).len(), 1);
    assert!(poll(&mut bystander).is_pending());
    assert_eq!((whole.bystanders(), left.bystanders(), right.bystanders()), (0, 1, 0));
    let done = || BatchResult::Acknowledged { base_offset: 1, log_append_time: None };
    assert_eq!(left.resolve(done()).len(), 1);
    assert!(poll(&mut bystander).is_pending());
    assert_eq!((left.bystanders(), right.bystanders()), (0, 1));
    drop(bystander);
    assert_eq!(right.bystanders(), 0);
}

/// Each thread has the topic at hand that it last named.
#[test]
fn no_thread_keeps_what_a_producer_held_after_its_end() {
    let runtime = runtime();
    let (producer, _net) = runtime.block_on(async {
        let net = stage();
        let producer = start(config(&net));
        warm_up(&producer).await;
        (producer, net)
    });
    let topic = Arc::downgrade(&producer.shared().plane.topic("orders").expect("a legal name"));
    let (pool, shared) = (Arc::downgrade(&producer.shared().plane.pool), Arc::downgrade(producer.shared()));
    let (ends, end) = mpsc::channel::<()>();
    let other = {
        let producer = producer.clone();
        let (sent, has_sent) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            drop(producer.try_send(order("from elsewhere").timestamp(WALL)).expect("accepted"));
            drop(producer);
            sent.send(()).expect("somebody waits");
            // It names no other topic, and does not end.
            assert!(end.recv().is_err());
        });
        has_sent.recv().expect("it has sent");
        thread
    };
    drop(producer);
    drop(runtime);
    assert!(shared.upgrade().is_none() && pool.upgrade().is_none(), "no tasks, and no memory");
    assert!(topic.upgrade().is_some(), "the other thread has it at hand, with its empty lanes");
    drop(ends);
    other.join().expect("no panic");
    assert!(topic.upgrade().is_none(), "and nobody else: this thread has dropped the producer");
}
