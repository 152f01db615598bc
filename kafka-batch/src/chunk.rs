//! The arena's pieces: chunks of one size, and the pool that they return to by themselves.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::{fmt, mem};

use bytes::Bytes;

use crate::limits::{CHUNK_SIZE, Limits};
use crate::memory::{Memory, Ticket};
use crate::sync::{Mutex, MutexGuard};

/// A chunk of memory. When it is dropped, wherever that is, it goes back to its pool.
pub struct Chunk {
    bytes: Box<[u8]>,
    pool: Arc<Pool>,
}

/// A bounded supply of chunks: [`Memory`] behind a lock, held for a few instructions each time.
///
/// Chunks are made when first needed and then used again. A chunk is taken from the moment it leaves the pool until the last
/// reference to its bytes is gone, which may be long after the batch's outcome is known (a socket may still hold them).
#[derive(Debug)]
pub struct Pool {
    memory: Mutex<Memory>,
}

/// Where an append gets chunks from: the [`Pool`], or chunks that a waiter was granted and brings along.
pub trait ChunkSource {
    /// Adds `count` chunks to `into`, all or none; whether it did.
    fn take_chunks(&mut self, count: usize, into: &mut Vec<Chunk>) -> bool;

    /// One chunk, if there is one.
    fn take_chunk(&mut self) -> Option<Chunk> {
        let mut chunks = Vec::new();
        if self.take_chunks(1, &mut chunks) { chunks.pop() } else { None }
    }
}

impl Pool {
    /// A pool of `limits.buffer_memory()`, in whole chunks.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { memory: Mutex::new(Memory::new(limits.chunks())) })
    }

    /// Takes `count` chunks, all or none. None while anybody waits.
    pub fn take(self: &Arc<Self>, count: usize, into: &mut Vec<Chunk>) -> bool {
        let mut memory = self.lock();
        if !memory.take(count) {
            return false;
        }
        self.hand_out(memory, count, into);
        true
    }

    /// Takes one chunk, as [`take`](Self::take) does.
    #[must_use]
    pub fn take_one(self: &Arc<Self>) -> Option<Chunk> {
        let mut memory = self.lock();
        if !memory.take(1) {
            return None;
        }
        let idle = memory.idle_chunk();
        drop(memory);
        let bytes = idle.unwrap_or_else(|| vec![0; CHUNK_SIZE].into_boxed_slice());
        Some(Chunk { bytes, pool: Arc::clone(self) })
    }

    /// Takes `count` chunks beyond the limit if need be: see [`Memory::overdraw`].
    pub fn overdraw(self: &Arc<Self>, count: usize, into: &mut Vec<Chunk>) {
        let mut memory = self.lock();
        memory.overdraw(count);
        self.hand_out(memory, count, into);
    }

    /// Queues up for `count` chunks, behind all who wait already. The ticket must be collected with
    /// [`poll_grant`](Self::poll_grant), which should be called right after this, or [cancelled](Self::cancel).
    pub fn wait(&self, count: usize, waker: &Waker) -> Ticket {
        let waker = waker.clone();
        self.with_wakers(|memory, wakers| memory.wait(count, waker, wakers))
    }

    /// The chunks granted to `ticket`; `None` if its turn has not come, and then `waker` will be woken.
    pub fn poll_grant(self: &Arc<Self>, ticket: Ticket, waker: &Waker) -> Option<Vec<Chunk>> {
        // Cloned before the lock is taken; it, or the one it replaces, is dropped after the lock.
        let mut waker = waker.clone();
        let mut memory = self.lock();
        let count = memory.poll(ticket, &mut waker)?;
        let mut chunks = Vec::with_capacity(count);
        self.hand_out(memory, count, &mut chunks);
        Some(chunks)
    }

    /// Gives a ticket up. Fine after it was collected, too.
    pub fn cancel(&self, ticket: Ticket) {
        drop(self.with_wakers(|memory, wakers| memory.cancel(ticket, wakers)));
    }

    /// Has everybody look again who waits: see [`Memory::wake_waiting`].
    pub fn wake_waiting(&self) {
        self.with_wakers(Memory::wake_waiting);
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lock().used().saturating_mul(CHUNK_SIZE)
    }

    /// Bytes that may be taken in all.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.lock().limit().saturating_mul(CHUNK_SIZE)
    }

    /// How many wait for chunks.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// Fills `into` from the idle chunks, lets the lock go, makes what is missing.
    fn hand_out(self: &Arc<Self>, mut memory: MutexGuard<'_, Memory>, count: usize, into: &mut Vec<Chunk>) {
        let before = into.len();
        while into.len() - before < count {
            let Some(bytes) = memory.idle_chunk() else { break };
            into.push(Chunk { bytes, pool: Arc::clone(self) });
        }
        drop(memory);
        while into.len() - before < count {
            let bytes = vec![0; CHUNK_SIZE].into_boxed_slice();
            into.push(Chunk { bytes, pool: Arc::clone(self) });
        }
    }

    fn with_wakers<R>(&self, f: impl FnOnce(&mut Memory, &mut Vec<Waker>) -> R) -> R {
        let mut wakers = Vec::new();
        let result = f(&mut self.lock(), &mut wakers);
        // Wakers are foreign code: they run without the lock. Mostly nobody waits.
        if !wakers.is_empty() {
            wake_all(wakers);
        }
        result
    }

    /// No foreign code runs under this lock, not even a waker's drop, so that a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes each of those who wait. One whose waker panics does not keep the others asleep, nor unwind into whoever wakes, who
/// has nothing to do with it.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        // The panic hook has said what there is to say.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

impl ChunkSource for &Arc<Pool> {
    fn take_chunks(&mut self, count: usize, into: &mut Vec<Chunk>) -> bool {
        self.take(count, into)
    }

    fn take_chunk(&mut self) -> Option<Chunk> {
        self.take_one()
    }
}

/// What a waiter was granted. The rest stays for the next record, or returns to the pool when dropped.
impl ChunkSource for Vec<Chunk> {
    fn take_chunks(&mut self, count: usize, into: &mut Vec<Chunk>) -> bool {
        let Some(rest) = self.len().checked_sub(count) else { return false };
        into.extend(self.drain(rest..));
        true
    }

    fn take_chunk(&mut self) -> Option<Chunk> {
        self.pop()
    }
}

impl Chunk {
    #[inline]
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The first `len` bytes, shared. The chunk goes back when the last clone is dropped.
    pub(crate) fn share(self, len: usize) -> Bytes {
        Bytes::from_owner(Filled { chunk: self, len })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        self.pool.with_wakers(|memory, wakers| memory.give_back(bytes, wakers));
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").finish_non_exhaustive()
    }
}

struct Filled {
    chunk: Chunk,
    len: usize,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        self.chunk.bytes.get(..self.len).unwrap_or_default()
    }
}
