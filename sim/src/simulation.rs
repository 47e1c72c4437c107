//! A simulation of your own: what its world is like, and the program that drives it.
//!
//! [`Simulation::builder`] configures a world, and [`Simulation::run`] runs a program in it that adds nodes, lets time pass
//! and injects faults through a [`Sim`]. [`simulate`] is the short form for a world with the defaults.
//!
//! ```
//! use std::time::Duration;
//! use sim::net::{LinkConfig, UdpSocket};
//! use sim::{Latency, Policy, Simulation, Time, time};
//!
//! let a_ms = Latency::Constant(Time::new(Duration::from_millis(1)));
//! let simulation = Simulation::builder()
//!     .seed(42)
//!     .policy(Policy::Fifo)
//!     .network(LinkConfig { latency: a_ms, ..LinkConfig::default() })
//!     .build()?;
//! let run = simulation.run(|sim| {
//!     let server = sim.node("server", || async {
//!         let socket = UdpSocket::bind(80).unwrap();
//!         loop {
//!             let ping = socket.recv_from().await;
//!             socket.send_to(ping.payload, ping.from);
//!         }
//!     });
//!     let round_trip = sim.client("client", async move {
//!         let socket = UdpSocket::bind(80).unwrap();
//!         let began = time::now();
//!         socket.send_to(b"ping".as_slice(), server.port(80));
//!         socket.recv_from().await;
//!         began.elapsed()
//!     });
//!     sim.wait(round_trip, Duration::from_secs(1))
//! })?;
//! assert!(run.failures.is_empty());
//! assert_eq!(run.value, Ok(Duration::from_millis(2)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use crate::base::Failure;
use crate::base::seed::Seed;
use crate::fs::DiskConfig;
use crate::host::{Sim, in_world};
use crate::kernel::boundary::HarnessError;
use crate::kernel::{self, CpuModel, LIVELOCK_POLLS, Policy};
use crate::net::LinkConfig;
use crate::probe::{PROBES, ProbeKind};
use crate::trace::record::Recorder;

/// What a simulation was, and what its program returned.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Simulated<R> {
    /// The result of the program.
    pub value: R,
    /// The digest of everything that happened.
    pub digest: u128,
    /// How many events the digest stands for.
    pub events: u64,
    /// How long it lasted, in virtual nanoseconds.
    pub virtual_ns: u64,
    /// What went wrong, in order of occurrence: panics, violations, livelock.
    pub failures: Vec<Failure>,
}

/// Runs `program` in a fresh world with the defaults, on a fresh thread: the short form of [`Simulation`].
///
/// # Errors
/// As [`Simulation::run`].
pub fn simulate<R: Send>(seed: u64, program: impl FnOnce(&Sim) -> R + Send) -> Result<Simulated<R>, HarnessError> {
    Builder::default().seed(seed).0.run(program)
}

/// A world that is configured and not yet entered.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    policy: Policy,
    cpu: CpuModel,
    network: LinkConfig,
    disks: DiskConfig,
    planted: Vec<String>,
    livelock_polls: u32,
    recorder: Option<Shown>,
}

/// A recorder, which has nothing to show of itself.
struct Shown(Recorder);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Simulation {
    /// A world with the defaults: seed 0, [`Policy::Random`], a local network, disks that fail only where a fault is injected.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs `program` in the world, on a fresh thread. Everything in the world is dropped when the program returns.
    ///
    /// # Errors
    /// The harness failed, or the program panicked. A panic on a node is no error here: it is among
    /// [`Simulated::failures`].
    pub fn run<R: Send>(self, program: impl FnOnce(&Sim) -> R + Send) -> Result<Simulated<R>, HarnessError> {
        in_world(Seed(self.seed), || {
            let sim = Sim::enter();
            self.configure();
            let value = program(&sim);
            sim.end();
            kernel::with(|state| Simulated {
                value,
                digest: state.digest.value(),
                events: state.digest.events(),
                virtual_ns: state.now,
                failures: std::mem::take(&mut state.failures),
            })
        })
    }

    /// Makes the world that was entered the one that was asked for.
    fn configure(self) {
        kernel::with(|state| {
            state.policy = self.policy;
            state.cpu = self.cpu;
            state.net.configure(self.network);
            state.configure_disks(self.disks);
            state.probes.plant(&self.planted);
            state.livelock_polls = self.livelock_polls;
            state.recorder = self.recorder.map(|Shown(recorder)| recorder);
        });
    }
}

/// Configures a [`Simulation`].
#[derive(Debug)]
#[must_use = "nothing runs before `build` and `run`"]
pub struct Builder(Simulation);

impl Default for Builder {
    fn default() -> Self {
        Builder(Simulation {
            seed: 0,
            policy: Policy::default(),
            cpu: CpuModel::default(),
            network: LinkConfig::default(),
            disks: DiskConfig::default(),
            planted: Vec::new(),
            livelock_polls: LIVELOCK_POLLS,
            recorder: None,
        })
    }
}

impl Builder {
    /// The seed of all that is drawn.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.0.seed = seed;
        self
    }

    /// How ready tasks are ordered.
    pub fn policy(mut self, policy: Policy) -> Builder {
        self.0.policy = policy;
        self
    }

    /// How much virtual time a node's CPU takes, where the policy counts it.
    pub fn cpu(mut self, cpu: CpuModel) -> Builder {
        self.0.cpu = cpu;
        self
    }

    /// What every link is like when no fault is in force.
    pub fn network(mut self, network: LinkConfig) -> Builder {
        self.0.network = network;
        self
    }

    /// What every disk is like when no fault is in force.
    pub fn disks(mut self, disks: DiskConfig) -> Builder {
        self.0.disks = disks;
        self
    }

    /// Switches known bugs on, by their names in [`planted!`](crate::planted!).
    pub fn plant<B: Into<String>>(mut self, bugs: impl IntoIterator<Item = B>) -> Builder {
        self.0.planted.extend(bugs.into_iter().map(B::into));
        self
    }

    /// How many polls of a node without an idle moment make a livelock: [`LIVELOCK_POLLS`] by default.
    pub fn livelock_after(mut self, polls: u32) -> Builder {
        self.0.livelock_polls = polls;
        self
    }

    /// Shows what happens to `recorder`. The digest is the same with and without one.
    pub fn recorder(mut self, recorder: Recorder) -> Builder {
        self.0.recorder = Some(Shown(recorder));
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// The first part of the configuration that is not possible.
    pub fn build(self) -> Result<Simulation, ConfigError> {
        if let Some(problem) = self.0.network.problem() {
            return Err(ConfigError::Network(problem));
        }
        if let Some(problem) = self.0.disks.problem() {
            return Err(ConfigError::Disks(format!("{}, {}", problem.title, problem.expected)));
        }
        let is_unknown =
            |bug: &&String| !PROBES.iter().any(|probe| probe.kind == ProbeKind::Planted && probe.name == **bug);
        match self.0.planted.iter().find(is_unknown) {
            Some(bug) => Err(ConfigError::UnknownBug(bug.clone())),
            None => Ok(self.0),
        }
    }
}

/// Why there can be no such simulation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The links are not possible.
    #[error("network: {0}")]
    Network(String),
    /// The disks are not possible.
    #[error("disks: {0}")]
    Disks(String),
    /// No code in this program has a known bug of that name.
    #[error("there is no known bug `{0}` in this program; `planted!` declares one")]
    UnknownBug(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_possible_is_an_error_and_no_panic() {
        let network = LinkConfig { loss: 1.5, ..LinkConfig::default() };
        let error = Simulation::builder().network(network).build().unwrap_err();
        assert_eq!(error.to_string(), "network: loss is 1.5, expected a probability from 0 to 1");

        let disks = DiskConfig { read_error: -1.0, ..DiskConfig::default() };
        let error = Simulation::builder().disks(disks).build().unwrap_err();
        assert_eq!(error.to_string(), "disks: read_error is -1, expected a probability from 0 to 1");

        let error = Simulation::builder().plant(["no-such-bug"]).build().unwrap_err();
        assert_eq!(error, ConfigError::UnknownBug("no-such-bug".into()));
    }

    #[test]
    fn the_short_form_is_a_simulation_with_the_defaults() {
        let program = |sim: &Sim| {
            sim.node("a", || async {
                let late = crate::rand::between(1, 1_000_000);
                crate::time::sleep(std::time::Duration::from_micros(late)).await
            });
            sim.run_until_idle();
        };
        let short = simulate(7, program).unwrap();
        let long = Simulation::builder().seed(7).build().unwrap().run(program).unwrap();
        assert_eq!((short.digest, short.events), (long.digest, long.events));
        let other = Simulation::builder().seed(8).build().unwrap().run(program).unwrap();
        assert_ne!(short.digest, other.digest);
    }
}
