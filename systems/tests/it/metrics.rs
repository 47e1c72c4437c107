//! What the systems declare to be visible is measured, and it takes longer when it should.

use std::rc::Rc;
use std::time::Duration;

use crate::counter::Counter;
use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::metric::{Histogram, Metrics, Visibility};
use sim::{Client, Cluster, DynSystem, Manifest, Outcome, RunOptions, Scenario, System, group, node, run, time};
use systems::journal::Journal;
use systems::primary_backup::PrimaryBackup;
use systems::raft::membership::Membership;
use systems::raft::{Config, Id, RaftLog, driver};
use systems::rsm::{self, Limits, Options, Patience, Reads, service};

/// A run of a system with these rules. What it is like before them stays the same.
fn measured(system: &dyn DynSystem, rules: &str, seed: u64) -> Visibility {
    metrics(system, rules, seed).consistency.expect("it is declared")
}

fn metrics(system: &dyn DynSystem, rules: &str, seed: u64) -> Metrics {
    let name = system.description().name;
    let text = format!("[system]\nname = \"{name}\"\n[run]\nmain = \"5s\"\n{rules}\n");
    let scenario = Scenario::parse("metrics.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let report = run(system, &scenario, seed, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.verdict, Outcome::Pass, "{:?}", report.failure);
    assert!(!report.metrics.balance.as_ref().expect("there was work").work.is_empty());
    report.metrics
}

/// From the beginning to the heal.
fn fault(what: &str) -> String {
    format!("[[fault]]\nat = \"0s\"\ndo = {{ {what} }}")
}

fn slow(from: &str, to: &str) -> String {
    fault(&format!("link = {{ from = \"{from}\", to = \"{to}\", set = {{ latency = {{ constant = \"60ms\" }} }} }}"))
}

fn p50_ms(latency: &Histogram) -> u64 {
    latency.percentile(50).expect("something was visible") / 1_000_000
}

const SEED: u64 = 3;

#[test]
fn raft_entries_are_visible_when_the_slowest_member_has_applied_them() {
    let of = |rules: &str| measured(&RaftLog, rules, SEED);
    let calm = of("");
    assert!(calm.latency_ns.count() > 200 && calm.never == 0, "{calm:?}");
    assert!(p50_ms(&calm.latency_ns) < 40, "{calm:?}");
    // Whether it leads or follows: from there to the others, or from them.
    let with_slow = of(&[slow("server-1", "server"), slow("server", "server-1")].join("\n"));
    assert!(p50_ms(&with_slow.latency_ns) >= 60, "{with_slow:?}");
    // The others go on without the one that is down, and it must have the entries too.
    let crash = "[[fault]]\nat = \"1s\"\nfor = \"3s\"\ndo = { crash = \"server-1\" }";
    let crashed = of(crash);
    assert!(crashed.latency_ns.max() > Some(2_500_000_000) && crashed.never == 0, "{crashed:?}");
}

#[test]
fn raft_members_that_left_need_not_have_it_and_new_ones_must() {
    let scenario = |members: &str| {
        let change = format!(
            "[[fault]]\nat = \"500ms\"\ndo = {{ action = {{ name = \"raft.members\", args = {{ voters = {members}, learners = [] }} }} }}"
        );
        // Whoever is cut off does not lead: the others go on.
        let lead = "[[fault]]\nat = \"1s\"\ndo = { action = { name = \"raft.transfer\", args = { to = 0 } } }";
        let cut = "[[fault]]\nat = \"1500ms\"\ndo = { isolate = \"server-2\" }";
        measured(&RaftLog, &format!("{change}\n{lead}\n{cut}"), SEED)
    };
    let without = scenario("[0, 1]");
    let with = scenario("[0, 1, 2]");
    assert!(p50_ms(&without.latency_ns) < 40, "{without:?}");
    assert!(without.latency_ns.percentile(90) < Some(1_000_000_000), "{without:?}");
    assert!(with.latency_ns.percentile(90) > Some(2_000_000_000), "{with:?}");
}

#[test]
fn primary_backup_writes_are_visible_when_both_have_them() {
    let of = |rules: &str| measured(&PrimaryBackup, rules, SEED);
    let calm = of("");
    assert!(calm.latency_ns.count() > 30 && calm.never == 0, "{calm:?}");
    assert!(p50_ms(&calm.latency_ns) < 10, "{calm:?}");
    let with_slow = of(&slow("server", "server"));
    assert!(p50_ms(&with_slow.latency_ns) >= 60, "{with_slow:?}");
}

#[test]
fn the_work_of_primary_backup_is_what_its_servers_apply() {
    let balance = metrics(&PrimaryBackup, "", SEED).balance.expect("there was work");
    assert_eq!(balance.work, "pb.applied");
    // Primary and backup apply the same, the third server nothing; the view service, which gets the most datagrams, is no server.
    let busiest = balance.max_over_mean.max().expect("one run");
    assert!((1_490_000..=1_560_000).contains(&busiest), "{busiest}");
}

#[test]
fn journal_records_are_visible_when_they_are_on_disk() {
    let of = |rules: &str| measured(&Journal, rules, SEED);
    let calm = of("");
    assert!(calm.latency_ns.count() > 100 && calm.never == 0, "{calm:?}");
    let with_slow = of(&fault("disk = { nodes = \"journal\", set = { sync = { constant = \"80ms\" } } }"));
    assert!(p50_ms(&calm.latency_ns) < 40 && p50_ms(&with_slow.latency_ns) >= 80, "{calm:?} {with_slow:?}");
}

// ---- on rsm ------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
enum CounterOp {
    Add,
    Get,
}

impl Op for CounterOp {
    type Ret = u64;
    const KINDS: &'static [&'static str] = &["add", "get"];
    fn kind(&self) -> &'static str {
        match self {
            CounterOp::Add => "add",
            CounterOp::Get => "get",
        }
    }
}

struct Counters;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Params {}

impl System for Counters {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("counters", "A counter on a replicated log.").role("server", server).client_role("client");
        m.ops::<CounterOp>().workload("count", counting);
        m.per_group().consistency::<rsm::ExecutedByAll>();
    }
    fn build(&self, _: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", 3).nodes("client", 2);
    }
}

async fn server(_: Rc<Params>) {
    let raft = driver::Options {
        id: Id(node::this().index() as u64),
        config: Config { segment: 64 << 10, ..Config::default() },
        dir: "raft".to_owned(),
        port: 1,
        empty_disk: driver::EmptyDisk::New,
        members: Membership::of((0..3).map(Id)),
        group: group::home(),
    };
    // Small, so that one who was away gets a snapshot and not the commands.
    let options =
        Options { raft, reads: Reads::Index, snapshot_bytes: 1_000, expansion_percent: 100, limits: Limits::default() };
    service::run(options, Counter::default(), 2, |_| {}).await;
}

async fn counting(cx: Client<Params>, _: Params) {
    let group = group::lookup("server").expect("it has servers");
    let mut client = rsm::Client::<Counter>::new(group, group.addrs(2), Patience::default());
    for i in 0.. {
        if !cx.running() {
            return;
        }
        let deadline = time::now() + Duration::from_secs(2);
        let _ = match i % 4 {
            3 => cx.record(CounterOp::Get, client.query((), deadline)).await,
            _ => cx.record(CounterOp::Add, client.execute(1, deadline)).await,
        };
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn commands_on_rsm_are_visible_when_all_replicas_have_executed_them() {
    let of = |rules: &str| measured(&Counters, rules, SEED);
    let calm = of("");
    // What was under way when the run ended may not be visible.
    assert!(calm.latency_ns.count() > 200 && calm.never <= 4, "{calm:?}");
    assert!(p50_ms(&calm.latency_ns) < 40, "{calm:?}");
    let with_slow = of(&[slow("server-1", "server"), slow("server", "server-1")].join("\n"));
    assert!(p50_ms(&with_slow.latency_ns) >= 60, "{with_slow:?}");
    // The one that was away gets a snapshot: then it has all that is in it.
    let away = of("[[fault]]\nat = \"1s\"\nfor = \"3s\"\ndo = { isolate = \"server-1\" }");
    assert!(away.latency_ns.max() > Some(2_500_000_000) && away.never <= 4, "{away:?}");
    assert!(away.latency_ns.percentile(25) < Some(100_000_000), "{away:?}");
}
