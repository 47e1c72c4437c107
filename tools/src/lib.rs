//! The `dst` command, as a library: list, sweep, replay and more, for any systems.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | the commands and their flags, as they are typed |
//! | [`registry`] | the systems, by name |
//! | [`scenarios`] | which scenario files are meant, read and compared with their systems |
//! | [`list`] | `dst list`: what there is |
//! | [`sweep`] | `dst sweep`: many seeds, and what broke |
//! | [`worker`] | the processes in which a sweep's runs happen |
//! | `stop` | Ctrl-C, and other reasons to stop |
//! | [`replay`] | `dst replay`: one seed, and what happened |
//! | [`check`] | `dst check`: what is wrong with scenarios |
//! | [`picture`] | a history that is not linearizable, drawn |
//! | [`new`] | `dst new`: files to start from |
//! | [`merge`] | `dst merge`: the shards of a sweep, added up |
//! | [`corpus`] | `dst corpus`: runs worth keeping |
//! | [`metrics`] | how well systems did, in percentiles |
//! | [`build`] | which build this is |
//! | [`console`] | where text goes: colour, progress, closed pipes |
//! | [`files`] | files that are whole or not there |
//! | [`exit`] | what a command's exit code says |
//!
//! # A `dst` of your own
//!
//! A system implements [`sim::System`]; a binary that hands it to [`main()`] has every command:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use sim::{Cluster, Manifest, System};
//!
//! struct Nothing;
//!
//! impl System for Nothing {
//!     type Params = ();
//!     fn describe(m: &mut Manifest<Self>) {
//!         m.name("nothing", "A server that does nothing.").role("server", async |_| {});
//!     }
//!     fn build(&self, _: &(), cluster: &mut Cluster) {
//!         cluster.nodes("server", 3);
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     tools::main(vec![Box::new(Nothing)])
//! }
//! ```
//!
//! Three more things make it complete:
//!
//! 1. In `.cargo/config.toml`, the flag that `sim` needs, and the alias under which this command prints replay lines:
//!
//!    ```toml
//!    [build]
//!    rustflags = ["--cfg", "madsim"]
//!
//!    [alias]
//!    dst = "run --quiet --release --bin my-dst --"
//!    ```
//!
//! 2. A folder `scenarios/` with scenario files, which `cargo dst sweep` runs when nothing else is named.
//!
//! 3. In CI, `cargo dst sweep --seeds 1000 --verify --json`: the exit code is the verdict ([`Exit`]), and the last line of
//!    output says everything else.
//!
//! Tests call [`run_from`] with a [`Console`] that writes to a buffer. A sweep makes its runs in processes of its own, by
//! starting the program again; what calls `run_from` is no `dst`, so there it makes them in its own process.

// What `.clippy.toml` forbids is for code inside a run.
#![allow(clippy::disallowed_methods, reason = "the tools run on the machine's own clock and files")]

pub mod build;
pub mod check;
pub mod cli;
pub mod console;
pub mod corpus;
pub mod exit;
pub mod files;
pub mod list;
pub mod merge;
pub mod metrics;
pub mod new;
pub mod picture;
pub mod registry;
pub mod replay;
pub mod scenarios;
mod stop;
pub mod sweep;
mod text;
pub mod worker;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser;
use sim::DynSystem;

pub use console::Console;
pub use exit::Exit;
use worker::Workers;

/// The whole program: the process's arguments, its terminal, these systems.
pub fn main(systems: Vec<Box<dyn DynSystem>>) -> ExitCode {
    run_with(std::env::args_os(), &systems, &Console::terminal(), Workers::Processes).into()
}

/// Runs one command, in this process and no other. `args` begin with the program's name, as a process's do.
pub fn run_from<I>(args: I, systems: &[Box<dyn DynSystem>], console: &Console) -> Exit
where
    I: IntoIterator<Item: Into<OsString> + Clone>,
{
    run_with(args, systems, console, Workers::Threads)
}

fn run_with<I>(args: I, systems: &[Box<dyn DynSystem>], console: &Console, workers: Workers) -> Exit
where
    I: IntoIterator<Item: Into<OsString> + Clone>,
{
    let done = match cli::Cli::try_parse_from(args) {
        // Help and version are errors to clap; it knows which stream they belong on.
        Err(error) if error.use_stderr() => Err(exit::Usage(error).into()),
        Err(help) => console.print(&help.render().ansi().to_string()).map(|()| Exit::Held),
        // A system may panic while it is asked what it is, or what nodes it has. The panic's message is out by then.
        Ok(cli) => catch_unwind(AssertUnwindSafe(|| dispatch(cli.command, systems, console, workers)))
            .unwrap_or_else(|_| Err(anyhow!("a panic outside of any run; its message is above"))),
    };
    done.unwrap_or_else(|error| exit::explain(&error, console))
}

fn dispatch(
    command: cli::Command,
    systems: &[Box<dyn DynSystem>],
    console: &Console,
    workers: Workers,
) -> Result<Exit> {
    let registry = registry::Registry::new(systems);
    match command {
        cli::Command::List(args) => list::run(&args, &registry, console),
        cli::Command::Sweep(args) => sweep::run(&args, &registry, console, workers),
        cli::Command::Replay(args) => replay::run(&args, &registry, console),
        cli::Command::Check(args) => check::run(&args, &registry, console),
        cli::Command::New(args) => new::run(&args, &registry, console),
        cli::Command::Merge(args) => merge::run(&args, &registry, console),
        cli::Command::Corpus(command) => corpus::run(&command, &registry, console, workers),
        cli::Command::Worker => worker::serve::run(&registry),
    }
}
