//! The sender under virtual time, batch by batch: the brokers' part is played by hand.

mod answers;
mod change;
mod counted;
mod identity;
mod leaders;
mod losses;
mod memory;
mod numbers;
mod purge;
mod retries;
mod rig;
mod turns;
