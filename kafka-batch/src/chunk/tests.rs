//! Chunks and the pool alone. Not below the module, whose file `tests/interleavings.rs` takes for itself.

use std::sync::Arc;
use std::task::Waker;

use crate::chunk::{CHUNK_SIZE, ChunkSource, Pool};
use crate::limits::Limits;

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
