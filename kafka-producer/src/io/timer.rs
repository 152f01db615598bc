//! One timer for one wait.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{runtime::Handle, time::Sleep};

/// Ends a wait. Works outside of the runtime's own threads too.
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// A timer for a time, or for never.
    pub(crate) fn new(runtime: &Handle, deadline: Option<Instant>) -> Self {
        let _context = runtime.enter();
        Self { sleep: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into()))) }
    }

    /// Ready when the time has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}
