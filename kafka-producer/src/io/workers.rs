//! [`Workers`]: threads for work that takes long.
//!
//! They are not those of the runtime's blocking pool. A program may block all of these on deliveries, and a delivery may wait for
//! the very work that would then wait for one of them.

use std::{
    collections::VecDeque,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// A piece of work. It may be dropped undone, and says so itself to whoever waits for it.
type Work = Box<dyn FnOnce() + Send>;

/// At most so many threads, which are started when there is work, and end when there is none for a while.
pub(super) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    most: usize,
    state: Mutex<State>,
    /// There is work, or nobody gives any more.
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// Bounded by who gives it: see `max_sealing`.
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl Workers {
    pub(super) fn new(most: usize) -> Self {
        let shared = Shared { most, state: Mutex::default(), news: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Has work done by one of the threads. It is dropped if there is none and none can be started.
    pub(super) fn run(&self, work: Work) {
        let mut state = self.shared.lock();
        state.waiting.push_back(work);
        if state.idle >= state.waiting.len() || state.threads >= self.shared.most {
            drop(state);
            self.shared.news.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new().name("kafka-compress".to_owned()).spawn(move || shared.serve());
        if let Err(error) = started {
            let lost = self.shared.not_started();
            tracing::error!(%error, batches = lost.len(), "no thread could be started to compress on");
            drop(lost);
        }
    }
}

/// Threads at work finish what waits: each piece of it may have somebody who waits.
impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                drop(state);
                // The panic hook has said what there is to say; who waits is told by the work's own drop.
                let _ = panic::catch_unwind(AssertUnwindSafe(work));
                state = self.lock();
                continue;
            }
            if state.is_over {
                break;
            }
            state.idle += 1;
            let waited = self.news.wait_timeout(state, PATIENCE);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    /// A thread could not be started. What waits is given back if there is no other one.
    fn not_started(&self) -> VecDeque<Work> {
        let mut state = self.lock();
        state.threads -= 1;
        if state.threads == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() }
    }

    /// No work is done or dropped under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("most", &self.shared.most).finish_non_exhaustive()
    }
}

/// How long a thread waits for more work.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    #[test]
    fn no_more_threads_are_started_than_may_be_and_all_work_is_done() {
        let workers = Workers::new(2);
        let (done, results) = mpsc::channel();
        // Both threads are needed at once.
        let both = Arc::new(Barrier::new(2));
        for number in 0..10 {
            let (done, both) = (done.clone(), Arc::clone(&both));
            workers.run(Box::new(move || {
                both.wait();
                done.send(number).expect("somebody counts");
            }));
        }
        let mut numbers: Vec<i32> = (0..10).map(|_| results.recv().expect("all is done")).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        assert!(workers.shared.lock().threads <= 2);
    }

    #[test]
    fn work_that_panics_does_not_end_its_thread() {
        let workers = Workers::new(1);
        let (done, results) = mpsc::channel();
        workers.run(Box::new(|| panic!("a codec's own mistake")));
        workers.run(Box::new(move || done.send(()).expect("somebody waits")));
        results.recv().expect("the second one is done");
        assert_eq!(workers.shared.lock().threads, 1);
    }

    #[test]
    fn what_waits_is_done_although_nobody_gives_work_any_more() {
        let workers = Workers::new(1);
        let (go, gone) = mpsc::channel::<()>();
        let (done, results) = mpsc::channel();
        workers.run(Box::new(move || assert!(gone.recv().is_err(), "nothing is sent")));
        workers.run(Box::new(move || done.send(()).expect("somebody waits")));
        drop(workers);
        drop(go);
        results.recv().expect("it was done");
    }
}
