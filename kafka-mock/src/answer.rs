//! What the cluster says to a frame.

use std::time::Instant;

use kafka_wire::{FrameBuf, RequestHeader};

use crate::close::CloseReason;
use crate::request::Request;
use crate::script::{Plan, Scripted};

/// What is to be done on the connection that brought a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Write this frame.
    Reply(FrameBuf),
    /// Write nothing and go on: a Produce request with acks=0.
    Silence,
    /// Ask again with [`Cluster::resume`](crate::Cluster::resume), once the cluster changed or the time has come. Until then
    /// nothing else of this connection is answered.
    Wait(Waiting),
    /// Close the connection, as a broker does where the protocol has no better answer.
    Close(CloseReason),
    /// Do what a script says.
    Scripted(Scripted),
}

/// A request that is not answered yet: a Fetch that waits for records.
#[derive(Debug)]
pub struct Waiting {
    pub(crate) request: Request,
    pub(crate) until: Instant,
    pub(crate) change: u64,
    /// What a script does to the answer, once there is one.
    pub(crate) plan: Option<Box<(Plan, RequestHeader)>>,
}

impl Waiting {
    /// When it is answered at the latest.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The state of [`Cluster::change`](crate::Cluster::change) it was judged at: nothing is worth asking before that moves.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.change
    }
}
