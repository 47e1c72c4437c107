//! The fault budget of disks: of each group that a system declares, one stays whole.
//!
//! Three nodes keep a copy of the same file. It is lost for good when all three are damaged, so no fault may do that, unless the
//! scenario says so.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::event::{Crashed, On};
use sim::history::Op;
use sim::system::Protect;
use sim::{Client, Cluster, Manifest, NodeId, Report, RunOptions, Scenario, System, fs, node, observe, time};

struct Copies;

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// When the first node writes its copy again, in milliseconds after the run began; never if zero.
    rewrites: u64,
    /// Whether a wiped node is said to have its copy again as soon as it runs.
    recovers: bool,
    /// How many of the disks must be whole.
    whole: usize,
}

impl Default for Params {
    fn default() -> Self {
        Params { rewrites: 0, recovers: false, whole: 1 }
    }
}

sim::event! {
    "copies.has" => struct Has { whole: usize, recovers: bool }
}

#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
struct Ask;

impl Op for Ask {
    type Ret = ();
    const KINDS: &'static [&'static str] = &["ask"];
    fn kind(&self) -> &'static str {
        "ask"
    }
}

/// Who has a copy.
#[derive(Default)]
struct Holders {
    whole: usize,
    recovers: bool,
    wiped: Vec<NodeId>,
}

impl Protect for Holders {
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Has>(|holders, moment, has| {
            (holders.whole, holders.recovers) = (has.whole, has.recovers);
            if has.recovers {
                holders.wiped.retain(|node| *node != moment.node);
            }
        });
        on.fold::<Crashed>(|holders, moment, crashed| {
            if crashed.wiped {
                holders.wiped.push(moment.node);
            }
        });
    }
    fn memories(&self) -> Vec<Vec<NodeId>> {
        Vec::new()
    }
    fn disks(&self) -> Vec<Vec<NodeId>> {
        let has = |node: &NodeId| !self.wiped.contains(node);
        let nodes: Vec<NodeId> = node::of_role("copy").into_iter().filter(has).collect();
        match self.whole {
            // Of each two, one: two of three.
            2 => (0..nodes.len())
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| vec![nodes[i], nodes[j]])
                .collect(),
            _ => vec![nodes],
        }
    }
}

impl System for Copies {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("copies", "They keep a copy each.").role("copy", copy).client_role("client");
        m.event::<Has>().ops::<Ask>().protected::<Holders>();
        m.workload("asks", async |cx: Client<Params>, _: toml::Table| {
            while cx.running() {
                let call = cx.invoke(Ask);
                time::sleep(Duration::from_millis(50)).await;
                call.ok(());
            }
        });
    }
    fn build(&self, _: &Params, cluster: &mut Cluster) {
        cluster.nodes("copy", 3).nodes("client", 1);
    }
}

async fn copy(params: Rc<Params>) {
    let write = async || {
        let file = fs::OpenOptions::new().write(true).create(true).open("copy").await.unwrap();
        file.write_all_at(&[7; 2048], 0).await.unwrap();
        file.sync_all().await.unwrap();
        fs::sync_dir("").await.unwrap();
    };
    if node::incarnation() == 1 {
        write().await;
    }
    observe!(Has { whole: params.whole, recovers: params.recovers });
    let rewrites = Duration::from_millis(params.rewrites);
    if rewrites > Duration::ZERO && node::this().name() == "copy-0" {
        time::sleep(rewrites).await;
        write().await;
    }
    loop {
        time::sleep(Duration::from_millis(100)).await;
        let file = fs::OpenOptions::new().write(true).create(true).open("other").await.unwrap();
        let _ = file.write_all_at(&[1], 0).await;
        let _ = file.sync_all().await;
    }
}

fn run(system: &str, lines: &str, rules: &[(u64, &str)]) -> Report {
    let rules: String = rules
        .iter()
        .map(|(at, what)| format!("[[fault]]\nat = \"{at}ms\"\nfor = \"250ms\"\ndo = {{ {what} }}\n"))
        .collect();
    let text = format!(
        "[system]\nname = \"copies\"\n{system}\n[run]\nmain = \"3s\"\nmax_down = \"all\"\n{lines}\n\
         [[workload]]\nname = \"asks\"\n{rules}"
    );
    let scenario = Scenario::parse("copies.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    sim::validate(&Copies, &scenario).unwrap_or_else(|error| panic!("{error}"));
    let report = sim::run(&Copies, &scenario, 1, RunOptions::default()).unwrap();
    assert_eq!(report.failure, None, "{text}");
    report
}

/// Which of the rules happened, in order: `1 2`.
fn happened(system: &str, lines: &str, rules: &[(u64, &str)]) -> String {
    let report = run(system, lines, rules);
    let refused = report.dose.get("fault.refused").copied().unwrap_or(0) as usize;
    assert_eq!(report.faults.len() + refused, rules.len(), "{:?} {:?}", report.faults, report.prevented);
    assert_eq!(refused > 0, report.prevented.iter().any(|line| line.contains("it would damage the last whole disk")));
    let name = |line: &String| line.split_once("fault-").unwrap().1.split(':').next().unwrap().to_owned();
    report.faults.iter().map(name).collect::<Vec<_>>().join(" ")
}

const ROT: [&str; 3] = [
    "bit_rot = { nodes = \"copy-0\", files = \"copy\" }",
    "bit_rot = { nodes = \"copy-1\", files = \"copy\" }",
    "bit_rot = { nodes = \"copy-2\", files = \"copy\" }",
];

#[test]
fn two_of_three_may_rot_and_the_third_only_when_one_was_written_again() {
    let rules = [(500, ROT[0]), (600, ROT[1]), (700, ROT[2]), (1_500, ROT[2])];
    assert_eq!(happened("", "", &rules), "1 2");
    assert_eq!(happened("rewrites = 1000", "", &rules), "1 2 4");
    // What is damaged already may be damaged more, as long as another is whole.
    assert_eq!(happened("", "", &[(500, ROT[0]), (600, ROT[0]), (700, ROT[1]), (800, ROT[0])]), "1 2 3 4");
}

#[test]
fn so_it_is_with_every_fault_that_damages() {
    for (third, refused) in [
        ("bad_sectors = { nodes = \"copy-2\" }", true),
        ("wipe = \"copy-2\"", true),
        ("disk = { nodes = \"copy-2\", set = { lying_sync = true } }", true),
        ("disk = { nodes = \"copy-2\", set = { misdirect = 0.1 } }", true),
        ("disk = { nodes = \"copy-2\", set = { sync_error = 0.1, corrupt_read = 0.1 } }", false),
        ("disk = { nodes = \"copy-2\", set = { lying_sync = false } }", false),
        ("disk_full = { nodes = \"copy-2\" }", false),
        ("crash = \"copy-2\"", false),
    ] {
        let rules = [(500, "bad_sectors = { nodes = [\"copy-0\", \"copy-1\"], files = \"copy\" }"), (700, third)];
        assert_eq!(happened("", "", &rules), if refused { "1" } else { "1 2" }, "{third}");
    }
    assert_eq!(happened("", "", &[(500, "bad_sectors = { nodes = \"copy\" }")]), "", "all at once");
}

#[test]
fn a_disk_that_has_lied_is_never_whole_again() {
    let lies = |n: usize| format!("disk = {{ nodes = \"copy-{n}\", set = {{ lying_sync = true }} }}");
    let (a, b) = (lies(0), lies(1));
    assert_eq!(happened("", "", &[(500, a.as_str()), (520, b.as_str()), (540, ROT[2])]), "1 2", "while it lasts");
    let after = [(500, a.as_str()), (1_000, ROT[1]), (1_500, ROT[2])];
    assert!(run("", "", &after).dose["disk.lies"] > 0);
    assert_eq!(happened("", "", &after), "1 2", "honest syncs since make no difference");
    // The first node is asleep meanwhile: it was told no lie.
    assert_eq!(happened("rewrites = 2900", "", &after), "1 2 3");
}

#[test]
fn a_wiped_disk_counts_when_the_system_says_that_it_has_its_copy_again() {
    let rules = [(500, "wipe = \"copy-0\""), (1_000, ROT[1]), (1_500, ROT[2])];
    assert_eq!(happened("recovers = false", "", &rules), "1 2");
    assert_eq!(happened("recovers = true", "", &rules), "1 2 3");
    // As long as nothing was written on it, it counts as damaged, whatever the system says.
    let soon = [(500, "wipe = \"copy-0\""), (510, ROT[1]), (520, ROT[2])];
    assert_eq!(happened("recovers = true", "", &soon), "1 2");
}

#[test]
fn a_system_hears_of_a_disk_that_is_lost_while_its_node_is_down() {
    let rules = [(500, "crash = \"copy-0\""), (600, "wipe = \"copy-0\""), (1_200, ROT[1]), (1_500, ROT[2])];
    assert_eq!(happened("recovers = false", "", &rules), "1 2 3");
}

#[test]
fn a_quorum_is_a_group_of_each_two() {
    let rules = [(500, ROT[0]), (600, ROT[1]), (700, ROT[0])];
    assert_eq!(happened("whole = 2", "", &rules), "1 3");
}

#[test]
fn a_scenario_may_do_without_protection() {
    let report = run("", "protect = false", &[(500, ROT[0]), (600, ROT[1]), (700, ROT[2])]);
    assert_eq!((report.dose["bit_rot"], report.dose["disk.rotten"], report.prevented.len()), (3, 3, 0));
}
