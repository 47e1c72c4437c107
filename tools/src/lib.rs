//! The `dst` command as a library: list, sweep, replay and more, for any systems.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the commands and their flags |
//! | [`registry`] | the systems, by name |
//! | [`scenarios`] | finds, reads and validates scenario files |
//! | [`list`] | `dst list`: systems, scenarios and faults |
//! | [`sweep`] | `dst sweep`: runs many seeds and reports the bugs found |
//! | [`worker`] | the worker processes that make the runs |
//! | `stop` | Ctrl-C and the other reasons to stop |
//! | [`replay`] | `dst replay`: repeats and explains the run of one seed |
//! | [`check`] | `dst check`: validates scenarios |
//! | [`picture`] | the HTML picture of a history that is not linearizable |
//! | [`new`] | `dst new`: files to start from |
//! | [`merge`] | `dst merge`: merges the shards of a sweep |
//! | [`corpus`] | `dst corpus`: kept runs and their expected results, and the search for planted bugs |
//! | [`metrics`] | the metrics of systems, in percentiles |
//! | [`build`] | identifies the build |
//! | [`console`] | terminal output: colour, progress, closed pipes |
//! | [`files`] | atomic file replacement |
//! | [`exit`] | exit codes |
//!
//! # A `dst` of your own
//!
//! `cargo dst new system NAME` writes a crate that is complete: a small lock service with its clients, an invariant, scenarios and
//! a known bug, in some 200 lines to be replaced by a system of your own. What it is made of:
//!
//! A system implements [`sim::System`]. A binary that passes the system to [`main()`] has all commands:
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
//! It depends on this crate with `default-features = false`, which leaves the project's own systems out. Three more steps
//! complete the setup:
//!
//! 1. `.cargo/config.toml` sets the flag that `sim` needs, and the alias that the printed replay lines use:
//!
//!    ```toml
//!    [build]
//!    rustflags = ["--cfg", "madsim"]
//!
//!    [alias]
//!    dst = "run --quiet --release --bin my-dst --"
//!    ```
//!
//! 2. The folder `scenarios/` has the scenario files, which `cargo dst sweep` runs by default.
//!
//!    A planted bug names its scenarios as the files in `scenarios/SYSTEM/` are named, without `.toml`: see
//!    [`found_by`](sim::system::Planted::found_by). `cargo dst corpus run` searches for the bugs, with or without a corpus in
//!    `seeds/`.
//!
//! 3. CI runs `cargo dst sweep --seeds 1000 --verify --json`. The exit code is the verdict ([`Exit`]), and the last line of
//!    output is the summary.
//!
//! Tests call [`run_from`] with a [`Console`] that writes to a buffer. The `dst` program makes the runs of a sweep in worker
//! processes, by starting itself again. [`run_from`] makes them in the calling process, because its caller is another program.

// `.clippy.toml` forbids these methods for code inside a run.
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

/// Runs the whole program with the process's arguments and terminal.
pub fn main(systems: Vec<Box<dyn DynSystem>>) -> ExitCode {
    let args = || std::env::args_os();
    let is_worker = args().nth(1).is_some_and(|command| command == cli::WORKER);
    let console = if is_worker { Ok(Console::of_worker()) } else { Console::terminal() };
    let exit = match &console {
        Ok(console) => run_with(args(), &systems, console, Workers::Processes),
        Err(error) => exit::explain(error, &Console::of_worker()),
    };
    exit.into()
}

/// Runs one command without worker processes. `args` begin with the program's name, like the arguments of a process.
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
        // clap reports help and version as errors and knows their output stream.
        Err(error) if error.use_stderr() => Err(exit::Usage(error).into()),
        Err(help) => console.print(&help.render().ansi().to_string()).map(|()| Exit::Held),
        // `describe` or `build` of a system may panic. The panic's message is printed by then.
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
