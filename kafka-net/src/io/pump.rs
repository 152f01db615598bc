//! [`pump`]: the one socket loop.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use futures::{Sink, future::poll_fn};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};
use tokio_util::{codec::Decoder, io::poll_read_buf};

use super::{clock, codec::KafkaCodec, sink::FrameSink};
use crate::{
    conn::{Connection, ConnectionStats, Event},
    error::{Kind, NetError},
    feed::{Demand, Feed, Next, Offer, Status},
};

/// Runs a connection over an established stream until it is over, and says why it is: asks the feed for calls, tells
/// it their replies, reads, writes, and keeps the time.
///
/// The feed is told [`Status::Ready`] when calls begin. The end is the return value, after the last call has been
/// told.
///
/// *Cancel safety*: dropping the future closes the stream; every call still in the connection is told to the feed as
/// aborted, and whether a byte of it was written.
pub async fn pump<S, F>(
    stream: S,
    connection: Connection<F::Call>,
    max_frame_size: usize,
    feed: &mut F,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Feed,
{
    let mut held = Held(None);
    let pump = held.0.insert(Pump {
        sink: FrameSink::new(stream),
        codec: KafkaCodec::new(max_frame_size),
        read: BytesMut::new(),
        connection,
        feed,
        feed_deadline: None,
        sleep: None,
        was_ready: false,
        end: None,
    });
    let error = poll_fn(|cx| pump.poll(cx)).await;
    if !pump.feed.is_foreign() && (error.is_aborted() || error.is_idle()) {
        // What is written should reach the broker: say that no more will come, rather than reset. Frames still held are
        // not flushed: their calls have been told that they were not written.
        let close = poll_fn(|cx| Pin::new(pump.sink.stream_mut()).poll_shutdown(cx));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
    }
    Ended {
        error,
        was_ready: pump.was_ready,
        api_versions: pump.connection.api_versions(),
        stats: *pump.connection.stats(),
    }
}

/// How a connection ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ended {
    /// Why.
    pub error: NetError,
    /// Whether it ever took calls.
    pub was_ready: bool,
    /// The version of ApiVersions that the broker takes, if it has said: for [`Reconnect`](crate::Reconnect).
    pub api_versions: Option<i16>,
    /// What passed over it.
    pub stats: ConnectionStats,
}

impl Ended {
    pub(super) fn before_ready(error: NetError) -> Self {
        Self { error, was_ready: false, api_versions: None, stats: ConnectionStats::default() }
    }
}

struct Pump<'a, S, F: Feed> {
    sink: FrameSink<S>,
    codec: KafkaCodec,
    read: BytesMut,
    connection: Connection<F::Call>,
    feed: &'a mut F,
    /// When the feed wants to be asked again.
    feed_deadline: Option<Instant>,
    /// The armed timer. It may be early (the deadline moved on since), never late.
    sleep: Option<Pin<Box<Sleep>>>,
    was_ready: bool,
    end: Option<NetError>,
}

impl<S, F> Pump<'_, S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Feed,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<NetError> {
        if self.feed.is_foreign() {
            self.let_go();
            let closed = || NetError::new(Kind::Aborted);
            return Poll::Ready(self.end.take().unwrap_or_else(closed));
        }
        for _ in 0..MAX_TURNS {
            let now = clock::now();
            // Each step is repeated until it has registered a waker, or says that there is more to do.
            let mut again = self.poll_read(cx, now);
            again |= self.poll_feed(cx, now);
            again |= self.poll_write(cx, now);
            if let Some(error) = self.end.take() {
                return Poll::Ready(error);
            }
            again |= self.poll_timer(cx, now);
            if !again {
                return Poll::Pending;
            }
        }
        // Others on this thread want to run, too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads what is there, up to a bound. True if there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        for _ in 0..MAX_READS {
            if self.connection.is_closed() {
                return false;
            }
            // Room for the rest of the frame, but never more than was already read: a length is only a claim.
            let missing = KafkaCodec::missing(&self.read);
            self.read.reserve(missing.clamp(READ_SIZE, READ_SIZE.max(self.read.len())));
            match poll_read_buf(Pin::new(self.sink.stream_mut()), cx, &mut self.read) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => {
                    let error = NetError::new(Kind::Disconnected { during_setup: false, source: None });
                    self.connection.handle_broken(error, now);
                }
                Poll::Ready(Err(error)) => self.connection.handle_broken(error.into(), now),
                Poll::Ready(Ok(_)) => self.split_frames(now),
            }
            self.drain_events(now);
        }
        true
    }

    fn split_frames(&mut self, now: Instant) {
        while !self.connection.is_closed() {
            match self.codec.decode(&mut self.read) {
                Ok(Some(frame)) => {
                    self.connection.handle_frame(frame, now);
                    self.drain_events(now);
                }
                Ok(None) => return,
                Err(error) => self.connection.handle_broken(error, now),
            }
        }
    }

    /// Takes calls while the connection takes them, up to a bound. True if there may be more.
    fn poll_feed(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        self.feed_deadline = None;
        for _ in 0..MAX_CALLS {
            if self.connection.is_closed() {
                return false;
            }
            if self.connection.room(now) == 0 {
                match self.feed.poll_demand(cx, now) {
                    Demand::Finish => self.connection.finish(now),
                    Demand::Abort => self.connection.abort(now),
                    Demand::Connect | Demand::Rest | Demand::Later(_) => {}
                }
                self.drain_events(now);
                return false;
            }
            let offer = Offer {
                now,
                versions: self.connection.versions(),
                in_flight: self.connection.in_flight(),
                stats: self.connection.stats(),
            };
            match self.feed.poll_call(cx, offer) {
                Next::Call(call) => self.connection.call(call, now),
                Next::Wait(until) => {
                    self.feed_deadline = until;
                    return false;
                }
                Next::Finish => self.connection.finish(now),
                Next::Abort => self.connection.abort(now),
            }
            self.drain_events(now);
        }
        true
    }

    /// Writes what there is. True if that made room for more calls.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        // No `poll_ready`: the connection's own bound is how many frames there can be.
        while let Some(frame) = self.connection.poll_transmit() {
            if let Err(error) = Pin::new(&mut self.sink).start_send(frame) {
                self.connection.handle_broken(error, now);
            }
        }
        if self.connection.is_closed() {
            return false;
        }
        let before = self.sink.written();
        let flushed =
            if self.sink.is_flushed() { Poll::Pending } else { Pin::new(&mut self.sink).poll_flush(cx) };
        let written = self.sink.written() - before;
        // Told before a failure, so that what was written counts as possibly written.
        self.connection.handle_written(usize::try_from(written).unwrap_or(usize::MAX), now);
        if let Poll::Ready(Err(error)) = flushed {
            self.connection.handle_broken(error, now);
        }
        self.drain_events(now)
    }

    /// Keeps a timer no later than every deadline. True if time has brought something to do.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(deadline) = [self.connection.poll_timeout(), self.feed_deadline].into_iter().flatten().min()
        else {
            return false;
        };
        if deadline <= now {
            self.connection.handle_timeout(now);
            self.drain_events(now);
            return true;
        }
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // Most deadlines only move on: an early timer fires once for many requests, and costs nothing for each.
        if sleep.is_elapsed() || sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl<S, F: Feed> Pump<'_, S, F> {
    /// Tells the feed what happened. True if a call came back.
    fn drain_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Ready => {
                    self.was_ready = true;
                    if self.connection.is_proven() {
                        self.feed.on_proven(now);
                    }
                    self.feed.on_status(Status::Ready, now);
                }
                Event::Done { call, result } => {
                    any = true;
                    self.feed.on_reply(call, result, now);
                }
                Event::Closed(error) => self.end = Some(error),
            }
        }
        any
    }
}

/// The task was dropped, or the feed panicked: the calls go home nevertheless.
impl<S, F: Feed> Pump<'_, S, F> {
    /// Tells every call that is left as aborted.
    fn let_go(&mut self) {
        if !self.connection.is_closed() {
            let now = clock::now();
            self.connection.abort(now);
            self.drain_events(now);
        }
    }
}

/// A pump, until its future ends or is dropped.
struct Held<'a, S, F: Feed>(Option<Pump<'a, S, F>>);

impl<S, F: Feed> Drop for Held<'_, S, F> {
    fn drop(&mut self) {
        let Some(mut pump) = self.0.take() else { return };
        // Asked before it is told anything: what it would do then may not be its to do.
        let is_foreign = pump.feed.is_foreign();
        pump.let_go();
        if is_foreign {
            // Even to close the socket would be noticed elsewhere: runtimes share with their forks who waits for which events.
            mem::forget(pump);
        }
    }
}

impl<S, F: Feed> fmt::Debug for Pump<'_, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("in_flight", &self.connection.in_flight()).finish_non_exhaustive()
    }
}

/// Turns of the loop before others get the thread.
const MAX_TURNS: usize = 16;
/// Reads in one turn before calls are asked for and written.
const MAX_READS: usize = 16;
/// Calls taken in one turn before they are written.
const MAX_CALLS: usize = 64;
/// Room for a read: many answers to Produce, or the start of a long one.
const READ_SIZE: usize = 16 * 1024;
/// How long the end of a connection may take to reach the socket.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
