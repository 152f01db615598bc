//! The trait [`Message`], for bodies, and what a client has to know of a request.

use core::fmt::Debug;
use core::time::Duration;

use crate::api::ApiKey;
use crate::versions::VersionRange;
use crate::wire::{Cx, Wire};

/// A body: what follows a header.
pub trait Message: Wire + Clone + Debug + Default + PartialEq + Send + Sync + 'static {
    /// The API it belongs to.
    const API: ApiKey;
    /// Its name in Kafka's definitions.
    const NAME: &'static str;
    /// The versions this crate reads and writes: up to the newest that is stable.
    const VERSIONS: VersionRange;
    /// The first flexible version (KIP-482).
    const FLEXIBLE_SINCE: Option<i16>;

    /// The context of a version.
    #[inline]
    #[must_use]
    fn cx(version: i16) -> Cx {
        Cx { version, flexible: Self::FLEXIBLE_SINCE.is_some_and(|since| version >= since) }
    }
}

/// What a client sends.
pub trait Request: Message {
    /// What it is answered with.
    type Response: Response;
    /// Which broker it is for.
    const DESTINATION: Destination;
    /// Whose listeners take it, as Kafka's definition of the request says.
    const LISTENERS: &'static [Listener];

    /// Whether a broker answers this request at all.
    fn expects_reply(&self) -> bool;
}

/// What a broker answers.
pub trait Response: Message {
    /// What it answers.
    type Request: Request;

    /// How long a quota holds the client back; zero where it does not, and where the response has no such field. From
    /// [`throttled_since`](ApiKey::throttled_since) on the client itself has to wait that long.
    fn throttle_time(&self) -> Duration;
}

/// Which broker a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Destination {
    /// Any broker.
    Any,
    /// The controller. A broker of a cluster without ZooKeeper passes the request on to it.
    Controller,
    /// The leader of each partition that the request names.
    Leader,
    /// The coordinator of the group or of the transactional id that the request names; any broker where it names none.
    Coordinator,
}

/// Who listens for a request: a word of Kafka's definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listener {
    /// Brokers.
    Broker,
    /// Controllers of a quorum, which has listeners of its own.
    Controller,
}
