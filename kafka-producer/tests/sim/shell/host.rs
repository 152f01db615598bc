//! The runtime as a producer sees it, which can end in the middle of a task's turn: a task that is started from then on is
//! dropped before its first turn, those that there are get no other one, and the one that has its turn goes on until it gives way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::{runtime::Handle, task::AbortHandle};

use crate::io::{Host, Tasks};

/// The tasks of one producer, on the simulation's own runtime. Clones are the same.
#[derive(Clone)]
pub(super) struct SimulatedTasks(Arc<Mutex<State>>);

struct State {
    runtime: Handle,
    /// So many tasks are started, and then it ends; or it does not.
    left: Option<u32>,
    is_over: bool,
    tasks: Vec<AbortHandle>,
    /// Tasks that were started too late.
    refused: u32,
    work: Work,
    /// The process that asks for its id.
    process: fn() -> u32,
}

/// What becomes of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Done,
    /// It is dropped, as where no thread can be started.
    Dropped,
    /// Whoever gives it panics.
    Panics,
}

impl SimulatedTasks {
    /// Ends with the start of the task of this number, counted from zero, if one is given.
    pub(super) fn new(ends_at: Option<u32>) -> Self {
        let state = State {
            runtime: Handle::current(),
            left: ends_at,
            is_over: false,
            tasks: Vec::new(),
            refused: 0,
            work: Work::Done,
            process: || 1,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What a producer is given that runs here. Work is a task, too: a thread would come back whenever it likes.
    pub(super) fn host(&self, seed: u64) -> Host {
        Host { tasks: Arc::new(self.clone()), seed, process: self.lock().process }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// What becomes of work from now on.
    pub(super) fn set_work(&self, work: Work) {
        self.lock().work = work;
    }

    /// How producers that begin from now on ask for the id of the process.
    pub(super) fn set_process(&self, process: fn() -> u32) {
        self.lock().process = process;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tasks for SimulatedTasks {
    fn start(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        let mut state = self.lock();
        if state.left == Some(0) && !state.is_over {
            state.is_over = true;
            state.tasks.iter().for_each(AbortHandle::abort);
        }
        state.left = state.left.map(|left| left.saturating_sub(1));
        if !state.is_over {
            let handle = state.runtime.spawn(task).abort_handle();
            state.tasks.push(handle.clone());
            return handle;
        }
        state.refused += 1;
        let (refused, runtime) = (state.refused, state.runtime.clone());
        drop(state);
        drop(task);
        assert!(refused < MAX_REFUSED, "tasks are started on and on although the runtime has ended (I9)");
        runtime.spawn(async {}).abort_handle()
    }

    fn work(&self, work: Box<dyn FnOnce() + Send>) {
        let state = self.lock();
        let (is_over, mode, runtime) = (state.is_over, state.work, state.runtime.clone());
        drop(state);
        assert_ne!(mode, Work::Panics, "no thread can be started");
        if is_over || mode == Work::Dropped {
            return drop(work);
        }
        drop(runtime.spawn(async move { work() }));
    }
}

/// Tasks that a producer may start before it has noticed: one for each broker.
const MAX_REFUSED: u32 = 20;
