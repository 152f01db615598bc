//! Chunks and the pool alone. Not below the module, whose file `tests/interleavings.rs` takes for itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use crate::chunk::{ChunkSource, Pool};
use crate::limits::{CHUNK_SIZE, Limits};

fn pool(chunks: usize) -> Arc<Pool> {
    Pool::new(&Limits::new(1000, 1000, chunks * CHUNK_SIZE).unwrap())
}

#[test]
fn chunks_return_when_their_last_reference_goes() {
    let pool = pool(2);
    let mut chunks = Vec::new();
    assert!(pool.take(2, &mut chunks));
    assert!(!pool.take(1, &mut chunks));
    let shared = chunks.pop().unwrap().share(10);
    assert_eq!(shared.len(), 10);
    let tail = shared.slice(5..);
    drop(shared);
    assert_eq!(pool.used(), 2 * CHUNK_SIZE);
    drop(tail);
    assert_eq!(pool.used(), CHUNK_SIZE);
    drop(chunks);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_waiter_gets_its_chunks_all_at_once() {
    let pool = pool(2);
    let mut chunks = Vec::new();
    assert!(pool.take(1, &mut chunks));
    let ticket = pool.wait(2, Waker::noop());
    assert!(pool.poll_grant(ticket, Waker::noop()).is_none());
    assert!(!pool.take(1, &mut Vec::new()), "the waiter is first");
    drop(chunks);
    let mut granted = pool.poll_grant(ticket, Waker::noop()).unwrap();
    let mut taken = Vec::new();
    assert!(!granted.take_chunks(3, &mut taken));
    assert!(granted.take_chunks(1, &mut taken));
    assert_eq!((granted.len(), taken.len()), (1, 1));
    drop((granted, taken));
    assert_eq!(pool.used(), 0);
}

/// A waker that uses the pool as the last of it is dropped, and counts it.
struct Leaves(Arc<Pool>, Arc<AtomicUsize>);

impl Wake for Leaves {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Leaves {
    fn drop(&mut self) {
        // On another thread, so that a lock that is held fails the test and does not hang it.
        let (looked, has_looked) = mpsc::channel();
        let pool = Arc::clone(&self.0);
        thread::spawn(move || looked.send(pool.waiting()));
        if has_looked.recv_timeout(Duration::from_secs(60)).is_ok() {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn wakers_are_not_dropped_under_the_lock() {
    let (pool, count) = (pool(1), Arc::new(AtomicUsize::new(0)));
    let waker = || Waker::from(Arc::new(Leaves(Arc::clone(&pool), Arc::clone(&count))));
    let chunk = pool.take_one().unwrap();
    let [first, second] = [(); 2].map(|()| pool.wait(1, &waker()));
    assert!(pool.poll_grant(first, &waker()).is_none());
    assert_eq!(count.load(Ordering::Relaxed), 1, "another one has its place");
    pool.cancel(second);
    assert_eq!(count.load(Ordering::Relaxed), 2);
    drop(chunk);
    assert_eq!(count.load(Ordering::Relaxed), 3, "it was woken");
    assert_eq!(pool.poll_grant(first, &waker()).unwrap().len(), 1);
    assert_eq!(count.load(Ordering::Relaxed), 4, "it was not needed");
}
