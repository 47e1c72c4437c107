//! Two replicated counters in one cluster, and a node that is a member of both: Raft's invariants hold for each group alone, and a
//! violation names its group.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::{
    Client, Cluster, GroupId, Manifest, NodeId, Outcome, Report, RunOptions, Scenario, System, group, node, planted,
    rand, run, task, time,
};
use systems::raft::membership::Membership;
use systems::raft::{self, Config, Id, driver};
use systems::rsm::{self, At, Limits, Options, Patience, Reads, StateMachine, service};

/// Counts. A known bug of one replica of the group `two`: it adds one too many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counter(u64);

impl StateMachine for Counter {
    type Command = u64;
    type Reply = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &At, by: u64) -> u64 {
        let drifts = node::this().name() == "two-1" && planted!("counters.one-too-many");
        self.0 += by + u64::from(drifts);
        self.0
    }

    fn query(&self, (): &()) -> u64 {
        self.0
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

/// The groups, and the port of the Raft servers of each; clients have the next one.
const GROUPS: [(&str, u16); 2] = [("one", 1), ("two", 3)];

/// The members of a group: its two nodes, and the one that is a member of both.
fn members(group: GroupId) -> Vec<NodeId> {
    let both = group::lookup("both").expect("it is built").nodes();
    group.nodes().into_iter().chain(both).collect()
}

async fn replica(name: &str, port: u16) {
    let group = group::lookup(name).expect("it is built");
    let raft = driver::Options {
        id: Id(node::this().index() as u64),
        group,
        config: Config::default(),
        dir: name.to_owned(),
        port,
        empty_disk: driver::EmptyDisk::New,
        members: Membership::of(members(group).into_iter().map(|node| Id(node.index() as u64))),
    };
    let (reads, limits) = (Reads::Index, Limits::default());
    let options = Options { raft, reads, snapshot_bytes: 1_000, expansion_percent: 100, limits };
    service::run(options, Counter::default(), port + 1, |_| {}).await;
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Add(&'static str);

impl Op for Add {
    type Ret = u64;
    const KINDS: &'static [&'static str] = &["add"];
    fn kind(&self) -> &'static str {
        "add"
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Params {}

struct Counters;

impl System for Counters {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("counters", "Two replicated counters.").client_role("client").ops::<Add>().workload("add", add);
        m.role("counter", |_: Rc<Params>| async {
            let name = group::home().name();
            let (_, port) = GROUPS.into_iter().find(|(of, _)| *of == name).expect("it is one of the two");
            replica(&name, port).await;
        });
        m.role("both", |_: Rc<Params>| async {
            task::spawn(async { replica("one", 1).await });
            replica("two", 3).await;
        });
        raft::declare(m);
        m.per_group().consistency::<rsm::ExecutedByAll>();
        m.planted("counters.one-too-many").breaks(["same-state"]);
    }

    fn build(&self, _: &Params, cluster: &mut Cluster) {
        cluster.group("one", "counter", 2).group("two", "counter", 2).nodes("both", 1).nodes("client", 3);
    }
}

async fn add(cx: Client<Params>, _: Params) {
    let mut clients = GROUPS.map(|(name, port)| {
        let group = group::lookup(name).expect("it is built");
        let servers = members(group).into_iter().map(|node| node.port(port + 1)).collect();
        rsm::Client::<Counter>::new(group, servers, Patience::default())
    });
    while cx.running() {
        let which = rand::below(2) as usize;
        let deadline = time::now() + Duration::from_secs(2);
        let _ = cx.record(Add(GROUPS[which].0), clients[which].execute(1, deadline)).await;
        time::sleep(rand::duration(Duration::ZERO, Duration::from_millis(40))).await;
    }
}

const SCENARIO: &str = r#"
    [system]
    name = "counters"
    [run]
    main = "8s"
    max_down = { "*" = 1, both = 1 }
    [[workload]]
    name = "add"
    [[fault]]
    name = "leaders"
    every = { draw = ["300ms", "2s"] }
    for = { draw = ["10ms", "1s"] }
    do = { crash = "random(leader & !both)" }
    [[fault]]
    name = "both"
    when = { event = "raft.became_leader", group = "two", nth = 2 }
    for = "700ms"
    do = { crash = "both" }
"#;

fn counters(seed: u64, planted: &[&str]) -> Report {
    let scenario = Scenario::parse("counters.toml", SCENARIO).unwrap_or_else(|error| panic!("{error}"));
    let planted = planted.iter().map(|&name| name.to_owned()).collect();
    let options = RunOptions { planted, ..RunOptions::default() };
    run(&Counters, &scenario, seed, options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn two_groups_that_share_a_node_keep_every_invariant_of_raft() {
    let reports: Vec<Report> = (0..20).map(|seed| counters(seed, &[])).collect();
    for report in &reports {
        assert_eq!(report.verdict, Outcome::Pass, "seed {}: {:?}", report.seed, report.failure);
        // Both groups elect leaders, in terms of their own.
        assert!(report.dose["raft.became_leader"] >= 2, "{:?}", report.dose);
        assert!(
            report.metrics.consistency.as_ref().is_some_and(|of| of.latency_ns.count() > 50),
            "{:?}",
            report.metrics
        );
    }
    let crashes: u64 = reports.iter().filter_map(|report| report.dose.get("crash")).sum();
    assert!(crashes > 40, "{crashes} crashes");
}

#[test]
fn a_bug_in_one_group_is_found_there() {
    let report = counters(1, &["counters.one-too-many"]);
    let failure = report.failure.expect("it is found");
    assert_eq!(failure.signature, "same-state");
    assert!(failure.explanation.contains(", of two: "), "{}", failure.explanation);
}
