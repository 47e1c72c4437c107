//! The gallery of warnings, and what is none.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::HEADER;
use crate::base::NodeId;
use crate::base::Phase;
use crate::event::On;
use crate::scenario::{Draft, Level, ScenarioError, Source, examine};
use crate::system::Selector;
use crate::{Client, Cluster, Manifest};

/// A system that is only asked what it is.
pub(super) struct System;

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Params {
    servers: usize,
    clients: usize,
    batch: u64,
    raft: Nested,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nested {
    election_ticks: u64,
    pre_vote: bool,
}

impl Default for Params {
    fn default() -> Params {
        Params { servers: 3, clients: 2, batch: 1, raft: Nested::default() }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Args {
    ops: u64,
    keys: u64,
}

crate::event! {
    /// As in the tests of names.
    "pb.became_primary" => struct BecamePrimary {
        view: u64,
        first: bool,
        who: Option<NodeId>,
        why: String,
    }
}

#[derive(Default)]
struct Primary;

impl Selector for Primary {
    const NAME: &'static str = "primary";
    fn subscribe(_: &mut On<Self>) {}
    fn nodes(&self) -> Vec<NodeId> {
        Vec::new()
    }
}

#[derive(Default)]
struct Backup;

impl Selector for Backup {
    const NAME: &'static str = "backup";
    fn subscribe(_: &mut On<Self>) {}
    fn nodes(&self) -> Vec<NodeId> {
        Vec::new()
    }
}

#[derive(Clone, Debug, Hash, Serialize)]
struct Op;

impl crate::history::Op for Op {
    type Ret = ();
    const KINDS: &'static [&'static str] = &["get", "append"];
    fn kind(&self) -> &'static str {
        "get"
    }
}

impl crate::System for System {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("primary_backup", "Only asked what it is.").client_role("client").ops::<Op>();
        m.role("view", async |_: Rc<Params>| {}).role("server", async |_: Rc<Params>| {});
        m.event::<BecamePrimary>().selector::<Primary>().selector::<Backup>();
        m.workload("mixed", async |_: Client<Params>, args: Args| assert!(args.ops < args.keys));
        m.workload("fill", async |_: Client<Params>, _: Args| {}).suggest_on(Phase::Setup, "fill", "client-0");
    }
    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("view", 1).nodes("server", params.servers).nodes("client", params.clients);
    }
}

pub(super) fn findings(text: &str) -> ScenarioError {
    let source = Source::new("scenarios/test.toml", text);
    examine(&Draft::new(source), Some(&System)).findings
}

const LOAD: &str = "[[workload]]\nname = \"mixed\"\n";

fn fault(lines: &str) -> String {
    format!("{HEADER}{LOAD}[[fault]]\n{lines}\n")
}

fn at(action: &str) -> String {
    fault(&format!("at = \"1s\"\ndo = {action}"))
}

#[test]
fn what_is_in_vain() {
    let texts = [
        ("no load", format!("workload = []\n{HEADER}")),
        (
            "a load only before and after",
            format!("{HEADER}{LOAD}enabled = false\n{}", LOAD.replace("\"mixed\"", "\"mixed\"\nphase = \"final\"")),
        ),
        ("no client", format!("{HEADER}{LOAD}on = \"server\"\n")),
        ("any number of times", format!("{HEADER}{LOAD}[expect.run]\nops_ok = 0\n\"net.lost\" = {{}}\n")),
        ("a name that nothing counts", format!("{HEADER}{LOAD}[expect.run]\n\"net.patitioned\" = 1\n")),
        ("a fault that is not there", format!("{HEADER}{LOAD}[expect.sweep]\ncrash = 1\n")),
        ("a view that may not crash", at("{ crash = \"view\" }")),
        ("two of three", at("{ crash = \"random(2, server)\" }")),
        ("a majority", at("{ wipe = \"majority(server)\" }")),
        ("all of them", fault("at = \"1s\"\ndo = { crash = [\"server-0\", \"server-1\"] }")),
        (
            "a view that may not restart",
            at("{ rolling_restart = { nodes = \"view\", down = \"1s\", pause = \"1s\" } }"),
        ),
        ("a ring of two", at("{ ring = \"random(2, server)\" }")),
        ("a link as it was", at("{ link = { from = \"server\", to = \"view\", set = {} } }")),
        ("a disk as it is", at("{ disk = { nodes = \"server\", set = { read_error = 0.0, iops = \"unlimited\" } } }")),
        (
            "more free than there is",
            format!("{}[disk]\ncapacity = \"1MiB\"\n", at("{ disk_full = { nodes = \"server\", free = \"1MiB\" } }")),
        ),
        ("rot that lasts", fault("at = \"1s\"\nfor = \"1s\"\ndo = { bit_rot = { nodes = \"server\" } }")),
        ("a rule without a name", format!("{}[expect.run]\n\"rule.fault-1\" = 1\n", at("{ pause = \"view\" }"))),
        ("nobody at all", format!("{}[run]\nmax_down = 0\n", at("{ crash = \"primary\" }"))),
        ("more than there are", at("{ pause = \"random(5, server)\" }")),
        ("a minority of one", at("{ pause = \"minority(view)\" }")),
        ("a role without nodes", at("{ pause = \"server\" }").replace("[[workload]]", "servers = 0\n[[workload]]")),
        ("no weight", at("{ one_of = [{ weight = 0, pause = \"view\" }, { pause = \"server\" }] }")),
        ("never enabled", fault("enabled = false\nat = \"1s\"\ndo = { pause = \"view\" }")),
        ("without a chance", fault("enabled = { chance = 0.0 }\nat = \"1s\"\ndo = { pause = \"view\" }")),
        ("a restart that lasts", fault("at = \"1s\"\nfor = \"1s\"\ndo = { restart = \"view\" }")),
        ("from a node to itself", at("{ one_way = { from = \"view\", to = \"view-0\" } }")),
        ("clients of a zone", format!("{}[run]\nzones = 2\nmax_down = \"all\"\n", at("{ crash = \"random(zone)\" }"))),
        ("an empty side", at("{ partition = { groups = [\"server\", [\"server-0\", \"server-1\"], \"rest\"] } }")),
        ("an empty rest", at("{ partition = { groups = [[\"server\", \"view\"], \"client\", \"rest\"] } }")),
        ("one selector twice", at("{ partition = { groups = [\"primary\", \"primary\"] } }")),
        ("a server that invokes", fault("when = { op = \"get\", node = \"server\" }\ndo = { pause = \"view\" }")),
        (
            "values of other types",
            fault(
                "when = { event = \"pb.became_primary\", where = { view = \"2\", first = 1, who = \"servr-0\", why = 3 } }\n\
                 do = { pause = \"view\" }",
            ),
        ),
    ];
    let said: Vec<String> = texts
        .iter()
        .map(|(what, text)| {
            let findings = findings(text);
            assert!(!findings.has_errors(), "{findings}");
            assert!(findings.count(Level::Warning) > 0, "{what}\n{text}");
            format!("## {what}\n\n{findings}\n")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_some_seed_does_is_not_in_vain() {
    let servers = |text: String| text.replace("[[workload]]", "servers = { draw = [3, 7] }\n[[workload]]");
    for text in [
        servers(at("{ crash = \"random(2, server)\" }")),
        servers(at("{ pause = \"random(5, server)\" }")),
        servers(at("{ pause = \"server-5\" }")).replace("[3, 7]", "[6, 7]"),
        at("{ crash = \"primary\" }"),
        at("{ crash = \"random(server)\" }"),
        at("{ ring = [\"view\", \"random(2, server)\"] }"),
        at("{ ring = [\"primary\", \"server-0\"] }"),
        at("{ disk = { nodes = \"server\", set = { read_error = { draw = [0.0, 0.5] } } } }"),
        at("{ disk_full = { nodes = \"server\", free = \"1GiB\" } }"),
        at("{ rolling_restart = { nodes = [\"view\", \"server\"], down = \"1s\", pause = \"1s\" } }"),
        format!(
            "{}[expect.run]\n\"rule.fault-x\" = 1\n",
            fault("name = \"fault-x\"\nat = \"1s\"\ndo = { pause = \"view\" }")
        ),
        at("{ crash = [\"primary\", \"backup\"] }"),
        format!(
            "{}[run]\nmax_down = \"all\"\n",
            at("{ crash = \"all\" }").replace(LOAD, &format!("{LOAD}restart = true\n"))
        ),
        format!("{}[run]\nmax_down = \"all\"\nzones = 2\n", at("{ crash = \"zone-1 & server\" }")),
        format!("{}[run]\nmax_down = \"all\"\n", at("{ crash = \"client-0\" }")),
        format!("{}[run]\nmax_down = {{ one_of = [0, 1] }}\n", at("{ crash = \"view\" }")),
        at("{ one_way = { from = \"primary\", to = \"backup\" } }"),
        at("{ clog = { from = \"server\", to = \"server\" } }"),
        at("{ partition = { groups = [\"primary\", [\"view\", \"backup\"]] } }"),
        at("{ partition = { groups = [[\"primary\"], [\"server\"], [\"rest\"]] } }"),
        at("{ one_of = [{ weight = { draw = [0, 3] }, pause = \"view\" }, { pause = \"server\" }] }"),
        fault("at = \"1s\"\nfor = \"1s\"\ndo = { one_of = [{ restart = \"view\" }, { pause = \"view\" }] }"),
        fault("enabled = { chance = 0.1 }\nat = \"1s\"\ndo = { crash = \"server-0\" }\n[expect.sweep]\ncrash = 1"),
        fault(
            "when = { event = \"pb.became_primary\", where = { view = 2, first = true, who = \"server-1\", why = \"x\" } }\n\
             do = { pause = \"view\" }",
        ),
        format!(
            "{HEADER}{LOAD}[expect.run]\nops_ok = 1\n\"op.get.ok\" = 1\n\"pb.became_primary\" = 1\n\"sim.crashed\" = 1\n\
             \"fault.missed\" = 1\n\"disk.unsynced_bytes\" = 1\n\"buggify.fired\" = 1\n"
        ),
    ] {
        let findings = findings(&text);
        assert!(findings.diagnostics().is_empty(), "{findings}\n{text}");
    }
}
