//! A simulation of the producer: the real queues, sender and connections, a mock cluster, a virtual clock, a network and
//! users drawn from a seed. After every step it is checked what must hold.
//!
//! `LINGER_SIM_SEED=n` replays one seed with a transcript; `LINGER_SIM_SEEDS=n` says how many are run.

mod brokers;
mod client;
mod invariants;
mod net;
mod plan;
mod planted;
mod run;
mod scenarios;
mod themes;
mod world;

pub(crate) use planted::on_all_cores;
