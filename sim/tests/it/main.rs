//! The simulator's tests, in one program: linking is what takes the time.
//!
//! | module | what |
//! |---|---|
//! | [`kernel`], [`edges`], [`time`], [`sync`] | tasks, nodes, clocks, and what tasks share |
//! | [`net`], [`rpc`] | datagrams, and calls |
//! | [`fs`] | files, their faults, and what a crash leaves |
//! | [`scenario`] | rules, faults and plans; and that no run passes for the wrong reason |
//! | [`histories`], [`recorded`] | the checker on recorded histories |
//! | [`metrics`] | what a run measures |

#![allow(clippy::disallowed_methods, reason = "std's clocks, threads and files are what some of the tests are about")]

mod boundary;
mod edges;
mod fs;
mod histories;
mod kernel;
mod metrics;
mod net;
mod recorded;
mod rpc;
mod scenario;
mod sync;
mod time;
