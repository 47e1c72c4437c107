//! Scenarios, run on small systems that are made for it.

mod faults;
mod frozen;
mod groups;
mod history_out;
mod rules;
mod timeline;
mod toy;
mod triggers;
mod vacuous;
