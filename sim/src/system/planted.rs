//! Known bugs: what is said of one where it is declared.

use serde::Serialize;

use crate::base::failure::is_of;
use crate::probe::{PROBES, ProbeKind};

/// A known bug that is being declared: which oracles it breaks, and which scenarios find it.
///
/// ```
/// # fn describe<S: sim::System>(m: &mut sim::Manifest<S>) {
/// m.planted("kv.stale-read").breaks(["linearizable"]).found_by("reads", 15).found_by("swarm", 200);
/// # }
/// ```
///
/// The bug's site is [`planted!`](crate::planted!) of the same name. Nothing else has to be said of it anywhere: tests and
/// `dst corpus run` search for it as it is declared.
#[derive(Debug)]
pub struct Planted<'a>(&'a mut PlantedInfo);

impl<'a> Planted<'a> {
    pub(super) fn new(info: &'a mut PlantedInfo) -> Planted<'a> {
        Planted(info)
    }

    /// The oracles that may report the bug: a run that fails in another way has not found it. Each is the name of a check or
    /// an invariant, or the beginning of a signature that the simulator itself gives, up to a colon: `always:raft.election-in-time`,
    /// `panic`, `liveness`.
    pub fn breaks<const N: usize>(self, oracles: [&str; N]) -> Planted<'a> {
        self.0.breaks.extend(oracles.map(str::to_owned));
        self
    }

    /// A scenario that finds the bug, and within how many seeds, from seed 0 on. The scenario is named as its file in the
    /// system's own folder is: `reads` of the system `kv` is `scenarios/kv/reads.toml`.
    ///
    /// Which seed finds the bug may change with the code, but one of so many must. To choose the number, sweep the scenario with
    /// the bug switched on and see which share of the seeds finds it: five divided by that share misses in fewer than one of a
    /// hundred such choices of seeds.
    pub fn found_by(self, scenario: &str, within: u64) -> Planted<'a> {
        self.0.found_by.push(Search { scenario: scenario.to_owned(), within });
        self
    }
}

/// A known bug.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlantedInfo {
    /// As in `raft.forget-vote`.
    pub name: String,
    /// The oracles that may report it: a sweep that finds something else has not found it.
    pub breaks: Vec<String>,
    /// The scenarios that find it.
    pub found_by: Vec<Search>,
}

/// A scenario that finds a known bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Search {
    /// The scenario's name in the folder of its system, without `.toml`.
    pub scenario: String,
    /// How many seeds it may take, from seed 0 on.
    pub within: u64,
}

/// How the signatures begin that the simulator and its tools give by themselves, whatever the system checks.
const OWN_SIGNATURES: [&str; 10] =
    ["always", "check-error", "deadlock", "dose", "liveness", "livelock", "panic", "process", "unknown", "vacuous"];

impl PlantedInfo {
    /// Whether a failure of that signature is this bug's doing.
    pub fn is_broken_by(&self, signature: &str) -> bool {
        self.breaks.iter().any(|oracle| is_of(signature, oracle))
    }

    /// What is wrong with the declaration, in sentences without a full stop: that nothing can report the bug, or nothing can be
    /// switched on. `checks` are the system's.
    pub fn mistakes(&self, checks: &[String]) -> Vec<String> {
        let mut mistakes = Vec::new();
        let has_site = |kind, name: &str| PROBES.iter().any(|probe| probe.kind == kind && probe.name == name);
        if !has_site(ProbeKind::Planted, &self.name) {
            mistakes.push(format!("the planted bug `{0}` is declared, but no line has planted!(\"{0}\")", self.name));
        }
        if self.breaks.is_empty() {
            mistakes.push(format!("the planted bug `{}` breaks nothing: no oracle may report it", self.name));
        }
        for oracle in &self.breaks {
            let (kind, about) = oracle.split_once(':').unwrap_or((oracle, ""));
            let is_known = match kind {
                "always" if !about.is_empty() => has_site(ProbeKind::Always, about),
                kind => OWN_SIGNATURES.contains(&kind) || checks.iter().any(|check| check == kind),
            };
            if !is_known {
                let what = match kind {
                    "always" => format!("no line has always!(.., \"{about}\")"),
                    kind => format!("the system has no check `{kind}`"),
                };
                mistakes.push(format!("the planted bug `{}` breaks `{oracle}`, but {what}", self.name));
            }
        }
        for (i, Search { scenario, within }) in self.found_by.iter().enumerate() {
            if *within == 0 {
                mistakes.push(format!("the planted bug `{}` is to be found within 0 seeds by `{scenario}`", self.name));
            }
            if self.found_by[..i].iter().any(|earlier| earlier.scenario == *scenario) {
                mistakes.push(format!("the planted bug `{}` is found by `{scenario}` twice", self.name));
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, declare: impl for<'a> FnOnce(Planted<'a>) -> Planted<'a>) -> Vec<String> {
        let mut info = PlantedInfo { name: name.to_owned(), ..PlantedInfo::default() };
        declare(Planted::new(&mut info));
        info.mistakes(&["linearizable".to_owned()])
    }

    /// The sites that the declarations below are about.
    fn sites() -> bool {
        crate::always!(true, "planted-tests.holds");
        crate::planted!("planted-tests.bug")
    }

    #[test]
    fn a_declaration_without_mistakes() {
        assert!(!sites());
        let all = ["linearizable", "linearizable:x", "always:planted-tests.holds", "always", "panic", "liveness:final"];
        let mistakes = declared("planted-tests.bug", |bug| bug.breaks(all).found_by("one", 1).found_by("two", 2));
        assert_eq!(mistakes, [""; 0]);
    }

    #[test]
    fn what_cannot_be_found_is_a_mistake() {
        for (says, mistakes) in [
            ("no line has planted!(\"planted-tests.bog\")", declared("planted-tests.bog", |bug| bug.breaks(["panic"]))),
            ("breaks nothing", declared("planted-tests.bug", |bug| bug)),
            ("the system has no check `linear`", declared("planted-tests.bug", |bug| bug.breaks(["linear"]))),
            (
                "no line has always!(.., \"planted-tests.hold\")",
                declared("planted-tests.bug", |bug| bug.breaks(["always:planted-tests.hold"])),
            ),
            ("within 0 seeds by `x`", declared("planted-tests.bug", |bug| bug.breaks(["panic"]).found_by("x", 0))),
            (
                "found by `x` twice",
                declared("planted-tests.bug", |bug| bug.breaks(["panic"]).found_by("x", 1).found_by("x", 2)),
            ),
        ] {
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(says), "{mistakes:?}");
        }
    }
}
