//! Where records wait, and which of them go next: lanes, gates and topics, without tasks or a clock.

pub(crate) mod draw;
pub(crate) mod gate;
pub(crate) mod lanes;
mod topic;
pub(crate) mod topics;

pub(crate) use self::{
    lanes::{Lane, LaneState},
    topic::TopicShared,
};
