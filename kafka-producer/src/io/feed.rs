//! [`PumpFeed`]: a pump's side of the engine, carried out.

use std::{fmt, sync::Arc, task::Context, time::Instant};

use kafka_net::{CallResult, Demand, Expectation, Feed, Next, Offer, Status};

use super::Shared;
use crate::{
    plane::{After, Caller, GateFeed, Plane},
    sender::{Call, Reply, guarded, tell_other},
};

/// The feed of one pump.
pub(super) struct PumpFeed {
    shared: Arc<Shared>,
    feed: GateFeed,
    /// Lists for what is to be done after the engine's locks are let go.
    after: After,
    /// This process is a fork: see [`Plane::end_fork`].
    is_foreign: bool,
}

impl PumpFeed {
    pub(super) fn new(shared: Arc<Shared>, feed: GateFeed) -> Self {
        let after = After::new(Caller::Pump(feed.node()));
        Self { shared, feed, after, is_foreign: false }
    }

    fn act<R>(&mut self, f: impl FnOnce(&mut GateFeed, &Plane, &mut After) -> R) -> R {
        let Self { shared, feed, after, .. } = self;
        shared.act_reusing(after, |plane, after| f(feed, plane, after))
    }
}

impl Feed for PumpFeed {
    type Call = Call;

    fn poll_demand(&mut self, cx: &mut Context<'_>, now: Instant) -> Demand {
        // Where there is a connection, its pump has asked.
        if self.is_foreign || (!self.feed.is_ready() && self.is_foreign()) {
            return Demand::Abort;
        }
        self.act(|feed, plane, after| feed.poll_demand(plane, cx.waker(), now, after))
    }

    fn poll_call(&mut self, cx: &mut Context<'_>, offer: Offer<'_>) -> Next<Call> {
        if self.is_foreign {
            return Next::Abort;
        }
        self.act(|feed, plane, after| feed.poll_call(plane, cx.waker(), offer.now, after))
    }

    fn is_foreign(&mut self) -> bool {
        self.is_foreign = self.shared.plane.is_fork();
        if self.is_foreign {
            self.act(|_, plane, after| plane.end_fork(after));
        }
        self.is_foreign
    }

    fn on_reply(&mut self, call: Call, result: CallResult<Reply>, now: Instant) {
        if self.is_foreign {
            // It was given up, and its lock may be held by a thread that is not here.
            return;
        }
        self.act(|feed, plane, after| feed.on_reply(plane, &call, result, now, after));
    }

    fn expectation(&mut self) -> Option<Expectation> {
        self.feed.expectation(&self.shared.plane)
    }

    fn on_proven(&mut self, now: Instant) {
        self.act(|feed, plane, after| feed.on_proven(plane, now, after));
    }

    fn on_status(&mut self, status: Status, now: Instant) {
        if self.is_foreign {
            return;
        }
        let node = self.feed.node();
        if let Status::Down { error, retry_after } = &status {
            if error.is_other_broker() {
                guarded(|| tell_other(error));
            } else if !error.is_idle() && !error.is_aborted() {
                guarded(|| tracing::warn!(node = node.0, %error, ?retry_after, "no connection to a broker"));
            }
        }
        self.act(|feed, plane, after| feed.on_status(plane, &status, now, after));
    }
}

impl fmt::Debug for PumpFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PumpFeed").field("feed", &self.feed).finish_non_exhaustive()
    }
}
