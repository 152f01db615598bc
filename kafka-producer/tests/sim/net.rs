//! The network: connections made of two pipes, and the weather they are in.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use kafka_net::{Connection, FrameSink, KafkaCodec, NetError};
use kafka_wire::NodeId;
use tokio::io::AsyncWrite;

use super::plan::Way;
use crate::sender::Call;

/// A connection, both ends and what is between.
pub(crate) struct Conn {
    pub(crate) node: NodeId,
    pub(crate) gate: usize,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    /// The client has its end open.
    pub(crate) client: bool,
    /// The broker has its end open.
    pub(crate) broker: bool,
    /// What the broker read and did not answer yet.
    pub(crate) read: BytesMut,
    pub(crate) requests: VecDeque<Bytes>,
    /// A request is being worked on, or its answer waits to be sent.
    pub(crate) busy: bool,
}

/// One direction: pieces on their way, first in, first out.
pub(crate) struct Pipe {
    pub(crate) pieces: VecDeque<Bytes>,
    /// No piece arrives before the ones before it.
    pub(crate) last_arrival: Instant,
    /// Bytes on their way.
    pub(crate) held: usize,
    /// The connection breaks after so many more bytes have passed; what the other side sent until then arrives, or not.
    pub(crate) cut_after: Option<u64>,
    /// The end comes after the pieces.
    pub(crate) ends: bool,
}

impl Conn {
    pub(crate) fn new(node: NodeId, gate: usize, now: Instant) -> Self {
        let pipe =
            || Pipe { pieces: VecDeque::new(), last_arrival: now, held: 0, cut_after: None, ends: false };
        Self {
            node,
            gate,
            up: pipe(),
            down: pipe(),
            client: true,
            broker: true,
            read: BytesMut::new(),
            requests: VecDeque::new(),
            busy: false,
        }
    }

    pub(crate) fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Whether nothing can come of it any more.
    pub(crate) fn is_over(&self) -> bool {
        !self.client && !self.busy && self.requests.is_empty() && self.up.pieces.is_empty()
    }
}

/// What it is like between the client and a broker, in one direction.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// Milliseconds.
    pub(crate) latency: (u64, u64),
    /// Bytes that travel together, and until when that is so.
    pub(crate) piece: Option<(usize, Instant)>,
    /// Nothing arrives before.
    pub(crate) stalled_until: Option<Instant>,
}

/// The weather of each way.
pub(crate) type Weathers = BTreeMap<(NodeId, Way), Weather>;

impl Weather {
    pub(crate) fn stalled(&self, now: Instant) -> Option<Instant> {
        self.stalled_until.filter(|until| *until > now)
    }

    /// When a piece that leaves now arrives.
    pub(crate) fn arrival(&self, now: Instant, rng: &mut fastrand::Rng) -> Instant {
        let latency = Duration::from_micros(rng.u64(self.latency.0 * 1000..=self.latency.1 * 1000));
        self.stalled(now).unwrap_or(now) + latency
    }

    /// Cuts bytes into the pieces that travel together.
    pub(crate) fn pieces(&self, mut bytes: Bytes, now: Instant, rng: &mut fastrand::Rng) -> Vec<Bytes> {
        let size = match self.piece {
            Some((size, until)) if until > now => size,
            _ => rng.usize(MIN_PIECE..MAX_PIECE),
        };
        // A bound, so that large requests do not make a run endless.
        let size = size.max(bytes.len() / MAX_PIECES);
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            pieces.push(bytes.split_to(size.min(bytes.len())));
        }
        pieces
    }
}

/// The client's end.
pub(crate) struct Link {
    pub(crate) conn: u64,
    pub(crate) connection: Connection<Call>,
    pub(crate) sink: FrameSink<Socket>,
    pub(crate) codec: KafkaCodec,
    pub(crate) read: BytesMut,
    /// What the socket took and is not a whole frame yet.
    pub(crate) taken: BytesMut,
    /// The other side is gone.
    pub(crate) broken: Option<io::ErrorKind>,
    pub(crate) was_ready: bool,
    /// How many batches had been given up when it last held nothing.
    pub(crate) failures: u64,
    /// Why it is over.
    pub(crate) end: Option<NetError>,
}

/// A socket: takes as much as there is room for.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    pub(crate) room: usize,
    pub(crate) out: Vec<u8>,
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = this.room.min(buf.len());
        if count == 0 {
            return Poll::Pending;
        }
        this.room -= count;
        this.out.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut total = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match self.as_mut().poll_write(cx, buf) {
                Poll::Ready(Ok(count)) => total += count,
                Poll::Ready(error) => return Poll::Ready(error),
                Poll::Pending if total == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(total))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What every connection is told.
pub(crate) type NetSettings = Arc<kafka_net::NetConfig>;

const MIN_PIECE: usize = 100;
const MAX_PIECE: usize = 5_000;
/// Pieces of one write.
const MAX_PIECES: usize = 64;
