//! What the *Cancel safety* paragraphs of the producer claim, as far as scenario 42 does not show it: a future is polled until
//! it waits, dropped there, and what is left is looked at.

use super::*;
use crate::RecordSink;

/// The first characters of what stands in partition 0.
fn firsts(net: &Net) -> String {
    values(net).iter().filter_map(|value| value.chars().next()).collect()
}

fn large(first: char) -> String {
    format!("{first}{}", "x".repeat(OF_TWO_CHUNKS))
}

#[test]
fn to_connect_nothing_is_waited_for() {
    play(|net| async move {
        down(&net);
        config(&net).connect().now_or_never().expect("ready at once").expect("good settings");
        let first = |_: &str, _: Option<&[u8]>, _: Option<&[u8]>, _: u32| Some(0);
        let connecting = config(&net).connect_with(first);
        connecting.now_or_never().expect("ready at once").expect("good settings");
    });
}

#[test]
fn a_send_all_that_is_dropped_has_sent_what_it_had_accepted_and_nothing_else() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net).buffer_memory(4 * CHUNK));
        warm_up(&producer).await;
        freeze(&net);
        let values: Vec<String> = "abcdef".chars().map(large).collect();
        let records: Vec<Record<'_>> = values.iter().map(|value| order(value)).collect();
        let mut sending = Box::pin(producer.send_all(&records));
        assert!(timeout(SECOND, &mut sending).await.is_err());
        assert_eq!(producer.stats().buffer_waiting, 1, "there is room for two");
        drop(sending);
        assert_eq!(producer.stats().buffer_waiting, 0, "its place in the queue is free");
        net.clear();
        let flushed = producer.flush().await.expect("open");
        assert_eq!((flushed.delivered, flushed.failed), (2, 0));
    });
    assert_eq!(firsts(&net), "ab");
}

#[test]
fn deliveries_that_are_dropped_half_way_cancel_nothing() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net));
        warm_up(&producer).await;
        freeze(&net);
        let records = ["a", "b", "c"].map(order);
        let mut deliveries = producer.send_all(&records).await.expect("accepted");
        assert!(timeout(SECOND, &mut deliveries).await.is_err());
        drop(deliveries);
        net.clear();
        let flushed = producer.flush().await.expect("open");
        assert_eq!((flushed.delivered, flushed.failed), (3, 0));
    });
    assert_eq!(firsts(&net), "abc");
}

#[test]
fn who_asked_for_a_topic_leaves_nothing_behind_and_takes_nobodys_place() {
    play(|net| async move {
        down(&net);
        let producer = start(config(&net));
        let topic = producer.shared().plane.topic("orders").expect("a legal name");
        let mut dropped = (Box::pin(producer.topic("orders")), Box::pin(producer.partitions_for("orders")));
        assert!(!is_ready(&mut dropped.0) && !is_ready(&mut dropped.1));
        let asking = producer.clone();
        let kept = Handle::current().spawn(async move { asking.partitions_for("orders").await });
        sleep(SECOND).await;
        assert_eq!(topic.waiting(), 3);
        drop(dropped);
        assert_eq!(topic.waiting(), 1);
        net.clear();
        // Before its own time is over, which would wake it too.
        let partitions = timeout(SECOND * 30, kept).await.expect("it is woken").expect("no panic");
        assert_eq!(partitions.expect("known").len(), 3);
        assert_eq!(topic.waiting(), 0);
    });
}

#[test]
fn a_flush_that_is_dropped_has_sent_everything_on_its_way() {
    play(|net| async move {
        let producer = start(config(&net).linger(SECOND * 60));
        warm_up(&producer).await;
        let began = now();
        let delivery = producer.send(order("a")).await.expect("accepted");
        let mut flushing = Box::pin(producer.flush());
        assert!(!is_ready(&mut flushing));
        drop(flushing);
        delivery.await.expect("delivered");
        assert!(now() - began < SECOND, "it did not linger");
    });
}

#[test]
fn a_close_that_is_dropped_goes_on_as_if_the_last_handle_had_been() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net).linger(SECOND * 60));
        warm_up(&producer).await;
        freeze(&net);
        let delivery = producer.send(order("a")).await.expect("accepted");
        let mut closing = Box::pin(producer.close(SECOND));
        assert!(!is_ready(&mut closing));
        drop(closing);
        let refused = producer.try_send(order("b")).expect_err("closed");
        assert!(refused.as_send_error().is_some_and(crate::SendError::is_closed), "{refused}");
        sleep(SECOND * 10).await;
        assert!(delivery.peek().is_none(), "nobody is there to give it up after the close's time");
        net.clear();
        delivery.await.expect("delivered");
        sleep(SECOND * 2).await;
        assert!(producer.shared().over.poll(&mut None, Waker::noop()), "the tasks have ended");
        assert_eq!(producer.shared().plane.pool.used(), 0);
    });
    assert_eq!(firsts(&net), "a");
}

/// A sink of which one record is in flight, one is held because there is no room, and none more is taken.
async fn full_sink(net: &Net) -> (Producer, RecordSink) {
    let producer = start(config(net).buffer_memory(2 * CHUNK));
    warm_up(&producer).await;
    freeze(net);
    let mut sink = producer.sink();
    for first in ['a', 'b'] {
        sink.feed(owned(first)).await.expect("taken");
    }
    let mut feeding = Box::pin(sink.feed(owned('c')));
    assert!(timeout(SECOND, &mut feeding).await.is_err());
    drop(feeding);
    assert_eq!(producer.stats().buffer_waiting, 1, "the sink waits for room, whoever polls it");
    (producer, sink)
}

fn owned(first: char) -> OwnedRecord {
    let mut record = OwnedRecord::to("orders").value(large(first));
    record.partition = Some(0);
    record
}

#[test]
fn a_future_over_a_sink_is_dropped_and_the_sink_keeps_what_it_took() {
    let ((), net) = play(|net| async move {
        let (_producer, mut sink) = full_sink(&net).await;
        let mut flushing = Box::pin(sink.flush());
        assert!(timeout(SECOND, &mut flushing).await.is_err());
        drop(flushing);
        net.clear();
        sink.flush().await.expect("delivered");
        assert_eq!((sink.results().delivered, sink.results().failed), (2, 0));
    });
    assert_eq!(firsts(&net), "ab", "the third was still with the future that was dropped");
}

#[test]
fn a_sink_that_is_dropped_takes_only_the_record_it_holds_along() {
    let ((), net) = play(|net| async move {
        let (producer, sink) = full_sink(&net).await;
        drop(sink);
        assert_eq!(producer.stats().buffer_waiting, 0, "its place in the queue is free");
        net.clear();
        let flushed = producer.flush().await.expect("open");
        assert_eq!((flushed.delivered, flushed.failed), (1, 0));
    });
    assert_eq!(firsts(&net), "a");
}
