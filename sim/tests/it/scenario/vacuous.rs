//! No run passes for the wrong reason: whatever keeps a run from meaning something is a failure with a signature of its
//! own, and the same run without the defect passes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::{Check, Finished, Invariant, Verdict, Violation};
use sim::event::{Booted, On};
use sim::history::Op;
use sim::system::Selector;
use sim::{
    Client, Cluster, Manifest, NodeId, Outcome, Report, RunOptions, Scenario, System, always, node, observe, rpc, task,
    time,
};

struct Fragile;

#[derive(Clone, Serialize, Deserialize)]
struct Params {
    /// What is wrong with the system.
    defect: String,
}

impl Params {
    fn has(&self, defect: &str) -> bool {
        self.defect == defect
    }
}

sim::event! {
    "fragile.served" => struct Served { defect: String }
}

/// The defect goes wherever an oracle looks.
#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
struct Ask {
    defect: String,
}

impl Op for Ask {
    type Ret = u64;
    const KINDS: &'static [&'static str] = &["ask"];
    fn kind(&self) -> &'static str {
        "ask"
    }
}

impl rpc::Service for Fragile {
    type Request = Ask;
    type Reply = u64;
}

impl System for Fragile {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("fragile", "A server with a defect of one's choice.").role("server", server).client_role("client");
        m.ops::<Ask>().event::<Served>().workload("ask", ask);
        m.check::<Judge>().invariant::<Watch>().invariant::<BootWatch>().selector::<Pick>();
    }
    fn build(&self, _: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", 3).nodes("client", 2);
    }
}

async fn server(params: Rc<Params>) {
    if params.has("never boots") {
        panic!("cannot boot");
    }
    let mut calls = rpc::Server::<Fragile>::bind(1).unwrap();
    let mut served = 0;
    loop {
        let call = calls.recv().await;
        served += 1;
        observe!(Served { defect: params.defect.clone() });
        always!(!params.has("always is false"), "it-holds", "after {served}");
        match params.defect.as_str() {
            "never answers" => continue,
            "server panics" if served == 5 => panic!("out of luck after {served} calls"),
            "detached task panics" if served == 5 => drop(task::spawn(async { panic!("nobody joins this") })),
            "destructor panics" if served == 5 => drop(task::spawn(async {
                let _bomb = Bomb;
                time::sleep(Duration::from_millis(1)).await;
            })),
            "livelock" if served == 5 => loop {
                task::yield_now().await;
            },
            _ => {}
        }
        call.responder.send(&served);
    }
}

struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Args {
    /// Until this many operations are done, or for as long as it may.
    most: u64,
}

impl Default for Args {
    fn default() -> Self {
        Args { most: u64::MAX }
    }
}

async fn ask(cx: Client<Params>, args: Args) {
    let server = node::lookup("server-0").unwrap().port(1);
    let patient = Duration::from_secs(1_000);
    let done = Rc::new(Cell::new(0));
    while cx.running() && done.get() < args.most {
        match cx.params.defect.as_str() {
            "workload does nothing" => return,
            "client panics" if done.get() == 5 => panic!("client {} gives up", cx.index),
            "client task panics" if done.get() == 5 => drop(task::spawn(async { panic!("a task of the client") })),
            "client hangs" if done.get() == 5 => std::future::pending().await,
            "client sleeps" if done.get() == 5 => time::sleep(patient).await,
            "client never ends" if done.get() == 5 => loop {
                time::sleep(Duration::from_millis(100)).await;
            },
            _ => {}
        }
        let op = Ask { defect: cx.params.defect.clone() };
        let call = cx.invoke(op.clone());
        match rpc::call::<Fragile>(server, &op, Duration::from_millis(20)).await {
            Ok(served) => {
                done.set(done.get() + 1);
                call.ok(served);
            }
            Err(_) => call.unknown(),
        }
        time::sleep(Duration::from_millis(10)).await;
    }
}

struct Judge;

impl Check for Judge {
    const NAME: &'static str = "judge";
    fn check(run: &Finished) -> Result<Verdict, String> {
        let operations = run.history.of::<Ask>();
        match operations.last().map(|last| last.op.defect.as_str()) {
            Some("check fails") => Ok(Verdict::Fail(Violation::new("not right"))),
            Some("check fails about") => Ok(Verdict::Fail(Violation::about("reads", "stale"))),
            Some("check errs") => Err("no model for that".to_owned()),
            Some("check is unknown") => Ok(Verdict::Unknown("out of budget".to_owned())),
            Some("check panics") => panic!("index {} out of bounds", operations.len()),
            _ => Ok(Verdict::Pass),
        }
    }
}

#[derive(Default)]
struct Watch;

impl Invariant for Watch {
    const NAME: &'static str = "watch";
    fn subscribe(on: &mut On<Self>) {
        on.event::<Served>(|_, _, served| match served.defect.as_str() {
            "invariant is broken" => Err(Violation::new("two at once")),
            "invariant panics" => panic!("an invariant that cannot"),
            _ => Ok(()),
        });
    }
}

/// Objects to the third life of a node, and cannot bear that of a client.
#[derive(Default)]
struct BootWatch;

impl Invariant for BootWatch {
    const NAME: &'static str = "boot-watch";
    fn subscribe(on: &mut On<Self>) {
        on.event::<Booted>(|_, moment, booted| match booted.incarnation {
            3 if moment.node.name().starts_with("client") => panic!("a client in its third life"),
            3 => Err(Violation::new("booted too often")),
            _ => Ok(()),
        });
    }
}

#[derive(Default)]
struct Pick {
    broken: bool,
    none: bool,
}

impl Selector for Pick {
    const NAME: &'static str = "pick";
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Served>(|pick, _, served| {
            pick.broken |= served.defect == "selector panics";
            pick.none |= served.defect == "selector finds nobody";
        });
    }
    fn nodes(&self) -> Vec<NodeId> {
        assert!(!self.broken, "no idea whom");
        if self.none { Vec::new() } else { vec![node::lookup("server-1").unwrap()] }
    }
}

fn run(defect: &str, more: &str) -> Report {
    let text = format!(
        "system = {{ name = \"fragile\", defect = \"{defect}\" }}\n\
         run = {{ setup = \"1s\", main = \"1s\", quiet = \"2s\" }}\n{more}\n"
    );
    let scenario = Scenario::parse("fragile.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    sim::run(&Fragile, &scenario, 1, RunOptions::default()).unwrap_or_else(|error| panic!("{defect}: {error}"))
}

const MAIN: &str = "[[workload]]\nname = \"ask\"\n";
/// Without it, the main phase has the system's first workload.
const NO_MAIN: &str = "[[workload]]\nname = \"ask\"\nenabled = false\n";
const SETUP: &str = "[[workload]]\nname = \"ask\"\nphase = \"setup\"\nargs = { most = 9 }\n";
const FINAL: &str = "[[workload]]\nname = \"ask\"\nphase = \"final\"\nargs = { most = 9 }\n";
const CRASH: &str = "[[fault]]\nwhen = { event = \"fragile.served\", nth = 20 }\ndo = { restart = \"pick\" }\n\
                     [expect.run]\nrestart = 1\n";
const AT: &str = "[[fault]]\nat = \"500ms\"\ndo = { restart = \"pick\" }\n";
const PAUSE: &str = "[[fault]]\nat = \"500ms\"\ndo = { pause = \"server-2\" }\n";

#[test]
fn every_defect_is_a_failure_with_its_own_signature_and_without_it_the_run_passes() {
    let here = "sim/tests/it/scenario/vacuous.rs";
    let panic = |message: &str| format!("panic:{here}:{message}");
    for (defect, file, signature) in [
        ("never boots", MAIN.to_owned(), panic("cannot boot")),
        ("never answers", MAIN.to_owned(), "liveness:no-progress".to_owned()),
        ("never answers", SETUP.to_owned() + MAIN, "liveness:setup".to_owned()),
        ("never answers", NO_MAIN.to_owned() + FINAL, "liveness:final".to_owned()),
        ("server panics", MAIN.to_owned(), panic("out of luck after # calls")),
        ("detached task panics", MAIN.to_owned(), panic("nobody joins this")),
        ("destructor panics", MAIN.to_owned(), panic("in a destructor")),
        ("client panics", MAIN.to_owned(), panic("client # gives up")),
        ("client panics", NO_MAIN.to_owned() + FINAL, panic("client # gives up")),
        ("client task panics", MAIN.to_owned(), panic("a task of the client")),
        ("invariant panics", MAIN.to_owned(), panic("an invariant that cannot")),
        ("selector panics", MAIN.to_owned() + CRASH, panic("no idea whom")),
        ("selector panics", MAIN.to_owned() + AT, panic("no idea whom")),
        ("selector finds nobody", MAIN.to_owned() + CRASH, "dose:restart".to_owned()),
        ("livelock", MAIN.to_owned(), "livelock:server".to_owned()),
        ("client hangs", MAIN.to_owned(), "deadlock".to_owned()),
        ("client hangs", SETUP.to_owned() + MAIN, "deadlock".to_owned()),
        ("client hangs", MAIN.to_owned() + FINAL, "deadlock".to_owned()),
        ("client hangs", MAIN.to_owned() + PAUSE, "deadlock".to_owned()),
        ("client sleeps", MAIN.to_owned(), "liveness:no-progress".to_owned()),
        ("client sleeps", SETUP.to_owned() + MAIN, "liveness:setup".to_owned()),
        ("client never ends", MAIN.to_owned() + FINAL, "liveness:main".to_owned()),
        ("client never ends", NO_MAIN.to_owned() + FINAL, "liveness:final".to_owned()),
        ("invariant is broken", MAIN.to_owned(), "watch".to_owned()),
        ("always is false", MAIN.to_owned(), "always:it-holds".to_owned()),
        ("check fails", MAIN.to_owned(), "judge".to_owned()),
        ("check fails about", MAIN.to_owned(), "judge:reads".to_owned()),
        ("check errs", MAIN.to_owned(), "check-error:judge".to_owned()),
        ("check is unknown", MAIN.to_owned(), "unknown:judge".to_owned()),
        ("check panics", MAIN.to_owned(), format!("check-panic:judge:{here}:index # out of bounds")),
        ("workload does nothing", MAIN.to_owned(), "vacuous:no-operation-after-heal".to_owned()),
        ("workload does nothing", MAIN.to_owned() + FINAL, "vacuous:no-operation-after-heal".to_owned()),
    ] {
        let report = run(defect, &file);
        let found = report.failure.as_ref().map(|failure| failure.signature.as_str());
        assert_eq!(found, Some(signature.as_str()), "{defect}: {:?}", report.failure);
        let verdict = if defect == "check is unknown" { Outcome::Unknown } else { Outcome::Fail };
        assert_eq!(report.verdict, verdict, "{defect}");

        let sound = run("none", &file);
        assert_eq!((sound.failure, sound.verdict), (None, Outcome::Pass), "without {defect}");
    }
}

#[test]
fn a_run_in_which_no_operation_completes_says_so_too() {
    for defect in ["never answers", "workload does nothing", "never boots"] {
        let report = run(defect, MAIN);
        assert!(
            report.also.iter().any(|failure| failure.signature == "vacuous:no-operation-completed"),
            "{defect}: {:?}",
            report.also
        );
    }
    // Not even with no workload at all.
    let report = run("none", "workload = []");
    let signatures: Vec<&str> =
        report.failure.iter().chain(&report.also).map(|failure| failure.signature.as_str()).collect();
    assert_eq!(signatures, ["vacuous:no-operation-after-heal", "vacuous:no-operation-completed"]);
    assert_eq!(report.verdict, Outcome::Fail);
}

#[test]
fn clients_that_end_before_the_heal_leave_a_run_that_proves_nothing() {
    let early = "[[workload]]\nname = \"ask\"\nargs = { most = 9 }\n";
    let report = run("none", early);
    assert_eq!(report.failure.unwrap().signature, "vacuous:no-operation-after-heal");
    assert_eq!(run("none", &format!("{early}{FINAL}")).failure, None);
}

#[test]
fn a_fault_that_never_fired_fails_an_expectation_and_the_failure_says_why() {
    let rule = "[[fault]]\nwhen = { event = \"fragile.served\", nth = 1000000 }\ndo = { crash = \"server-1\" }\n";
    let report = run("none", &format!("{MAIN}{rule}[expect.run]\ncrash = 1\nops_ok = 10\n"));
    let failure = report.failure.unwrap();
    assert_eq!(failure.signature, "dose:crash");
    assert!(failure.explanation.contains("fault-1 never fired (its trigger matched"), "{}", failure.explanation);
    assert_eq!(run("none", &format!("{MAIN}{rule}[expect.run]\nops_ok = 10\n")).failure, None);
    assert_eq!(
        run("none", &format!("{MAIN}[expect.run]\nops_ok = 100000\n")).failure.unwrap().signature,
        "dose:ops_ok"
    );
    assert_eq!(
        run("none", &format!("{MAIN}[expect.run]\nno_such_name = 1\n")).failure.unwrap().signature,
        "dose:no_such_name"
    );
}

#[test]
fn an_oracle_that_objects_to_what_the_simulator_did_is_heard() {
    let restarts = |node: &str, times: u32| {
        let rule = format!("[[fault]]\nevery = \"100ms\"\ntimes = {times}\ndo = {{ restart = \"{node}\" }}\n");
        run("none", &format!("{MAIN}{rule}{FINAL}")).failure
    };
    assert_eq!(restarts("server-1", 1), None);
    assert_eq!(restarts("server-1", 2).unwrap().signature, "boot-watch");
    assert_eq!(restarts("client-1", 1), None);
    let panic = restarts("client-1", 2).unwrap();
    assert_eq!(panic.signature, "panic:sim/tests/it/scenario/vacuous.rs:a client in its third life");
    assert!(panic.explanation.contains("`boot-watch`"), "{}", panic.explanation);
}

#[test]
fn a_world_that_waits_for_the_heal_is_no_deadlock() {
    // The client waits for an answer that the clog holds, and nobody has a timer.
    struct Patient;
    #[derive(Clone, Serialize, Deserialize)]
    struct None {}
    impl rpc::Service for Patient {
        type Request = Ask;
        type Reply = u64;
    }
    impl System for Patient {
        type Params = None;
        fn describe(m: &mut Manifest<Self>) {
            m.name("patient", "Nobody has a timer.").role("server", serve).client_role("client");
            m.ops::<Ask>().workload("ask", wait);
        }
        fn build(&self, _: &None, cluster: &mut Cluster) {
            cluster.nodes("server", 1).nodes("client", 1);
        }
    }
    async fn serve(_: Rc<None>) {
        let socket = sim::net::UdpSocket::bind(1).unwrap();
        loop {
            let ask = socket.recv_from().await;
            socket.send_to(ask.payload, ask.from);
        }
    }
    async fn wait(cx: Client<None>, _: toml::Table) {
        let socket = sim::net::UdpSocket::bind(1).unwrap();
        // Until the server is there.
        time::sleep(Duration::from_millis(1)).await;
        while cx.running() {
            let call = cx.invoke(Ask { defect: String::new() });
            socket.send_to(vec![1], node::lookup("server-0").unwrap().port(1));
            socket.recv_from().await;
            call.ok(1);
        }
    }
    let fails = |fault: &str| {
        let text =
            format!("system = {{ name = \"patient\" }}\nrun = {{ main = \"100ms\", quiet = \"1s\" }}\n{MAIN}{fault}");
        let scenario = Scenario::parse("patient.toml", &text).unwrap();
        sim::run(&Patient, &scenario, 1, RunOptions::default()).unwrap().failure.map(|failure| failure.signature)
    };
    assert_eq!(fails(""), Option::None);
    for fault in ["clog = { from = \"client\", to = \"server\" }", "pause = \"server\"", "pause = \"client\""] {
        assert_eq!(fails(&format!("[[fault]]\nat = \"50ms\"\ndo = {{ {fault} }}")), Option::None, "{fault}");
    }
    // What a cut lost never comes back.
    assert_eq!(fails("[[fault]]\nat = \"50ms\"\ndo = { isolate = \"server\" }").unwrap(), "deadlock");
}
