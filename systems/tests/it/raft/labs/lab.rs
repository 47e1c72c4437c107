//! What an experiment can do: have the tester ask the servers, crash them, and cut them off.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::DiskConfig;
use sim::net::{LinkConfig, LinkPatch};
use sim::seed::{Seed, Sequence};
use sim::{Injected, Job, Latency, NodeId, Sim, Simulated, Time, simulate};
use systems::raft::{Config, Index, Term};

use super::record::Record;
use super::server::{self, Setup, Status};
use super::tester::{Result, Servers, ensure, ms};
use crate::transcript::Transcript;

/// How many seeds each behaviour is shown with, by each kind of server.
pub const SEEDS: std::ops::Range<u64> = 0..4;
/// The longest that an experiment may last.
const LONGEST: Duration = Duration::from_secs(120);

/// Heartbeats are ten a second, the most that the lab allows.
const HEARTBEAT_TICKS: u64 = 5;

/// What servers can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is in Figure 2: a new leader appends nothing of its own, so the first command is entry 1.
    Paper,
    /// All that the thesis adds: pre-votes, leaders that step down without a quorum, servers that stick to their leader, and
    /// an empty entry at the beginning of each term.
    Thesis,
}

impl Kind {
    fn config(self, heartbeat_ticks: u64) -> Config {
        let all = self == Kind::Thesis;
        Config {
            tick_ms: 20,
            segment: 64 << 10,
            election_ticks: 15,
            heartbeat_ticks,
            pre_vote: all,
            check_quorum: all,
            stickiness: all,
            noop: all,
            // A snapshot goes in several parts.
            snapshot_chunk: 512,
            ..Config::default()
        }
    }
}

/// What an experiment needs.
#[derive(Clone, Copy, Debug)]
pub struct LabConfig {
    pub servers: usize,
    /// How many of them vote at the beginning: all, but where the membership changes.
    pub voters: usize,
    pub snapshots: bool,
    pub heartbeat_ticks: u64,
    pub network: LinkConfig,
    pub disks: DiskConfig,
}

/// So many servers on a good network.
pub fn servers(servers: usize) -> LabConfig {
    LabConfig {
        servers,
        voters: servers,
        snapshots: false,
        heartbeat_ticks: HEARTBEAT_TICKS,
        network: LinkConfig::default(),
        disks: DiskConfig::default(),
    }
}

/// A host's handle on servers and tester.
pub struct Lab<'a> {
    pub sim: &'a Sim,
    pub kind: Kind,
    pub servers: Rc<Servers>,
    /// Where the experiment writes down what it does.
    pub transcript: RefCell<Option<Transcript>>,
    /// The node on which the tester's code runs.
    tester: NodeId,
    cut: RefCell<Option<Injected>>,
    unreliable: RefCell<Vec<Injected>>,
    draws: RefCell<Sequence>,
}

impl<'a> Lab<'a> {
    pub fn new(sim: &'a Sim, kind: Kind, config: &LabConfig, seed: u64) -> Lab<'a> {
        let n = config.servers;
        let record = Rc::new(RefCell::new(Record::new(n)));
        let raft = kind.config(config.heartbeat_ticks);
        let only_commands = !raft.noop && config.voters == n;
        let setup = Rc::new(Setup { config: raft, voters: config.voters, snapshots: config.snapshots });
        let boot = |server: usize| {
            let (setup, record) = (setup.clone(), record.clone());
            sim.node(&format!("server-{server}"), move || server::boot(setup.clone(), record.clone()))
        };
        let nodes = (0..n).map(boot).collect();
        let tester = sim.node("tester", || async {});
        let servers = Rc::new(Servers {
            nodes,
            up: RefCell::new(vec![true; n]),
            connected: RefCell::new(vec![true; n]),
            record,
            commands: Cell::new(0),
            only_commands,
        });
        let (cut, unreliable) = (RefCell::default(), RefCell::default());
        Lab {
            sim,
            kind,
            servers,
            transcript: RefCell::default(),
            tester,
            cut,
            unreliable,
            draws: RefCell::new(Sequence::of(Seed(seed))),
        }
    }

    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.sim.now_ns())
    }

    /// Says what the experiment does, where that is told.
    pub fn say(&self, what: &str) {
        if let Some(transcript) = &*self.transcript.borrow() {
            transcript.note(self.sim.now_ns(), what);
        }
    }

    pub fn sleep(&self, duration: Duration) {
        self.sim.run_for(duration);
    }

    /// A number below `n`: what the experiment does at random.
    pub fn below(&self, n: u64) -> u64 {
        self.draws.borrow_mut().draw().below(n)
    }

    pub fn any(&self) -> usize {
        self.below(self.servers.len() as u64) as usize
    }

    /// Has the tester begin something.
    pub fn begin<T: 'static>(&self, job: impl AsyncFnOnce(Rc<Servers>) -> T + 'static) -> Job<T> {
        let servers = self.servers.clone();
        self.sim.spawn(self.tester, async move { job(servers).await })
    }

    /// Waits for what the tester has begun.
    pub fn end<T>(&self, job: Job<T>) -> Result<T> {
        self.sim.wait(job, LONGEST).map_err(|error| error.to_string())
    }

    fn run<T: 'static>(&self, job: impl AsyncFnOnce(Rc<Servers>) -> T + 'static) -> Result<T> {
        self.end(self.begin(job))
    }

    // ---- what the tester asks ---------------------------------------------------------------------------------

    pub fn leader(&self) -> Result<usize> {
        self.run(async |servers| servers.leader().await)?
    }

    pub fn term(&self) -> Result<Term> {
        self.run(async |servers| servers.term().await)?
    }

    pub fn status(&self, server: usize) -> Result<Status> {
        self.answer(server)?.ok_or_else(|| format!("server {server} does not answer"))
    }

    /// How a server is that may still be starting.
    pub fn answer(&self, server: usize) -> Result<Option<Status>> {
        self.run(async move |servers| servers.status(server).await)
    }

    /// No connected server takes itself for the leader.
    pub fn no_leader(&self) -> Result {
        for server in self.servers.connected() {
            ensure(!self.status(server)?.leads, || format!("server {server} leads without a quorum"))?;
        }
        Ok(())
    }

    /// Gives a command to one server. Its index, if it says that it leads.
    pub fn start(&self, server: usize, command: Vec<u8>) -> Result<Option<Index>> {
        Ok(self.run(async move |servers| servers.start(server, command).await)?.map(|(index, _)| index))
    }

    /// Gives a new command to a server that must say that it leads.
    pub fn start_at(&self, leader: usize) -> Result<(Index, Vec<u8>)> {
        let command = self.servers.fresh();
        let index = self.start(leader, command.clone())?;
        Ok((index.ok_or_else(|| format!("server {leader} does not lead any more"))?, command))
    }

    /// Gives a new command to everybody. The command, and the last of those that took it and are connected.
    pub fn start_everywhere(&self) -> Result<(Vec<u8>, Option<usize>)> {
        let command = self.servers.fresh();
        let given = command.clone();
        let took = self.run(async move |servers| servers.start_everywhere(given).await)?;
        let leader = took.iter().map(|(server, _)| *server).rfind(|&server| self.servers.is_connected(server));
        Ok((command, leader))
    }

    /// A new command, on which so many are to agree.
    pub fn agree(&self, by: usize) -> Result<Index> {
        self.run(async move |servers| servers.agree(by).await)?
    }

    /// As [`Lab::agree`], at the first attempt.
    pub fn agree_at_once(&self, by: usize) -> Result<Index> {
        self.run(async move |servers| servers.one(&servers.fresh(), by, false).await)?
    }

    /// Changes the membership. The index of the entry, if that is begun.
    pub fn change_members(&self, leader: usize, voters: &[u64], learners: &[u64]) -> Result<Index> {
        let (voters, learners) = (voters.to_vec(), learners.to_vec());
        let index = self.run(async move |servers| servers.change_members(leader, voters, learners).await)?;
        index.ok_or_else(|| format!("server {leader} does not change the membership"))
    }

    /// So many different commands were applied, in all.
    pub fn expect_commands(&self, expected: u64) -> Result {
        let commands = self.servers.record.borrow().different_commands();
        ensure(commands == expected, || format!("{commands} commands of {expected}"))
    }

    pub fn wait(&self, index: Index, by: usize, term: Option<Term>) -> Result<Option<Vec<u8>>> {
        self.run(async move |servers| servers.wait(index, by, term).await)?
    }

    /// The bytes and messages that those who run have sent in their present lives.
    pub fn traffic(&self) -> Result<(u64, u64)> {
        let mut sum = (0, 0);
        for server in self.servers.running() {
            let status = self.status(server)?;
            sum = (sum.0 + status.bytes, sum.1 + status.messages);
        }
        Ok(sum)
    }

    // ---- what is done to servers ------------------------------------------------------------------------------

    /// The server reaches no other, and the others do not reach it.
    pub fn cut(&self, server: usize) {
        self.connect_only(|of| of != server && self.servers.connected.borrow()[of]);
    }

    /// The server reaches again those that reach each other.
    pub fn join(&self, server: usize) {
        self.connect_only(|of| of == server || self.servers.connected.borrow()[of]);
    }

    /// Only these reach each other.
    pub fn only(&self, servers: &[usize]) {
        self.connect_only(|of| servers.contains(&of));
    }

    fn connect_only(&self, connected: impl Fn(usize) -> bool) {
        let connected: Vec<bool> = (0..self.servers.len()).map(connected).collect();
        let all = self.servers.nodes.iter().zip(&connected);
        let mut groups: Vec<_> = all.clone().filter(|(_, is)| !**is).map(|(&node, _)| vec![node]).collect();
        groups.push(all.filter(|(_, is)| **is).map(|(&node, _)| node).collect());
        groups.retain(|group| !group.is_empty());
        let sides: Vec<String> =
            groups.iter().map(|group| group.iter().map(|node| node.name()).collect::<Vec<_>>().join(", ")).collect();
        self.say(&format!("network: {}", sides.join(" | ")));
        *self.servers.connected.borrow_mut() = connected;
        drop(self.cut.take());
        if groups.len() > 1 {
            *self.cut.borrow_mut() = Some(self.sim.partition(groups));
        }
    }

    pub fn crash(&self, server: usize) {
        self.sim.crash(self.servers.nodes[server]);
        self.servers.up.borrow_mut()[server] = false;
        self.servers.record.borrow_mut().forget(server);
    }

    /// The server starts with what is on its disk.
    pub fn boot(&self, server: usize) {
        self.sim.boot(self.servers.nodes[server]);
        self.servers.up.borrow_mut()[server] = true;
    }

    /// Starts it if it is down, and joins it.
    pub fn revive(&self, server: usize) {
        if !self.servers.up.borrow()[server] {
            self.boot(server);
        }
        self.join(server);
    }

    pub fn crash_and_boot(&self, server: usize) {
        self.crash(server);
        self.boot(server);
    }

    /// Messages between servers are late by up to 26 ms and overtake each other, and one in ten is lost. (In the lab it is one
    /// request and one answer in ten, and answers are not late.) Some come twice, as datagrams do.
    pub fn unreliable(&self) {
        let latency = Latency::Uniform(Time::new(ms(0)), Time::new(ms(26)));
        self.set_links(LinkPatch {
            latency: Some(latency),
            loss: Some(0.1),
            duplicate: Some(0.05),
            ..LinkPatch::default()
        });
    }

    /// Two round trips in three take up to 2.2 s longer. (In the lab it is two answers in three; here either way may be slow,
    /// with a chance that makes two in three of both.)
    pub fn reorder_for_long(&self) {
        let reorder = Some(1.0 - (1.0_f64 / 3.0).sqrt());
        self.set_links(LinkPatch { reorder, reorder_by: Some(Time::new(ms(2_200))), ..LinkPatch::default() });
    }

    fn set_links(&self, set: LinkPatch) {
        let nodes = self.servers.nodes.clone();
        self.unreliable.borrow_mut().push(self.sim.inject(Fault::Link { from: nodes.clone(), to: nodes, set }));
    }

    /// Messages are neither late nor lost any more.
    pub fn reliable(&self) {
        self.unreliable.borrow_mut().clear();
    }
}

/// One run of an experiment, with its result, or what is wrong with the run.
fn run<R: Send>(
    kind: Kind,
    seed: u64,
    bug: Option<&str>,
    config: &LabConfig,
    experiment: &(impl Fn(&Lab) -> Result<R> + Sync),
) -> Simulated<Result<R>> {
    let mut run = simulate(seed, |sim| {
        sim.plant(&bug.map(str::to_owned).into_iter().collect::<Vec<_>>());
        sim.network(config.network);
        sim.disks(config.disks);
        experiment(&Lab::new(sim, kind, config, seed))
    })
    .unwrap_or_else(|error| panic!("{error}"));
    if let Some(failure) = run.failures.first() {
        run.value = Err(format!("{failure:?}"));
    }
    run
}

/// One run, with the first seed, by one kind of server, with a known bug or without.
pub fn run_kind<R: Send>(
    kind: Kind,
    bug: Option<&str>,
    config: &LabConfig,
    experiment: impl Fn(&Lab) -> Result<R> + Sync,
) -> Result<R> {
    run(kind, SEEDS.start, bug, config, &experiment).value
}

/// Asserts that an experiment ends as it should, by both kinds of servers, with every seed. What it came to.
pub fn assert_holds<R: Send>(config: &LabConfig, experiment: impl Fn(&Lab) -> Result<R> + Sync) -> Vec<R> {
    let mut values = Vec::new();
    for kind in [Kind::Paper, Kind::Thesis] {
        for seed in SEEDS {
            let run = run(kind, seed, None, config, &experiment);
            let lasted = Duration::from_nanos(run.virtual_ns);
            assert!(lasted <= LONGEST, "{kind:?}, seed {seed}: it lasted {lasted:?}");
            values.push(run.value.unwrap_or_else(|error| panic!("{kind:?}, seed {seed}: {error}")));
        }
    }
    values
}

/// Asserts that an experiment detects a planted bug: with some kind of server and some seed it does not end as it should.
pub fn assert_detects<R: Send>(bug: &str, config: &LabConfig, experiment: impl Fn(&Lab) -> Result<R> + Sync) {
    for kind in [Kind::Paper, Kind::Thesis] {
        for seed in SEEDS {
            if let Err(error) = run(kind, seed, Some(bug), config, &experiment).value {
                return println!("{bug}: {kind:?}, seed {seed}: {error}");
            }
        }
    }
    panic!("{bug} went unnoticed");
}
