//! [`Connection`]: the state of one connection to a broker, without its socket.

mod handshake;
mod in_flight;
mod opening;
mod reconnect;
mod stats;
mod versions;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kafka_wire::{CorrelationId, FrameBuf, NodeId};

use self::{
    handshake::{Handshake, Progress},
    in_flight::{Entry, InFlight},
};
pub use self::{
    opening::{Expectation, Opening},
    reconnect::{Life, Reconnect},
    stats::ConnectionStats,
    versions::Versions,
};
use crate::{
    call::{Answer, Call, CallResult},
    config::NetConfig,
    error::{Kind, NetError, Place},
};

/// One connection to a broker: negotiation of versions, correlation of answers with calls, time-outs, throttling,
/// the end. It owns no socket and no clock; [`io::pump`](crate::io::pump) is the loop that gives it both.
///
/// It begins where the stream is established. Its methods are of four kinds:
///
/// - questions, `&self`: [`room`](Self::room), [`versions`](Self::versions), [`stats`](Self::stats), ...
/// - inputs, with the time: [`handle_frame`](Self::handle_frame), [`handle_written`](Self::handle_written),
///   [`handle_broken`](Self::handle_broken), [`handle_timeout`](Self::handle_timeout);
/// - commands, with the time: [`call`](Self::call), [`finish`](Self::finish), [`abort`](Self::abort);
/// - outputs: [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout). After any input or command, drain the outputs before the next.
///
/// Every call handed in comes back exactly once, as an [`Event::Done`]. A connection is never used again after an
/// error: when one request is overdue, or one answer is not what was due, all calls come back and the state is closed.
pub struct Connection<C: Call> {
    place: Place,
    config: Arc<NetConfig>,
    state: State,
    versions: Versions,
    /// The version of ApiVersions that the broker takes, as far as is known.
    api_versions: Option<i16>,
    /// The broker has shown that it is of the cluster that was expected.
    is_proven: bool,
    in_flight: InFlight<What<C>>,
    transmit: VecDeque<FrameBuf>,
    events: VecDeque<Event<C>>,
    next_correlation_id: i32,
    /// No calls before this (KIP-219).
    throttled_until: Option<Instant>,
    last_activity: Instant,
    /// Bytes given out by `poll_transmit` or waiting there, from the beginning of the connection.
    queued: u64,
    /// Bytes of these that the socket took.
    written: u64,
    stats: ConnectionStats,
}

/// What a connection has to tell.
#[non_exhaustive]
pub enum Event<C: Call> {
    /// Calls can begin.
    Ready,
    /// A call comes back.
    Done {
        /// The call, whole.
        call: C,
        /// Its answer, or why there is none.
        result: CallResult<C::Reply>,
    },
    /// The connection is over: close the socket. Every call has come back before.
    Closed(NetError),
}

#[derive(Debug)]
enum State {
    Setup {
        handshake: Handshake,
        timeout: Duration,
        deadline: Option<Instant>,
    },
    Ready,
    /// No more calls; the answers still due are waited for.
    Finishing,
    Closed,
}

/// Who asked.
#[derive(Debug)]
enum What<C> {
    Handshake,
    Call(C),
}

impl<C: Call> fmt::Debug for Event<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("Ready"),
            Self::Done { call, result } => {
                let result = result.as_ref().map(|_| "answered");
                f.debug_struct("Done").field("api", &call.api_key()).field("result", &result).finish()
            }
            Self::Closed(error) => f.debug_tuple("Closed").field(error).finish(),
        }
    }
}

impl<C: Call> fmt::Debug for Connection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("place", &self.place)
            .field("state", &self.state)
            .field("in_flight", &self.in_flight.count())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl<C: Call> Connection<C> {
    /// A connection whose stream is just established, to a broker of which nothing is expected.
    ///
    /// `node` and `address` name the broker in errors; `setup_timeout` bounds the negotiation: it is what
    /// dialling has left of the time for the whole set-up.
    #[must_use]
    pub fn new(
        node: NodeId,
        address: &str,
        config: Arc<NetConfig>,
        setup_timeout: Duration,
        now: Instant,
    ) -> Self {
        Self::open(node, address, config, setup_timeout, Opening::new(), now)
    }

    /// As [`new`](Self::new), with what is known or expected of the broker.
    #[must_use]
    pub fn open(
        node: NodeId,
        address: &str,
        config: Arc<NetConfig>,
        setup_timeout: Duration,
        opening: Opening,
        now: Instant,
    ) -> Self {
        let mut connection = Self {
            place: Place { node, address: address.into() },
            config,
            state: State::Setup {
                handshake: Handshake::new(node, opening),
                timeout: setup_timeout,
                deadline: now.checked_add(setup_timeout),
            },
            versions: Versions::default(),
            api_versions: None,
            is_proven: false,
            in_flight: InFlight::new(),
            transmit: VecDeque::new(),
            events: VecDeque::new(),
            next_correlation_id: 0,
            throttled_until: None,
            last_activity: now,
            queued: 0,
            written: 0,
            stats: ConnectionStats::default(),
        };
        connection.say(now);
        connection
    }

    /// How many calls it takes now; zero during set-up, while throttled, and when it is finishing or closed.
    #[must_use]
    pub fn room(&self, now: Instant) -> usize {
        let throttled = self.throttled_until.is_some_and(|until| now < until);
        if !matches!(self.state, State::Ready) || throttled {
            return 0;
        }
        self.config.max_in_flight.saturating_sub(self.in_flight.count())
    }

    /// Calls that have not come back yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        match self.state {
            State::Setup { .. } => 0,
            _ => self.in_flight.count(),
        }
    }

    /// What the broker understands; empty before [`Event::Ready`].
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The version of ApiVersions that the broker takes, for [`Opening::asking_in`]; `None` if it has not said.
    #[must_use]
    pub fn api_versions(&self) -> Option<i16> {
        self.api_versions
    }

    /// Whether the broker has shown that it is of the cluster that was expected. False where it could not tell.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// What has passed so far.
    #[must_use]
    pub fn stats(&self) -> &ConnectionStats {
        &self.stats
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// A frame came, without its length.
    pub fn handle_frame(&mut self, frame: Bytes, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.last_activity = now;
        self.stats.frame_received(frame.len());
        let Some(id) = frame.first_chunk().map(|bytes| CorrelationId(i32::from_be_bytes(*bytes))) else {
            return self.fail(Kind::FrameTooShort { size: frame.len() });
        };
        let entry = match self.in_flight.pop_answered(id) {
            Ok(entry) => entry,
            Err(due) => return self.fail(Kind::Correlation { expected: due.map(|due| due.0), found: id.0 }),
        };
        self.stats.answered(now.saturating_duration_since(entry.since));
        let (api, version) = (entry.api, entry.version);
        match entry.what {
            What::Handshake => self.handle_handshake(&frame, now),
            What::Call(call) => match call.decode(version, frame) {
                Ok(body) => {
                    self.throttle(call.throttle(&body), version >= api.throttled_since(), now);
                    self.events.push_back(Event::Done { call, result: Ok(Answer::Reply { body, version }) });
                    self.close_if_finished();
                }
                Err(source) => {
                    let error = NetError::at(Kind::Undecodable { api, version, source }, &self.place);
                    self.events.push_back(Event::Done { call, result: Err(error.with_written(true)) });
                    // The others did nothing wrong, their errors say no more than that the connection is gone.
                    let rest = Kind::Disconnected { during_setup: false, source: None };
                    let rest = NetError::at(rest, &self.place);
                    self.close(&rest, error);
                }
            },
        }
    }

    /// The socket took so many bytes more, of the frames given out by `poll_transmit`.
    pub fn handle_written(&mut self, bytes: usize, now: Instant) {
        if self.is_closed() || bytes == 0 {
            return;
        }
        self.last_activity = now;
        self.written += bytes as u64;
        debug_assert!(self.written <= self.queued, "more bytes written than given out");
        self.stats.bytes_sent += bytes as u64;
        while let Some(entry) = self.in_flight.pop_written(self.written) {
            if let What::Call(call) = entry.what {
                self.events.push_back(Event::Done { call, result: Ok(Answer::Written) });
            }
        }
        self.close_if_finished();
    }

    /// The stream ended or failed, or carried something that is not a frame.
    pub fn handle_broken(&mut self, error: NetError, _now: Instant) {
        let during_setup = matches!(self.state, State::Setup { .. });
        let error = error.placed(&self.place, during_setup);
        self.close(&error.clone(), error);
    }

    /// Time has passed: closes what is overdue. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        if due(self.throttled_until) {
            self.throttled_until = None;
        }
        match &self.state {
            State::Setup { handshake, timeout, deadline } => {
                if due(*deadline) {
                    let after = *timeout;
                    self.fail(match handshake.has_answered() {
                        true => Kind::Unproven { after },
                        false => Kind::SetupTimeout { after, connected: true },
                    });
                }
            }
            State::Ready | State::Finishing => {
                if let Some(entry) = self.in_flight.overdue(now) {
                    let kind = Kind::RequestTimeout { api: entry.api, after: entry.timeout };
                    self.fail(kind);
                } else if due(self.idle_deadline()) {
                    self.fail(Kind::Idle);
                }
            }
            State::Closed => {}
        }
    }

    /// Sends a call. It comes back as an [`Event::Done`], now or later. Without [`room`](Self::room) it comes back
    /// unwritten at once.
    pub fn call(&mut self, mut call: C, now: Instant) {
        if self.room(now) == 0 {
            return self.refuse(call, Kind::NotReady);
        }
        let api = call.api_key();
        let version = match self.versions.choose(api, call.versions()) {
            Ok(version) => version,
            Err(kind) => return self.refuse(call, kind),
        };
        let id = self.correlation_id();
        match call.encode(version, id, &self.config.client_id) {
            Ok(frame) => {
                self.stats.calls += 1;
                let timeout = call.timeout().unwrap_or(self.config.request_timeout);
                let expects_reply = call.expects_reply();
                let (start, end) = self.queue(frame);
                self.in_flight.push(Entry {
                    what: What::Call(call),
                    api,
                    version,
                    correlation_id: id,
                    expects_reply,
                    since: now,
                    timeout,
                    deadline: now.checked_add(timeout),
                    start,
                    end,
                });
            }
            Err(source) => self.refuse(call, Kind::Unencodable { api, version, source }),
        }
    }

    /// Takes no more calls, and closes as soon as the answers still due are there.
    pub fn finish(&mut self, _now: Instant) {
        match self.state {
            State::Setup { .. } => self.fail(Kind::Aborted),
            State::Ready => {
                self.state = State::Finishing;
                self.close_if_finished();
            }
            State::Finishing | State::Closed => {}
        }
    }

    /// Closes at once.
    pub fn abort(&mut self, _now: Instant) {
        self.fail(Kind::Aborted);
    }

    /// The next frame to write.
    pub fn poll_transmit(&mut self) -> Option<FrameBuf> {
        self.transmit.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event<C>> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` is never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Setup { deadline, .. } => deadline,
            State::Ready | State::Finishing => {
                [self.in_flight.deadline(), self.idle_deadline(), self.throttled_until]
                    .into_iter()
                    .flatten()
                    .min()
            }
            State::Closed => None,
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        if !self.in_flight.is_empty() {
            return None;
        }
        self.last_activity.checked_add(self.config.max_idle?)
    }

    /// Says what the handshake has to say next.
    fn say(&mut self, now: Instant) {
        let id = self.correlation_id();
        let State::Setup { handshake, timeout, deadline } = &self.state else { return };
        let (timeout, deadline) = (*timeout, *deadline);
        match handshake.say(id, &self.config) {
            Ok(said) => {
                let (start, end) = self.queue(said.frame);
                self.in_flight.push(Entry {
                    what: What::Handshake,
                    api: said.api,
                    version: said.version,
                    correlation_id: id,
                    expects_reply: true,
                    since: now,
                    timeout,
                    deadline,
                    start,
                    end,
                });
            }
            Err(kind) => self.fail(kind),
        }
    }

    fn handle_handshake(&mut self, frame: &Bytes, now: Instant) {
        let State::Setup { handshake, .. } = &mut self.state else { return };
        let progress = handshake.handle_reply(frame);
        self.api_versions = handshake.api_versions();
        match progress {
            Ok(Progress::Next) => self.say(now),
            Ok(Progress::Done { versions, throttle, is_proven }) => {
                self.versions = versions;
                self.is_proven = is_proven;
                self.state = State::Ready;
                self.throttle(throttle, true, now);
                self.events.push_back(Event::Ready);
            }
            Err(kind) => self.fail(kind),
        }
    }

    /// An answer carried a throttle time: what is in flight may take as much longer, and if the broker leaves the
    /// waiting to us, no call goes out until then.
    fn throttle(&mut self, time: Duration, is_ours: bool, now: Instant) {
        if time.is_zero() {
            return;
        }
        self.stats.throttled += time;
        self.in_flight.extend(time);
        if is_ours {
            self.throttled_until = self.throttled_until.max(now.checked_add(time));
        }
    }

    fn correlation_id(&mut self) -> CorrelationId {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1);
        CorrelationId(id)
    }

    fn queue(&mut self, frame: FrameBuf) -> (u64, u64) {
        let start = self.queued;
        self.queued += frame.len() as u64;
        self.stats.requests += 1;
        self.transmit.push_back(frame);
        (start, self.queued)
    }

    fn refuse(&mut self, call: C, kind: Kind) {
        let error = NetError::at(kind, &self.place);
        self.events.push_back(Event::Done { call, result: Err(error) });
    }

    fn close_if_finished(&mut self) {
        if matches!(self.state, State::Finishing) && self.in_flight.is_empty() {
            self.fail(Kind::Aborted);
        }
    }

    fn fail(&mut self, kind: Kind) {
        let error = NetError::at(kind, &self.place);
        self.close(&error.clone(), error);
    }

    /// Gives every call back with `rest`, and ends with `error`.
    fn close(&mut self, rest: &NetError, mut error: NetError) {
        if self.is_closed() {
            return;
        }
        // One that has said that it is not the broker that is meant need not say more.
        let verdict = match &self.state {
            State::Setup { handshake, .. } if !error.is_aborted() && !error.is_other_broker() => {
                handshake.verdict()
            }
            _ => None,
        };
        if let Some(verdict) = verdict {
            error = NetError::at(verdict, &self.place);
        }
        self.state = State::Closed;
        self.transmit.clear();
        let written = self.written;
        for entry in self.in_flight.drain() {
            if let What::Call(call) = entry.what {
                let error = rest.with_written(entry.start < written);
                self.events.push_back(Event::Done { call, result: Err(error) });
            }
        }
        self.events.push_back(Event::Closed(error));
    }
}
