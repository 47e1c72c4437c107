//! Groups of nodes in scenarios: targets, the fault budget, zones and operators go by them, and folds are kept for each.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::{Invariant, Violation};
use sim::event::{Booted, Crashed, On};
use sim::history::Op;
use sim::system::Selector;
use sim::{
    Client, Cluster, DynSystem, Manifest, NodeId, Report, RunOptions, Scenario, System, group, node, observe, run, time,
};

sim::event! {
    /// A cell counts.
    "cells.counted" => struct Counted {
        /// How far it has come.
        count: u64,
    }
}

/// The node of each group that counted last.
#[derive(Default)]
struct Latest(Option<NodeId>);

impl Selector for Latest {
    const NAME: &'static str = "latest";
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Counted>(|this, moment, _| this.0 = Some(moment.node));
    }
    fn nodes(&self) -> Vec<NodeId> {
        self.0.into_iter().collect()
    }
}

/// Each node of a group counts up, whatever the other groups do; and what happens to a node concerns all its groups.
#[derive(Default)]
struct CountsUp {
    counts: BTreeMap<NodeId, u64>,
    boots: u64,
    crashes: u64,
}

impl Invariant for CountsUp {
    const NAME: &'static str = "counts-up";
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Booted>(|this, _, _| this.boots += 1);
        on.fold::<Crashed>(|this, moment, _| {
            this.crashes += 1;
            this.counts.remove(&moment.node);
        });
        on.event::<Counted>(|this, moment, event| {
            let before = this.counts.insert(moment.node, event.count).unwrap_or(0);
            let text =
                || format!("counts {} after {before}; {} boots, {} crashes", event.count, this.boots, this.crashes);
            if event.count == before + 1 { Ok(()) } else { Err(Violation::new(text())) }
        });
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Tick;

impl Op for Tick {
    type Ret = ();
    const KINDS: &'static [&'static str] = &["tick"];
    fn kind(&self) -> &'static str {
        "tick"
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// The role of the nodes of the second group.
    role: String,
    /// The name of the second group.
    second: String,
    /// The cell of this name counts for the other group, too; in steps of two, if it is wrong.
    stranger: String,
    step: u64,
}

struct Cells;

impl System for Cells {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("cells", "Cells that count.").role("cell", cell).client_role("client").ops::<Tick>();
        m.event::<Counted>().workload("tick", |cx: Client<Params>, _: Params| async move {
            while cx.running() {
                cx.invoke(Tick).ok(());
                time::sleep(Duration::from_millis(100)).await;
            }
        });
        m.action("cells.poke", |_: Client<Params>, _: Params| async {});
        m.per_group().selector::<Latest>().invariant::<CountsUp>();
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        let or = |text: &String, default: &str| if text.is_empty() { default.to_owned() } else { text.clone() };
        cluster.group("a", "cell", 3).group(&or(&params.second, "b"), &or(&params.role, "cell"), 3);
        cluster.nodes("client", 1).operators(2);
    }
}

async fn cell(params: Rc<Params>) {
    for i in 1.. {
        observe!(Counted { count: i });
        if node::this().name() == params.stranger {
            let other = group::lookup("b").expect("it is built");
            observe!(group: other, Counted { count: i * params.step });
        }
        time::sleep(Duration::from_millis(if node::this().name().ends_with('1') { 10 } else { 25 })).await;
    }
}

fn cells(system: &str, rest: &str) -> Report {
    let text =
        format!("[system]\nname = \"cells\"\n{system}\n[run]\nmain = \"3s\"\n{rest}\n[[workload]]\nname = \"tick\"\n");
    let scenario = Scenario::parse("cells.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    run(&Cells, &scenario, 1, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What one fault came to: its line without time and name, or why it did not happen.
fn fault(run_table: &str, what: &str) -> String {
    let report =
        cells("", &format!("{run_table}\n[[fault]]\nname = \"f\"\nat = \"1s\"\nfor = \"500ms\"\ndo = {{ {what} }}"));
    match (&report.faults[..], &report.prevented[..]) {
        ([line], []) => line.split_once("f: ").expect("a line").1.trim_end_matches(" for 500ms").to_owned(),
        ([], [why]) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn targets_are_combined() {
    let all = "max_down = \"all\"";
    assert_eq!(fault(all, "crash = \"a\""), "crash a-0 a-1 a-2");
    assert_eq!(fault(all, "crash = \"cell & zone-1\""), "crash a-1 b-1");
    assert_eq!(fault(all, "crash = \"b & !b-1\""), "crash b-0 b-2");
    assert_eq!(fault(all, "crash = \"!cell & !client\""), "crash operator-0 operator-1");
    // A selector that is kept per group finds a node of each.
    assert_eq!(fault(all, "crash = \"latest & b\"").split('-').next(), Some("crash b"));
    let two = fault(all, "crash = \"random(2, cell & !zone-1 & !a)\"");
    assert_eq!(two, "crash b-0 b-2");
    let zone = fault(all, "crash = \"random(zone) & a\"");
    assert!(["crash a-0", "crash a-1", "crash a-2"].contains(&zone.as_str()), "{zone}");
}

#[test]
fn the_budget_goes_by_group_and_spares_no_operator() {
    assert_eq!(fault("", "crash = [\"a-0\", \"b-0\"]"), "crash a-0 b-0");
    let refused = fault("", "crash = [\"a-0\", \"a-1\"]");
    assert!(refused.contains("0 of 3 a nodes are down and max_down allows 1"), "{refused}");
    let table = "max_down = { a = 0, cell = \"all\" }";
    assert_eq!(fault(table, "crash = \"b\""), "crash b-0 b-1 b-2");
    let refused = fault(table, "crash = \"a-0\"");
    assert!(refused.contains("max_down allows 0"), "{refused}");
    assert_eq!(fault("max_down = 0", "crash = \"operator\""), "crash operator-0 operator-1");
}

#[test]
fn zones_go_by_group_and_have_no_operator() {
    assert_eq!(fault("max_down = \"all\"", "crash = \"zone-0 & !client\""), "crash a-0 b-0");
}

#[test]
fn an_action_runs_on_the_operator_that_it_names_or_on_any_that_is_up() {
    assert_eq!(fault("", "action = { name = \"cells.poke\", on = \"operator-1\" }"), "action cells.poke on operator-1");
    let crash =
        |node: &str| format!("[[fault]]\nname = \"c\"\nat = \"500ms\"\nfor = \"1s\"\ndo = {{ crash = \"{node}\" }}\n");
    let poke =
        |on: &str| format!("[[fault]]\nname = \"p\"\nat = \"1s\"\ndo = {{ action = {{ name = \"cells.poke\"{on} }} }}");
    assert_eq!(cells("", &(crash("operator-0") + &poke(""))).dose["action"], 1);
    let named = cells("", &(crash("operator-0") + &poke(", on = \"operator-0\"")));
    assert!(!named.dose.contains_key("action"), "{:?}", named.dose);
    assert!(named.prevented[0].contains("no operator that may do it was up"), "{:?}", named.prevented);
    assert!(!cells("", &(crash("operator") + &poke(""))).dose.contains_key("action"));
}

#[test]
fn an_action_on_a_server_is_an_error() {
    let text = "[system]\nname = \"cells\"\n[[workload]]\nname = \"tick\"\n[[fault]]\nat = \"1s\"\n\
                do = { action = { name = \"cells.poke\", on = \"a-0\" } }\n";
    let scenario = Scenario::parse("cells.toml", text).unwrap();
    let error = sim::validate(&Cells, &scenario).unwrap_err().to_string();
    assert!(error.contains("an action runs on operators, and `a-0` is none"), "{error}");
}

#[test]
fn a_limit_for_a_group_that_there_is_not_is_an_error() {
    let text = "[system]\nname = \"cells\"\n[run]\nmax_down = { aa = 1 }\n[[workload]]\nname = \"tick\"\n";
    let error = sim::validate(&Cells, &Scenario::parse("cells.toml", text).unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("`max_down` has a limit for `aa`, which is no group") && error.contains("did you mean `a`?"),
        "{error}"
    );
}

#[test]
fn a_fold_of_a_group_sees_the_events_of_its_group_and_what_happens_to_its_nodes() {
    let crash = "[[fault]]\nat = \"1s\"\nfor = \"100ms\"\ndo = { crash = \"a-1\" }";
    // The cell counts for its own group and for the other, and starts anew in both after a crash.
    let sound = cells("stranger = \"a-1\"\nstep = 1", crash);
    assert_eq!(sound.failure, None);
    let wrong = cells("stranger = \"a-1\"\nstep = 2", "").failure.expect("it counts in steps of two");
    assert_eq!(wrong.signature, "counts-up");
    assert!(wrong.explanation.starts_with("a-1, of b: counts 2 after 0"), "{}", wrong.explanation);
}

#[test]
fn a_trigger_may_ask_for_a_group() {
    let rule = |group: &str| {
        format!(
            "[[fault]]\nname = \"f\"\nwhen = {{ event = \"cells.counted\", group = \"{group}\", nth = 20 }}\nfor = \"1ms\"\n\
             do = {{ pause = \"self\" }}"
        )
    };
    assert!(cells("", &rule("a")).faults[0].contains("pause a-"));
    assert!(cells("", &rule("b*")).faults[0].contains("pause b-"));
}

#[test]
fn names_that_clash_and_roles_that_nobody_declared_are_errors_of_the_system() {
    let error = |system: &str| Cells.instantiate(toml::from_str(system).unwrap()).err().expect("an error").to_string();
    assert!(
        error("role = \"sell\"")
            .contains("of the role `sell`, which is not declared: there are cell, client, operator")
    );
    assert!(error("second = \"latest\"").contains("`latest` is the name of a group and of a selector"));
}
