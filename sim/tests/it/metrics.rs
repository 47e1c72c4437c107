//! Metrics of scripted runs whose values are known, and that they move when they should.
//!
//! Everything is exact: first come, first served, polls are free, each datagram takes a millisecond. Client `c` invokes a write
//! every ten milliseconds, sends it to all servers, and waits for the first one: two milliseconds.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::metric::{Histogram, Keyed, OnEach};
use sim::{
    Client, Cluster, DynSystem, Manifest, Metrics, Outcome, Report, RunOptions, Scenario, System, node, observe, rpc,
    time,
};

/// It declares when writes are visible, and what work is.
struct Store;

/// The same, and it declares nothing.
struct Bare;

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    servers: usize,
    /// Whether clients send to the first server only.
    first_only: bool,
    /// Each so many writes one is refused; 0 is never.
    refuse_every: u64,
    /// Whether a server that was restarted is of no use.
    fragile: bool,
}

impl Default for Params {
    fn default() -> Self {
        Params { servers: 3, first_only: false, refuse_every: 0, fragile: false }
    }
}

#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
struct Write {
    id: u64,
}

impl Op for Write {
    type Ret = ();
    const KINDS: &'static [&'static str] = &["write"];
    fn kind(&self) -> &'static str {
        "write"
    }
}

impl rpc::Service for Store {
    type Request = Write;
    /// Whether it was done.
    type Reply = bool;
}

sim::event! {
    "store.asked" => struct Asked { id: u64 }
    "store.stored" => struct Stored { id: u64 }
}

impl Keyed for Asked {
    fn key(&self) -> u64 {
        self.id
    }
}

impl Keyed for Stored {
    fn key(&self) -> u64 {
        self.id
    }
}

fn describe<S: System<Params = Params>>(m: &mut Manifest<S>) {
    m.role("server", server).role("idle", async |_| {}).client_role("client").ops::<Write>();
    m.event::<Asked>().event::<Stored>().workload("write", write);
}

fn build(params: &Params, cluster: &mut Cluster) {
    cluster.nodes("idle", 1).nodes("server", params.servers).nodes("client", 1);
}

impl System for Store {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("store", "Servers that keep what they are sent.");
        describe(m);
        m.consistency::<OnEach<Asked, Stored>>().work::<Stored>();
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        build(params, cluster);
    }
}

impl System for Bare {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("bare", "The same, without metrics of its own.");
        describe(m);
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        build(params, cluster);
    }
}

async fn server(params: Rc<Params>) {
    let mut calls = rpc::Server::<Store>::bind(1).unwrap();
    loop {
        let call = calls.recv().await;
        if params.fragile && node::incarnation() > 1 {
            continue;
        }
        let id = call.request.id;
        let refused = params.refuse_every > 0 && id.is_multiple_of(params.refuse_every);
        if !refused {
            observe!(Stored { id });
        }
        call.responder.send(&!refused);
    }
}

async fn write(cx: Client<Params>, _: toml::Table) {
    let servers = node::of_role("server");
    let begun = time::now();
    let mut id = 0;
    while cx.running() {
        id += 1;
        let call = cx.invoke(Write { id });
        observe!(Asked { id });
        for server in servers.iter().skip(1).filter(|_| !cx.params.first_only) {
            let _ = rpc::send::<Store>(server.port(1), &Write { id });
        }
        match rpc::call::<Store>(servers[0].port(1), &Write { id }, Duration::from_millis(20)).await {
            Ok(true) => call.ok(()),
            Ok(false) => call.fail(),
            Err(_) => call.unknown(),
        }
        let periods = begun.elapsed().as_millis() / 10 + 1;
        time::sleep_until(begun + Duration::from_millis(10) * periods as u32).await;
    }
}

fn run_of(system: &dyn DynSystem, params: &str, rules: &str, freeze: bool) -> Report {
    let name = system.description().name;
    let text = format!(
        "[system]\nname = \"{name}\"\n{params}\n[run]\nmain = \"1s\"\nschedule = \"fifo\"\n[network]\n\
         latency = {{ constant = \"1ms\" }}\n[[workload]]\nname = \"write\"\n{rules}\n"
    );
    let scenario = Scenario::parse("metrics.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let options = RunOptions { freeze, ..RunOptions::default() };
    sim::run(system, &scenario, 1, options).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn passed(params: &str, rules: &str) -> Metrics {
    let report = run_of(&Store, params, rules, false);
    assert_eq!((report.verdict, &report.failure), (Outcome::Pass, &None));
    report.metrics
}

/// How many values, the median and the greatest.
fn ms(histogram: &Histogram) -> (u64, u64, u64) {
    let whole = |ns: u64| ns / 1_000_000;
    (histogram.count(), whole(histogram.percentile(50).unwrap_or(0)), whole(histogram.max().unwrap_or(0)))
}

const SLOW: &str = "[[fault]]\nat = \"0s\"\ndo = { link = { from = \"client-0\", to = \"server-2\", \
                    set = { latency = { constant = \"51ms\" } } } }";

#[test]
fn a_write_is_visible_when_the_last_server_has_it() {
    let latency = |rules: &str| {
        let visibility = passed("", rules).consistency.expect("it is declared");
        (ms(&visibility.latency_ns), visibility.never)
    };
    // A hundred in the main phase, and one after it whose answer is the end of the run.
    assert_eq!(latency(""), ((101, 1, 1), 0));
    // The operations take as long as before; the last ones of the slow server do not arrive before the end.
    let ((count, median, max), never) = latency(SLOW);
    assert_eq!((count + never, median, max), (101, 51, 51));
    assert!((4..=6).contains(&never), "{never}");
}

#[test]
fn what_a_server_that_was_down_never_got_is_counted() {
    let visibility = passed("", "[[fault]]\nat = \"205ms\"\nfor = \"100ms\"\ndo = { crash = \"server-2\" }");
    let visibility = visibility.consistency.expect("it is declared");
    assert_eq!((ms(&visibility.latency_ns), visibility.never), ((91, 1, 1), 10));
}

#[test]
fn what_was_refused_had_nothing_to_be_seen() {
    let visibility = passed("refuse_every = 4", "").consistency.expect("it is declared");
    assert_eq!((visibility.latency_ns.count(), visibility.never), (76, 0));
}

#[test]
fn recovery_is_from_the_crash_to_the_first_write_that_is_done_again() {
    let crash = |lasts: &str| {
        let rules = format!("[[fault]]\nat = \"205ms\"\nfor = \"{lasts}\"\ndo = {{ crash = \"server-0\" }}");
        let recovery = passed("", &rules).recovery;
        assert_eq!(recovery.keys().collect::<Vec<_>>(), ["crash"]);
        (recovery["crash"].time_ns.clone(), recovery["crash"].unrecovered)
    };
    // The server is back at 310ms. A write is given up after 20ms, so they begin at 210, 240, 270, 300 (a millisecond under
    // way, too early), 330, which is done at 332.
    let (times, unrecovered) = crash("105ms");
    assert_eq!((times.count(), times.max(), unrecovered), (1, Some(127_000_000), 0));
    let (longer, _) = crash("405ms");
    assert_eq!(longer.max(), Some(427_000_000));
}

#[test]
fn each_fault_counts_under_its_kind() {
    let rules = "[[fault]]\nname = \"cut\"\nat = \"205ms\"\nfor = \"45ms\"\ndo = { partition = { groups = [\"client\", \"server\"] } }\n\
                 [[fault]]\nname = \"gc\"\nevery = \"400ms\"\nfor = \"1ms\"\ndo = { pause = \"server-1\" }";
    let recovery = passed("", rules).recovery;
    let found: Vec<_> = recovery.iter().map(|(kind, of)| (kind.as_str(), ms(&of.time_ns), of.unrecovered)).collect();
    // Nobody waits for server-1. Strictly after the fault at 400ms and 800ms the next write begins ten milliseconds later.
    assert_eq!(found, [("partition", (1, 67, 67), 0), ("pause", (2, 12, 12), 0)]);
}

#[test]
fn a_fault_after_which_nothing_is_done_is_unrecovered() {
    let rules = "[[fault]]\nat = \"205ms\"\nfor = \"100ms\"\ndo = { crash = \"server-0\" }\n\
                 [[fault]]\nat = \"105ms\"\nfor = \"1ms\"\ndo = { pause = \"server-1\" }";
    let report = run_of(&Store, "fragile = true", rules, false);
    assert_eq!(report.failure.expect("nobody answers").signature, "liveness:no-progress");
    let recovery = report.metrics.recovery;
    assert_eq!((recovery["crash"].time_ns.count(), recovery["crash"].unrecovered), (0, 1));
    assert_eq!((recovery["pause"].time_ns.count(), recovery["pause"].unrecovered), (1, 0));
}

#[test]
fn one_server_that_does_all_is_as_many_times_the_mean_as_there_are() {
    let balance = |params: &str| {
        let balance = passed(params, "").balance.expect("there was work");
        assert_eq!(balance.work, "store.stored");
        (balance.max_over_mean.max().unwrap(), balance.variation.max().unwrap())
    };
    // The idle node does not count: storing is not what its role does.
    assert_eq!(balance(""), (1_000_000, 0));
    assert_eq!(balance("servers = 4\nfirst_only = true"), (4_000_000, 1_732_051));
}

#[test]
fn without_a_declaration_work_is_messages_and_nothing_is_visible() {
    let metrics = |params: &str| run_of(&Bare, params, "", false).metrics;
    let all = metrics("first_only = true");
    assert_eq!(all.consistency, None);
    let balance = all.balance.expect("there was work");
    // The first server of three, and a node that gets no messages.
    assert_eq!((balance.work.as_str(), balance.max_over_mean.max()), ("messages", Some(4_000_000)));
    let even = metrics("").balance.expect("there was work");
    assert!(even.max_over_mean.max() < Some(1_350_000), "{even:?}");
}

#[test]
fn a_run_is_the_same_with_metrics_and_without() {
    for rules in ["", SLOW, "[[fault]]\nat = \"205ms\"\nfor = \"100ms\"\ndo = { crash = \"server-0\" }"] {
        let (with, without) = (run_of(&Store, "", rules, false), run_of(&Bare, "", rules, false));
        assert_eq!((with.world, with.digest), (without.world, without.digest), "{rules}");
        assert!(with.metrics.consistency.is_some());
    }
}

#[test]
fn a_frozen_run_has_the_metrics_of_the_run_that_it_is() {
    let rules = "[[fault]]\nevery = \"300ms\"\nfor = \"100ms\"\ndo = { crash = \"random(server)\" }";
    let report = run_of(&Store, "", rules, true);
    let frozen = Scenario::parse("frozen.toml", &report.frozen.clone().expect("it was asked for")).unwrap();
    let again = sim::run(&Store, &frozen, 0, RunOptions::default()).unwrap();
    assert_eq!(again.world, report.world);
    assert_eq!(again.metrics, report.metrics);
    assert!(again.metrics.recovery["crash"].time_ns.count() > 1);
}

#[test]
fn metrics_of_several_runs_add_up() {
    let (one, two) = (passed("", ""), passed("", SLOW));
    let mut sum = one.clone();
    sum.add(&two);
    let latency = sum.consistency.expect("both have it").latency_ns;
    let parts = [&one, &two].map(|part| part.consistency.clone().unwrap().latency_ns.count());
    assert_eq!(latency.count(), parts[0] + parts[1]);
    // The median is within one percent, the greatest is exact.
    let median = latency.percentile(40).unwrap();
    assert!(median.abs_diff(1_000_000) <= 1_000_000 / 128 && latency.max() == Some(51_000_000), "{latency:?}");
    assert_eq!(sum.balance.expect("both have it").max_over_mean.count(), 2);
}
