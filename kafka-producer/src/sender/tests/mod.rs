//! The sender under virtual time, batch by batch: the brokers' part is played by hand.

mod numbers;
mod retries;
mod rig;
