//! Deterministic simulation testing: a whole distributed system runs in one thread, and one seed is one execution.
//!
//! The simulator controls time, scheduling, network, disk and randomness. Scenario files inject crashes, partitions and other
//! faults. Any failure can be replayed exactly from its seed.
//!
//! # The map
//!
//! | module | contents |
//! |---|---|
//! | [`Simulation`], [`simulate`], [`host`] | a world that a test drives from outside |
//! | [`lab`] | experiments in such a world: run test code on nodes, wait for its value, cut nodes off |
//! | [`run()`], [`timeline`] | run a scenario with a seed, which gives a [`Report`]; print the plan of a seed |
//! | [`system`] | the interface of a system under test |
//! | [`time`], [`task`], [`net`], [`rpc`], [`fs`], [`rand`], [`sync`], [`node`], [`group`] | the world, for the code on a node |
//! | [`mod@event`], [`probe`] | events and assertions, reported by the code on a node |
//! | [`history`], [`check`], [`models`] | the history of client operations, and the checks of history and events |
//! | [`metric`] | consistency latency, recovery time, load balance |
//! | [`scenario`], [`fault`] | scenario files, and faults as data |
//! | [`trace`] | the digest, and the recorder of a run |
//! | [`Time`], [`Rate`], [`NodeId`], [`Phase`] .. | the vocabulary shared by all modules |
//! | [`seed`] | independent random streams from one seed |
//! | [`codec`] | encodes values as bytes and decodes them |
//! | [`boundary`] | what code under test can reach of the machine |
//!
//! Data flows one way: file → [`Scenario`] → [`scenario::Plan`] (with a seed) → world → trace and history → checks →
//! [`Report`].
//!
//! # A first system
//!
//! The example below has a server with a register in memory, and clients that read and write it. Its scenario
//! (`sim/examples/register.toml`) crashes the server, which loses acknowledged writes, and the harness reports the bug.
//!
//! ```
#![doc = include_str!("../examples/register.rs")]
//! ```
//!
//! `cargo dst new system NAME` writes a crate of such a system, which builds and sweeps as it is. Pass a system to `tools::main` to get a `dst` command with sweep, replay and the rest. One more line in `describe` measures
//! the consistency latency: see [`metric`].
//!
//! # Rules for code under test
//!
//! Code under test is ordinary async Rust. It uses `sim::time`, `sim::task`, `sim::net`, `sim::rpc`, `sim::fs`, `sim::rand`,
//! `sim::sync`, [`select!`] and [`node_local!`] in place of tokio and std. std's `Instant::now`, `SystemTime::now` and
//! `HashMap` order are deterministic inside a run, but show the simulator's clock instead of the node's. What would reach the
//! machine itself (files, sockets, threads, child processes, a sleep in real time) fails the run, and the failure names the
//! call, its caller and what to use instead: the table in [`boundary`] says what is virtual, what is refused, and what only
//! a sweep with `--verify` finds. `tokio::time`, `tokio::spawn` and mutable statics are not supported; the `clippy.toml` of the
//! crate `systems` finds them before a run does.

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
pub mod group;
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
pub mod simulation;
pub mod sync;
pub mod system;
pub mod task;
pub mod time;
pub mod trace;
mod world;

pub use base::{
    Addr, Capacity, Dose, Failure, GroupId, Iops, Latency, NodeId, Offset, Phase, Rate, Size, Time, codec, seed,
};
pub use check::linearizable::models;
pub use history::OpError;
pub use host::{Injected, Sim};
pub use kernel::boundary::{self, HarnessError};
pub use kernel::{CpuModel, LIVELOCK_POLLS, Policy};
pub use lab::{Job, WaitError};
pub use metric::Metrics;
pub use run::report::{Outcome, Report};
pub use run::timeline::{Planned, timeline};
pub use run::{RunError, RunOptions, run, validate};
pub use scenario::Scenario;
pub use simulation::{Simulated, Simulation, simulate};
pub use system::{Client, Cluster, DynSystem, Manifest, System};

/// For the macros of this crate; not part of its interface.
#[doc(hidden)]
pub mod private {
    pub use {linkme, serde, tokio};
}
