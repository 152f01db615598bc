//! The commands, a module each.

pub(crate) mod consume;
pub(crate) mod demo;
pub(crate) mod mock;
pub(crate) mod perf;
pub(crate) mod produce;
pub(crate) mod proxy;
pub(crate) mod verifiable_producer;
