//! The proxy's sockets.

mod builder;
mod connection;
mod handle;
mod listener;
mod ports;
mod shared;

pub use builder::{ProxyBuilder, ProxyError};
pub use handle::Proxy;
