//! One connection: frames in, answers out, in order.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_wire::{FrameBuf, NodeId, Segments, WireError, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::clock;
use super::shared::Shared;
use crate::answer::{Answer, Waiting};
use crate::close::CloseReason;
use crate::script::{Then, later};

/// A connection to one broker.
pub(super) struct Connection {
    stream: TcpStream,
    node: NodeId,
    /// Its number among all connections.
    number: u64,
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    input: BytesMut,
    output: Output,
    /// Answers that a script holds back, and all that come after them.
    held: HeldBack,
    /// A request that has no answer yet; until then none is read.
    waiting: Option<Waiting>,
    /// Nothing is read before: a script throttles the client.
    paused: Option<Instant>,
}

/// An answer that is not to be written before its time.
struct Held {
    due: Instant,
    frame: Option<Bytes>,
    then: Then,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, node: NodeId, number: u64, shared: Arc<Shared>) -> Self {
        let changes = shared.subscribe();
        Self {
            stream,
            node,
            number,
            shared,
            changes,
            input: BytesMut::new(),
            output: Output::default(),
            held: HeldBack::default(),
            waiting: None,
            paused: None,
        }
    }

    /// Serves until the client hangs up, or gives a reason to do so.
    pub(super) async fn serve(mut self) -> Result<(), End> {
        loop {
            // First, because what was held back or paused may have kept requests that are here already from being taken.
            let mut end = self.release();
            while end.is_none() && self.takes_requests() {
                let split = frame::split(&mut self.input, self.shared.limits.max_frame);
                let Some(frame) = split.map_err(End::Framing)? else { break };
                let answer = self.shared.answer(self.node, self.number, &frame);
                // What a request lent from it is gone: the memory can be read into again.
                drop(frame);
                if let Some(reason) = self.take(answer) {
                    self.output.flush(&mut self.stream).await?;
                    return Err(End::Reason(reason));
                }
                if self.output.bytes >= MAX_UNWRITTEN {
                    self.output.flush(&mut self.stream).await?;
                }
            }
            if end.is_none() {
                end = self.release();
            }
            self.output.flush(&mut self.stream).await?;
            match end {
                None => {}
                Some(Then::Silence) => return self.say_nothing().await,
                Some(Then::Reset) => {
                    self.stream.set_zero_linger()?;
                    return Ok(());
                }
                Some(_) => return Ok(()),
            }
            if !self.wait().await? {
                return Ok(());
            }
        }
    }

    /// Whether the next request may be looked at.
    fn takes_requests(&self) -> bool {
        self.waiting.is_none() && self.paused.is_none() && self.held.takes_more()
    }

    /// Puts an answer where it is written from; the reason to close if there is one.
    fn take(&mut self, answer: Answer) -> Option<CloseReason> {
        match answer {
            Answer::Reply(frame) if self.held.answers.is_empty() => self.output.push(frame.into_segments()),
            Answer::Reply(frame) => self.hold(Some(frame.into_bytes()), Duration::ZERO, Then::GoOn),
            Answer::Silence => {}
            Answer::Wait(waiting) => self.waiting = Some(waiting),
            Answer::Close(reason) => return Some(reason),
            Answer::Scripted(scripted) => {
                if let Then::Pause(time) = scripted.then() {
                    self.paused = Some(later(clock::now().instant, time));
                }
                self.hold(scripted.frame().cloned(), scripted.delay(), scripted.then());
            }
        }
        None
    }

    fn hold(&mut self, frame: Option<Bytes>, delay: Duration, then: Then) {
        self.held.push(Held { due: later(clock::now().instant, delay), frame, then });
    }

    /// Hands what is due to the output; the end of the connection if that is among it.
    fn release(&mut self) -> Option<Then> {
        if self.held.answers.is_empty() && self.paused.is_none() {
            return None;
        }
        let now = clock::now().instant;
        self.paused = self.paused.filter(|&until| until > now);
        while let Some(held) = self.held.pop_due(now) {
            if let Some(frame) = held.frame {
                self.output.push_bytes(frame);
            }
            if held.then.is_end() {
                return Some(held.then);
            }
        }
        None
    }

    /// Waits for something to do; false if the client has hung up.
    async fn wait(&mut self) -> Result<bool, End> {
        // What the client sends while no request is taken is only read, and no more than a bit, to see it hang up.
        let may_read = self.takes_requests() || self.input.len() < READ_SIZE;
        if self.waiting.is_none() && self.held.answers.is_empty() && self.paused.is_none() {
            return Ok(self.read().await?);
        }
        let until = self.waiting.as_ref().map(Waiting::until);
        let due = self.held.answers.front().map(|held| held.due);
        let next = [until, due, self.paused].into_iter().flatten().min();
        let judged_at = self.waiting.as_ref().map(Waiting::change);
        let mut changes = self.changes.clone();
        tokio::select! {
            () = sleep_until(next) => {}
            // An error says that the cluster is gone, and then this task is, too.
            _ = changes.wait_for(|&change| Some(change) != judged_at), if judged_at.is_some() => {}
            read = self.read(), if may_read => return Ok(read?),
        }
        if let Some(waiting) = self.waiting.take() {
            let answer = self.shared.resume(self.node, waiting);
            if let Some(reason) = self.take(answer) {
                return Err(End::Reason(reason));
            }
        }
        Ok(true)
    }

    /// Reads and forgets until the client hangs up.
    async fn say_nothing(mut self) -> Result<(), End> {
        while self.read().await? {
            self.input.clear();
        }
        Ok(())
    }

    /// Reads some more; false if the client has hung up.
    async fn read(&mut self) -> io::Result<bool> {
        self.input.reserve(READ_SIZE);
        match self.stream.read_buf(&mut self.input).await {
            Ok(count) => Ok(count > 0),
            // Clients end so as well; it is nothing to log.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Answers that wait for their time, in order.
#[derive(Default)]
struct HeldBack {
    answers: VecDeque<Held>,
    bytes: usize,
}

impl HeldBack {
    /// None is due before the one in front of it.
    fn push(&mut self, held: Held) {
        let due = self.answers.back().map_or(held.due, |last| held.due.max(last.due));
        self.bytes += held.size();
        self.answers.push_back(Held { due, ..held });
    }

    fn pop_due(&mut self, now: Instant) -> Option<Held> {
        self.answers.front().filter(|held| held.due <= now)?;
        let held = self.answers.pop_front()?;
        self.bytes -= held.size();
        Some(held)
    }

    /// Whether requests are taken while these wait: not behind the end of the connection, nor when there are too many.
    fn takes_more(&self) -> bool {
        let is_over = self.answers.back().is_some_and(|held| held.then.is_end());
        !is_over && self.answers.len() < MAX_HELD && self.bytes < MAX_HELD_BYTES
    }
}

impl Held {
    fn size(&self) -> usize {
        self.frame.as_ref().map_or(0, Bytes::len)
    }
}

impl Then {
    fn is_end(self) -> bool {
        matches!(self, Self::Silence | Self::Close | Self::Reset)
    }
}

/// For ever, if there is no time to wait for.
pub(super) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Answers that are not written yet.
#[derive(Default)]
struct Output {
    frames: VecDeque<Segments>,
    bytes: usize,
}

impl Output {
    fn push(&mut self, frame: Segments) {
        self.bytes += frame.remaining();
        self.frames.push_back(frame);
    }

    /// Bytes that are no frame, or one already.
    fn push_bytes(&mut self, bytes: Bytes) {
        let mut frame = FrameBuf::new();
        frame.put_shared(bytes);
        self.push(frame.into_segments());
    }

    /// Writes all of it, several frames with one call.
    async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            let pieces = self.frames.iter().flat_map(Segments::slices);
            for (slot, piece) in slices.iter_mut().zip(pieces) {
                *slot = IoSlice::new(piece);
                count += 1;
            }
            let written = stream.write_vectored(slices.get(..count).unwrap_or_default()).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
        }
        Ok(())
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.frames.front_mut() {
            let step = count.min(first.remaining());
            first.advance(step);
            count -= step;
            if first.has_remaining() {
                return;
            }
            self.frames.pop_front();
        }
    }
}

/// Why a connection was not ended by the client.
#[derive(Debug)]
pub(super) enum End {
    /// The length in front of a frame is none.
    Framing(WireError),
    /// The cluster says so.
    Reason(CloseReason),
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// With all causes: this is a line of a log.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing(error) => write!(f, "what it sends is not Kafka's protocol: {error}"),
            Self::Reason(reason) => match std::error::Error::source(reason) {
                Some(source) => write!(f, "{reason}: {source}"),
                None => reason.fmt(f),
            },
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// Room for every read. Buffers grow beyond it as large requests arrive, never by what a length announces.
const READ_SIZE: usize = 128 << 10;

/// Answers are written out at the latest when they are this large together.
const MAX_UNWRITTEN: usize = 1 << 20;

/// Answers held back; with so many no further request is taken.
const MAX_HELD: usize = 10_000;

/// The same, for their bytes.
const MAX_HELD_BYTES: usize = 64 << 20;

/// Pieces written with one call.
const MAX_SLICES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn answers_are_held_in_order_and_no_more_than_fit() {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let held = |millis, size: usize| Held {
            due: at(millis),
            frame: Some(Bytes::from(vec![0; size])),
            then: Then::GoOn,
        };
        let mut back = HeldBack::default();
        back.push(held(20, 1));
        back.push(held(10, MAX_HELD_BYTES - 2));
        assert!(back.takes_more());
        back.push(held(30, 1));
        assert!(!back.takes_more(), "too many bytes");
        assert!(back.pop_due(at(19)).is_none());
        assert_eq!(back.pop_due(at(20)).map(|held| held.size()), Some(1));
        assert!(back.takes_more());
        assert!(
            back.pop_due(at(20)).is_some() && back.pop_due(at(20)).is_none(),
            "the second is due with the first"
        );
        back.push(Held { due: at(0), frame: None, then: Then::Close });
        assert!(!back.takes_more(), "nothing comes behind the end");
    }
}
