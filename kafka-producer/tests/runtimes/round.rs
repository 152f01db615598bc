//! One round: a runtime, producers on it, users who do something, and its end in the midst of that.

use std::{
    collections::BTreeMap,
    sync::atomic::AtomicBool,
    thread::{self, JoinHandle},
    time::Duration,
};

use futures::{executor::block_on, future::join_all};
use kafka_mock::MockCluster;
use tokio::runtime::{Builder, Runtime};

use super::{PARTITIONS, TOPIC};
use crate::{
    Compression, Delivery, DeliveryError, Persistence, Producer, Record, RecordMetadata,
    planted::{self, Bug},
};

/// What a round is about.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    workers: usize,
    producers: usize,
    /// Records of each producer.
    records: u32,
    is_compressed: bool,
    users: Users,
    /// What the end waits for, and how long it is put off after that.
    after: After,
    spins: u32,
    end: End,
}

/// What users are doing when the end comes.
#[derive(Debug, Clone, Copy)]
enum Users {
    /// Nothing: records were sent, and `main` ends.
    Idle,
    /// Every handle was dropped.
    Gone,
    /// A task flushes.
    Flush,
    /// A task closes.
    Close,
    /// Tasks of the runtime send on and on.
    Tasks,
    /// A thread beside the runtime sends on and on.
    Thread,
    /// Threads beside the runtime wait for a flush, a close, a topic, and room.
    Waiting,
}

#[derive(Debug, Clone, Copy)]
enum After {
    /// The producers were made.
    Start,
    /// The topic is known and the records are accepted.
    Accepted,
    /// The first of them is acknowledged.
    Acknowledged,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Drop,
    Background,
}

impl Plan {
    /// The same number gives the same plan, though not the same round.
    pub(super) fn draw(number: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(number);
        let users = [
            Users::Idle,
            Users::Idle,
            Users::Gone,
            Users::Flush,
            Users::Close,
            Users::Tasks,
            Users::Thread,
            Users::Waiting,
        ];
        let after = [After::Start, After::Start, After::Accepted, After::Acknowledged];
        Self {
            workers: rng.usize(1..=4),
            producers: if rng.u8(..4) == 0 { rng.usize(2..=3) } else { 1 },
            records: rng.u32(1..=50),
            is_compressed: rng.u8(..4) == 0,
            users: users[rng.usize(..users.len())],
            after: after[rng.usize(..after.len())],
            // Short ones are more likely; the longest take a few milliseconds.
            spins: 1 << rng.u32(0..18),
            end: if rng.u8(..8) == 0 { End::Background } else { End::Drop },
        }
    }
}

/// What became of the records of many rounds.
#[derive(Default)]
pub(super) struct Outcomes {
    by_value: BTreeMap<String, Result<RecordMetadata, DeliveryError>>,
}

impl Outcomes {
    /// Compares what was told with the logs.
    pub(super) fn verify(&self, cluster: &MockCluster) {
        let mut places: BTreeMap<String, (i32, i64)> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for stored in cluster.records(TOPIC, partition) {
                let value = stored.record.value.expect("each has one");
                let value = String::from_utf8(value.to_vec()).expect("text");
                if let Some(before) = places.insert(value.clone(), (partition, stored.offset)) {
                    panic!("{value} is at {before:?} and at {:?} (I2)", (partition, stored.offset));
                }
            }
        }
        for (value, told) in &self.by_value {
            match (told, places.get(value)) {
                (Ok(told), Some(place)) => {
                    assert_eq!((told.partition, told.offset), (place.0, Some(place.1)), "{value} (I4)");
                }
                (Ok(_), None) => panic!("{value} was acknowledged and is not there (I1)"),
                (Err(error), Some(_)) => {
                    assert_ne!(error.persistence(), Persistence::NotPersisted, "{value}: {error} (I6)");
                }
                (Err(error), None) => {
                    assert_ne!(error.persistence(), Persistence::Persisted, "{value}: {error} (I6)");
                }
            }
        }
        let accepted = |value: &String| value.starts_with("late") || self.by_value.contains_key(value);
        if let Some((value, place)) = places.iter().find(|(value, _)| !accepted(value)) {
            panic!("{value} is at {place:?}, and was never accepted (I6)");
        }
    }
}

/// A record under way.
type Sent = (String, Delivery);

pub(super) fn play(
    number: u64,
    plan: &Plan,
    cluster: &MockCluster,
    outcomes: &mut Outcomes,
    bug: Option<(Bug, &'static AtomicBool)>,
) {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(plan.workers).enable_all();
    if let Some((bug, switch)) = bug {
        builder.on_thread_start(move || planted::turn_on(bug, switch));
    }
    let runtime = builder.build().expect("a runtime");
    let producers: Vec<Producer> = (0..plan.producers).map(|_| connect(&runtime, plan, cluster)).collect();
    let (sent, threads) = act(number, plan, &runtime, &producers);
    let acknowledged = matches!(plan.after, After::Acknowledged);
    if let (Some((_, delivery)), true) = (sent.first(), acknowledged) {
        drop(block_on(delivery.twin()));
    }
    let producers = if matches!(plan.users, Users::Gone) { Vec::new() } else { producers };
    for _ in 0..plan.spins {
        std::hint::spin_loop();
    }
    match plan.end {
        End::Drop => drop(runtime),
        End::Background => runtime.shutdown_background(),
    }
    let mut all = sent;
    for thread in threads {
        match thread.join() {
            Ok(sent) => all.extend(sent),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    for (value, delivery) in all {
        let told = match plan.end {
            End::Drop => delivery.peek().unwrap_or_else(|| panic!("{value} has no answer (I5)")),
            // The tasks are dropped on their own threads, whenever these come to it.
            End::Background => block_on(delivery),
        };
        if let Err(error) = &told {
            assert!(error.is_aborted(), "{value}: {error}");
        }
        assert!(outcomes.by_value.insert(value, told).is_none(), "each value is one record's");
    }
    for (at, producer) in producers.iter().enumerate() {
        let value = format!("late {number}/{at}");
        match (block_on(producer.send(Record::to(TOPIC).value(&value))), plan.end) {
            (Err(error), _) => assert!(error.is_closed(), "{error}"),
            (Ok(_), End::Drop) => panic!("a record is accepted without a runtime"),
            // Its tasks are being dropped, elsewhere.
            (Ok(delivery), End::Background) => drop(block_on(delivery)),
        }
        let refused = block_on(producer.topic("another")).expect_err("there is no runtime");
        assert!(refused.is_closed(), "{refused}");
    }
}

fn connect(runtime: &Runtime, plan: &Plan, cluster: &MockCluster) -> Producer {
    let compression = if plan.is_compressed { Compression::Snappy } else { Compression::None };
    let config = Producer::builder([cluster.bootstrap_servers()]).linger(Duration::ZERO);
    runtime.block_on(config.compression(compression).connect()).expect("good settings")
}

/// Sends the records of the plan, and has users do something besides.
fn act(
    number: u64,
    plan: &Plan,
    runtime: &Runtime,
    producers: &[Producer],
) -> (Vec<Sent>, Vec<JoinHandle<Vec<Sent>>>) {
    let (mut sent, mut threads) = (Vec::new(), Vec::new());
    for (at, producer) in producers.iter().enumerate() {
        if !matches!(plan.after, After::Start) {
            let sending = send_some(producer, format!("{number}/{at}"), plan.records);
            sent.extend(runtime.block_on(sending));
        }
        let (own, name) = (producer.clone(), format!("{number}/{at}/more"));
        match plan.users {
            Users::Gone => drop(own),
            Users::Idle => {}
            Users::Flush => drop(runtime.spawn(async move { drop(own.flush().await) })),
            Users::Close => drop(runtime.spawn(async move { drop(own.close(LONG).await) })),
            Users::Tasks => {
                for task in 0..3 {
                    let (own, name) = (own.clone(), format!("late {name}/{task}"));
                    drop(runtime.spawn(async move {
                        for run in 0.. {
                            if send_some(&own, format!("{name}/{run}"), 10).await.is_empty() {
                                break;
                            }
                            tokio::task::yield_now().await;
                        }
                    }));
                }
            }
            Users::Thread => threads.push(thread::spawn(move || {
                let sent = (0..).map(|run| block_on(send_some(&own, format!("{name}/{run}"), 10)));
                sent.take_while(|sent| !sent.is_empty()).flatten().collect()
            })),
            Users::Waiting => threads.extend(waiting(&own, &name)),
        }
    }
    (sent, threads)
}

/// Sends records until one is refused, which must be because the runtime is gone.
async fn send_some(producer: &Producer, name: String, count: u32) -> Vec<Sent> {
    let mut sent = Vec::new();
    for number in 0..count {
        let value = format!("{name}/{number}");
        match producer.send(Record::to(TOPIC).value(&value)).await {
            Ok(delivery) => sent.push((value, delivery)),
            Err(error) => {
                assert!(error.is_closed(), "{value}: {error}");
                break;
            }
        }
    }
    sent
}

/// Threads that wait for something which the end of the runtime must end.
fn waiting(producer: &Producer, name: &str) -> [JoinHandle<Vec<Sent>>; 4] {
    let (flushes, closes, asks, sends) =
        (producer.clone(), producer.clone(), producer.clone(), producer.clone());
    let name = name.to_owned();
    [
        thread::spawn(move || {
            drop(block_on(join_all((0..3).map(|_| flushes.flush()))));
            Vec::new()
        }),
        thread::spawn(move || {
            drop(block_on(closes.close(LONG)));
            Vec::new()
        }),
        thread::spawn(move || {
            let refused = block_on(asks.topic("unknown")).expect_err("nobody makes it");
            assert!(refused.is_closed(), "{refused}");
            Vec::new()
        }),
        thread::spawn(move || block_on(send_some(&sends, name, 5))),
    ]
}

/// Longer than a round takes.
const LONG: Duration = Duration::from_secs(600);
