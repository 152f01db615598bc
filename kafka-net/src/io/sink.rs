//! [`FrameSink`]: frames into a stream, vectored.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use futures::Sink;
use kafka_wire::{FrameBuf, frame::Segments};
use tokio::io::AsyncWrite;

use crate::error::NetError;

/// Writes frames to a stream without copying their payloads: heads and shared chunks of several frames go out
/// together, in one vectored write as far as the stream has such.
///
/// `poll_ready` waits for the stream while more than [`HIGH_WATER`](Self::HIGH_WATER) bytes are held; a frame above
/// it is taken whole. `start_send` only stores: nothing moves before the next `poll_ready`, `poll_flush` or
/// `poll_close`.
///
/// *Cancel safety*: no bytes are lost when a future over this sink is dropped; what was held is written by the next
/// flush.
#[derive(Debug)]
pub struct FrameSink<W> {
    stream: W,
    frames: VecDeque<Segments>,
    held: usize,
    written: u64,
    /// The stream has bytes that it may not have passed on: it was not flushed since.
    needs_flush: bool,
}

impl<W> FrameSink<W> {
    /// Held bytes from which `poll_ready` writes before it takes another frame.
    pub const HIGH_WATER: usize = 256 * 1024;

    /// A sink over a stream.
    pub fn new(stream: W) -> Self {
        Self { stream, frames: VecDeque::new(), held: 0, written: 0, needs_flush: false }
    }

    /// All bytes the stream has taken so far. A byte beyond has not left this process.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that wait to be written.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether there is nothing for a flush to do: neither here nor in a stream with a buffer of its own.
    pub(super) fn is_flushed(&self) -> bool {
        self.held == 0 && !self.needs_flush
    }

    /// The stream, for its reading half.
    pub fn stream_mut(&mut self) -> &mut W {
        &mut self.stream
    }

    /// The stream; frames that are still held are dropped.
    pub fn into_inner(self) -> W {
        self.stream
    }

    fn advance(&mut self, mut count: usize) {
        self.held -= count;
        self.written += count as u64;
        self.needs_flush = true;
        while let Some(frame) = self.frames.front_mut() {
            let step = count.min(frame.remaining());
            frame.advance(step);
            count -= step;
            if frame.has_remaining() {
                return;
            }
            self.frames.pop_front();
        }
    }
}

impl<W: AsyncWrite + Unpin> FrameSink<W> {
    /// One write of as much as fits one.
    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        let count = if stream.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut used = 0;
            for frame in &self.frames {
                let Some(rest @ [_, ..]) = slices.get_mut(used..) else { break };
                used += frame.chunks_vectored(rest);
            }
            ready!(stream.poll_write_vectored(cx, slices.get(..used).unwrap_or_default()))?
        } else {
            let chunk = self.frames.front().map(Buf::chunk).unwrap_or_default();
            ready!(stream.poll_write(cx, chunk))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(()))
    }

    fn poll_down_to(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<(), NetError>> {
        while self.held > limit {
            ready!(self.poll_write_some(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> Sink<FrameBuf> for FrameSink<W> {
    type Error = NetError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.poll_down_to(cx, Self::HIGH_WATER)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: FrameBuf) -> Result<(), NetError> {
        // An empty frame would be a vectored write of nothing, which counts as the stream's end.
        if !frame.is_empty() {
            self.held += frame.len();
            self.frames.push_back(frame.into_segments());
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        ready!(self.poll_down_to(cx, 0))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.needs_flush = false;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        ready!(self.as_mut().poll_flush(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

/// Slices in one vectored write. Systems allow 1024 and more; with 16 KiB chunks this is already a mebibyte, more
/// than a socket's buffer takes at once.
const MAX_SLICES: usize = 64;
