//! Groups of fields that more than one API has.

use alloc::string::String;

use crate::ids::NodeId;
use crate::table::messages;

messages! {
    /// The leader of a partition, as far as the broker that answers knows it (KIP-951).
    group LeaderIdAndEpoch {
        /// [`NodeId::NONE`] if the leader is not known.
        [_]      leader_id: NodeId = NodeId::NONE,
        /// -1 if it is not known.
        [_]      leader_epoch: i32 = -1,
    }

    /// Where a leader that an answer names is reached (KIP-951).
    group NodeEndpoint {
        [_]      node_id: NodeId,
        [_]      host: String,
        [_]      port: i32,
        [_]      rack: Option<String>,
    }
}
