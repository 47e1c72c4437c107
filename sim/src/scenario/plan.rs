//! What one run of a scenario is: the file with every draw made for one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::bounds::Bounds;
use super::max_down::MaxDown;
use super::target::Targets;
use crate::base::{Phase, Time};
use crate::fault::{Fault, Nemesis};
use crate::fs::DiskConfig;
use crate::kernel::Policy;
use crate::net::LinkConfig;
use crate::system::Description;

/// A scenario for one seed: nothing is left to draw but whom a fault hits and when an `every` fires.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the scenario is about, for `dst list`.
    #[serde(default)]
    pub description: String,
    /// The system and its parameters, still untyped: the system itself reads them.
    pub system: Spanned<toml::Table>,
    /// Phases, schedule and budget.
    #[serde(default)]
    pub run: RunTable,
    /// What every link is like.
    #[serde(default = "default_network")]
    pub network: Spanned<LinkConfig>,
    /// What every disk is like.
    #[serde(default)]
    pub disk: DiskConfig,
    /// What the clients do.
    #[serde(default, rename = "workload")]
    pub workloads: Vec<WorkloadTable>,
    /// What goes wrong.
    #[serde(default, rename = "fault")]
    pub faults: Vec<FaultRule>,
    /// What must have happened for the run to mean anything.
    #[serde(default)]
    pub expect: Expect,
    /// Only in frozen files: what the original run had drawn.
    #[serde(default)]
    pub frozen: Option<Frozen>,
    /// Every draw that was made: its key path, such as `system.servers` or `fault[cut].at`, and its value as TOML.
    #[serde(skip)]
    pub draws: Vec<(String, String)>,
    /// The phases that the file says the workloads of, be it that there are none.
    #[serde(skip)]
    pub phases: BTreeSet<Phase>,
}

fn default_network() -> Spanned<LinkConfig> {
    Spanned::new(0..0, LinkConfig::default())
}

impl Plan {
    /// Which system this is about.
    pub fn system_name(&self) -> &str {
        self.system.get_ref().get("name").and_then(toml::Value::as_str).unwrap_or_default()
    }

    /// The system's own parameters: `[system]` without `name`.
    pub fn system_params(&self) -> toml::Table {
        let mut params = self.system.get_ref().clone();
        params.remove("name");
        params
    }

    /// With the workloads that the system suggests for the phases that the file says nothing of. A frozen file says all.
    ///
    /// # Panics
    ///
    /// If the system suggests clients that no scenario could name.
    #[must_use]
    pub fn with_suggested(mut self, system: &Description) -> Plan {
        // Whatever is wrong with a workload that the file does not have is shown at the system that suggests it.
        let place = self.system.span();
        for suggested in system.suggested.iter().filter(|_| self.frozen.is_none()) {
            if !self.phases.contains(&suggested.phase) {
                self.workloads.push(WorkloadTable {
                    name: Spanned::new(place.clone(), suggested.workload.clone()),
                    phase: suggested.phase,
                    on: suggested.on.as_deref().map(|on| Spanned::new(place.clone(), target(on))),
                    args: None,
                    restart: false,
                });
            }
        }
        self
    }
}

/// The target that a text in a scenario would be.
fn target(text: &str) -> Targets {
    Targets::deserialize(StrDeserializer::<ValueError>::new(text)).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// `[run]`: phases, schedule and budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunTable {
    /// The most that set-up workloads may take before the main phase begins.
    pub setup: Time,
    /// How long faults and main workloads go on.
    pub main: Time,
    /// After everything is healed: the time within which the system must make progress and the final workloads end.
    pub quiet: Time,
    /// How ready tasks are ordered.
    pub schedule: Policy,
    /// Virtual time of one poll. Zero under `fifo` whatever it says.
    pub cpu_poll: Time,
    /// The most by which a delayed wake is late.
    pub wake_jitter: Time,
    /// How many nodes of one group may be down at once.
    pub max_down: MaxDown,
    /// Whether faults spare the last copy of what the system declares protected.
    pub protect: bool,
    /// How many zones the nodes are spread over: the n-th node of each group is in zone n modulo this.
    pub zones: u16,
    /// Whether code-level fault points (`buggify!`) may be on.
    pub buggify: bool,
    /// Steps that a check may take before it gives up with `unknown`.
    pub check_budget: u64,
}

impl Default for RunTable {
    fn default() -> Self {
        let cpu = crate::kernel::CpuModel::default();
        RunTable {
            setup: Time::from_nanos(10_000_000_000),
            main: Time::from_nanos(6_000_000_000),
            quiet: Time::from_nanos(15_000_000_000),
            schedule: Policy::default(),
            cpu_poll: Time::new(cpu.poll),
            wake_jitter: Time::new(cpu.wake_jitter),
            max_down: MaxDown::default(),
            protect: true,
            zones: 3,
            buggify: false,
            check_budget: 10_000_000,
        }
    }
}

/// `[[workload]]`: what clients do, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadTable {
    /// One of the system's workloads.
    pub name: Spanned<String>,
    /// When it runs.
    #[serde(default)]
    pub phase: Phase,
    /// Which of the client nodes run it; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Spanned<Targets>>,
    /// The workload's own arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Spanned<toml::Table>>,
    /// Whether a client that went down runs it again when it is back, in the phase in which it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
}

/// `[[fault]]`: what goes wrong, and when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// For `after`, for reports, and as the name of its stream of draws. If the file gives none, planning puts its
    /// position in the file here, `fault-1`, which stays the same when an earlier one is not enabled.
    #[serde(default)]
    pub name: Option<Spanned<String>>,
    /// Once, this long after the main phase began.
    #[serde(default)]
    pub at: Option<Spanned<Time>>,
    /// Again and again, a fixed or drawn time apart, as long as the main phase lasts.
    #[serde(default)]
    pub every: Option<Spanned<Every>>,
    /// When the system observes an event, or a client invokes an operation.
    #[serde(default)]
    pub when: Option<Spanned<When>>,
    /// When the fault of that name is over (undone), or has happened if it has no `for`.
    #[serde(default)]
    pub after: Option<Spanned<String>>,
    /// Only while the fault of that name is in force.
    #[serde(default, rename = "while")]
    pub during: Option<Spanned<String>>,
    /// This much later than the trigger says.
    #[serde(default)]
    pub delay: Time,
    /// How long it lasts; to the end of the main phase if absent.
    #[serde(default, rename = "for")]
    pub lasts: Option<Every>,
    /// At most this often; `when` and `after` fire once by default, `every` without limit.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens: one fault or nemesis, or `one_of` several, drawn each time it fires.
    #[serde(rename = "do")]
    pub what: Spanned<Action>,
    /// Only in frozen files: the exact moment.
    #[serde(default)]
    pub exact: Option<Exact>,
}

/// A time, or one drawn anew each time: `"2s"` or `{ draw = ["1s", "4s"] }`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Every {
    /// Always the same.
    Fixed(Time),
    /// Uniform between two bounds.
    Drawn {
        /// Both ends, included.
        draw: (Time, Time),
    },
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The table of a drawn time, with serde's own errors for keys and types.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Drawn {
            draw: (Time, Time),
        }
        struct EveryVisitor;
        impl<'de> Visitor<'de> for EveryVisitor {
            type Value = Every;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"2s\" or { draw = [\"1s\", \"4s\"] }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Every, E> {
                Time::deserialize(serde::de::value::StrDeserializer::new(text)).map(Every::Fixed)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Every, A::Error> {
                let Drawn { draw } = Drawn::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Every::Drawn { draw })
            }
        }
        deserializer.deserialize_any(EveryVisitor)
    }
}

/// A trigger on what happens in the run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The name of an event.
    pub event: Option<String>,
    /// The kind of a client operation, when it is invoked.
    pub op: Option<String>,
    /// Only from this occurrence on (of those that match), 1 by default.
    pub nth: Option<u64>,
    /// Only on these nodes.
    pub node: Option<Targets>,
    /// Only if the event is about a group of that name; `*` is any characters.
    pub group: Option<String>,
    /// Only if these fields of the event have these values.
    #[serde(rename = "where")]
    pub fields: toml::Table,
}

/// What a rule does when it fires.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Always this.
    Always(What),
    /// One of these, drawn each time, with weights.
    OneOf(Vec<Weighted>),
}

/// One fault, or a nemesis that deals out several.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A fault.
    Fault(Fault<Targets>),
    /// A nemesis.
    Nemesis(Nemesis<Targets>),
}

/// A choice among faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// How likely, relative to the others; 1 by default.
    pub weight: u64,
    /// What it is.
    pub what: What,
}

/// The coordinates of a fault that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    /// Virtual nanoseconds since the run began.
    pub ns: u64,
    /// The poll that was under way, or the number of polls before if none was.
    pub poll: u64,
    /// Which observation of that poll it struck at; 0 if it struck between polls.
    pub observation: u32,
}

/// `[frozen]`: what makes a frozen file the same run as its original.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The seed of the original run.
    pub seed: u64,
    /// The file that it was frozen from.
    pub scenario: String,
    /// The known bugs that were on.
    #[serde(default)]
    pub planted: Vec<String>,
    /// The buggify points that were on.
    #[serde(default)]
    pub buggify: Vec<String>,
    /// Its world digest, in hexadecimal: a replay must have the same.
    pub world: String,
}

/// `[expect]`: how often things must have happened, by the names that the dose reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// In every single run.
    pub run: BTreeMap<String, Bounds>,
    /// Over a whole sweep.
    pub sweep: BTreeMap<String, Bounds>,
    /// Failures that the scenario is there to show: a run that fails so has passed, and a sweep in which none does fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fails: Vec<String>,
}

/// The name under which runs are counted that failed as [`Expect::fails`] declares.
pub const DECLARED: &str = "declared_failures";

impl Expect {
    /// What must have happened over a whole sweep, a declared failure included.
    pub fn over_a_sweep(&self) -> BTreeMap<String, Bounds> {
        let mut all = self.sweep.clone();
        if !self.fails.is_empty() {
            all.entry(DECLARED.to_owned()).or_insert(Bounds::at_least(1));
        }
        all
    }
}
