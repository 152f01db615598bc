//! The driver of a [`Client`](crate::Client): timers of the metadata, and a pump for each broker that is needed.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::{runtime::Handle, time::Sleep};

use super::{clock, link::keep_connected};
use crate::{
    client::{ClientFeed, Shared, Start},
    config::NetConfig,
};

/// Starts it on the current runtime. It ends when the state is closed.
pub(crate) fn start_driver(shared: &Arc<Shared>, config: NetConfig, rng: fastrand::Rng) {
    let driver = Driver { shared: Arc::clone(shared), config: Arc::new(config), rng };
    Handle::current().spawn(driver.run());
}

/// Waits for a future, at most so long.
pub(crate) async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, future).await.ok()
}

struct Driver {
    shared: Arc<Shared>,
    config: Arc<NetConfig>,
    rng: fastrand::Rng,
}

impl Driver {
    async fn run(mut self) {
        let mut sleep: Option<std::pin::Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            loop {
                let turn = self.shared.with_waker(cx, |state, waker| state.drive(waker, clock::now()));
                let Some((starts, timeout, effects)) = turn else { return Poll::Ready(()) };
                effects.settle();
                for start in starts {
                    self.start(start);
                }
                let Some(timeout) = timeout else { return Poll::Pending };
                let deadline = tokio::time::Instant::from_std(timeout);
                let timer = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if timer.is_elapsed() || timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    fn start(&mut self, start: Start) {
        let feed = ClientFeed { shared: Arc::clone(&self.shared), link: start.link };
        let pump =
            keep_connected(start.link.node, start.endpoint, Arc::clone(&self.config), self.rng.fork(), feed);
        Handle::current().spawn(pump);
    }
}

/// Without its driver a client does nothing any more: whoever waits is told.
impl Drop for Driver {
    fn drop(&mut self) {
        let now = clock::now();
        self.shared.with(|state| state.close(now)).settle();
    }
}
