//! One connection: frames in, answers out, in order.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use kafka_wire::{NodeId, Segments, WireError, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::mock::Shared;
use crate::answer::{Answer, CloseReason, Waiting};

/// A connection to one broker.
pub(super) struct Connection {
    stream: TcpStream,
    node: NodeId,
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    input: BytesMut,
    output: Output,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, node: NodeId, shared: Arc<Shared>) -> Self {
        let changes = shared.subscribe();
        Self { stream, node, shared, changes, input: BytesMut::new(), output: Output::default() }
    }

    /// Serves until the client hangs up, or gives a reason to do so.
    pub(super) async fn serve(mut self) -> Result<(), End> {
        loop {
            while let Some(frame) =
                frame::split(&mut self.input, self.shared.limits.max_frame).map_err(End::Framing)?
            {
                let mut answer = self.shared.answer(self.node, &frame);
                // What a request lent from it is gone: the memory can be read into again.
                drop(frame);
                if let Answer::Wait(waiting) = answer {
                    self.output.flush(&mut self.stream).await?;
                    match self.wait(waiting).await? {
                        Some(late) => answer = late,
                        None => return Ok(()),
                    }
                }
                match answer {
                    Answer::Reply(frame) => self.output.push(frame.into_segments()),
                    Answer::Silence | Answer::Wait(_) => {}
                    Answer::Close(reason) => {
                        self.output.flush(&mut self.stream).await?;
                        return Err(End::Reason(reason));
                    }
                }
                if self.output.bytes >= MAX_UNWRITTEN {
                    self.output.flush(&mut self.stream).await?;
                }
            }
            self.output.flush(&mut self.stream).await?;
            if !self.read().await? {
                return Ok(());
            }
        }
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

    /// Waits for the answer to a request that was put off; `None` if the client has hung up meanwhile.
    async fn wait(&mut self, mut waiting: Waiting) -> Result<Option<Answer>, End> {
        loop {
            let judged_at = waiting.change();
            let until = waiting.until().into();
            // What the client sends meanwhile is only read, and no more than a bit, to see it hang up.
            let may_read = self.input.len() < READ_SIZE;
            let mut changes = self.changes.clone();
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                // An error says that the cluster is gone, and then this task is, too.
                _ = changes.wait_for(|&change| change != judged_at) => {}
                read = self.read(), if may_read => {
                    if !read? {
                        return Ok(None);
                    }
                    continue;
                }
            }
            match self.shared.resume(self.node, waiting) {
                Answer::Wait(again) => waiting = again,
                answer => return Ok(Some(answer)),
            }
        }
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

/// Pieces written with one call.
const MAX_SLICES: usize = 64;
