//! Names that only the system knows: nodes, roles, selectors, events and their fields, operations, workloads.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;

use super::error::{Diagnostic, ScenarioError, suggest};
use super::locate::{Item, find, target_span};
use super::max_down::MaxDown;
use super::parse::Scenario;
use super::plan::{Plan, What, When};
use super::target::{Target, Targets, ZONES};
use crate::base::glob_matches;
use crate::fault::Fault;
use crate::probe::{PROBES, ProbeKind};
use crate::system::{Description, NodeSpec, OPERATOR};

/// Compares the names in a plan with those of its system. `nodes` are the cluster's.
///
/// # Errors
///
/// All unknown names at once, with what may have been meant. The names in `[expect]` are not among them: those that
/// never occur count zero, which is a warning of [`super::examine()`].
pub fn check(
    scenario: &Scenario,
    plan: &Plan,
    description: &Description,
    nodes: &[NodeSpec],
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
    nodes: Option<&[NodeSpec]>,
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
    names.max_down(&plan.run.max_down);
    names.problems
}

struct Names<'a> {
    tree: &'a DeTable<'a>,
    description: &'a Description,
    nodes: Option<&'a [NodeSpec]>,
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
        if let (Some(group), Some(nodes)) = (&when.group, self.nodes)
            && !nodes.iter().any(|node| glob_matches(group, &node.group))
        {
            let place = self.find(span, Item::Text(group));
            let problem = Diagnostic::error(format!("unknown group `{group}`"));
            let help = suggest(group, "groups", nodes.iter().map(|node| &*node.group).collect::<BTreeSet<&str>>());
            self.say(problem.at(place).label(format!("not a group of `{}`", self.description.name)).help(help));
        }
    }

    /// Actions of the system, and fault points of the code.
    fn what(&mut self, what: &What, within: &Range<usize>) {
        match what {
            What::Fault(Fault::Action { name, on, .. }) => {
                let span = self.find(within, Item::Text(name));
                self.known("action", "actions", name, &self.description.actions, span);
                on.iter().flat_map(|on| &on.0).for_each(|target| self.operators(target, within));
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

    /// Actions run on operators.
    fn operators(&mut self, target: &Target, within: &Range<usize>) {
        let named: Vec<&str> = target.names().into_iter().map(|(name, _)| name).collect();
        let is_operator = |node: &&NodeSpec| node.role == OPERATOR;
        let nodes = self.nodes.unwrap_or_default();
        let is_of = |name: &str, node: &NodeSpec| node.name == name || node.role == name || node.group == name;
        let other = named.into_iter().find(|name| nodes.iter().any(|node| is_of(name, node) && !is_operator(&node)));
        if let Some(other) = other {
            let operators: Vec<&str> = nodes.iter().filter(is_operator).map(|node| node.name.as_str()).collect();
            let problem = Diagnostic::error(format!("an action runs on operators, and `{other}` is none"));
            let help = format!("the operators of `{}` are {}", self.description.name, operators.join(", "));
            self.say(problem.at(target_span(self.tree, target, within)).label("not an operator").help(help));
        }
    }

    /// Groups or roles with a limit of their own.
    fn max_down(&mut self, max_down: &MaxDown) {
        let Some(nodes) = self.nodes else { return };
        for pattern in max_down.patterns() {
            if nodes.iter().any(|node| MaxDown::is_of(pattern, node) && node.role != OPERATOR) {
                continue;
            }
            let all = 0..usize::MAX;
            let place = find(self.tree, &all, |item| item == Item::Key(pattern)).unwrap_or(0..0);
            let groups: BTreeSet<&str> = nodes
                .iter()
                .filter(|node| node.role != OPERATOR)
                .flat_map(|node| [&*node.group, &*node.role])
                .collect();
            let problem = Diagnostic::error(format!("`max_down` has a limit for `{pattern}`, which is no group"));
            let help = suggest(pattern, "groups and roles", groups);
            self.say(problem.at(place).label(format!("no group or role of `{}`", self.description.name)).help(help));
        }
    }

    fn find(&self, within: &Range<usize>, wanted: Item<'_>) -> Range<usize> {
        find(self.tree, within, |item| item == wanted).unwrap_or_else(|| within.clone())
    }

    fn targets(&mut self, targets: &Targets, selectors: bool, within: &Range<usize>) {
        for target in &targets.0 {
            for (name, drawn) in target.names() {
                self.target(target, name, selectors, drawn, within);
            }
        }
    }

    /// One name in a target. `selectors` tells whether those may stand there, `drawn` whether `random` and the like are around it.
    fn target(&mut self, target: &Target, name: &str, selectors: bool, drawn: bool, within: &Range<usize>) {
        let Description { roles, selectors: known, .. } = self.description;
        let mut choices: Vec<&str> = vec!["all"];
        let nodes = self.nodes.unwrap_or_default();
        choices.extend(nodes.iter().flat_map(|node| [&*node.name, &*node.role, &*node.group]));
        choices.extend(roles.iter().map(String::as_str));
        let zones: Vec<String> = (0..self.zones).map(|zone| format!("{ZONES}-{zone}")).collect();
        if selectors {
            choices.extend(known.iter().map(String::as_str));
            choices.extend(zones.iter().map(String::as_str));
            choices.extend(drawn.then_some(ZONES));
        }
        let may_be_a_node = || match name.rsplit_once('-') {
            _ if name.contains('*') => true,
            Some((role, number)) => roles.iter().any(|known| known == role) && number.parse::<u32>().is_ok(),
            None => false,
        };
        if choices.contains(&name) || (self.nodes.is_none() && may_be_a_node()) {
            return;
        }
        let span = target_span(self.tree, target, within);
        let help = suggest(name, "names here", choices);
        if !name.contains('*') {
            let kinds = if selectors { "a node, group, role, zone or selector" } else { "a node, group or role" };
            let problem = Diagnostic::error(format!("unknown target `{name}`"));
            self.say(problem.at(span).label(format!("not {kinds} of `{}`", self.description.name)).help(help));
        } else if !nodes.iter().any(|node| glob_matches(name, &node.name)) {
            let problem = Diagnostic::error(format!("`{name}` matches no node"));
            self.say(problem.at(span).label("no node has such a name").help(help));
        }
    }
}
