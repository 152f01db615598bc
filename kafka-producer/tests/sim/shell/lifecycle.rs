//! What users do to a producer while it works: they drop futures, close, panic, block, send from anywhere, and take its
//! runtime away. Scenarios 42 to 46 and 49.

use std::{
    cell::Cell,
    future::Future,
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures::{FutureExt, SinkExt, future::join_all};
use kafka_wire::{ErrorCode, PartitionId};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::{sleep, timeout},
};

use super::{
    host::{SimulatedTasks, Work},
    net::{Mode, Net, Refuse, WALL},
};
use crate::{
    Delivery, DeliveryError, OwnedRecord, Partitioner, Persistence, Producer, ProducerConfig, Record,
    RecordMetadata,
    io::{now, simulated},
};

/// Plays a scenario under paused time: three brokers, and "orders" with three partitions.
pub(super) fn play<F: Future>(scenario: impl FnOnce(Net) -> F) -> (F::Output, Net) {
    let runtime = runtime();
    let played = runtime.block_on(async {
        let net = stage();
        let output = timeout(HANG, scenario(net.clone())).await.expect("the scenario hangs");
        (output, net)
    });
    assert_eq!(played.1.violations(), Vec::<String>::new());
    played
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Within a runtime.
fn stage() -> Net {
    simulated::begin(WALL);
    let net = Net::new(3, fastrand::Rng::with_seed(1));
    net.cluster(|cluster| cluster.create_topic("orders", 3)).expect("a topic");
    net
}

pub(super) fn config(net: &Net) -> ProducerConfig {
    ProducerConfig::new(net.bootstrap()).connector(net.clone()).linger(Duration::ZERO)
}

pub(super) fn start(config: ProducerConfig) -> Producer {
    start_on(config, &SimulatedTasks::new(None))
}

fn start_on(config: ProducerConfig, tasks: &SimulatedTasks) -> Producer {
    config.start(None, || tasks.host(1)).expect("good settings")
}

/// A record of partition 0.
fn order(value: &str) -> Record<'_> {
    Record::to("orders").partition(0).value(value)
}

/// Makes the topic and all connections known.
async fn warm_up(producer: &Producer) {
    for partition in 0..3 {
        // Threads of a runtime have the true time, which they may have told last.
        let record = Record::to("orders").partition(partition).value("warm").timestamp(WALL);
        let delivery = producer.send(record).await;
        delivery.expect("accepted").await.expect("delivered");
    }
}

/// What stands in partition 0, but for what warmed up.
fn values(net: &Net) -> Vec<String> {
    let stored = net.log("orders", 0).into_iter();
    let texts = stored.map(|stored| String::from_utf8(stored.value.to_vec()).expect("text"));
    texts.filter(|text| text != "warm").collect()
}

fn freeze(net: &Net) {
    net.nodes().into_iter().for_each(|node| net.set_mode(node, Mode::Frozen));
}

pub(super) fn down(net: &Net) {
    net.nodes().into_iter().for_each(|node| net.set_mode(node, Mode::Down));
}

/// Polls once.
fn is_ready(future: &mut (impl Future + Unpin)) -> bool {
    future.poll_unpin(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// What is done when somebody is woken.
struct Reacts<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Reacts<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(react: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Reacts(react)).into()
}

fn persistence(result: Option<Result<RecordMetadata, DeliveryError>>) -> Persistence {
    match result.expect("it is resolved") {
        Ok(_) => Persistence::Persisted,
        Err(error) => {
            assert!(error.is_aborted(), "{error}");
            error.persistence()
        }
    }
}

mod cancel_safety;
mod ends;
mod faults;

mod scenario_42_futures_dropped {
    use super::*;

    #[test]
    fn while_the_topic_is_unknown() {
        let ((), net) = play(|net| async move {
            down(&net);
            let producer = start(config(&net));
            {
                let mut sending = pin!(producer.send(order("dropped")));
                assert!(timeout(SECOND, &mut sending).await.is_err());
            }
            net.clear();
            producer.send(order("kept")).await.expect("accepted").await.expect("delivered");
        });
        assert_eq!(values(&net), ["kept"]);
    }

    #[test]
    fn while_there_is_no_room() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net).buffer_memory(4 * CHUNK));
            warm_up(&producer).await;
            freeze(&net);
            let large = "x".repeat(OF_TWO_CHUNKS);
            let accepted = join_all([producer.send(order(&large)), producer.send(order(&large))]).await;
            let mut first = Box::pin(producer.send(order("dropped")));
            let mut second = Box::pin(producer.send(order("kept")));
            assert!(timeout(SECOND, &mut first).await.is_err());
            assert!(timeout(SECOND, &mut second).await.is_err());
            assert_eq!(producer.stats().buffer_waiting, 2);
            drop(first);
            assert_eq!(producer.stats().buffer_waiting, 1, "its place in the queue is free");
            net.clear();
            second.await.expect("accepted").await.expect("delivered");
            for delivery in accepted {
                delivery.expect("accepted").await.expect("delivered");
            }
            assert_eq!(producer.stats().buffer_waiting, 0);
        });
        assert_eq!(values(&net).last().map(String::as_str), Some("kept"));
        assert_eq!(values(&net).len(), 3, "{:?}", values(&net).iter().map(String::len).collect::<Vec<_>>());
    }

    /// Granted, and dropped before it could take what it was granted: the next one must get it.
    #[test]
    fn when_room_was_granted_already() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net).buffer_memory(2 * CHUNK));
            warm_up(&producer).await;
            freeze(&net);
            let large = "x".repeat(OF_TWO_CHUNKS);
            let (dropped, kept) = ("d".repeat(OF_TWO_CHUNKS), "k".repeat(OF_TWO_CHUNKS));
            let accepted = producer.send(order(&large)).await.expect("accepted");
            let mut first = Box::pin(producer.send(order(&dropped)));
            let mut second = Box::pin(producer.send(order(&kept)));
            assert!(!is_ready(&mut first) && !is_ready(&mut second));
            net.clear();
            accepted.await.expect("delivered");
            // Nobody looked meanwhile. The memory is the first one's now.
            sleep(SECOND).await;
            drop(first);
            timeout(SECOND, second).await.expect("it is woken").expect("accepted").await.expect("delivered");
        });
        let firsts: String = values(&net).iter().filter_map(|value| value.chars().next()).collect();
        assert_eq!(firsts, "xk");
    }

    #[test]
    fn when_it_yields_after_a_full_batch() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net).batch_size(4_000));
            warm_up(&producer).await;
            let value = "x".repeat(1_500);
            let (mut accepted, mut yielded) = (0, 0);
            for _ in 0..200 {
                let mut sending = producer.send(order(&value));
                match sending.poll_unpin(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(_)) => accepted += 1,
                    Poll::Ready(Err(error)) => panic!("{error}"),
                    Poll::Pending => yielded += 1,
                }
            }
            assert!(yielded > 0, "a turn is over after 128 KiB");
            producer.flush().await.expect("open");
            assert_eq!(producer.stats().delivered, accepted + 3);
        });
        let accepted = 200 - values(&net).len();
        assert!(accepted > 0 && accepted < 10);
    }

    /// The delivery is dropped; the record goes on, be it in a batch, in flight, or between two attempts.
    #[test]
    fn deliveries_in_a_batch_in_flight_and_between_attempts() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net).linger(SECOND));
            warm_up(&producer).await;
            drop(producer.send(order("in a batch")).await.expect("accepted"));
            producer.flush().await.expect("open");
            freeze(&net);
            let mut delivery = producer.send(order("in flight")).await.expect("accepted");
            sleep(SECOND * 2).await;
            assert!(!is_ready(&mut delivery));
            drop(delivery);
            net.clear();
            producer.flush().await.expect("open");
            net.refuse([Refuse { code: ErrorCode::NOT_ENOUGH_REPLICAS, is_applied: false }; 3]);
            let mut delivery = producer.send(order("between attempts")).await.expect("accepted");
            sleep(SECOND + Duration::from_millis(150)).await;
            assert!(!is_ready(&mut delivery));
            drop(delivery);
            let flushed = producer.flush().await.expect("open");
            assert_eq!((flushed.delivered, flushed.failed), (1, 0));
        });
        assert_eq!(values(&net), ["in a batch", "in flight", "between attempts"]);
    }
}

mod scenario_43_close {
    use super::*;

    #[test]
    fn with_a_deadline_while_brokers_are_down() {
        play(|net| async move {
            let producer = start(config(&net));
            warm_up(&producer).await;
            down(&net);
            let deliveries: Vec<_> = join_all((0..10).map(|_| producer.send(order("late")))).await;
            let began = now();
            let error = producer.close(SECOND * 5).await.expect_err("nobody took them");
            let took = now() - began;
            assert_eq!(error.records(), 10);
            assert!(took >= SECOND * 5 && took < SECOND * 8, "{took:?}");
            for delivery in deliveries {
                let delivery = delivery.expect("accepted");
                assert_eq!(persistence(delivery.peek()), Persistence::NotPersisted, "it was never sent");
            }
            assert!(producer.send(order("later")).await.expect_err("closed").is_closed());
        });
    }

    #[test]
    fn with_a_deadline_while_brokers_say_nothing() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net));
            warm_up(&producer).await;
            freeze(&net);
            let delivery = producer.send(order("in flight")).await.expect("accepted");
            sleep(SECOND).await;
            assert_eq!(producer.close(SECOND).await.expect_err("no answer").records(), 1);
            assert_eq!(persistence(delivery.peek()), Persistence::PossiblyPersisted, "it was sent");
            net.clear();
            sleep(SECOND).await;
        });
        // Nobody hears of it any more: that is what "possibly" is for.
        assert!(values(&net).len() <= 1);
    }

    #[test]
    fn not_at_all_and_brokers_come_back() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net));
            warm_up(&producer).await;
            down(&net);
            let delivery = producer.send(order("left behind")).await.expect("accepted");
            let shared = Arc::clone(producer.shared());
            drop(producer);
            sleep(SECOND * 60).await;
            assert!(delivery.peek().is_none(), "its deadline is not over");
            net.clear();
            delivery.await.expect("delivered by tasks that nobody holds");
            sleep(SECOND * 2).await;
            assert!(shared.over.poll(&mut None, Waker::noop()), "the tasks have ended");
            assert_eq!(shared.plane.pool.used(), 0);
        });
        assert_eq!(values(&net), ["left behind"]);
    }

    #[test]
    fn not_at_all_and_brokers_stay_away() {
        play(|net| async move {
            let producer = start(config(&net).request_timeout(SECOND * 2).delivery_timeout(SECOND * 30));
            warm_up(&producer).await;
            down(&net);
            let delivery = producer.send(order("lost")).await.expect("accepted");
            let shared = Arc::clone(producer.shared());
            drop(producer);
            let began = now();
            let error = delivery.await.expect_err("nobody took it");
            assert!(error.is_timeout() && error.persistence() == Persistence::NotPersisted, "{error}");
            assert!(now() - began <= SECOND * 32);
            sleep(SECOND * 3).await;
            assert!(shared.over.poll(&mut None, Waker::noop()), "the tasks have ended");
            assert_eq!(shared.plane.pool.used(), 0);
        });
    }

    #[test]
    fn racing_with_sends_and_flushes() {
        for delay in 0..20 {
            let (acknowledged, net) = play(|net| async move {
                net.set_weather([SLOW; 2], None, Duration::from_millis(3));
                let producer = start(config(&net).buffer_memory(2 * CHUNK).linger(Duration::from_millis(2)));
                let sending = |user: usize| {
                    let producer = producer.clone();
                    async move {
                        let mut deliveries = Vec::new();
                        for number in 0..200 {
                            let value = format!("{user}/{number} {}", "x".repeat(500));
                            match producer.send(order(&value)).await {
                                Ok(delivery) => deliveries.push(delivery),
                                Err(error) => {
                                    assert!(error.is_closed(), "{error}");
                                    break;
                                }
                            }
                        }
                        deliveries
                    }
                };
                let flushing = || {
                    let producer = producer.clone();
                    async move {
                        for _ in 0..200 {
                            // An error says that it is closed; what matters is that it comes.
                            if producer.flush().await.is_err() {
                                break;
                            }
                            sleep(Duration::from_millis(1)).await;
                        }
                    }
                };
                let senders: Vec<_> = (0..3).map(|user| Handle::current().spawn(sending(user))).collect();
                let flushers: Vec<_> = (0..2).map(|_| Handle::current().spawn(flushing())).collect();
                sleep(Duration::from_millis(delay * 6)).await;
                producer.close(SECOND * 60).await.expect("there is time for all");
                let mut acknowledged = 0;
                for sender in senders {
                    for delivery in sender.await.expect("no panic") {
                        delivery.peek().expect("closed, so resolved").expect("nothing is in its way");
                        acknowledged += 1;
                    }
                }
                for flusher in flushers {
                    flusher.await.expect("no panic");
                }
                acknowledged
            });
            assert_eq!(values(&net).len(), acknowledged);
        }
    }

    #[test]
    fn twice_at_once_and_once_more() {
        let ((), net) = play(|net| async move {
            let producer = start(config(&net));
            let delivery = producer.send(order("only")).await.expect("accepted");
            let other = producer.clone();
            let (one, two) = futures::future::join(producer.close(SECOND * 5), other.close(SECOND * 5)).await;
            assert_eq!((one, two), (Ok(()), Ok(())));
            assert_eq!(producer.close(Duration::ZERO).await, Ok(()));
            delivery.await.expect("delivered");
        });
        assert_eq!(values(&net), ["only"]);
    }
}

mod scenario_44_foreign_code;

mod scenario_45_full_buffer {
    use super::*;

    #[test]
    fn a_hundred_wait_for_minutes_and_some_give_up() {
        let ((), net) = play(|net| async move {
            let minutes = SECOND * 60;
            let config = config(&net)
                .buffer_memory(4 * CHUNK)
                .max_block(minutes * 20)
                .request_timeout(minutes * 20)
                .delivery_timeout(minutes * 40);
            let producer = start(config);
            warm_up(&producer).await;
            freeze(&net);
            let large = "x".repeat(OF_TWO_CHUNKS);
            let first = join_all((0..2).map(|_| producer.send(order(&large)))).await;
            let tasks: Vec<_> = (0..100)
                .map(|number: u64| {
                    let producer = producer.clone();
                    let patience = match number % 3 {
                        0 => SECOND * u32::try_from(number + 1).expect("a few"),
                        _ => minutes * 30,
                    };
                    Handle::current().spawn(async move {
                        // In the order of their numbers.
                        sleep(Duration::from_millis(number)).await;
                        let value = format!("{number} {}", "x".repeat(9_000));
                        timeout(patience, producer.send(order(&value))).await.ok()
                    })
                })
                .collect();
            sleep(SECOND * 2).await;
            assert_eq!(producer.stats().buffer_waiting, 100 - 1, "the first one gave up");
            sleep(minutes * 5).await;
            assert_eq!(producer.stats().buffer_waiting, 100 - 34, "each third one gave up");
            assert!(producer.stats().buffer_used <= producer.stats().buffer_limit);
            net.clear();
            let mut accepted = 0;
            for (number, task) in tasks.into_iter().enumerate() {
                match task.await.expect("no panic") {
                    Some(sent) => {
                        accepted += 1;
                        sent.expect("accepted").await.expect("delivered");
                    }
                    None => assert_eq!(number % 3, 0, "{number} had patience"),
                }
            }
            assert_eq!(accepted, 66);
            for delivery in first {
                delivery.expect("accepted").await.expect("delivered");
            }
            sleep(SECOND).await;
            assert_eq!((producer.stats().buffer_waiting, producer.stats().buffer_used), (0, 0));
        });
        let numbers: Vec<u64> =
            values(&net).iter().filter_map(|value| value.split(' ').next()?.parse().ok()).collect();
        let expected: Vec<u64> = (0..100).filter(|number| number % 3 != 0).collect();
        // Those whose turn came together are run by the runtime in whatever order; there is room for four.
        let in_turn = numbers.iter().enumerate().all(|(at, number)| {
            expected.iter().position(|other| other == number).is_some_and(|turn| turn.abs_diff(at) < 4)
        });
        assert!(in_turn && numbers.len() == expected.len(), "who came first went first: {numbers:?}");
    }
}

/// Nothing waits for memory, but what became of records must not pile up behind one that nobody answers.
#[test]
fn a_sink_takes_no_more_while_many_answers_stand_behind_a_late_one() {
    let (taken, net) = play(|net| async move {
        let producer = start(config(&net));
        warm_up(&producer).await;
        let leader = net.cluster(|cluster| cluster.leader("orders", PartitionId(0)));
        net.set_mode(leader.expect("a leader").0.0, Mode::Frozen);
        let mut sink = producer.sink().with_max_runs(8);
        let record = |partition| {
            let mut record = OwnedRecord::to("orders").value("x");
            record.partition = Some(partition);
            record
        };
        sink.feed(record(0)).await.expect("taken");
        let mut taken = 1;
        while taken < 100 {
            // The other two answer.
            match timeout(SECOND, sink.feed(record(1 + taken % 2))).await {
                Ok(fed) => fed.expect("taken"),
                Err(_) => break,
            }
            taken += 1;
        }
        assert!((9..=11).contains(&taken), "{taken}");
        net.clear();
        sink.feed(record(0)).await.expect("taken");
        sink.flush().await.expect("delivered");
        assert_eq!(sink.results().delivered, u64::from(taken.unsigned_abs()) + 1);
        taken
    });
    assert_eq!(values(&net).len(), 2, "of {taken}");
}

mod scenario_46_wall_clock {
    use super::*;

    #[test]
    fn jumps_and_no_timer_minds() {
        for jump in [3_600_000, -3_600_000] {
            let ((), net) = play(|net| async move {
                net.cluster(|cluster| {
                    cluster.set_topic_config(
                        "orders",
                        "message.timestamp.after.max.ms",
                        "9223372036854775807",
                    )
                })
                .expect("a setting");
                let producer = start(config(&net).linger(SECOND));
                warm_up(&producer).await;
                let began = now();
                let before = producer.send(order("before")).await.expect("accepted");
                simulated::jump(jump);
                before.await.expect("delivered");
                let took = now() - began;
                assert!(took >= SECOND && took < SECOND * 2, "it lingers as ever: {took:?}");
                let began = now();
                producer.send(order("after")).await.expect("accepted").await.expect("delivered");
                let took = now() - began;
                assert!(took >= SECOND && took < SECOND * 2, "{took:?}");
                // A time-out counts time that passed, not what the clock on the wall says.
                down(&net);
                let began = now();
                let lost = producer.send(order("lost")).await.expect("accepted");
                sleep(SECOND * 10).await;
                simulated::jump(jump);
                assert!(lost.await.expect_err("nobody takes it").is_timeout());
                let took = now() - began;
                assert!(took >= SECOND * 119 && took < SECOND * 125, "{took:?}");
            });
            let times = net.timestamps("orders", 0);
            let [.., before, after] = times[..] else { panic!("{times:?}") };
            assert!((WALL..WALL + 5_000).contains(&before), "{before}");
            assert!((WALL + jump..WALL + jump + 10_000).contains(&after), "the time of its send: {after}");
        }
    }
}

mod scenario_46_timestamps {
    use super::*;

    /// A batch that cannot leave stays open, and so do its records' times: to within a tick, whatever the linger.
    #[test]
    fn are_those_of_the_sends_to_within_a_tick() {
        for linger in [0, 5, 10, 11, 50] {
            let (sent, net) = play(|net| async move {
                let began = now();
                let producer = start(config(&net).linger(Duration::from_millis(linger)));
                warm_up(&producer).await;
                let warm = net.timestamps("orders", 0).len();
                freeze(&net);
                let mut sent = vec![0; warm];
                let mut deliveries = Vec::new();
                for _ in 0..100 {
                    sleep(Duration::from_millis(7)).await;
                    let delivery = producer.send(order("timed")).await.expect("accepted");
                    deliveries.push(delivery);
                    sent.push(i64::try_from((now() - began).as_millis()).expect("a short run"));
                }
                net.clear();
                for delivery in deliveries {
                    delivery.await.expect("delivered");
                }
                sent
            });
            let late = net.timestamps("orders", 0).into_iter().zip(sent).filter(|&(_, sent)| sent > 0);
            let late: Vec<_> = late.map(|(stored, sent)| WALL + sent - stored).collect();
            let tick = i64::try_from(crate::CLOCK_TICK.as_millis()).expect("a short time");
            assert_eq!(late.len(), 100);
            // The clock tells whole milliseconds.
            assert!(late.iter().all(|late| (0..=tick + 1).contains(late)), "linger {linger}: {late:?}");
        }
    }
}

mod scenario_49_runtime_gone {
    use super::*;

    #[test]
    fn every_delivery_says_what_became_of_its_record() {
        let runtime = runtime();
        let (net, producer, deliveries) = runtime.block_on(async {
            let net = stage();
            let producer = start(config(&net));
            warm_up(&producer).await;
            let done = producer.send(order("done")).await.expect("accepted");
            producer.flush().await.expect("open");
            freeze(&net);
            let in_flight = producer.send(order("in flight")).await.expect("accepted");
            sleep(SECOND).await;
            let waits =
                producer.send(Record::to("orders").partition(0).value("waits")).await.expect("accepted");
            (net, producer, [done, in_flight, waits])
        });
        drop(runtime);
        let [done, in_flight, waits] = deliveries.map(|it: Delivery| persistence(it.peek()));
        assert_eq!(done, Persistence::Persisted);
        assert_eq!(in_flight, Persistence::PossiblyPersisted);
        assert_eq!(waits, Persistence::NotPersisted, "it was never sent");
        assert_eq!(values(&net)[0], "done");
        assert!(!values(&net).contains(&"waits".to_owned()));
        // The handle outlives it, and says so.
        let refused = producer.try_send(order("later")).expect_err("there is no runtime");
        assert!(refused.as_send_error().is_some_and(crate::SendError::is_closed), "{refused}");
        assert_eq!(producer.shared().plane.pool.used(), 0);
    }

    #[test]
    fn before_its_tasks_have_had_a_turn() {
        let runtime = runtime();
        let (producer, _net) = runtime.block_on(async {
            let net = stage();
            (start(config(&net)), net)
        });
        drop(runtime);
        let refused = producer.try_send(order("never")).expect_err("there is no runtime");
        assert!(refused.as_send_error().is_some_and(crate::SendError::is_closed), "{refused}");
        let closing = futures::executor::block_on(producer.close(SECOND));
        closing.expect("there was nothing");
    }

    #[test]
    fn who_waits_elsewhere_is_woken() {
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
        let (ready, is_ready) = mpsc::channel();
        let wait = |what: &'static str, future: futures::future::BoxFuture<'static, ()>| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let (mut future, mut is_first) = (future, true);
                futures::executor::block_on(std::future::poll_fn(|cx| {
                    let poll = future.poll_unpin(cx);
                    if std::mem::take(&mut is_first) {
                        ready.send(()).expect("somebody counts");
                        assert!(poll.is_pending(), "{what} is ready at once");
                    }
                    poll
                }));
            })
        };
        let clone = || producer.clone();
        let (sends, flushes, asks, closes) = (clone(), clone(), clone(), clone());
        let threads = [
            wait(
                "a delivery",
                delivery.map(|result| assert!(result.expect_err("lost").is_aborted())).boxed(),
            ),
            wait(
                "a send that waits for room",
                async move {
                    let refused = sends.send(order("no room")).await.map(drop).expect_err("lost");
                    assert!(refused.is_closed(), "{refused}");
                }
                .boxed(),
            ),
            wait(
                "a flush",
                async move {
                    assert_eq!(flushes.flush().await.expect("it was open").failed, 1);
                }
                .boxed(),
            ),
            wait(
                "a send that waits for its topic",
                async move {
                    let refused = asks.send(Record::to("unknown").value("x")).await.map(drop);
                    assert!(refused.expect_err("lost").is_closed());
                }
                .boxed(),
            ),
        ];
        threads.iter().for_each(|_| is_ready.recv().expect("it waits"));
        let closing = wait("a close", async move { drop(closes.close(SECOND * 60).await) }.boxed());
        is_ready.recv().expect("it waits");
        drop(runtime);
        for thread in threads.into_iter().chain([closing]) {
            if let Err(panic) = thread.join() {
                panic::resume_unwind(panic);
            }
        }
        assert_eq!(producer.shared().plane.pool.used(), 0);
    }

    /// A runtime that is shut down from another thread while records are sent.
    #[test]
    fn in_the_middle_of_sends_from_another_thread() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime");
        let (net, producer) = runtime.block_on(async {
            let net = stage();
            let producer = start(config(&net));
            warm_up(&producer).await;
            (net, producer)
        });
        let (tx, rx) = mpsc::channel();
        let sender = std::thread::spawn(move || {
            let sent = Cell::new(0u32);
            let mut deliveries = Vec::new();
            loop {
                let number = sent.replace(sent.get() + 1);
                match producer.try_send(order(&number.to_string()).timestamp(WALL)) {
                    Ok(delivery) => deliveries.push(delivery),
                    Err(error) if error.would_wait() => std::thread::yield_now(),
                    Err(error) => {
                        assert!(error.as_send_error().is_some_and(crate::SendError::is_closed), "{error}");
                        break;
                    }
                }
                if number == 500 {
                    tx.send(()).expect("somebody waits");
                }
            }
            deliveries
        });
        rx.recv().expect("it sends");
        drop(runtime);
        let deliveries = sender.join().expect("no panic");
        let written = net.log("orders", 0).len() - 1;
        let mut acknowledged = 0;
        for delivery in &deliveries {
            match delivery.peek().expect("each is resolved") {
                Ok(_) => acknowledged += 1,
                Err(error) => assert!(error.is_aborted(), "{error}"),
            }
        }
        assert!(acknowledged <= written && written <= deliveries.len());
    }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

const CHUNK: usize = kafka_batch::CHUNK_SIZE;

/// A value whose record is more than a batch may hold, and so has one of its own.
const OF_TWO_CHUNKS: usize = 17_000;

/// Of virtual time; no scenario takes so long.
const HANG: Duration = Duration::from_secs(10_000);

/// A network that is not broken, but slow.
const SLOW: super::pipe::Weather = super::pipe::Weather {
    latency: (Duration::from_millis(1), Duration::from_millis(20)),
    is_choppy: true,
    ..super::pipe::Weather::FAIR
};
