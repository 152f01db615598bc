//! [`Feed`]: where a connection's pump gets its calls from, and whom it tells the replies.

use std::{
    task::Context,
    time::{Duration, Instant},
};

use crate::{
    call::{Call, CallResult},
    conn::{ConnectionStats, Expectation, Versions},
    error::NetError,
};

/// The owner of calls, as one pump sees it: the pump asks for calls and tells replies, and nothing else passes
/// between them.
///
/// Each pump has a feed value of its own (usually a handle to shared state and the node's id), so that a feed
/// knows for which broker it is asked. A `poll_*` that has nothing to give stores the waker of `cx`, replacing the
/// one it had, and wakes it when that changes: on edges only, since every wake costs a turn of the pump. Methods
/// are called from the pump's task one at a time; they must not block.
pub trait Feed {
    /// What is called.
    type Call: Call;

    /// Asked while there is no connection, and while the connection takes no call (it is still being set up, full
    /// or throttled): should it be there?
    fn poll_demand(&mut self, cx: &mut Context<'_>, now: Instant) -> Demand;

    /// Asked while the connection can take a call: the next one, please. Asked again at once after each call.
    fn poll_call(&mut self, cx: &mut Context<'_>, offer: Offer<'_>) -> Next<Self::Call>;

    /// A call comes back. Every call given is told here exactly once, also when the pump's task is dropped.
    fn on_reply(&mut self, call: Self::Call, result: CallResult<<Self::Call as Call>::Reply>, now: Instant);

    /// What is expected of the broker that a new connection leads to: asked whenever one is established. Nothing, unless
    /// the feed knows its cluster.
    fn expectation(&mut self) -> Option<Expectation> {
        None
    }

    /// The broker has shown that it is as expected; [`Status::Ready`] follows.
    fn on_proven(&mut self, _now: Instant) {}

    /// The connection came up, broke, or is being set up.
    fn on_status(&mut self, status: Status, now: Instant);

    /// Whether the connection belongs to somebody else: this process is a fork of the one that opened it. Asked once in each
    /// turn of the pump, and when it ends or is dropped. If so, nothing is read from the stream or written to it any more, nor is
    /// it shut down or closed, since whoever it belongs to goes on with it; calls are told as aborted, and the pump ends.
    fn is_foreign(&mut self) -> bool {
        false
    }
}

/// What a connection has to offer to the next call.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Offer<'a> {
    /// The time.
    pub now: Instant,
    /// What the broker understands.
    pub versions: &'a Versions,
    /// Calls on this connection that are not answered yet.
    pub in_flight: usize,
    /// What has passed over this connection.
    pub stats: &'a ConnectionStats,
}

/// A feed's answer to [`Feed::poll_demand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Demand {
    /// There is, or soon will be, something to call: connect, or stay connected.
    Connect,
    /// Nothing for now; the feed keeps the waker. An existing connection stays until it is idle for too long.
    Rest,
    /// As `Rest`; but ask again then, even if nobody wakes.
    Later(Instant),
    /// Take no more calls, wait for the answers still due, hang up, and end the pump.
    Finish,
    /// Hang up now, and end the pump.
    Abort,
}

/// A feed's answer to [`Feed::poll_call`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Next<C> {
    /// Send this.
    Call(C),
    /// Nothing now; the feed keeps the waker. With a time: ask again then, even if nobody wakes.
    Wait(Option<Instant>),
    /// As [`Demand::Finish`].
    Finish,
    /// As [`Demand::Abort`].
    Abort,
}

/// What becomes of a node's connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// Dialling has begun.
    Connecting,
    /// Negotiated: calls will be asked for.
    Ready,
    /// There is no connection. Its calls have all been told before.
    Down {
        /// Why. [`NetError::is_idle`] and [`NetError::is_aborted`] are no fault of the broker.
        error: NetError,
        /// Nobody will dial again before this.
        retry_after: Duration,
    },
}
