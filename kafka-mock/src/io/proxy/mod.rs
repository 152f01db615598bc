//! The proxy's sockets.

mod builder;
mod connection;
mod handle;
mod ports;

pub use builder::{ProxyBuilder, ProxyError};
pub use handle::Proxy;
