//! [`Host`]: what a producer takes from the process it lives in. A simulation hands in its own.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{clock, workers::Workers};

/// Where tasks and long work run, where chance comes from, and which process this is.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) tasks: Arc<dyn Tasks>,
    /// Where the producer's random numbers begin: no two producers of a fleet should have the same.
    pub(crate) seed: u64,
    /// The id of the process that asks. Costs a call of the system.
    pub(crate) process: fn() -> u32,
}

/// Where tasks and long work run. Called where no lock is held: what is given may be dropped at once.
pub(crate) trait Tasks: Send + Sync {
    /// Starts a task. Where the runtime is shut down, the task is dropped without a turn.
    fn start(&self, task: BoxFuture<'static, ()>) -> AbortHandle;

    /// Runs work that takes long where no task waits for it; or drops it, where that is not possible.
    fn work(&self, work: Box<dyn FnOnce() + Send>);
}

/// The tasks of a runtime, and threads of the producer's own.
struct Real {
    runtime: Handle,
    workers: Workers,
}

impl Tasks for Real {
    fn start(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.runtime.spawn(task).abort_handle()
    }

    fn work(&self, work: Box<dyn FnOnce() + Send>) {
        self.workers.run(work);
    }
}

impl Host {
    /// The runtime this is called on, and this process.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(crate) fn current() -> Self {
        let tasks = Real { runtime: Handle::current(), workers: Workers::new(super::parallelism()) };
        Self { tasks: Arc::new(tasks), seed: clock::seed(), process: std::process::id }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("seed", &self.seed).finish_non_exhaustive()
    }
}
