//! The lock of the pool comes from here, so that `tests/interleavings.rs` can put in that of a model checker, which tries every
//! interleaving.

pub(crate) use std::sync::{Mutex, MutexGuard};
