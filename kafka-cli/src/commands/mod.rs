//! The subcommands, one file each.

pub(crate) mod consume;
pub(crate) mod demo;
