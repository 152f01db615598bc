//! What is shown: tables, numbers for people, and the summary of a run.

mod human;
mod reasons;
mod summary;
mod table;

pub(crate) use self::{
    human::{bytes, count, duration, percent, rate},
    reasons::explanation,
    summary::summary,
    table::{Align, Table},
};
