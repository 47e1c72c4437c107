//! The host: the program that owns a simulation and acts on it from outside, between polls.
//!
//! A [`Simulation`](crate::Simulation) enters a world and hands out a [`Sim`] to add nodes, let time pass, and inject faults.
//! Scenario runs are built on it, and so are small simulations of your own:
//!
//! ```
//! use std::time::Duration;
//! use sim::{net::UdpSocket, simulate, time};
//!
//! let run = simulate(42, |sim| {
//!     let server = sim.node("server", || async {
//!         let socket = UdpSocket::bind(80).unwrap();
//!         loop {
//!             let ping = socket.recv_from().await;
//!             socket.send_to(b"pong".as_slice(), ping.from);
//!         }
//!     });
//!     sim.node("client", move || async move {
//!         let socket = UdpSocket::bind(80).unwrap();
//!         loop {
//!             socket.send_to(b"ping".as_slice(), server.port(80));
//!             let _ = time::timeout(Duration::from_millis(10), socket.recv_from()).await;
//!         }
//!     });
//!     sim.run_for(Duration::from_secs(1));
//!     sim.crash(server);
//!     sim.run_for(Duration::from_secs(1));
//!     sim.received(server)
//! })
//! .unwrap();
//! assert!(run.value > 1_000);
//! assert!(run.failures.is_empty());
//! ```

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::base::NodeId;
use crate::base::seed::Seed;
use crate::check::Invariant;
use crate::event::{self, Booted, Crashed, Folds, On, Scope};
use crate::fault::{self, Fault, Stage};
use crate::fs::DiskConfig;
use crate::history;
use crate::kernel::boundary::{self, HarnessError};
use crate::kernel::{self, CpuModel, Policy, State, Stop, panics};
use crate::net::LinkConfig;
use crate::system::RoleMain;
use crate::time::nanos;
use crate::trace::record::{Kind, Recorder};
use crate::world;

/// Enters a fresh world, and leaves none of it behind in whichever way `program` ends: destructors of what is left run
/// while there still is a world.
pub(crate) fn in_world<R: Send>(seed: Seed, program: impl FnOnce() -> R + Send) -> Result<R, HarnessError> {
    boundary::enter(seed, || {
        let result = catch_unwind(AssertUnwindSafe(program));
        Sim::enter().end();
        result.map_err(|payload| HarnessError::Panic(panics::located(payload.as_ref())))
    })?
}

/// A handle on the running world, for the program outside of it.
#[derive(Debug)]
pub struct Sim {
    _private: (),
}

impl Sim {
    /// Takes hold of the world that this thread has entered.
    pub(crate) fn enter() -> Sim {
        kernel::with(|_| ());
        Sim { _private: () }
    }

    /// Adds a node and boots it. `main` is what it runs, from each boot on; the node stays up when it returns.
    #[track_caller]
    pub fn node<F, Fut>(&self, name: &str, main: F) -> NodeId
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.node_in_role(name, name, main)
    }

    /// As [`Sim::node`], one of several of a role: those that ask for the nodes of the role find it.
    #[track_caller]
    pub fn node_in_role<F, Fut>(&self, role: &str, name: &str, main: F) -> NodeId
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.node_in_group(role, role, name, main)
    }

    /// As [`Sim::node_in_role`], in a group of another name than the role's: see [`group`](mod@crate::group).
    #[track_caller]
    pub fn node_in_group<F, Fut>(&self, group: &str, role: &str, name: &str, main: F) -> NodeId
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let id = self.add_node(name, role, group);
        set_main(id, Some(Rc::new(move || Box::pin(main()))));
        boot(id);
        id
    }

    /// Adds a node that is down.
    ///
    /// # Panics
    /// If there is one of that name.
    #[track_caller]
    pub(crate) fn add_node(&self, name: &str, role: &str, group: &str) -> NodeId {
        kernel::with(|state| {
            assert!(state.find_node(name).is_none(), "there already is a node named {name}");
            state.add_node(name, role, group)
        })
    }

    /// How ready tasks are ordered, and what CPU time costs. Before the first node is added.
    pub fn schedule(&self, policy: Policy, cpu: CpuModel) {
        kernel::with(|state| {
            assert!(state.nodes.is_empty(), "the schedule is chosen before the first node is added");
            state.policy = policy;
            state.cpu = cpu;
        });
    }

    /// What every link is like when no fault is in force.
    ///
    /// # Panics
    /// If a probability is not one.
    pub fn network(&self, config: LinkConfig) {
        assert_eq!(config.problem(), None, "network configuration");
        kernel::with(|state| state.net.configure(config));
    }

    /// What every disk is like.
    pub fn disks(&self, config: DiskConfig) {
        assert!(config.problem().is_none(), "disk configuration");
        kernel::with(|state| state.configure_disks(config));
    }

    /// Shows what happens to `recorder`. The digest is the same with and without.
    pub fn record(&self, recorder: Recorder) {
        kernel::with(|state| state.recorder = Some(recorder));
    }

    /// Switches known bugs on.
    pub fn plant(&self, names: &[String]) {
        kernel::with(|state| state.probes.plant(names));
    }

    /// Checks an invariant from now on.
    pub fn watch<I: Invariant>(&self) {
        I::subscribe(&mut On::new(Folds::new(Scope::System), I::NAME));
    }

    /// Checks an invariant from now on, for each group of nodes alone.
    pub fn watch_per_group<I: Invariant>(&self) {
        I::subscribe(&mut On::new(Folds::new(Scope::Group), I::NAME));
    }

    /// How many polls without an idle moment make a livelock.
    pub fn livelock_after(&self, polls: u32) {
        kernel::with(|state| state.livelock_polls = polls);
    }

    /// Lets `duration` pass. Returns early at a failure.
    pub fn run_for(&self, duration: Duration) {
        let deadline = kernel::with(|state| state.now.saturating_add(nanos(duration)));
        if kernel::run_to(deadline) == Stop::Idle {
            kernel::with(|state| state.advance_to(deadline));
        }
    }

    /// Lets time pass until nothing is left to happen, or a failure.
    pub fn run_until_idle(&self) {
        while kernel::run_to(u64::MAX) == Stop::Horizon {}
    }

    /// Virtual nanoseconds since the run began.
    pub fn now_ns(&self) -> u64 {
        kernel::with(|state| state.now)
    }

    /// Crashes a node. Nothing if it is down.
    pub fn crash(&self, node: NodeId) {
        crash(&[node], Death::Power);
    }

    /// Crashes a node that loses its disk, too.
    pub fn wipe(&self, node: NodeId) {
        crash(&[node], Death::Disk);
    }

    /// Boots a node that is down. Nothing if it is up.
    pub fn boot(&self, node: NodeId) {
        boot(node);
    }

    /// Applies a fault; the guard undoes it.
    #[must_use = "the fault is undone when the guard is dropped"]
    pub fn inject(&self, fault: Fault<Vec<NodeId>>) -> Injected {
        let id = kernel::with(|state| {
            state.injected += 1;
            state.injected
        });
        fault::apply(id, &fault, &NoSystem);
        kernel::bury();
        Injected { id, fault }
    }

    /// Whether the node is up.
    pub fn is_up(&self, node: NodeId) -> bool {
        kernel::with(|state| state.node(node).up)
    }

    /// How many datagrams the node has received.
    pub fn received(&self, node: NodeId) -> u64 {
        kernel::with(|state| state.node(node).sockets.received)
    }

    /// How many polls there have been.
    pub fn polls(&self) -> u64 {
        kernel::with(|state| state.polls)
    }

    /// How many tasks are alive.
    pub fn live_tasks(&self) -> usize {
        kernel::with(|state| state.live_tasks())
    }

    /// A count of the dose, by the name that scenario files use: `net.partitioned`.
    pub fn effect(&self, name: &str) -> u64 {
        let mut dose = crate::base::Dose::new();
        kernel::with(|state| state.effects.add_to(&mut dose));
        dose.get(name).copied().unwrap_or(0)
    }

    /// Drops all that is left, nodes in order. What destructors do then has no effect.
    pub(crate) fn end(&self) {
        let nodes = kernel::with(|state| state.nodes.len() as u16);
        for node in (0..nodes).map(NodeId) {
            kernel::with(|state| state.kill(node));
        }
        kernel::bury();
        world::forget_listeners();
        // Node mains are user closures: they go with the kernel released.
        let mains: Vec<_> = kernel::with(|state| state.nodes.iter_mut().map(|node| node.main.take()).collect());
        drop(mains);
    }
}

/// A fault in force.
#[derive(Debug)]
pub struct Injected {
    id: u32,
    fault: Fault<Vec<NodeId>>,
}

impl Drop for Injected {
    fn drop(&mut self) {
        fault::undo(self.id, &self.fault, &NoSystem);
        kernel::bury();
    }
}

/// A simulation without a system: nodes have one code each, and nobody offers actions.
struct NoSystem;

impl Stage for NoSystem {
    fn main_of(&self, _: NodeId) -> Option<RoleMain> {
        None
    }

    fn is_held_down(&self, _: NodeId) -> bool {
        false
    }

    fn reconfigure(&self, _: NodeId, _: u32, _: Option<&toml::Table>) {}

    fn action(&self, _: &str, _: &toml::Table, _: Option<&[NodeId]>) -> Option<(NodeId, kernel::BoxFuture)> {
        None
    }
}

/// How a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its process does: what it wrote is in the machine's page cache, and stays.
    Process,
    /// The machine loses power: what was not synced is gone.
    Power,
    /// The machine is lost with its disk.
    Disk,
}

/// Sets the code of a node. `None` leaves it as it is.
pub(crate) fn set_main(node: NodeId, main: Option<RoleMain>) {
    if let Some(main) = main {
        let old = kernel::with(|state| state.node(node).main.replace(main));
        drop(old);
    }
}

/// Crashes those of `nodes` that are up, all at once; listeners hear of it when all are down. Their futures are dropped
/// now, unless one of them is the node whose poll is under way: then when that returns.
pub(crate) fn crash(nodes: &[NodeId], death: Death) {
    let (died, own) = kernel::with(|state| {
        let mut died = Vec::new();
        let mut own = false;
        for &node in nodes {
            let incarnation = state.node(node).incarnation;
            if state.node(node).up {
                state.effects.ops_in_flight_at_crash += history::peek(history::History::in_flight);
                state.record(node, Kind::Node, |_| match death {
                    Death::Process => "killed".into(),
                    Death::Power => "crash".into(),
                    Death::Disk => "crash, disk lost".into(),
                });
                own |= state.current.node == node;
                state.kill(node);
                if death != Death::Process {
                    state.crash_disk(node);
                }
                died.push((node, incarnation));
            } else if death == Death::Disk {
                // It dies no more, but whoever counts copies has to know.
                state.record(node, Kind::Node, |_| "disk lost".into());
                died.push((node, incarnation));
            }
            if death == Death::Disk {
                state.wipe_disk(node);
            }
        }
        (died, own)
    });
    if !own {
        kernel::bury();
    }
    for (node, incarnation) in died {
        let (killed, wiped) = (death == Death::Process, death == Death::Disk);
        event::announce(node, Crashed { incarnation, killed, wiped });
    }
}

/// Boots those of `nodes` that are down.
pub(crate) fn boot_all(nodes: &[NodeId]) {
    nodes.iter().for_each(|&node| boot(node));
}

/// Boots a node that is down and has code.
#[track_caller]
pub(crate) fn boot(node: NodeId) {
    let place = Location::caller();
    let incarnation = kernel::with(|state| {
        let down = !state.node(node).up;
        let main = state.node(node).main.clone().filter(|_| down)?;
        // The closure is called inside the first poll: it is the node's code, and runs as the node.
        state.boot(node, Box::pin(async move { main().await }), place);
        Some(state.node(node).incarnation)
    });
    if let Some(incarnation) = incarnation {
        event::announce(node, Booted { incarnation });
    }
}

/// Starts a task on a node that is up: a workload.
#[track_caller]
pub(crate) fn spawn_on(node: NodeId, future: kernel::BoxFuture) {
    let place = Location::caller();
    kernel::with(|state: &mut State| state.spawn_on(node, future, place));
}
