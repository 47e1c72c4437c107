//! Deterministic simulation testing: a whole distributed system in one thread, where one seed is one execution.
//!
//! Time, scheduling, network, disk and randomness are the simulator's. Scenario files inject crashes, partitions and
//! every other fault; any failure is replayed exactly from its seed.
//!
//! # The map
//!
//! | module | what |
//! |---|---|
//! | [`host`] | [`simulate`]: a world of one's own, driven from outside |
//! | [`lab`] | experiments in such a world: test code on nodes of its own, waiting for it, cutting nodes apart |
//! | [`run()`], [`timeline`] | a scenario and a seed in, a [`Report`] out; and what a seed will do, before it is run |
//! | [`system`] | what a system under test implements |
//! | [`time`], [`task`], [`net`], [`rpc`], [`fs`], [`rand`], [`sync`], [`node`] | the world, as the code on a node sees it |
//! | [`mod@event`], [`probe`] | what that code says about itself |
//! | [`history`], [`check`] | what clients saw, and what must hold |
//! | [`metric`] | how well it did: consistency latency, recovery time, load balance |
//! | [`scenario`], [`fault`] | scenario files, and faults as data |
//! | [`trace`] | the recorder: what happened, line by line |
//! | [`Time`], [`Rate`], [`NodeId`], [`Phase`] .. | the vocabulary of all of these |
//! | [`seed`] | one seed, many keyed streams |
//! | [`codec`] | the one place where values become bytes |
//!
//! Data flows one way: file → [`Scenario`] → [`scenario::Plan`] (with a seed) → world → trace and history → checks →
//! [`Report`].
//!
//! # A system of your own
//!
//! A register that a server keeps in memory, clients that read and write it, and a scenario that crashes the server
//! (`sim/examples/register.toml`). What was acknowledged is gone after the crash; the harness says so.
//!
//! ```
#![doc = include_str!("../examples/register.rs")]
//! ```
//!
//! Give `tools::main` the system and you have a `dst` of your own, with sweep, replay and all. One line more in `describe` and
//! its consistency latency is measured too: see [`metric`].
//!
//! # Rules for code under test
//!
//! It is ordinary async Rust, with these instead of tokio's or std's: `sim::time`, `sim::task`, `sim::net`, `sim::rpc`,
//! `sim::fs`, `sim::rand`, `sim::sync`, [`select!`], [`node_local!`]. std's `Instant::now`, `SystemTime::now` and `HashMap`
//! order are deterministic inside a run, but show the simulator's time and not the node's. Threads, `tokio::time`,
//! `tokio::spawn`, `rand`'s `OsRng` and mutable statics are not supported: see [`HarnessError`] and the
//! `clippy.toml` of the crate `systems`.

#[cfg(not(madsim))]
compile_error!(
    "`sim` needs `--cfg madsim`. The workspace's .cargo/config.toml sets it, but RUSTFLAGS in the environment replaces \
     that: unset RUSTFLAGS, or add `--cfg madsim` to it."
);

// `event!` names the crate in an attribute, where `$crate` cannot stand.
extern crate self as sim;

mod base;
pub mod check;
pub mod event;
pub mod fault;
pub mod fs;
pub mod history;
pub mod host;
mod kernel;
pub mod lab;
pub mod local;
pub mod metric;
pub mod net;
pub mod node;
pub mod probe;
pub mod rand;
pub mod rpc;
mod run;
pub mod scenario;
pub mod sync;
pub mod system;
pub mod task;
pub mod time;
pub mod trace;

pub use base::{Addr, Capacity, Dose, Failure, Iops, Latency, NodeId, Offset, Phase, Rate, Size, Time, codec, seed};
pub use history::OpError;
pub use host::{Injected, Sim, Simulated, simulate};
pub use kernel::boundary::HarnessError;
pub use kernel::{CpuModel, LIVELOCK_POLLS, Policy};
pub use lab::{Job, WaitError};
pub use metric::Metrics;
pub use run::report::{Outcome, Report};
pub use run::timeline::{Planned, timeline};
pub use run::{RunError, RunOptions, run, validate};
pub use scenario::Scenario;
pub use system::{Client, Cluster, DynSystem, Manifest, System};

/// For the macros of this crate; not part of its interface.
#[doc(hidden)]
pub mod private {
    pub use {linkme, serde, tokio};
}
