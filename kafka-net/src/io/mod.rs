//! Sockets, time and tasks: the only part that names tokio.
//!
//! [`keep_connected`] is the life of one broker's connection, dialled again whenever it is wanted; [`pump`] is the
//! one loop over an established stream. Both leave every decision to [`Connection`](crate::Connection) and to the
//! [`Feed`](crate::Feed).

mod clock;
mod codec;
mod connect;
mod dial;
mod driver;
mod link;
mod pump;
mod runtime;
mod sink;

pub(crate) use self::{
    clock::now,
    driver::{start_driver, within},
};
pub use self::{
    codec::KafkaCodec,
    connect::{BoxStream, ByteStream, Connect, Connector, Target},
    dial::dial,
    link::keep_connected,
    pump::{Ended, pump},
    runtime::runtime_lack,
    sink::FrameSink,
};
