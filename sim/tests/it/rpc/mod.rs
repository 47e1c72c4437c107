//! Calls.

mod calls;
mod counting;
mod labrpc;
mod once;
