//! `sometimes!` and `reachable!` sites that never held in a sweep.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sim::probe::{PROBES, Probe, ProbeKind};

/// A site that never held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Never {
    /// The probe's name.
    pub name: String,
    /// `sometimes` or `reachable`.
    pub kind: String,
    /// Where it is: file and line.
    pub at: String,
}

/// The `sometimes!` and `reachable!` sites of the swept systems that never held. `held` has the names that held; `swept` and
/// `known` are systems.
pub fn never(held: &BTreeMap<String, u64>, swept: &BTreeSet<&str>, known: &BTreeSet<&str>) -> Vec<Never> {
    let lines = sites().filter(|probe| !held.contains_key(probe.name) && belongs(probe, held, swept, known));
    let lines = lines.map(|probe| Never {
        name: probe.name.to_owned(),
        kind: if probe.kind == ProbeKind::Sometimes { "sometimes" } else { "reachable" }.to_owned(),
        at: format!("{}:{}", probe.file, probe.line),
    });
    lines.collect::<BTreeSet<_>>().into_iter().collect()
}

fn sites() -> impl Iterator<Item = &'static Probe> {
    PROBES.iter().filter(|probe| matches!(probe.kind, ProbeKind::Sometimes | ProbeKind::Reachable))
}

/// A module's path tells its system if a segment of it is the system's name. Other modules are shared: they belong to the
/// sweep if all systems were swept, or if another of their sites held.
fn belongs(probe: &Probe, held: &BTreeMap<String, u64>, swept: &BTreeSet<&str>, known: &BTreeSet<&str>) -> bool {
    let mut segments = probe.module.split("::");
    match segments.find(|segment| known.contains(segment)) {
        Some(system) => swept.contains(system),
        None => swept == known || sites().any(|site| site.module == probe.module && held.contains_key(site.name)),
    }
}
