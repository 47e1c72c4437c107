//! A small system to do things to: servers that answer, write and beat; clients that ask. For the tests of scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::{Check, Finished, Invariant, Verdict, Violation};
use sim::event::{Booted, Crashed, On};
use sim::history::Op;
use sim::system::{Protect, Selector};
use sim::time::SystemTime;
use sim::{
    Client, Cluster, Manifest, NodeId, Report, RunOptions, Scenario, System, buggify, fs, node, observe, planted, rand,
    rpc, task, time,
};

pub struct Toy;

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    pub servers: usize,
    pub clients: usize,
    /// How many servers hold something that must not be lost.
    pub holders: usize,
    /// A number that servers report.
    pub batch: u64,
    /// Where the run's notes go.
    pub notes: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params { servers: 3, clients: 2, holders: 0, batch: 1, notes: 0 }
    }
}

sim::event! {
    "toy.handling" => pub struct Handling { pub value: u64 }
    "toy.handled" => pub struct Handled { pub value: u64 }
    "toy.spawned" => pub struct Spawned { pub value: u64 }
    "toy.written" => pub struct Written { pub value: u64 }
    "toy.found" => pub struct Found { pub value: u64 }
    "toy.beat" => pub struct Beat { pub server: NodeId, pub round: u64 }
    "toy.gossip" => pub struct Gossip { pub round: u64 }
    "toy.holding" => pub struct Holding { pub batch: u64 }
    "toy.poked" => pub struct Poked { pub round: u64 }
}

#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Ask {
    Put { value: u64 },
    Ping,
    Gossip { round: u64 },
}

#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Answer {
    Put { value: u64 },
    Pong { wall: i64, batch: u64 },
}

impl Op for Ask {
    type Ret = Answer;
    const KINDS: &'static [&'static str] = &["put", "ping"];
    fn kind(&self) -> &'static str {
        if matches!(self, Ask::Put { .. }) { "put" } else { "ping" }
    }
}

impl rpc::Service for Toy {
    type Request = Ask;
    type Reply = Answer;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Poke {
    round: u64,
}

impl System for Toy {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("toy", "Servers that answer and beat.").role("server", server).client_role("client");
        m.event::<Handling>().event::<Handled>().event::<Spawned>().event::<Written>().event::<Beat>();
        m.event::<Found>().event::<Gossip>().event::<Holding>().event::<Poked>();
        m.ops::<Ask>().workload("load", load).workload("probe", probe);
        m.action("poke", async |_: Client<Params>, poke: Poke| {
            observe!(Poked { round: poke.round });
            let _ = rpc::send::<Toy>(node::of_role("server")[0].port(1), &Ask::Gossip { round: poke.round });
        });
        m.selector::<First>().protected::<Holders>();
        m.check::<Echo>().invariant::<RoundsRise>();
        m.planted("toy.wrong-echo").breaks(["echo"]);
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", params.servers).nodes("client", params.clients);
    }
}

static NOTES: Mutex<BTreeMap<u64, Vec<String>>> = Mutex::new(BTreeMap::new());

pub fn notes_of(run: u64) -> Vec<String> {
    NOTES.lock().unwrap().get(&run).cloned().unwrap_or_default()
}

/// Notes that it is dropped.
struct Guard(u64, &'static str);
impl Drop for Guard {
    fn drop(&mut self) {
        NOTES.lock().unwrap().entry(self.0).or_default().push(self.1.to_owned());
    }
}

async fn server(params: Rc<Params>) {
    let me = node::this();
    let servers = node::of_role("server");
    let next = servers[(me.index() + 1) % servers.len()].port(1);
    if me.index() < params.holders {
        observe!(Holding { batch: params.batch });
    }
    task::spawn(async move {
        let mut tick = time::interval(Duration::from_millis(100));
        for round in 1.. {
            tick.tick().await;
            if buggify!("toy.late-beat") {
                time::sleep(Duration::from_millis(3)).await;
            }
            observe!(Beat { server: me, round });
            let _ = rpc::send::<Toy>(next, &Ask::Gossip { round });
        }
    });
    let log = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open("log").await.unwrap();
    let _ = fs::sync_dir("").await;
    let mut calls = rpc::Server::<Toy>::bind(1).unwrap();
    loop {
        let call = calls.recv().await;
        match call.request {
            Ask::Gossip { round } => observe!(Gossip { round }),
            Ask::Ping => call.responder.send(&Answer::Pong { wall: SystemTime::now().as_nanos(), batch: params.batch }),
            Ask::Put { value } => {
                observe!(Handling { value });
                // All of this is one poll.
                let _guard = Guard(params.notes, "own future dropped");
                let wrong = value.is_multiple_of(5) && planted!("toy.wrong-echo");
                call.responder.send(&Answer::Put { value: value + u64::from(wrong) });
                let _ = rpc::send::<Toy>(next, &Ask::Gossip { round: 0 });
                observe!(Handled { value });
                task::spawn(async move { observe!(Spawned { value }) });
                // Whatever the disk does, it goes on.
                let written = log.append(&value.to_le_bytes()).await;
                observe!(Written { value });
                if value.is_multiple_of(4) {
                    let _ = log.sync_all().await;
                }
                if let Ok(at) = written {
                    let mut found = [0; 8];
                    let read = log.read_exact_at(&mut found, at.saturating_sub(600)).await;
                    let value = read.map_or(u64::MAX, |()| u64::from_le_bytes(found));
                    observe!(Found { value });
                }
            }
        }
    }
}

async fn load(cx: Client<Params>, _: toml::Table) {
    let servers = node::of_role("server");
    let mut value = cx.index as u64 * 1_000_000;
    while cx.running() {
        value += 1;
        let server = servers[rand::below(servers.len() as u64) as usize];
        let ask = Ask::Put { value };
        let call = cx.invoke(ask.clone());
        match rpc::call::<Toy>(server.port(1), &ask, Duration::from_millis(30)).await {
            Ok(answer) => call.ok(answer),
            Err(_) => call.unknown(),
        }
        time::sleep(Duration::from_millis(rand::between(10, 30))).await;
    }
}

/// Every server answers, with its own parameters, and its wall clock is right.
async fn probe(cx: Client<Params>, _: toml::Table) {
    for server in node::of_role("server") {
        let call = cx.invoke(Ask::Ping);
        let options = rpc::CallOptions::timeout(Duration::from_secs(5)).retry(Duration::from_millis(50));
        let answer = rpc::call::<Toy>(server.port(1), &Ask::Ping, options).await.unwrap();
        let Answer::Pong { wall, batch } = answer else { panic!("{answer:?}") };
        assert_eq!(batch, cx.params.batch, "{}", server.name());
        assert!((SystemTime::now().as_nanos() - wall).abs() < 1_000_000, "the clock of {}", server.name());
        call.ok(answer);
    }
}

/// The lowest server that is up.
#[derive(Default)]
struct First(BTreeSet<NodeId>);

impl Selector for First {
    const NAME: &'static str = "first";
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Booted>(|up, moment, _| {
            up.0.insert(moment.node);
        });
        on.fold::<Crashed>(|up, moment, _| {
            up.0.remove(&moment.node);
        });
    }
    fn nodes(&self) -> Vec<NodeId> {
        node::of_role("server").into_iter().find(|server| self.0.contains(server)).into_iter().collect()
    }
}

#[derive(Default)]
struct Holders(BTreeSet<NodeId>);

impl Protect for Holders {
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Holding>(|holders, moment, _| {
            holders.0.insert(moment.node);
        });
        on.fold::<Crashed>(|holders, moment, _| {
            holders.0.remove(&moment.node);
        });
    }
    fn memories(&self) -> Vec<Vec<NodeId>> {
        vec![self.0.iter().copied().collect()]
    }
}

/// A put is answered with its value.
struct Echo;

impl Check for Echo {
    const NAME: &'static str = "echo";
    fn check(run: &Finished) -> Result<Verdict, String> {
        use sim::check::linearizable::Outcome;
        for operation in run.history.of::<Ask>() {
            if let (Ask::Put { value }, Outcome::Ok { at, ret: Answer::Put { value: found } }) =
                (operation.op, operation.outcome)
                && value != found
            {
                let explanation = format!("put {value}, answered {found}");
                return Ok(Verdict::Fail(Violation::new(explanation).at(at)));
            }
        }
        Ok(Verdict::Pass)
    }
}

/// The rounds of one life of a server come one after another.
#[derive(Default)]
struct RoundsRise(BTreeMap<(NodeId, u32), u64>);

impl Invariant for RoundsRise {
    const NAME: &'static str = "rounds-rise";
    fn subscribe(on: &mut On<Self>) {
        on.event::<Beat>(|rounds, moment, beat| {
            let last = rounds.0.insert((moment.node, moment.incarnation), beat.round).unwrap_or(0);
            if beat.round == last + 1 { Ok(()) } else { Err(Violation::new(format!("{last}, then {}", beat.round))) }
        });
    }
}

// ---- running it --------------------------------------------------------------------------------------------------

/// A scenario of three seconds with these lines of `[run]` and these rules.
pub fn scenario(system: &str, run: &str, rules: &str) -> Scenario {
    let text = format!(
        "[system]\nname = \"toy\"\n{system}\n[run]\nmain = \"3s\"\nquiet = \"5s\"\n{run}\n\
         [[workload]]\nname = \"load\"\n[[workload]]\nname = \"probe\"\nphase = \"final\"\non = \"client-0\"\n{rules}\n"
    );
    Scenario::parse("toy.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

pub fn run(scenario: &Scenario, seed: u64, options: RunOptions) -> Report {
    sim::run(&Toy, scenario, seed, options).unwrap_or_else(|error| panic!("{error}"))
}

/// The report of a run that passed, under rules.
pub fn passed(rules: &str, seed: u64) -> Report {
    let report = run(&scenario("", "", rules), seed, RunOptions::default());
    assert_eq!(report.failure, None);
    report
}
