//! The queue for memory under a model checker: every order in which threads can meet at its lock (with so many
//! preemptions at most) is tried, and a waiter that nobody wakes shows as a deadlock.
//!
//! The file of the pool is compiled here a second time, with the checker's lock.

#![expect(dead_code, unreachable_pub, reason = "only a part of what is compiled a second time is used here")]

use std::{future::poll_fn, sync::Arc, task::Poll};

use loom::{future::block_on, thread};

use crate::chunk::{Chunk, Pool};

mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

mod memory {
    pub(crate) use kafka_batch::{Memory, Ticket};
}

mod limits {
    pub(crate) use kafka_batch::CHUNK_SIZE;

    /// So many chunks.
    pub(crate) struct Limits(pub(crate) usize);

    impl Limits {
        pub(crate) fn chunks(&self) -> usize {
            self.0
        }
    }
}

#[path = "../src/chunk.rs"]
mod chunk;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn pool(chunks: usize) -> Arc<Pool> {
    Pool::new(&limits::Limits(chunks))
}

/// What `send` does: takes, or queues up.
async fn acquire(pool: &Arc<Pool>, count: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    if pool.take(count, &mut chunks) {
        return chunks;
    }
    let mut ticket = None;
    poll_fn(|cx| {
        let ticket = *ticket.get_or_insert_with(|| pool.wait(count, cx.waker()));
        pool.poll_grant(ticket, cx.waker()).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

#[test]
fn whoever_waits_is_woken_when_memory_comes_back() {
    check(|| {
        let pool = pool(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || drop(block_on(acquire(&pool, 1))))
            })
            .collect();
        drop(block_on(acquire(&pool, 1)));
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!((pool.used(), pool.waiting()), (0, 0));
    });
}

#[test]
fn who_wants_much_is_not_overtaken_for_ever() {
    check(|| {
        let pool = pool(2);
        let large = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(block_on(acquire(&pool, 2))))
        };
        let small = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(block_on(acquire(&pool, 1))))
        };
        drop(block_on(acquire(&pool, 1)));
        large.join().expect("no panic");
        small.join().expect("no panic");
        assert_eq!((pool.used(), pool.waiting()), (0, 0));
    });
}

#[test]
fn who_gives_up_leaves_neither_memory_nor_a_place_behind() {
    check(|| {
        let pool = pool(1);
        let mut held = Vec::new();
        assert!(pool.take(1, &mut held));
        // It may be granted before it is given up, or not.
        let gives_up = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let ticket = pool.wait(1, std::task::Waker::noop());
                pool.cancel(ticket);
            })
        };
        let waits = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(block_on(acquire(&pool, 1))))
        };
        drop(held);
        gives_up.join().expect("no panic");
        waits.join().expect("no panic");
        assert_eq!((pool.used(), pool.waiting()), (0, 0));
    });
}
