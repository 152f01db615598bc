//! The cluster without sockets: frames in, answers out.

mod admin;
mod api_versions;
mod arbitrary;
mod batch;
mod fetch;
mod harness;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod numbers;
mod others;
mod produce;
mod retention;
mod script;
mod unserved;
mod views;
