//! The producer on real multi-thread runtimes, over sockets, which are shut down at every moment.
//!
//! Both simulations run on one thread, where a task is never cancelled in the middle of another one's turn. Here threads meet as
//! they like: nothing is seeded, and a failure cannot be replayed; its plan is printed, and the next run draws the same plans. A
//! round that does not end is found by a watchdog, whose patience is no measure of speed.
//!
//! `LINGER_RUNTIMES=n` runs so many rounds, `LINGER_RUNTIMES_PLAN=n` all of them with the plan of that number.

mod round;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use kafka_mock::MockCluster;
use tokio::runtime::{Builder, Runtime};

use self::round::{Outcomes, Plan};
use crate::{planted::Bug, sim::number};

/// A cluster that serves many rounds, on a runtime of its own.
struct Brokers {
    cluster: MockCluster,
    _runtime: Runtime,
}

impl Brokers {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let starting = MockCluster::builder().brokers(BROKERS).topic(TOPIC, PARTITIONS).start();
        let cluster = runtime.block_on(starting).expect("the mock starts");
        Self { cluster, _runtime: runtime }
    }
}

/// Plays rounds one after the other, each watched, and says what was wrong first.
fn play(rounds: u64, bug: Option<Bug>, patience: Duration) -> Result<(), String> {
    // A bug that keeps a thread busy for ever is called off once it was seen.
    let switch: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(true)));
    let (told, news) = mpsc::channel();
    let number_of_plan = number("LINGER_RUNTIMES_PLAN");
    let players = thread::spawn(move || {
        let (mut brokers, mut outcomes) = (Arc::new(Brokers::start()), Outcomes::default());
        for number in 0..rounds {
            if number > 0 && number % ROUNDS_A_CLUSTER == 0 {
                outcomes.verify(&brokers.cluster);
                (brokers, outcomes) = (Arc::new(Brokers::start()), Outcomes::default());
            }
            let plan = Plan::draw(number_of_plan.unwrap_or(number));
            if told.send(format!("round {number} of {plan:?}")).is_err() {
                return;
            }
            round::play(number, &plan, &brokers.cluster, &mut outcomes, bug.map(|bug| (bug, switch)));
        }
        outcomes.verify(&brokers.cluster);
    });
    let mut last = String::new();
    let result = loop {
        match news.recv_timeout(patience) {
            Ok(round) => last = round,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                break players.join().map_err(|panic| format!("{last}: {}", text(&*panic)));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                break Err(format!("{last} does not end within {patience:?} (I8)"));
            }
        }
    };
    switch.store(false, Ordering::Relaxed);
    result
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn a_runtime_can_be_shut_down_at_every_moment() {
    let rounds = number("LINGER_RUNTIMES").unwrap_or(ROUNDS);
    if let Err(wrong) = play(rounds, None, PATIENCE) {
        panic!("{wrong}");
    }
}

#[test]
fn a_driver_that_does_not_see_the_end_of_its_runtime_is_found() {
    let found = play(ROUNDS, Some(Bug::RuntimeEndUnseen), PATIENCE / 12).expect_err("not found");
    assert!(found.ends_with("(I8)"), "{found}");
}

/// Rounds of an ordinary test run: within a minute on two busy cores.
const ROUNDS: u64 = 3_000;

/// A cluster keeps everything: after so many rounds another one begins.
const ROUNDS_A_CLUSTER: u64 = 250;

/// How long a round may take before it counts as one that never ends.
const PATIENCE: Duration = Duration::from_secs(60);

const BROKERS: u16 = 5;
const TOPIC: &str = "orders";
const PARTITIONS: i32 = 10;
