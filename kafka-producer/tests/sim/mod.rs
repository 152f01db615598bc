//! A simulation of the producer: the real queues, sender and connections, a mock cluster, a virtual clock, a network and
//! users drawn from a seed. After every step it is checked what must hold.
//!
//! `LINGER_SIM_SEED=n` replays one seed with a transcript; `LINGER_SIM_SEEDS=n` says how many are run, `LINGER_SIM_THEME=name`
//! that all are of one theme.

mod brokers;
mod client;
mod invariants;
mod net;
mod plan;
mod planted;
mod run;
mod scenarios;
mod seeds;
mod stranger;
mod themes;
mod world;

pub(crate) use invariants::oversize;
pub(crate) use planted::{Found, asked, search};
pub(crate) use seeds::{number, on_all_cores};
pub(crate) use stranger::{Stranger, is_strangers};
