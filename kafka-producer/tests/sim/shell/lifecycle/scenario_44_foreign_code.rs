//! Partitioners and wakers that panic, block, or send again; wakers that do so as they are dropped.

use super::*;

/// Partitions by what the value says: a number, or something to do.
struct Odd {
    producer: OnceLock<Producer>,
    blocked: mpsc::SyncSender<()>,
    released: std::sync::Mutex<mpsc::Receiver<()>>,
}

#[derive(Clone)]
struct Shared(Arc<Odd>);

impl Partitioner for Shared {
    fn partition(&self, _: &str, _: Option<&[u8]>, value: Option<&[u8]>, _: u32) -> Option<u32> {
        match value {
            Some(b"panic") => panic!("a partitioner's own mistake"),
            Some(b"again") => {
                let producer = self.0.producer.get().expect("it is set");
                // Into the same topic, and even the same partition.
                drop(producer.try_send(Record::to("orders").value("inner")).expect("accepted"));
            }
            Some(b"block") => {
                self.0.blocked.send(()).expect("somebody waits");
                self.0.released.lock().expect("no panic").recv().expect("somebody releases it");
            }
            _ => {}
        }
        Some(0)
    }
}

fn odd() -> (Shared, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (blocked, is_blocked) = mpsc::sync_channel(0);
    let (release, released) = mpsc::channel();
    let odd = Odd { producer: OnceLock::new(), blocked, released: std::sync::Mutex::new(released) };
    (Shared(Arc::new(odd)), is_blocked, release)
}

fn with_partitioner(net: &Net, odd: &Shared) -> Producer {
    let connecting = config(net).connect_with(odd.clone());
    let producer = connecting.now_or_never().expect("nothing is waited for").expect("good settings");
    odd.0.producer.set(producer.clone()).expect("set once");
    producer
}

#[test]
fn a_partitioner_that_panics_harms_nobody_else() {
    let ((), net) = play(|net| async move {
        let (odd, ..) = odd();
        let producer = with_partitioner(&net, &odd);
        warm_up(&producer).await;
        let sending = AssertUnwindSafe(producer.send(Record::to("orders").value("panic")));
        let panic = sending.catch_unwind().await.expect_err("it reaches who sent the record");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a partitioner's own mistake"));
        let sent = producer.send(Record::to("orders").value("after")).await;
        sent.expect("accepted").await.expect("delivered");
        producer.close(SECOND * 5).await.expect("in time");
    });
    assert_eq!(values(&net), ["after"]);
}

#[test]
fn a_partitioner_that_sends_does_not_deadlock() {
    let ((), net) = play(|net| async move {
        let (odd, ..) = odd();
        let producer = with_partitioner(&net, &odd);
        warm_up(&producer).await;
        let sent = producer.send(Record::to("orders").value("again")).await;
        sent.expect("accepted").await.expect("delivered");
        producer.flush().await.expect("open");
    });
    assert_eq!(values(&net), ["inner", "again"]);
}

#[test]
fn a_partitioner_that_blocks_holds_up_only_who_sends() {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let net = runtime.block_on(async {
        let net = stage();
        let (odd, is_blocked, release) = odd();
        let producer = with_partitioner(&net, &odd);
        // Else the other thread would wait for this one.
        producer.topic("orders").await.expect("it is there");
        let blocked = {
            let producer = producer.clone();
            std::thread::spawn(move || {
                futures::executor::block_on(
                    producer.send(Record::to("orders").value("block").timestamp(WALL)),
                )
                .expect("accepted")
            })
        };
        is_blocked.recv().expect("it is blocked");
        // Now its thread stands in the middle of a send, in the very partition.
        let by = Record::to("orders").value("by").timestamp(WALL);
        producer.send(by).await.expect("accepted").await.expect("delivered");
        producer.flush().await.expect("open");
        assert!(!blocked.is_finished());
        release.send(()).expect("it waits");
        let delivery = blocked.join().expect("no panic");
        delivery.await.expect("delivered");
        net
    });
    assert_eq!(values(&net), ["by", "block"]);
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_asleep() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net).linger(SECOND));
        warm_up(&producer).await;
        let mut deliveries = [producer.send(order("1")).await, producer.send(order("2")).await]
            .map(|it| it.expect("accepted"));
        let panics = waker(|| panic!("a waker's own mistake"));
        assert!(deliveries[0].poll_unpin(&mut Context::from_waker(&panics)).is_pending());
        let woken = Arc::new(AtomicBool::new(false));
        let sees = Arc::clone(&woken);
        let wakes = waker(move || sees.store(true, Ordering::Relaxed));
        assert!(deliveries[1].poll_unpin(&mut Context::from_waker(&wakes)).is_pending());
        sleep(SECOND * 2).await;
        assert!(woken.load(Ordering::Relaxed), "the second one of the batch is woken");
        for delivery in deliveries {
            delivery.await.expect("delivered");
        }
        // The pump that met the panic works on, over the same connection.
        let before = producer.stats().retries;
        producer.send(order("3")).await.expect("accepted").await.expect("delivered");
        assert_eq!(producer.stats().retries, before);
    });
    assert_eq!(values(&net), ["1", "2", "3"]);
}

/// It keeps its thread, and with it whatever runs there; those on other threads are not concerned, so no lock is held.
#[test]
fn a_waker_that_blocks_holds_up_only_its_own_thread() {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let net = runtime.block_on(async {
        let net = stage();
        let producer = start(config(&net));
        warm_up(&producer).await;
        let (blocked, is_blocked) = mpsc::sync_channel(0);
        let (release, released) = mpsc::channel();
        let released = std::sync::Mutex::new(released);
        let blocks = waker(move || {
            blocked.send(()).expect("somebody waits");
            // The end of it only bounds a test that fails.
            released.lock().expect("no panic").recv_timeout(SECOND * 60).expect("somebody releases it");
        });
        let mut delivery = producer.send(order("first").timestamp(WALL)).await.expect("accepted");
        assert!(delivery.poll_unpin(&mut Context::from_waker(&blocks)).is_pending());
        let other = {
            let producer = producer.clone();
            std::thread::spawn(move || {
                is_blocked.recv().expect("it is blocked");
                let sent = producer.try_send(order("second").timestamp(WALL)).expect("accepted");
                assert_eq!(producer.stats().delivered, 4, "the first one and what warmed up");
                assert!(sent.peek().is_none());
                release.send(()).expect("it waits");
                sent
            })
        };
        producer.flush().await.expect("open");
        delivery.await.expect("delivered");
        other.join().expect("no panic").await.expect("delivered");
        net
    });
    assert_eq!(values(&net), ["first", "second"]);
}

#[test]
fn a_waker_of_a_memory_waiter_that_panics_does_not_break_the_queue() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net).buffer_memory(2 * CHUNK));
        warm_up(&producer).await;
        freeze(&net);
        let large = "x".repeat(OF_TWO_CHUNKS);
        let accepted = producer.send(order(&large)).await.expect("accepted");
        let panics = waker(|| panic!("a waker's own mistake"));
        let mut first = Box::pin(producer.send(order("first")));
        assert!(first.poll_unpin(&mut Context::from_waker(&panics)).is_pending());
        let mut second = Box::pin(producer.send(order("second")));
        assert!(!is_ready(&mut second));
        net.clear();
        accepted.await.expect("delivered");
        sleep(SECOND).await;
        first.await.expect("accepted").await.expect("delivered");
        second.await.expect("accepted").await.expect("delivered");
    });
    assert_eq!(values(&net)[1..], ["first", "second"]);
}

#[test]
fn a_waker_that_sends_does_not_deadlock() {
    let (count, net) = play(|net| async move {
        let producer = start(config(&net));
        warm_up(&producer).await;
        let (count, again) = (Arc::new(AtomicUsize::new(0)), producer.clone());
        let counts = Arc::clone(&count);
        let sends = waker(move || {
            let number = counts.fetch_add(1, Ordering::Relaxed);
            drop(again.try_send(order(&format!("woken {number}"))).expect("accepted"));
            drop(again.stats());
        });
        let mut delivery = producer.send(order("first")).await.expect("accepted");
        assert!(delivery.poll_unpin(&mut Context::from_waker(&sends)).is_pending());
        let mut flush = Box::pin(producer.flush());
        assert!(flush.poll_unpin(&mut Context::from_waker(&sends)).is_pending());
        sleep(SECOND).await;
        producer.close(SECOND).await.expect("in time");
        count.load(Ordering::Relaxed)
    });
    assert_eq!(count, 2, "one for the delivery, one for the flush");
    assert_eq!(values(&net), ["first", "woken 0", "woken 1"]);
}

/// What is done when the last of a waker is dropped: with a task that owned it, for one.
struct Leaves<F: Fn()>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Leaves<F> {
    fn wake(self: Arc<Self>) {}
}

impl<F: Fn()> Drop for Leaves<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A waker that uses the producer as the last of it is dropped, and counts it. `look` takes the lock that is in question.
fn leaves(
    producer: &Producer,
    count: &Arc<AtomicUsize>,
    look: impl Fn() + Clone + Send + Sync + 'static,
) -> Waker {
    let (producer, count) = (producer.clone(), Arc::clone(count));
    let leaves = Leaves(move || {
        // First on another thread, so that a lock that is held fails the test and does not hang it.
        let (looked, has_looked) = mpsc::channel();
        let (other, look) = (producer.clone(), look.clone());
        std::thread::spawn(move || {
            drop(other.stats());
            look();
            looked.send(())
        });
        if has_looked.recv_timeout(SECOND * 60).is_ok() {
            drop(producer.try_send(order("left")));
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Arc::new(leaves).into()
}

#[test]
fn a_waker_of_a_delivery_that_uses_the_producer_as_it_is_dropped_does_not_deadlock() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net).linger(SECOND));
        warm_up(&producer).await;
        let mut delivery = producer.send(order("first")).await.expect("accepted");
        let (count, twin) = (Arc::new(AtomicUsize::new(0)), Arc::new(delivery.twin()));
        let leaves = leaves(&producer, &count, move || assert!(!is_ready(&mut twin.twin())));
        assert!(delivery.poll_unpin(&mut Context::from_waker(&leaves)).is_pending());
        drop(leaves);
        assert_eq!(count.load(Ordering::Relaxed), 0, "it is kept");
        assert!(!is_ready(&mut delivery));
        assert_eq!(count.load(Ordering::Relaxed), 1, "another one has its place");
        delivery.await.expect("delivered");
    });
    assert_eq!(values(&net), ["first", "left"]);
}

#[test]
fn nor_does_that_of_one_who_waits_for_room() {
    let ((), net) = play(|net| async move {
        let producer = start(config(&net).buffer_memory(2 * CHUNK).max_block(SECOND));
        warm_up(&producer).await;
        freeze(&net);
        let large = "x".repeat(OF_TWO_CHUNKS);
        let accepted = producer.send(order(&large)).await.expect("accepted");
        let count = Arc::new(AtomicUsize::new(0));
        for is_asked_again in [true, false] {
            let leaves = leaves(&producer, &count, || ());
            let mut sending = Box::pin(producer.send(order("waits")));
            assert!(sending.poll_unpin(&mut Context::from_waker(&leaves)).is_pending());
            drop(leaves);
            // Then its timer has woken it, and has no waker any more.
            sleep(SECOND * 2).await;
            if is_asked_again {
                assert!(is_ready(&mut sending), "its time is over");
            }
        }
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(producer.stats().buffer_waiting, 0);
        net.clear();
        accepted.await.expect("delivered");
        producer.send(order("after")).await.expect("accepted").await.expect("delivered");
    });
    assert_eq!(values(&net)[1..], ["after"]);
}

#[test]
fn nor_does_that_of_one_who_waits_for_a_topic() {
    play(|net| async move {
        let producer = start(config(&net).max_block(SECOND * 5));
        warm_up(&producer).await;
        // Nor does any news of it wake whoever waits.
        freeze(&net);
        let topic = producer.shared().plane.topic("unknown").expect("a legal name");
        let count = Arc::new(AtomicUsize::new(0));
        for is_asked_again in [true, false] {
            let waits = Arc::clone(&topic);
            let leaves = leaves(&producer, &count, move || assert!(waits.waiting() < 2));
            let mut sending = Box::pin(producer.send(Record::to("unknown").value("waits")));
            assert!(sending.poll_unpin(&mut Context::from_waker(&leaves)).is_pending());
            drop(leaves);
            sleep(SECOND * 10).await;
            assert_eq!(topic.waiting(), 1);
            if is_asked_again {
                assert!(is_ready(&mut sending), "its time is over");
            }
        }
        assert_eq!((count.load(Ordering::Relaxed), topic.waiting()), (2, 0));
        net.clear();
    });
}
