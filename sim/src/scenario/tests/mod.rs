//! Tests of scenario files as a whole: what is accepted, what is said about the rest, what a seed makes of them.

mod at_once;
mod draws;
mod errors;
mod frozen;
mod mutations;
mod nested;
mod reference;
mod suggested;
mod warnings;

use super::Scenario;
use crate::system::{Cluster, Description, EventInfo, NodeSpec};

/// The least that a scenario must say.
const HEADER: &str = "[system]\nname = \"primary_backup\"\n";

/// A scenario with something of everything.
const FULL: &str = r#"description = "Läuft mit Störungen: crashes, a partition and a slow link"

[system]
name = "primary_backup"
servers = { draw = [3, 5] }
clients = 2
net = { one_of = ["lan", "wan"] }

[run]
setup = "5s"
main = { draw = ["20s", "40s"] }
quiet = "10s"
schedule = "random"
max_down = "minority"
buggify = { chance = 0.5 }

[network]
latency = { log_normal = { median = "1ms", p99 = { draw = ["5ms", "50ms"] } } }
loss = { draw = [0.0, 0.01] }
duplicate = 0.01

[disk]
sync = { constant = "500us" }

[[workload]]
name = "fill"
phase = "setup"
on = "client-0"

[[workload]]
name = "mixed"
args = { keys = { draw = [1, 10] }, mix = { one_of = [[1, 2], [3, { draw = [4, 9] }]] } }

[[workload]]
name = "mixed"
enabled = { chance = 0.5 }
args = { keys = 3 }

[[fault]]
name = "kill"
every = { draw = ["2s", "6s"] }
for = { draw = ["1s", "3s"] }
times = 4
do = { one_of = [{ weight = 3, crash = "random(server)" }, { pause = "primary" }, { restart = ["server-0", "view"] }] }

[[fault]]
name = "cut"
when = { event = "pb.became_primary", nth = 2, node = "server-*", where = { view = 2 } }
delay = { draw = ["0s", "100ms"] }
for = "2s"
do = { partition = { groups = [["primary"], ["rest"]], in_flight = "deliver" } }

[[fault]]
enabled = { chance = 0.5 }
after = "cut"
do = { link = { from = "server", to = "client", set = { loss = { draw = [0.1, 0.5] } } } }

[[fault]]
at = { draw = ["1s", "10s"] }
do = { clock = { nodes = "minority(server)", offset = { draw = ["-50ms", "50ms"] } } }

[[fault]]
when = { op = "append" }
do = { reconfigure = { nodes = "backup", with = { batch = { one_of = [1, 8] } } } }

[expect.run]
ops_ok = 1

[expect.sweep]
crash = 10
"net.partitioned" = 100
"#;

fn scenario(source: &str) -> Scenario {
    match Scenario::parse("scenarios/test.toml", source) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{error}\n\n{source}"),
    }
}

fn description() -> Description {
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Description {
        name: "primary_backup".to_owned(),
        roles: strings(&["view", "server", "client"]),
        selectors: strings(&["primary", "backup"]),
        workloads: strings(&["mixed", "fill"]),
        ops: strings(&["get", "put", "append"]),
        actions: strings(&["grow"]),
        events: vec![EventInfo {
            name: "pb.became_primary".to_owned(),
            fields: strings(&["view"]),
            types: strings(&["u64"]),
        }],
        ..Description::default()
    }
}

fn nodes() -> Vec<NodeSpec> {
    let mut cluster = Cluster::default();
    cluster.nodes("view", 1).nodes("server", 3).nodes("client", 2);
    cluster.list().to_vec()
}

#[test]
fn everything_at_once_is_accepted() {
    let scenario = scenario(FULL);
    assert_eq!(scenario.system(), "primary_backup");
    assert!(scenario.description().starts_with("Läuft"));
    for seed in 0..50 {
        let plan = scenario.plan(seed).unwrap();
        assert_eq!(plan.system_name(), "primary_backup");
        assert_eq!(plan.system_params().get("clients"), Some(&toml::Value::Integer(2)));
        super::check(&scenario, &plan, &description(), &nodes()).unwrap();
    }
}

#[test]
fn a_scenario_can_be_shared_among_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Scenario>();
    shared::<super::ScenarioError>();
}
