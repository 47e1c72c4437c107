//! Everything that is wrong with a draft, in one go: its form, and what its system makes of it.
//!
//! A draft is looked at many times, with every alternative of its draws in turn and with some seeds. Each look reads as
//! much as can be read ([`super::tolerant`]), and what could be read is compared with the system: its parameters, the
//! arguments of workloads, and every name. Only a draft without errors is examined for settings without effect
//! ([`super::warnings`]).

use std::ops::Range;

use toml::Table;
use toml::de::DeTable;

use super::check::unknown_names;
use super::draw::Choices;
use super::error::{Diagnostic, ScenarioError};
use super::locate::alternative;
use super::parse::{Draft, Findings, MOST_PROBES, Reading, Scenario, args_span, keys, unknown_key};
use super::plan::{Plan, What};
use super::tolerant::Doubts;
use super::warnings::Warnings;
use crate::fault::Fault;
use crate::system::{Description, DynSystem, Instance};

/// What there is to say about a draft.
#[derive(Debug)]
pub struct Examined {
    /// The scenario, if nothing is wrong with it.
    pub scenario: Option<Scenario>,
    /// Errors and, if there are none, warnings.
    pub findings: ScenarioError,
}

/// How many seeds are planned, besides the looks that see every alternative: ranges whose ends are drawn apart, and all
/// else that depends on several draws together.
const SEEDS: u64 = 16;

/// More wrong keys in one table than anybody has.
const MOST_KEYS: usize = 50;

/// Examines a draft. Without a system, only its form is looked at.
pub fn examine(draft: &Draft, system: Option<&dyn DynSystem>) -> Examined {
    let description = system.map(DynSystem::description);
    let mut findings = Findings::default();
    let tree = draft.tree();
    let mut warnings = Warnings::new(&tree);
    let mut first = None;
    let mut look = |choices: Choices| {
        let Reading { plan, mut problems, doubts, widest } = draft.read(choices);
        let plan = match &description {
            Some(description) => plan.map(|plan| plan.with_suggested(description)),
            None => plan,
        };
        let mut instance = None;
        if let (Some(plan), Some(system), Some(description)) = (&plan, system, &description) {
            let asked = Asked { draft, tree: &tree, plan, doubts: &doubts };
            instance = asked.system(system, description, &mut problems);
        }
        findings.add(problems);
        if findings.all.is_empty()
            && let (Some(plan), Some(description), Some(instance)) = (&plan, &description, &instance)
        {
            warnings.look(plan, description, instance.as_ref());
        }
        if first.is_none() {
            first = plan;
        }
        widest
    };
    let widest = look(Choices::Probe(0)).min(MOST_PROBES);
    (1..widest).for_each(|probe| {
        look(Choices::Probe(probe));
    });
    (0..SEEDS).for_each(|seed| {
        look(Choices::Seed(seed));
    });
    if !findings.all.is_empty() {
        return Examined { scenario: None, findings: draft.error(findings.all) };
    }
    let scenario = first.map(|plan| Scenario::right(draft, &plan));
    let warnings = if system.is_some() { warnings.all() } else { Vec::new() };
    Examined { scenario, findings: draft.error(warnings) }
}

/// A plan that is compared with its system.
struct Asked<'a> {
    draft: &'a Draft,
    tree: &'a DeTable<'a>,
    plan: &'a Plan,
    doubts: &'a Doubts,
}

impl Asked<'_> {
    /// What is wrong with a plan for its system; also the system with the plan's parameters, if they can be read.
    fn system(
        &self,
        system: &dyn DynSystem,
        description: &Description,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Box<dyn Instance>> {
        let before = problems.len();
        let mut instance = None;
        self.table(self.plan.system_params(), self.plan.system.span(), problems, self.doubts.system, |params| {
            instance = Some(system.instantiate(params.clone())?);
            Ok(())
        });
        let certain = problems.len() == before && !self.doubts.system;
        let nodes = instance.as_ref().filter(|_| certain).map(|instance| instance.nodes());
        let unknown = unknown_names(self.tree, self.plan, description, nodes.as_deref());
        problems.extend(unknown.into_iter().filter(|problem| self.is_news(problem)));
        if let Some(instance) = &instance {
            self.workloads(instance.as_ref(), problems);
            self.faults(instance.as_ref(), problems);
        }
        instance
    }

    fn is_news(&self, problem: &Diagnostic) -> bool {
        problem.span.as_ref().is_none_or(|span| !self.doubts.covers(span))
    }

    fn workloads(&self, instance: &dyn Instance, problems: &mut Vec<Diagnostic>) {
        for workload in &self.plan.workloads {
            let args = workload.args.as_ref().map(|args| args.get_ref().clone()).unwrap_or_default();
            let damaged = workload.args.as_ref().is_some_and(|args| self.doubts.covers(&args.span()));
            self.table(args, args_span(workload), problems, damaged, |args| {
                instance.check_args(workload.name.get_ref(), args.clone())
            });
        }
    }

    /// Tables of faults that only the system can read. A `reconfigure` with others would restart nodes and change nothing,
    /// and an action would do nothing at all.
    fn faults(&self, instance: &dyn Instance, problems: &mut Vec<Diagnostic>) {
        let mut roles: Vec<String> = instance.nodes().into_iter().map(|node| node.role).collect();
        roles.sort_unstable();
        roles.dedup();
        for rule in &self.plan.faults {
            for (index, what) in rule.what.get_ref().all().into_iter().enumerate() {
                let within = rule.what.span();
                let place = |fault: &str, key: &str| {
                    let action = alternative(self.tree, &within, index);
                    let place = action.and_then(|action| action.get(fault)?.get_ref().get(key));
                    place.map_or(within.clone(), toml::Spanned::span)
                };
                match what {
                    What::Fault(Fault::Reconfigure { with, .. }) => {
                        let read =
                            |with: &Table| roles.iter().try_for_each(|role| instance.boot(role, Some(with)).map(drop));
                        self.table(with.clone(), place("reconfigure", "with"), problems, false, read);
                    }
                    What::Fault(Fault::Action { name, args, .. }) => {
                        let read = |args: &Table| instance.check_action(name, args.clone());
                        self.table(args.clone(), place("action", "args"), problems, false, read);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Reads a table that only the system knows, again and again without what was wrong with it. `damaged` says that
    /// something was taken out of it before, so that what it lacks is no news.
    fn table(
        &self,
        mut table: Table,
        span: Range<usize>,
        problems: &mut Vec<Diagnostic>,
        mut damaged: bool,
        mut read: impl FnMut(&Table) -> Result<(), toml::de::Error>,
    ) {
        for _ in 0..MOST_KEYS {
            let Err(error) = read(&table) else { return };
            let mut path = keys(&error);
            path.extend(unknown_key(&error).map(str::to_owned));
            let lacks = error.message().starts_with("missing field");
            let problem = self.draft.in_table(span.clone(), &error);
            if !(lacks && damaged) && self.is_news(&problem) {
                problems.push(problem);
            }
            damaged = true;
            if lacks || !remove(&mut table, &path) {
                return;
            }
        }
    }
}

/// Takes the value at a path of keys out. False if there is none.
fn remove(table: &mut Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [key] => table.remove(key).is_some(),
        [key, rest @ ..] => match table.get_mut(key) {
            Some(toml::Value::Table(inner)) => remove(inner, rest) || table.remove(key).is_some(),
            // An array: all of it goes.
            Some(_) => table.remove(key).is_some(),
            None => false,
        },
    }
}
