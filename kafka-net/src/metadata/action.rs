//! What passes between a [`Metadata`] and its owner.

use std::sync::Arc;

use kafka_wire::{NodeId, TopicName, messages::MetadataRequest};

#[cfg(doc)]
use super::{Metadata, TopicView};
use crate::enquiry::Ticket;
#[cfg(doc)]
use crate::feed::Status;

/// What the owner of a [`Metadata`] has to do.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Connect to this broker, so that it can be asked: it reports [`Status::Ready`] or [`Status::Down`].
    Connect(NodeId),
    /// Send this over the broker's connection, then call [`Metadata::handle_response`] or
    /// [`Metadata::handle_failure`].
    Ask {
        /// Whom.
        node: NodeId,
        /// To be given back with the answer.
        ticket: Ticket,
        /// What.
        request: MetadataRequest,
    },
    /// Hang up on every broker at once; the view holds the bootstrap list again.
    HangUp,
    /// Hang up on this broker at once: it is of another cluster. [`Metadata::last_failure`] says which. It stays in the view,
    /// and may be connected to again.
    HangUpOn(NodeId),
}

/// What an answer brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// Topics whose [`TopicView`] is another now, or gone.
    pub topics: Vec<TopicName>,
    /// Whether brokers came, left or moved. Connections to those no longer in the view have no purpose.
    pub brokers: bool,
    /// Another cluster has taken the place of the one that was known. No connection leads to it, and nothing that was learnt
    /// from the other one holds: hang up on every broker at once, whatever the view has.
    pub cluster: Option<ClusterChange>,
}

/// One cluster has taken the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterChange {
    /// The id of the one that is gone.
    pub from: Arc<str>,
    /// The id of the one that is there.
    pub to: Arc<str>,
}
