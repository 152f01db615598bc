//! Which partition a record goes to.

mod murmur2;

pub use murmur2::{murmur2, partition_for_key};
