//! A run as a scenario file of its own: every draw pinned, and in place of the rules the faults that happened.
//!
//! It is written from the typed plan, not from the text of the original: defaults are pinned too, so that a later change
//! of a default does not change what the file replays.

use std::fmt::Write;

use serde::Serialize;
use toml::ser::ValueSerializer;

use super::parse::Scenario;
use super::plan::{Exact, Expect, Frozen, Plan, RunTable, WorkloadTable};
use crate::base::Time;
use crate::fault::Fault;
use crate::fs::DiskConfig;
use crate::net::LinkConfig;

/// A fault that happened, on the nodes that it hit. Each has a name of its own.
#[derive(Clone, Debug)]
pub struct FrozenFault {
    /// The name of its rule, made unique.
    pub name: String,
    /// What it did, to which nodes.
    pub fault: Fault<Vec<String>>,
    /// When it struck.
    pub exact: Exact,
    /// For how long, if it was for a time.
    pub lasts: Option<Time>,
}

/// What is taken over from the plan, in the order of the file.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    system: &'a toml::Table,
    run: &'a RunTable,
    network: &'a LinkConfig,
    disk: &'a DiskConfig,
    expect: &'a Expect,
    workload: &'a [WorkloadTable],
}

/// Writes a scenario that is this one run. Planned with any seed it gives `plan` with `faults` for its rules.
pub fn freeze(scenario: &Scenario, plan: &Plan, frozen: &Frozen, faults: &[FrozenFault]) -> String {
    let kept = Kept {
        description: &plan.description,
        system: plan.system.get_ref(),
        run: &plan.run,
        network: plan.network.get_ref(),
        disk: &plan.disk,
        expect: &plan.expect,
        workload: &plan.workloads,
    };
    let mut text = format!(
        "# One run of {}, with seed {}, frozen: every draw is pinned, and the faults are those that happened.\n\
         # Replay it: cargo dst replay <this file>\n\n",
        scenario.path().escape_debug(),
        frozen.seed,
    );
    text += &toml::to_string(&kept).expect("what was read from TOML can be written as TOML");
    text += &frozen_table(frozen);
    faults.iter().for_each(|fault| text += &fault_table(fault));
    text
}

fn frozen_table(frozen: &Frozen) -> String {
    let Frozen { seed, scenario, planted, buggify, world } = frozen;
    // By hand, because a serializer of TOML refuses seeds that do not fit into 63 bits.
    let mut text = format!("\n[frozen]\nseed = {seed}\nscenario = {}\n", inline(scenario));
    for (key, list) in [("planted", planted), ("buggify", buggify)] {
        let _ = writeln!(text, "{key} = {}", inline(list));
    }
    let _ = writeln!(text, "world = {}", inline(world));
    text
}

fn fault_table(fault: &FrozenFault) -> String {
    let mut text = format!("\n[[fault]]\nname = {}\nexact = {}\n", inline(&fault.name), inline(&fault.exact));
    if let Some(lasts) = &fault.lasts {
        let _ = writeln!(text, "for = {}", inline(lasts));
    }
    let _ = writeln!(text, "do = {}", inline(&fault.fault));
    text
}

/// A value on one line, where a serializer for documents would open a table of its own.
fn inline(value: &(impl Serialize + ?Sized)) -> String {
    let mut buffer = String::new();
    value.serialize(ValueSerializer::new(&mut buffer)).expect("what was read from TOML can be written as TOML");
    buffer
}
