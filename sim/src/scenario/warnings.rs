//! Warnings: settings of a scenario that can have no effect.
//!
//! A warning must be true of every run. So each is judged in every look at the scenario, which see all alternatives of
//! all draws and some seeds, and given only if no look says otherwise: `random(5, server)` is fine if some seeds have five.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bounds::Bounds;
use super::budget::Cluster;
use super::entries::phase;
use super::error::{Diagnostic, suggest};
use super::locate::{Item, find, key_at, table_at, target_span};
use super::plan::{Action, DECLARED, FaultRule, Plan, What, When};
use super::target::{Count, Target, Targets};
use crate::base::Phase;
use crate::event::{EVENTS, EventKind};
use crate::fault::{Fault, Nemesis};
use crate::net::LinkPatch;
use crate::run::dose::{counted, counted_as};
use crate::system::{Description, EventInfo, Instance};

/// Warnings about one scenario, look by look.
pub(super) struct Warnings<'a> {
    tree: &'a DeTable<'a>,
    /// By place and what it is about: what is to be said, or nothing if some look found it well.
    found: BTreeMap<(usize, usize, &'static str), Option<Diagnostic>>,
    /// The phases that the system suggests a workload for.
    suggested: BTreeSet<Phase>,
    frozen: bool,
}

/// One look.
struct Look<'w, 'a> {
    warnings: &'w mut Warnings<'a>,
    plan: &'w Plan,
    description: &'w Description,
    cluster: Cluster,
}

impl<'a> Warnings<'a> {
    pub fn new(tree: &'a DeTable<'a>) -> Warnings<'a> {
        Warnings { tree, found: BTreeMap::new(), suggested: BTreeSet::new(), frozen: false }
    }

    /// Looks at the scenario as one seed has it.
    pub fn look(&mut self, plan: &Plan, description: &Description, instance: &dyn Instance) {
        // What happened, happened.
        self.frozen |= plan.frozen.is_some();
        self.suggested.extend(description.suggested.iter().map(|suggested| suggested.phase));
        let cluster = Cluster::new(plan, description, instance);
        let mut look = Look { warnings: self, plan, description, cluster };
        look.workloads();
        plan.faults.iter().for_each(|rule| look.rule(rule));
        look.expectations("run", &plan.expect.run);
        look.expectations("sweep", &plan.expect.sweep);
    }

    /// All warnings.
    pub fn all(mut self) -> Vec<Diagnostic> {
        if self.frozen {
            return Vec::new();
        }
        self.never_enabled();
        self.found.into_values().flatten().collect()
    }

    /// Notes how it is in this look: well, or worth a warning.
    fn note(&mut self, place: Range<usize>, about: &'static str, bad: Option<Diagnostic>) {
        let warning = bad.map(|warning| warning.at(place.clone()));
        let found = self.found.entry((place.start, place.end, about)).or_insert_with(|| warning.clone());
        if warning.is_none() {
            *found = None;
        }
    }

    /// The entries of a list.
    fn entries(&self, list: &str) -> impl Iterator<Item = &'a DeTable<'a>> + use<'a> {
        let entries = match self.tree.get(list).map(Spanned::get_ref) {
            Some(DeValue::Array(entries)) => Some(entries),
            _ => None,
        };
        entries.into_iter().flat_map(|entries| entries.iter()).filter_map(|entry| entry.get_ref().as_table())
    }

    /// Entries that no seed has. They are in no look.
    fn never_enabled(&mut self) {
        for list in ["fault", "workload"] {
            for entry in self.entries(list) {
                // This is how a scenario says that it wants nothing of what the system suggests.
                if list == "workload" && phase(entry).is_some_and(|phase| self.suggested.contains(&phase)) {
                    continue;
                }
                let Some(enabled) = entry.get("enabled") else { continue };
                let chance = enabled.get_ref().get("chance").map(Spanned::get_ref);
                let never = enabled.get_ref().as_bool() == Some(false)
                    || match chance {
                        Some(DeValue::Integer(zero)) => zero.as_str() == "0",
                        Some(DeValue::Float(zero)) => zero.as_str().parse() == Ok(0.0),
                        _ => false,
                    };
                let warning = Diagnostic::warning(format!("this {list} is never enabled"))
                    .label("no seed enables it")
                    .help("remove it, or give it a chance: enabled = { chance = 0.5 }");
                self.note(enabled.span(), "enabled", never.then_some(warning));
            }
        }
    }
}

impl Look<'_, '_> {
    fn note(&mut self, place: Range<usize>, about: &'static str, bad: bool, warning: impl FnOnce() -> Diagnostic) {
        self.warnings.note(place, about, bad.then(warning));
    }

    fn workloads(&mut self) {
        let plan = self.plan;
        let busy = plan.workloads.iter().any(|workload| workload.phase == Phase::Main);
        let place = key_at(self.warnings.tree, &["system", "name"]).unwrap_or_else(|| plan.system.span());
        let known = &self.description.workloads;
        self.note(place, "main", !busy, || {
            Diagnostic::warning("no workload runs in the main phase")
                .label("the system has no load while faults strike")
                .help(suggest("", "add a [[workload]]; the system's are", known.iter().map(String::as_str)))
        });
        for workload in &plan.workloads {
            let Some(on) = &workload.on else { continue };
            let bad = !self.cluster.clients().any(|node| on.get_ref().names(node));
            let clients: Vec<String> = self.cluster.clients().map(|node| node.name.clone()).collect();
            self.note(on.span(), "on", bad, || {
                Diagnostic::warning("the workload never runs").label("none of these is a client").help(suggest(
                    "",
                    "clients",
                    clients.iter().map(String::as_str),
                ))
            });
        }
    }

    fn rule(&mut self, rule: &FaultRule) {
        let tree = self.warnings.tree;
        let what = rule.what.span();
        let all = rule.what.get_ref().all();
        if rule.lasts.is_some() {
            let mut entries = self.warnings.entries("fault");
            let entry = entries.find(|entry| entry.get("do").is_some_and(|action| action.span() == what));
            let place = entry.and_then(|entry| entry.get("for")).map_or(what.clone(), Spanned::span);
            let bad = all.iter().all(|what| what.is_momentary());
            self.note(place, "for", bad, || {
                Diagnostic::warning(format!("`for` has no effect on `{}`", all[0].name()))
                    .label("nothing is undone after this time")
                    .help(match all[0].name() {
                        "bit_rot" | "bad_sectors" => "leave it out; damage stays until the sector is written again",
                        _ => "leave it out, or use `crash`, which keeps the nodes down for this time",
                    })
            });
        }
        let choices = table_at(tree, &what).and_then(|table| table.get("one_of"));
        let place = |index: usize| match choices.map(Spanned::get_ref) {
            Some(DeValue::Array(choices)) => choices.get(index).map_or(what.clone(), Spanned::span),
            _ => what.clone(),
        };
        for (index, what) in all.iter().enumerate() {
            let within = place(index);
            if let Action::OneOf(choices) = rule.what.get_ref() {
                self.note(within.clone(), "weight", choices[index].weight == 0, || {
                    Diagnostic::warning("an alternative that is never drawn")
                        .label("its weight is zero")
                        .help("remove it, or give it a weight above zero")
                });
            }
            for target in what.targets().into_iter().flat_map(|targets| &targets.0) {
                self.target(target, &within);
            }
            match what {
                What::Fault(fault) => self.fault(fault, &within),
                What::Nemesis(nemesis) => self.nemesis(nemesis, &within),
            }
        }
        if let Some(when) = &rule.when {
            self.when(when.get_ref(), &when.span());
        }
    }

    fn fault(&mut self, fault: &Fault<Targets>, within: &Range<usize>) {
        match fault {
            Fault::Crash(targets) | Fault::Kill(targets) | Fault::Wipe(targets) => {
                self.budget(fault.name(), targets, within);
                self.clients_too(fault.name(), targets, within);
            }
            Fault::Restart(targets) => self.clients_too(fault.name(), targets, within),
            Fault::OneWay { from, to, .. } | Fault::Clog { from, to } | Fault::Link { from, to, .. } => {
                let same = match (self.cluster.fixed(from), self.cluster.fixed(to)) {
                    (Some(from), Some(to)) => from.len() == 1 && from == to,
                    _ => false,
                };
                if let Fault::Link { set, .. } = fault {
                    self.note(within.clone(), "set", *set == LinkPatch::default(), || {
                        Diagnostic::warning("`link` changes nothing")
                            .label("the links do not change")
                            .help("set a property, for example: set = { loss = 0.3 }")
                    });
                }
                self.note(within.clone(), "link", same, || {
                    Diagnostic::warning(format!("`{}` from a node to itself", fault.name()))
                        .label("there is no such link")
                        .help("name two different nodes")
                });
            }
            Fault::Disk { set, .. } => {
                self.note(within.clone(), "set", self.plan.disk.patched(set) == self.plan.disk, || {
                    Diagnostic::warning("`disk` changes nothing")
                        .label("[disk] has the same settings")
                        .help("set a property that differs, for example: set = { sync_error = 0.1 }")
                });
            }
            Fault::DiskFull { free, .. } => {
                let capacity = self.plan.disk.capacity;
                self.note(within.clone(), "free", free.bytes() >= capacity.bytes(), || {
                    Diagnostic::warning("the `disk_full` changes nothing")
                        .label(format!("no more than {capacity} ever fits"))
                        .help("leave less free than the `capacity` in [disk]")
                });
            }
            Fault::Partition { groups, .. } => self.partition(groups, within),
            Fault::Ring(targets) => self.enough("ring", targets, 3, within),
            _ => {}
        }
    }

    fn nemesis(&mut self, nemesis: &Nemesis<Targets>, within: &Range<usize>) {
        match nemesis {
            Nemesis::Halves(targets) => self.enough("halves", targets, 2, within),
            Nemesis::Bridge(targets) => self.enough("bridge", targets, 3, within),
            Nemesis::CrashLoop { nodes, .. } => {
                self.budget(nemesis.name(), nodes, within);
                self.clients_too(nemesis.name(), nodes, within);
            }
            Nemesis::RollingRestart { nodes, .. } => {
                self.one_by_one(nodes, within);
                self.clients_too(nemesis.name(), nodes, within);
            }
            Nemesis::Swizzle(_) => {}
        }
    }

    /// One that takes clients down along with servers, and their load for good.
    fn clients_too(&mut self, name: &str, targets: &Targets, within: &Range<usize>) {
        let hit = self.cluster.hit_along(targets);
        let main = self.plan.workloads.iter().filter(|workload| workload.phase == Phase::Main);
        let mut ends = main.filter(|workload| !workload.restart);
        let all = self.cluster.clients().count();
        let bad = hit > 0 && ends.next().is_some();
        self.note(within.clone(), "clients", bad, || {
            Diagnostic::warning(format!(
                "a `{name}` takes {hit} of {all} clients down, and their workloads do not begin again"
            ))
            .label("the load gets less with each of them")
            .help("name servers only, such as \"random(zone) & server\", or give the [[workload]] `restart = true`")
        });
    }

    /// A rolling restart of nodes none of which may be down even alone.
    fn one_by_one(&mut self, targets: &Targets, within: &Range<usize>) {
        let why = self.cluster.none_alone(targets);
        self.note(within.clone(), "budget", why.is_some(), || {
            Diagnostic::warning("the `rolling_restart` never happens: the fault budget does not allow it")
                .label(why.unwrap_or_default())
                .help("raise `max_down` in [run], or add nodes to the system")
        });
    }

    /// A shape that takes more nodes than it is given.
    fn enough(&mut self, name: &str, targets: &Targets, least: usize, within: &Range<usize>) {
        let Some(have) = self.cluster.most(targets) else { return };
        self.note(within.clone(), "enough", have < least, || {
            Diagnostic::warning(format!("`{name}` needs {least} nodes, but there are {have}"))
                .label("it never happens")
                .help("name more nodes, or add nodes to the system")
        });
    }

    /// One that names too few nodes, or none.
    fn target(&mut self, target: &Target, within: &Range<usize>) {
        let place = target_span(self.warnings.tree, target, within);
        let base = target.base();
        let Some(pool) = self.cluster.nodes_of(base) else { return };
        self.note(place.clone(), "nobody", pool.is_empty(), || {
            Diagnostic::warning(format!("`{target}` matches no node"))
                .label("the cluster has no such node")
                .help("add such nodes to the system, or name others")
        });
        let Target::Random { count, .. } = target else { return };
        let have = pool.len();
        let (bad, title) = match count {
            Count::Nodes(wanted) => {
                ((have as u64) < *wanted, format!("`{target}` asks for {wanted} nodes, but there are {have}"))
            }
            Count::Minority => (have < 3, format!("`{target}` matches no node: fewer than half of {have} is none")),
            Count::Majority => (false, String::new()),
        };
        self.note(place, "random", bad && have > 0, || {
            Diagnostic::warning(title)
                .label(format!("`{base}` has {have}"))
                .help("ask for fewer nodes, or add nodes to the system")
        });
    }

    /// A crash that the fault budget never allows.
    fn budget(&mut self, name: &str, targets: &Targets, within: &Range<usize>) {
        let Some(target) = targets.0.first() else { return };
        let place = target_span(self.warnings.tree, target, within);
        let why = self.cluster.refusal(targets);
        self.note(place, "budget", why.is_some(), || {
            Diagnostic::warning(format!("the `{name}` never happens: the fault budget does not allow it"))
                .label(why.unwrap_or_default())
                .help("raise `max_down` in [run], add nodes to the system, or hit fewer nodes")
        });
    }

    fn partition(&mut self, groups: &[Targets], within: &Range<usize>) {
        let (mut taken, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (index, group) in groups.iter().enumerate() {
            let all = self.cluster.len();
            let mut is_taken = |target: &Target| match (target, self.cluster.nodes_of(target)) {
                (Target::Rest, _) => taken.len() == all,
                (_, Some(nodes)) => !nodes.is_empty() && nodes.is_subset(&taken),
                (target @ Target::Name(_), None) => names.contains(&target.to_string()),
                _ => false,
            };
            let bad = !group.0.is_empty() && group.0.iter().all(&mut is_taken);
            let place = table_at(self.warnings.tree, within)
                .and_then(|table| match table.get("partition")?.get_ref().get("groups")?.get_ref() {
                    DeValue::Array(groups) => groups.get(index).map(Spanned::span),
                    _ => None,
                })
                .unwrap_or_else(|| within.clone());
            for target in &group.0 {
                names.insert(target.to_string());
                taken.extend(self.cluster.nodes_of(target).unwrap_or_default());
            }
            self.note(place, "group", bad, || {
                Diagnostic::warning("a side of the partition is empty")
                    .label("earlier groups have all of these nodes")
                    .help("a node belongs to the first group that names it")
            });
        }
    }

    fn when(&mut self, when: &When, span: &Range<usize>) {
        if let Some(node) = &when.node
            && let Some(nodes) = self.cluster.fixed(node)
        {
            let place = node.0.first().map_or(span.clone(), |first| target_span(self.warnings.tree, first, span));
            let invokes = nodes.iter().any(|node| self.cluster.is_client(*node));
            self.note(place, "node", when.op.is_some() && !invokes, || {
                Diagnostic::warning("the trigger never fires")
                    .label("none of these is a client")
                    .help("only clients invoke operations")
            });
        }
        let events = &self.description.events;
        let Some(event) = events.iter().find(|event| Some(&event.name) == when.event.as_ref()) else { return };
        for (field, wanted) in &when.fields {
            let Some(kind) = type_of(event, field) else { continue };
            let place = find(self.warnings.tree, span, |item| item == Item::Key(field));
            let place = place.unwrap_or_else(|| span.clone());
            if let (true, Some(name)) = (EventKind::is_node(kind), wanted.as_str()) {
                let names = || self.cluster.names();
                let known = names().any(|known| known == name);
                let help = suggest(name, "nodes", names());
                self.note(place, "where", !known, || {
                    Diagnostic::warning(format!("`{field}` is never {wanted}"))
                        .label("no node of this scenario has that name")
                        .help(help)
                });
                continue;
            }
            self.note(place, "where", !may_be(kind, wanted), || {
                Diagnostic::warning(format!("`{field}` is never {wanted}"))
                    .label(format!("in `{}` it is {kind}", event.name))
                    .help("give it a value of that type")
            });
        }
    }

    fn expectations(&mut self, table: &str, expected: &BTreeMap<String, Bounds>) {
        let mut known: Vec<String> = counted(&self.description.ops);
        known.extend(self.description.events.iter().map(|event| event.name.clone()));
        let plan = self.plan;
        let rules = plan.faults.iter().filter_map(|rule| rule.name.as_ref());
        known.extend(rules.filter_map(|name| counted_as(name.get_ref())));
        known.push(DECLARED.to_owned());
        let actions = || plan.faults.iter().flat_map(|rule| rule.what.get_ref().all());
        for (name, bounds) in expected {
            let Some(place) = key_at(self.warnings.tree, &["expect", table, name]) else { continue };
            self.note(place.clone(), "bounds", *bounds == Bounds::default(), || {
                Diagnostic::warning(format!("`{name}` is expected any number of times"))
                    .label("this expectation always holds")
                    .help(format!(
                        "give a bound: {name} = 10, or {{ most = 3 }}, or {{ most = 0 }} for what must not happen"
                    ))
            });
            // An event that the system did not declare is counted too.
            let is_known = known.contains(name) || EVENTS.iter().any(|event| event.name == name);
            self.note(place.clone(), "counted", !is_known, || {
                Diagnostic::warning(format!("nothing counts `{name}`"))
                    .label("the count is always 0, so the expectation says nothing, or is never met")
                    .help(suggest(name, "counts", known.iter().map(String::as_str)))
            });
            let is_fault = Fault::<Targets>::NAMES.contains(&name.as_str());
            let bad = is_fault && actions().all(|what| !deals(what, name));
            self.note(place, "absent", bad, || {
                Diagnostic::warning(format!("no fault of this scenario is a `{name}`"))
                    .label("the count is always 0, so the expectation says nothing, or is never met")
                    .help(format!("add a [[fault]] with do = {{ {name} = .. }}, or expect another"))
            });
        }
    }
}

/// Whether that is a fault of that name, or a nemesis that deals out such faults.
fn deals(what: &What, name: &str) -> bool {
    match what {
        What::Fault(fault) => fault.name() == name,
        What::Nemesis(nemesis) => nemesis.deals() == name,
    }
}

/// The Rust type of a field.
fn type_of<'e>(event: &'e EventInfo, field: &str) -> Option<&'e str> {
    let index = event.fields.iter().position(|known| known == field)?;
    event.types.get(index).map(String::as_str)
}

/// Whether a field of that Rust type may have that value. What is not known may.
fn may_be(kind: &str, value: &toml::Value) -> bool {
    let plain: String = kind.chars().filter(|c| !c.is_whitespace()).collect();
    let plain = plain.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(&plain);
    match plain {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => value.is_integer(),
        _ if EventKind::is_node(kind) => value.is_integer(),
        "bool" => value.is_bool(),
        "String" | "&'staticstr" => value.is_str(),
        _ => true,
    }
}
