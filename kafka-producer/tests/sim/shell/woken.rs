//! Waits that take a wake-up that was lost for what it is.
//!
//! `tokio::time::timeout` polls what it bounds once more when the time is over. Whoever forgot to wake the task would so be
//! forgiven: the result is there by then, only late.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::timeout;

/// Waits for a future for as long as `limit`. It is polled when its own waker was run, and at no other time.
pub(super) async fn strictly<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    timeout(limit, Woken::new(future)).await.ok()
}

/// A future that is polled only when its own waker was run.
pub(super) struct Woken<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
}

/// The waker that the future is given.
struct Bell {
    rang: AtomicBool,
    task: Mutex<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::SeqCst);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl<F> Woken<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Bell { rang: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) };
        Self { future: Box::pin(future), bell: Arc::new(bell) }
    }
}

impl<F: Future> Future for Woken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.bell.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        if !self.bell.rang.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[test]
fn a_wait_does_not_look_without_being_woken() {
    use std::cell::Cell;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let polls = Cell::new(0);
        let silent = std::future::poll_fn(|_| {
            polls.set(polls.get() + 1);
            if polls.get() > 1 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(strictly(Duration::from_secs(1), silent).await, None);
        assert_eq!(polls.get(), 1, "the timer alone polls nothing");
        let slept = strictly(Duration::from_secs(2), tokio::time::sleep(Duration::from_secs(1))).await;
        assert_eq!(slept, Some(()), "a wake-up does");
    });
}
