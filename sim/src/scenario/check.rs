//! Names that only the system knows: nodes, roles, selectors, events and their fields, operations, workloads.

use std::ops::Range;

use toml::de::DeTable;

use super::error::{Diagnostic, ScenarioError, suggest};
use super::locate::{Item, find, target_span};
use super::parse::Scenario;
use super::plan::{Plan, What, When};
use super::target::{Target, Targets, ZONES};
use crate::base::glob_matches;
use crate::fault::Fault;
use crate::probe::{PROBES, ProbeKind};
use crate::system::Description;

/// Compares the names in a plan with those of its system. `nodes` are the names and roles of the cluster's nodes.
///
/// # Errors
///
/// All unknown names at once, with what may have been meant. The names in `[expect]` are not among them: those that
/// never occur count zero, which is a warning of [`super::examine()`].
pub fn check(
    scenario: &Scenario,
    plan: &Plan,
    description: &Description,
    nodes: &[(String, String)],
) -> Result<(), ScenarioError> {
    let problems = unknown_names(&scenario.draft().tree(), plan, description, Some(nodes));
    if problems.is_empty() { Ok(()) } else { Err(scenario.error(problems)) }
}

/// All unknown names. Without nodes, because the parameters that they follow from are wrong, any number of a role counts
/// as a node.
pub(super) fn unknown_names(
    tree: &DeTable<'_>,
    plan: &Plan,
    description: &Description,
    nodes: Option<&[(String, String)]>,
) -> Vec<Diagnostic> {
    let zones = plan.run.zones;
    let mut names = Names { tree, description, nodes, zones, problems: Vec::new() };
    for workload in &plan.workloads {
        let known = &description.workloads;
        names.known("workload", "workloads", workload.name.get_ref(), known, workload.name.span());
        if let Some(on) = &workload.on {
            names.targets(on.get_ref(), false, &on.span());
        }
    }
    for rule in &plan.faults {
        let within = rule.what.span();
        for what in rule.what.get_ref().all() {
            what.targets().into_iter().for_each(|targets| names.targets(targets, true, &within));
            names.what(what, &within);
        }
        if let Some(when) = &rule.when {
            names.when(when.get_ref(), &when.span());
        }
    }
    names.problems
}

struct Names<'a> {
    tree: &'a DeTable<'a>,
    description: &'a Description,
    nodes: Option<&'a [(String, String)]>,
    zones: u16,
    problems: Vec<Diagnostic>,
}

impl Names<'_> {
    fn known(&mut self, one: &str, many: &str, name: &str, known: &[String], span: Range<usize>) -> bool {
        let is_known = known.iter().any(|known| known == name);
        if !is_known {
            let system = &self.description.name;
            let help = suggest(name, &format!("{many} of `{system}`"), known.iter().map(String::as_str));
            let problem = Diagnostic::error(format!("unknown {one} `{name}`"));
            self.say(problem.at(span).label(format!("not one of the {many} of `{system}`")).help(help));
        }
        is_known
    }

    /// The same name may be drawn or written twice; one place is shown once.
    fn say(&mut self, problem: Diagnostic) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn when(&mut self, when: &When, span: &Range<usize>) {
        let description = self.description;
        if let Some(op) = &when.op {
            self.known("operation", "operations", op, &description.ops, self.find(span, Item::Text(op)));
        }
        if let Some(event) = &when.event {
            let names: Vec<String> = description.events.iter().map(|event| event.name.clone()).collect();
            if self.known("event", "events", event, &names, self.find(span, Item::Text(event)))
                && let Some(info) = description.events.iter().find(|info| info.name == *event)
            {
                for field in when.fields.keys().filter(|field| !info.fields.contains(field)) {
                    let help = suggest(field, "its fields", info.fields.iter().map(String::as_str));
                    let problem = Diagnostic::error(format!("the event `{event}` has no field `{field}`"));
                    let place = self.find(span, Item::Key(field));
                    self.say(problem.at(place).label("not a field of this event").help(help));
                }
            }
        }
        if let Some(node) = &when.node {
            self.targets(node, true, span);
        }
    }

    /// Actions of the system, and fault points of the code.
    fn what(&mut self, what: &What, within: &Range<usize>) {
        match what {
            What::Fault(Fault::Action { name, .. }) => {
                let span = self.find(within, Item::Text(name));
                self.known("action", "actions", name, &self.description.actions, span);
            }
            What::Fault(Fault::Buggify(points)) => {
                let sites = PROBES.iter().filter(|probe| probe.kind == ProbeKind::Buggify);
                let known: Vec<&str> = sites.map(|probe| probe.name).collect();
                if !known.iter().any(|name| glob_matches(points, name)) {
                    let help = suggest(points, "fault points", known);
                    let problem = Diagnostic::error(format!("no fault point is named `{points}`"));
                    let span = self.find(within, Item::Text(points));
                    self.say(problem.at(span).label("no `buggify!` in the code has this name").help(help));
                }
            }
            _ => {}
        }
    }

    fn find(&self, within: &Range<usize>, wanted: Item<'_>) -> Range<usize> {
        find(self.tree, within, |item| item == wanted).unwrap_or_else(|| within.clone())
    }

    fn targets(&mut self, targets: &Targets, selectors: bool, within: &Range<usize>) {
        for target in &targets.0 {
            let Target::Name(name) = target.base() else { continue };
            let Description { roles, selectors: known, .. } = self.description;
            let mut choices: Vec<&str> = vec!["all"];
            let nodes = self.nodes.unwrap_or_default();
            choices.extend(nodes.iter().flat_map(|(name, role)| [name.as_str(), role.as_str()]));
            choices.extend(roles.iter().map(String::as_str));
            let zones: Vec<String> = (0..self.zones).map(|zone| format!("{ZONES}-{zone}")).collect();
            if selectors {
                choices.extend(known.iter().map(String::as_str));
                choices.extend(zones.iter().map(String::as_str));
                choices.extend(matches!(target, Target::Random { .. }).then_some(ZONES));
            }
            let may_be_a_node = || match name.rsplit_once('-') {
                _ if name.contains('*') => true,
                Some((role, number)) => roles.iter().any(|known| known == role) && number.parse::<u32>().is_ok(),
                None => false,
            };
            if choices.contains(&name.as_str()) || (self.nodes.is_none() && may_be_a_node()) {
                continue;
            }
            let span = target_span(self.tree, target, within);
            let help = suggest(name, "names here", choices);
            if !name.contains('*') {
                let kinds = if selectors { "a node, role, zone or selector" } else { "a node or role" };
                let problem = Diagnostic::error(format!("unknown target `{name}`"));
                self.say(problem.at(span).label(format!("not {kinds} of `{}`", self.description.name)).help(help));
            } else if !nodes.iter().any(|(node, _)| glob_matches(name, node)) {
                let problem = Diagnostic::error(format!("`{name}` matches no node"));
                self.say(problem.at(span).label("no node has such a name").help(help));
            }
        }
    }
}
