//! The second layer of the simulation: the whole producer, tasks and all, on a runtime whose clock is paused.
//!
//! Everything is real but the network and the brokers behind it: [`net`] serves the mock cluster at the far ends of
//! [`pipe`]s in memory. Wake-ups, lanes, waiters, timers and the end of tasks live here, which a simulation of the state
//! machine alone cannot see. Time passes only when every task waits, so a wake-up that is lost shows as a time that
//! runs out; whatever waits has a bound in virtual time.
//!
//! A run is a function of its seed. `LINGER_SIM_SEED=n` runs one seed and prints its transcript, `LINGER_SIM_SEEDS=n`
//! so many.

mod book;
mod host;
mod lifecycle;
mod net;
mod patience;
mod pipe;
mod plan;
mod planted;
mod themes;
mod times;
mod user;
mod watch;
mod woken;

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    ops::ControlFlow,
    panic,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::{
    book::{Book, Promise, value},
    host::SimulatedTasks,
    net::{Mode, Net, Refuse, WALL},
    plan::{Ending, Plan, Trouble, pick},
    themes::Theme,
    user::{SLACK, User},
    watch::Watch,
    woken::{Woken, strictly},
};
use crate::{
    Producer, Record,
    io::{Shared, simulated},
    planted::Bug,
    sim::{number, on_all_cores},
};

/// What came of a run in which nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) transcript: Vec<String>,
}

/// What was wrong in a run, and how to see it again.
pub(super) struct Failure {
    seed: u64,
    plan: String,
    wrong: Vec<String>,
    transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, plan, wrong, transcript } = self;
        writeln!(f, "seed {seed} of the simulated shell; again: LINGER_SIM_SEED={seed}\n{plan}")?;
        let from = transcript.len().saturating_sub(SHOWN);
        transcript[from..].iter().try_for_each(|line| writeln!(f, "{line}"))?;
        wrong.iter().try_for_each(|line| writeln!(f, "wrong: {line}"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Runs one seed, on a thread of its own: what threads keep for themselves is part of the state.
pub(super) fn run(seed: u64, bug: Option<Bug>) -> Result<Report, Failure> {
    let (tx, rx) = mpsc::channel();
    let simulation = move || drop(tx.send(crate::planted::with(bug, || simulate(seed))));
    let thread = thread::Builder::new().name(format!("seed {seed}")).spawn(simulation).expect("a thread");
    let lost = |what: &str| Failure {
        seed,
        plan: String::new(),
        wrong: vec![what.to_owned()],
        transcript: Vec::new(),
    };
    match rx.recv_timeout(REAL_LIMIT) {
        Ok(result) => {
            drop(thread.join());
            result
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(lost("the simulation itself panicked")),
        // The thread is left behind: there is no way to end it.
        Err(mpsc::RecvTimeoutError::Timeout) => Err(lost("a task turns without time passing (I9)")),
    }
}

fn simulate(seed: u64) -> Result<Report, Failure> {
    listen_to_panics();
    let (plan, numbers, mut rng) = draw(seed);
    let plan = Arc::new(plan);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let book = Book::default();
    let (net, shared) = runtime.block_on(async {
        simulated::begin(WALL);
        let net = Net::with_controllers(plan.brokers, plan.controllers, rng.fork());
        if seed % OLDER == 0 {
            net.know_no_ids_in_versions();
        }
        for (topic, partitions) in &plan.topics {
            net.cluster(|cluster| cluster.create_topic(topic, *partitions)).expect("a topic");
        }
        let tasks = SimulatedTasks::new(plan.ends_at_start);
        let producer = plan.producer(&net, &tasks.host(rng.u64(..)));
        let shared = Arc::clone(producer.shared());
        net.watch(Watch::new(book.clone(), &shared), Arc::clone(&plan), numbers.unwrap_or_default());
        let run = Run { plan: Arc::clone(&plan), net: net.clone(), book: book.clone(), tasks };
        run.all(producer, rng).await;
        (net, shared)
    });
    // Tasks that are left are dropped here, and with them everything they hold.
    drop(runtime);
    let promise =
        Promise { is_idempotent: plan.is_idempotent, is_acknowledged: plan.acks != crate::Acks::NONE };
    if plan.is_fair {
        book.check_spread(&plan.topics, plan.batch_size.min(plan.max_request_size));
    }
    let mut wrong = book.violations();
    wrong.extend(net.violations());
    wrong.extend(PANICS.take().into_iter().map(|panic| format!("a task panicked: {panic}")));
    wrong.extend(book.verify(&net, &plan.topics, promise));
    if shared.plane.pool.used() > 0 {
        wrong.push(format!("{} bytes of memory are never given back (I7)", shared.plane.pool.used()));
    }
    let (delivered, failed) = book.counts();
    let transcript = net.transcript();
    if wrong.is_empty() {
        Ok(Report { delivered, failed, transcript })
    } else {
        Err(Failure { seed, plan: format!("{plan:#?}"), wrong, transcript })
    }
}

/// What a seed makes of a run, where its numbers begin if they do so anywhere else, and what the rest of it is drawn by.
fn draw(seed: u64) -> (Plan, Option<(i16, i32)>, fastrand::Rng) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut plan = Plan::draw(&mut rng);
    // Generators of their own, so that the other seeds do not change when themes and ends do.
    let mut own = fastrand::Rng::with_seed(!seed);
    plan.theme = Theme::of(seed);
    let numbers = plan.theme.map(|theme| {
        theme.adjust(&mut plan, &mut own);
        theme.first_numbers(&mut own)
    });
    if seed % 2 == 0 {
        // As few as the largest record of a user needs.
        plan.max_request_size = 10_000;
    }
    if plan.theme.is_none() && !plan.is_fair && own.u8(..6) == 0 {
        plan.confusion = Some(own.u64(..));
    }
    if let Ending::Shutdown { .. } = plan.ending {
        let mut own = fastrand::Rng::with_seed(seed.rotate_left(32));
        plan.ends_at_start = own.bool().then(|| own.u32(0..2 * u32::from(plan.brokers) + 2));
    }
    (plan, numbers, rng)
}

/// Whether the runtime of this run ends in the midst of a turn.
fn ends_in_a_turn(seed: u64) -> bool {
    draw(seed).0.ends_at_start.is_some()
}

/// A run from its first record to its end.
struct Run {
    plan: Arc<Plan>,
    net: Net,
    book: Book,
    tasks: SimulatedTasks,
}

impl Run {
    async fn all(self, producer: Producer, mut rng: fastrand::Rng) {
        let users: Vec<_> = (0..self.plan.users)
            .map(|id| {
                let user = User {
                    id,
                    producer: producer.clone(),
                    net: self.net.clone(),
                    book: self.book.clone(),
                    plan: Arc::clone(&self.plan),
                    rng: rng.fork(),
                    sent: 0,
                    pending: Vec::new(),
                };
                Handle::current().spawn(user.run())
            })
            .collect();
        let troubles = Handle::current().spawn(trouble(self.net.clone(), Arc::clone(&self.plan), rng.fork()));
        match self.plan.ending {
            Ending::Shutdown { after } => {
                sleep(after).await;
                if self.tasks.is_over() {
                    self.finish(users).await;
                    self.all_are_resolved("shut down in the midst of a turn");
                }
            }
            Ending::CloseEarly { after, timeout } => {
                sleep(after).await;
                self.close(producer, timeout).await;
                self.all_are_resolved("closed");
                self.finish(users).await;
            }
            Ending::Close | Ending::Drop => {
                self.finish(users).await;
                drop(troubles.await);
                self.recover(&producer).await;
                self.last_words(&producer, &mut rng);
                self.end(producer).await;
            }
        }
    }

    /// Waits for users, who all have their own limits.
    async fn finish(&self, users: Vec<JoinHandle<()>>) {
        for user in users {
            if strictly(USERS_LIMIT, user).await.is_none() {
                self.book.violate("a user never ends (I8)");
            }
        }
    }

    /// I10: once nothing is in the way any more, records get through.
    async fn recover(&self, producer: &Producer) {
        let mut number = 0;
        for (topic, partitions) in &self.plan.topics {
            for partition in 0..*partitions {
                if strictly(RECOVERY, self.deliver_one(producer, topic, partition, &mut number))
                    .await
                    .is_some()
                {
                    continue;
                }
                // What is in doubt behind a batch that was given up in doubt waits for its own end: that is accepted.
                let has_stray = self.book.has_stray(topic, partition);
                let more = if has_stray { self.plan.delivery_timeout } else { Duration::ZERO };
                if strictly(more, self.deliver_one(producer, topic, partition, &mut number)).await.is_none() {
                    let what = format!("{topic}-{partition} does not recover in {:?} (I10)", RECOVERY + more);
                    self.book.violate(what);
                }
            }
        }
    }

    /// Sends records to a partition until one is acknowledged.
    async fn deliver_one(&self, producer: &Producer, topic: &str, partition: i32, number: &mut u32) {
        loop {
            let id = (u16::MAX, *number);
            *number += 1;
            let value = value(id, 20);
            match producer.send(Record::to(topic).partition(partition).value(&value)).await {
                Ok(delivery) => {
                    self.book.accepted(id, &delivery, value.len());
                    match delivery.await {
                        Ok(_) => return,
                        Err(error) => self.net.note(|| format!("not recovered: {error}")),
                    }
                }
                Err(error) => {
                    self.book.kept(id);
                    self.net.note(|| format!("not recovered: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Some records right before the end, to brokers that may take longer to answer than the driver looks by itself: the end
    /// comes with the answer to the last of them.
    fn last_words(&self, producer: &Producer, rng: &mut fastrand::Rng) {
        self.net.set_weather([pipe::Weather::FAIR; 2], None, Duration::from_millis(rng.u64(0..1_000)));
        for number in 0..rng.u32(0..4) {
            let id = (u16::MAX - 1, number);
            let (topic, partitions) = pick(rng, &self.plan.topics);
            let value = value(id, 20);
            match producer.try_send(Record::to(topic).partition(rng.i32(0..*partitions)).value(&value)) {
                Ok(delivery) => self.book.accepted(id, &delivery, value.len()),
                Err(_) => self.book.kept(id),
            }
        }
    }

    async fn end(&self, producer: Producer) {
        let shared = Arc::clone(producer.shared());
        if self.plan.ending == Ending::Close {
            self.close(producer, self.plan.delivery_timeout + SLACK).await;
            self.all_are_resolved("closed");
        } else {
            drop(producer);
            let limit = self.plan.delivery_timeout + SLACK;
            let waits_for = Arc::clone(&shared);
            let mut key = None;
            let over = std::future::poll_fn(move |cx| match waits_for.over.poll(&mut key, cx.waker()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            });
            if self.ends(&shared, limit, over).await.is_none() {
                self.book
                    .violate(format!("the tasks go on for {limit:?} after the last handle is gone (I8)"));
            }
            self.all_are_resolved("dropped");
        }
        self.nothing_is_held(&shared).await;
    }

    async fn close(&self, producer: Producer, patience: Duration) {
        let limit = patience + SLACK;
        let shared = Arc::clone(producer.shared());
        match self.ends(&shared, limit, producer.close(patience)).await {
            Some(result) => self.net.note(|| format!("closed: {result:?}")),
            None => self.book.violate(format!("close is not ready after {limit:?} (I8)")),
        }
    }

    /// Waits for the end of a producer, which comes soon after the last batch is resolved, and before the limit.
    async fn ends<F: Future>(&self, shared: &Shared, limit: Duration, end: F) -> Option<F::Output> {
        let mut end = Woken::new(end);
        let (mut waited, mut idle) = (Duration::ZERO, Duration::ZERO);
        while waited < limit {
            if let Ok(output) = timeout(LOOK, &mut end).await {
                return Some(output);
            }
            waited += LOOK;
            // Nothing is held by anybody: all is resolved, written and let go.
            let is_idle = shared.plane.pool.used() == 0 && shared.plane.look().sender.is_drained();
            idle = if is_idle { idle + LOOK } else { Duration::ZERO };
            if idle > END {
                self.book
                    .violate(format!("the end does not come although all was resolved {idle:?} ago (I8)"));
                return Some(end.await);
            }
        }
        None
    }

    fn all_are_resolved(&self, how: &str) {
        let left = self.book.unresolved();
        if let Some(first) = left.first() {
            self.book.violate(format!("{how}, and {} have no answer, {first:?} among them (I5)", left.len()));
        }
    }

    /// I7: when nobody waits any more, and connections are closed, nobody holds memory.
    async fn nothing_is_held(&self, shared: &Shared) {
        sleep(SLACK).await;
        let used = shared.plane.pool.used();
        if used > 0 {
            self.book.violate(format!("{used} bytes are held when all is over (I7)"));
        }
    }
}

/// Lets things go wrong for as long as the plan says.
async fn trouble(net: Net, plan: Arc<Plan>, mut rng: fastrand::Rng) {
    let nodes = net.nodes();
    let all = async {
        while let (Some(theme), Some(watch)) = (plan.theme, net.watched()) {
            theme.trouble(&net, &watch, &plan, &mut rng).await;
        }
        loop {
            let trouble = Trouble::draw(&mut rng, &nodes);
            Handle::current().spawn(befall(net.clone(), Arc::clone(&plan), trouble));
            sleep(Duration::from_millis(rng.u64(0..4_000))).await;
        }
    };
    if let (Some(size), Some((topic, _))) = (plan.max_message, plan.topics.first()) {
        net.cluster(|cluster| cluster.set_topic_config(topic, "max.message.bytes", &size.to_string()))
            .expect("a setting");
    }
    if plan.is_fair {
        return;
    }
    let confusion =
        plan.confusion.map(|seed| Handle::current().spawn(confuse(net.clone(), Arc::clone(&plan), seed)));
    drop(timeout(plan.trouble, all).await);
    if let Some(confusion) = confusion {
        confusion.abort();
    }
    // What was begun ends first.
    sleep(LONGEST_TROUBLE).await;
    net.clear();
}

/// Has clusters and views be taken for others, now and then.
async fn confuse(net: Net, plan: Arc<Plan>, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    loop {
        sleep(Duration::from_millis(rng.u64(0..8_000))).await;
        let trouble = plan::confusion(&mut rng, &plan, &net.nodes());
        Handle::current().spawn(befall(net.clone(), Arc::clone(&plan), trouble));
    }
}

async fn befall(net: Net, plan: Arc<Plan>, trouble: Trouble) {
    net.note(|| format!("{trouble:?}"));
    match trouble {
        Trouble::Weather { weather, cuts, think } => net.set_weather(weather, cuts, think),
        Trouble::Cut { node } => net.cut(node),
        Trouble::Stall { node, to_broker, time } => net.stall(node, to_broker, time),
        Trouble::Kill { node, election, back } => {
            net.set_mode(node, Mode::Down);
            sleep(election).await;
            net.elect(&plan.topics, node);
            sleep(back).await;
            net.set_mode(node, Mode::Up);
        }
        Trouble::Freeze { node, time } => {
            net.set_mode(node, Mode::Frozen);
            sleep(time).await;
            net.set_mode(node, Mode::Up);
        }
        Trouble::Isolate { node, time } => {
            net.set_mode(node, Mode::Unreachable);
            net.stall(Some(node), true, Some(time));
            net.stall(Some(node), false, Some(time));
            sleep(time).await;
            net.set_mode(node, Mode::Up);
        }
        Trouble::Blackout { time } => {
            let nodes = net.nodes();
            nodes.iter().for_each(|node| net.set_mode(*node, Mode::Down));
            sleep(time).await;
            nodes.iter().for_each(|node| net.set_mode(*node, Mode::Up));
        }
        Trouble::Clock { milliseconds } => simulated::jump(milliseconds),
        Trouble::Elect { node } => net.elect(&plan.topics, node),
        Trouble::Astray { node, time } => {
            if net.lead_astray(node) {
                sleep(time).await;
                net.lead_back(node);
            }
        }
        Trouble::Wipe { strangers } => net.wipe(&plan.topics, strangers),
        Trouble::Stranger { topic, partition, count } => {
            net.write_as_stranger(&plan.topics[topic].0, partition, count);
        }
        Trouble::Lag { node, lag, time } => {
            net.lag_behind(node, lag);
            sleep(time).await;
            net.catch_up(node);
        }
        Trouble::Refuse { code, is_applied, count } => {
            net.refuse(std::iter::repeat_n(Refuse { code, is_applied }, count));
        }
    }
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A runtime catches what its tasks panic with, and nobody would hear of it.
fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_simulated = thread::current().name().is_some_and(|name| name.starts_with("seed "));
            if is_simulated {
                PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

#[test]
fn seeds() {
    if let Some(seed) = number("LINGER_SIM_SEED") {
        let result = run(seed, None);
        let transcript = match &result {
            Ok(report) => &report.transcript,
            Err(failure) => &failure.transcript,
        };
        transcript.iter().for_each(|line| println!("{line}"));
        if let Err(failure) = result {
            panic!("{failure}");
        }
        return;
    }
    let count = number("LINGER_SIM_SEEDS").unwrap_or(SEEDS);
    let (delivered, failed) = run_many(number("LINGER_SIM_FIRST").unwrap_or(0), count);
    println!("{count} seeds: {delivered} records delivered, {failed} failed");
    assert!(delivered > failed && failed > 0, "{delivered} delivered, {failed} failed: nothing was tried");
}

/// Runs seeds on all cores, and counts the records that were delivered, and those that were not.
fn run_many(first: u64, count: u64) -> (u64, u64) {
    let (delivered, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let broken = Mutex::new(Vec::new());
    on_all_cores(first..first + count, Some(2), |seed| {
        match run(seed, None) {
            Ok(report) => {
                delivered.fetch_add(report.delivered, Ordering::Relaxed);
                failed.fetch_add(report.failed, Ordering::Relaxed);
            }
            Err(failure) => {
                println!("{failure}");
                let mut broken = broken.lock().expect("nobody panics here");
                broken.push(seed);
                if broken.len() >= MAX_FAILURES {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    let mut broken = broken.into_inner().expect("nobody panics here");
    broken.sort_unstable();
    assert!(broken.is_empty(), "these seeds went wrong: {broken:?}");
    (delivered.into_inner(), failed.into_inner())
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 8] {
        let run = || run(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
        let (one, other) = (run(), run());
        let differ = one.transcript.iter().zip(&other.transcript).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(one, other, "seed {seed}");
    }
}

/// How often it is looked whether the end that is waited for is overdue.
const LOOK: Duration = Duration::from_millis(100);

/// In one run of so many brokers are older than ApiVersions 5.
const OLDER: u64 = 3;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 30;

/// How soon after the last batch is resolved a producer ends: connections are hung up in a second, or left alone.
const END: Duration = Duration::from_millis(1_300);

/// Seeds that may go wrong before the rest is left out.
const MAX_FAILURES: usize = 5;

/// Users bound each of their own steps, so this is only for one that does not.
const USERS_LIMIT: Duration = Duration::from_secs(100_000);

/// How long any trouble lasts after the last one has begun.
const LONGEST_TROUBLE: Duration = Duration::from_secs(46);

/// How long a partition may need until it works again, once nothing is in its way. It may have to wait for batches that
/// are in doubt.
const RECOVERY: Duration = Duration::from_secs(30);

/// Of real time: a run takes a fraction of a second. Nothing but a loop without an end takes so long.
const REAL_LIMIT: Duration = Duration::from_secs(120);

/// Lines of the transcript shown with a failure.
const SHOWN: usize = 150;
