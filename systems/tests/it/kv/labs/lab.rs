//! What an experiment can do: run servers and clients, crash servers, cut them off from each other, and look at them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use sim::check::linearizable::{Operation, Outcome, Verdict, check};
use sim::models::{self, StoreOp, StoreRet};
use sim::net::LinkConfig;
use sim::seed::{Seed, Sequence};
use sim::{Injected, Job, Latency, NodeId, Sim, Time, simulate};
use systems::kv::client::Clerk;
use systems::kv::store::Store;
use systems::kv::{Params, server};
use systems::raft::checks::SameState;
use systems::raft::{Config, Term};
use systems::rsm::{Reads, Replica};

use super::handle::{ClientHandle, History};
use crate::transcript::Transcript;

/// How many seeds each behaviour is shown with, one for each way to read.
pub const SEEDS: std::ops::Range<u64> = 0..3;
/// The longest that an experiment may last.
const LONGEST: Duration = Duration::from_secs(120);
/// How much the judge of a history may think.
const STEPS: u64 = 20_000_000;
/// How often sizes are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// The lab's unit of time: a new leader is expected within five of them.
pub const ELECTION: Duration = Duration::from_secs(1);

/// The result of a step of an experiment, or what is wrong with it.
pub type Result<T = (), E = String> = std::result::Result<T, E>;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Why a step is wrong, unless it is right.
pub fn ensure(right: bool, otherwise: impl FnOnce() -> String) -> Result {
    if right { Ok(()) } else { Err(otherwise()) }
}

/// What an experiment needs.
#[derive(Clone, Debug)]
pub struct LabConfig {
    pub params: Params,
    pub network: LinkConfig,
}

/// So many servers on a good network, which make no snapshots. Heartbeats are ten a second, the most that the lab allows.
pub fn servers(servers: usize) -> LabConfig {
    let raft = Config { heartbeat_ticks: 5, election_ticks: 15, ..Config::default() };
    let params = Params { servers, raft, snapshot_bytes: 0, ..Params::default() };
    LabConfig { params, network: LinkConfig::default() }
}

impl LabConfig {
    /// With a snapshot whenever the log has more bytes.
    pub fn limit(mut self, bytes: usize) -> LabConfig {
        self.params.snapshot_bytes = bytes;
        self
    }

    /// One request in ten is lost, and one answer; messages are late by up to 27 ms, and so overtake each other. Some come
    /// twice, as datagrams do. That goes for clients and servers alike.
    pub fn unreliable(mut self) -> LabConfig {
        let latency = Latency::Uniform(Time::new(ms(0)), Time::new(ms(27)));
        self.network = LinkConfig { latency, loss: 0.1, duplicate: 0.05, ..self.network };
        // A round trip of a client's and one of a server's take 108 ms at most; what takes longer is lost.
        self.params.attempt_ms = 110;
        self
    }
}

type Replicas = Rc<RefCell<Vec<Option<Replica<Store>>>>>;

/// A host's handle on servers and clients.
pub struct Lab<'a> {
    pub sim: &'a Sim,
    pub params: Rc<Params>,
    pub servers: Vec<NodeId>,
    pub history: History,
    /// Where the experiment writes down what it does.
    pub transcript: RefCell<Option<Transcript>>,
    /// The replicas as of their last start.
    replicas: Replicas,
    clients: Cell<u32>,
    cut: RefCell<Option<Injected>>,
    /// The most bytes that a log has had, and the most that a snapshot has had.
    largest: Cell<(usize, usize)>,
    draws: RefCell<Sequence>,
}

impl<'a> Lab<'a> {
    pub fn new(sim: &'a Sim, params: Params, seed: u64) -> Lab<'a> {
        let params = Rc::new(params);
        let replicas: Replicas = Rc::new(RefCell::new(vec![None; params.servers + params.spares]));
        let boot = |at: usize| {
            let (replicas, params) = (replicas.clone(), params.clone());
            sim.node_in_role("server", &format!("server-{at}"), move || {
                let (replicas, params) = (replicas.clone(), params.clone());
                server::serve(params, move |replica| replicas.borrow_mut()[at] = Some(replica.clone()))
            })
        };
        let servers = (0..params.servers + params.spares).map(boot).collect();
        Lab {
            sim,
            params,
            servers,
            history: History::default(),
            transcript: RefCell::default(),
            replicas,
            clients: Cell::new(0),
            cut: RefCell::default(),
            largest: Cell::default(),
            draws: RefCell::new(Sequence::of(Seed(seed))),
        }
    }

    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.sim.now_ns())
    }

    /// A number below `n`: what the experiment does at random.
    pub fn below(&self, n: u64) -> u64 {
        self.draws.borrow_mut().draw().below(n)
    }

    /// Says what the experiment does, where that is told.
    pub fn say(&self, what: &str) {
        if let Some(transcript) = &*self.transcript.borrow() {
            transcript.note(self.sim.now_ns(), what);
        }
    }

    // ---- clients ----------------------------------------------------------------------------------------------

    /// Starts a client on a machine of its own.
    pub fn client<T: 'static>(&self, script: impl AsyncFnOnce(&mut ClientHandle) -> T + 'static) -> Job<T> {
        self.client_with(Params::clone(&self.params), script)
    }

    /// As [`Lab::client`], one that has other parameters than the servers.
    pub fn client_with<T: 'static>(
        &self,
        with: Params,
        script: impl AsyncFnOnce(&mut ClientHandle) -> T + 'static,
    ) -> Job<T> {
        let number = self.clients.replace(self.clients.get() + 1);
        let (history, transcript) = (self.history.clone(), self.transcript.borrow().clone());
        self.sim.client(&format!("client-{number}"), async move {
            script(&mut ClientHandle::new(Clerk::new(&with), number, history, transcript)).await
        })
    }

    /// Waits for a client's script and returns its value.
    pub fn wait<T>(&self, job: Job<T>) -> Result<T> {
        self.until(LONGEST, || job.is_done()).map_err(|error| format!("a client: {error}"))?;
        self.sim.wait(job, Duration::ZERO).map_err(|error| error.to_string())
    }

    /// Waits for what a new client does.
    pub fn run<T: 'static>(&self, script: impl AsyncFnOnce(&mut ClientHandle) -> Result<T> + 'static) -> Result<T> {
        self.wait(self.client(script))?
    }

    // ---- time -------------------------------------------------------------------------------------------------

    pub fn sleep(&self, duration: Duration) -> Result {
        let until = self.now() + duration;
        self.until(2 * duration, || self.now() >= until)
    }

    /// Lets time pass until a condition holds, for at most `most`. Looks at the sizes of logs and snapshots meanwhile.
    pub fn until(&self, most: Duration, mut holds: impl FnMut() -> bool) -> Result {
        let until = self.now() + most;
        while !holds() {
            let now = self.now();
            ensure(now < until, || format!("not done within {most:?}"))?;
            self.sim.run_for(LOOK.min(until - now));
            ensure(self.now() > now, || "the run has failed".to_owned())?;
            for (log, snapshot) in self.sizes() {
                let (largest_log, largest_snapshot) = self.largest.get();
                self.largest.set((largest_log.max(log), largest_snapshot.max(snapshot)));
            }
        }
        Ok(())
    }

    // ---- looking ----------------------------------------------------------------------------------------------

    /// The servers that are up, each with its replica.
    pub fn up(&self) -> Vec<(usize, Replica<Store>)> {
        let replicas = self.replicas.borrow();
        let is_up = |at: &usize| self.sim.is_up(self.servers[*at]);
        (0..replicas.len()).filter(is_up).filter_map(|at| Some((at, replicas[at].clone()?))).collect()
    }

    /// The replica of one server.
    pub fn replica(&self, server: usize) -> Result<Replica<Store>> {
        self.replicas.borrow()[server].clone().ok_or_else(|| format!("server {server} has not started"))
    }

    /// The bytes of each log, and of each snapshot.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        self.up().iter().map(|(_, replica)| replica.raft().size()).collect()
    }

    /// The most bytes that a log has had, and the most that a snapshot has had.
    pub fn largest(&self) -> (usize, usize) {
        self.largest.get()
    }

    /// The latest term.
    pub fn term(&self) -> Term {
        self.up().iter().map(|(_, replica)| replica.raft().status().0).max().unwrap_or(0)
    }

    /// Who leads: the latest, if there are some of different terms.
    pub fn latest_leader(&self) -> Option<usize> {
        let up = self.up().into_iter().map(|(at, replica)| (replica.raft().status(), at));
        up.filter(|((_, leads), _)| *leads).max().map(|(_, at)| at)
    }

    /// Waits until somebody leads.
    pub fn leader(&self) -> Result<usize> {
        self.until(5 * ELECTION, || self.latest_leader().is_some()).map_err(|error| format!("a leader: {error}"))?;
        self.latest_leader().ok_or_else(|| "nobody leads".to_owned())
    }

    // ---- what is done to servers ------------------------------------------------------------------------------

    /// Cuts machines into sides, in place of the partition before. Machines on no side reach all.
    pub fn partition(&self, sides: Vec<Vec<NodeId>>) {
        self.heal();
        *self.cut.borrow_mut() = Some(self.sim.partition(sides));
    }

    /// Each server goes to one of two sides, at random. Clients reach both. Whether the leader is in a minority.
    pub fn partition_at_random(&self) -> bool {
        let leader = self.latest_leader();
        let sides: Vec<bool> = self.servers.iter().map(|_| self.below(2) == 0).collect();
        let of =
            |side: bool| self.servers.iter().zip(&sides).filter(move |(_, of)| **of == side).map(|(node, _)| *node);
        self.partition(vec![of(true).collect(), of(false).collect()]);
        leader.is_some_and(|leader| 2 * of(sides[leader]).count() < self.servers.len())
    }

    pub fn heal(&self) {
        drop(self.cut.take());
    }

    pub fn crash(&self, server: usize) {
        self.sim.crash(self.servers[server]);
        self.replicas.borrow_mut()[server] = None;
    }

    /// The server starts with what is on its disk.
    pub fn boot(&self, server: usize) {
        self.sim.boot(self.servers[server]);
    }

    pub fn crash_all(&self) {
        (0..self.servers.len()).for_each(|server| self.crash(server));
    }

    pub fn boot_all(&self) {
        (0..self.servers.len()).for_each(|server| self.boot(server));
    }
}

/// Whether everything that clients saw could have been seen of one store.
fn judge(history: &[Operation<StoreOp, StoreRet>]) -> Result {
    ensure(history.iter().any(|op| matches!(op.outcome, Outcome::Ok { .. })), || "nothing was done".to_owned())?;
    match check::<models::Store>(history, STEPS) {
        Verdict::Linearizable { .. } => Ok(()),
        Verdict::Violation(violation) => Err(format!("not linearizable: {}", violation.explanation)),
        Verdict::Exhausted { part, steps } => Err(format!("no verdict on {part} after {steps} steps")),
    }
}

/// One run of an experiment: what it came to, if clients and replicas saw nothing wrong.
fn run<R: Send>(
    seed: u64,
    bug: Option<&str>,
    config: &LabConfig,
    experiment: &(impl Fn(&Lab) -> Result<R> + Sync),
) -> Result<R> {
    let reads = [Reads::Index, Reads::Log, Reads::Lease][seed as usize % 3];
    let run = simulate(seed, |sim| {
        sim.plant(&bug.map(str::to_owned).into_iter().collect::<Vec<_>>());
        sim.network(config.network);
        sim.watch::<SameState>();
        let lab = Lab::new(sim, Params { reads, ..config.params.clone() }, seed);
        let value = experiment(&lab);
        (value, lab.history.take())
    })
    .unwrap_or_else(|error| panic!("{error}"));
    if let Some(failure) = run.failures.first() {
        return Err(format!("{failure:?}"));
    }
    let lasted = Duration::from_nanos(run.virtual_ns);
    let (value, history) = run.value;
    let value = value?;
    ensure(lasted <= LONGEST, || format!("it lasted {lasted:?}"))?;
    judge(&history)?;
    Ok(value)
}

/// Asserts that an experiment ends as it should, with every seed. What it came to.
pub fn assert_holds<R: Send>(config: &LabConfig, experiment: impl Fn(&Lab) -> Result<R> + Sync) -> Vec<R> {
    SEEDS
        .map(|seed| run(seed, None, config, &experiment).unwrap_or_else(|error| panic!("seed {seed}: {error}")))
        .collect()
}

/// Asserts that an experiment detects a planted bug: with some seed it does not end as it should.
pub fn assert_detects<R: Send>(bug: &str, config: &LabConfig, experiment: impl Fn(&Lab) -> Result<R> + Sync) {
    for seed in SEEDS {
        if let Err(error) = run(seed, Some(bug), config, &experiment) {
            return println!("{bug}: seed {seed}: {error}");
        }
    }
    panic!("{bug} went unnoticed");
}
