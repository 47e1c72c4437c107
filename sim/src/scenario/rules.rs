//! What a plan must satisfy beyond its types, whatever the system: exactly one trigger, ranges the right way round,
//! rules that can fire at all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Diagnostic, suggest};
use super::locate::{Item, find, key_at, target_span, value_at};
use super::plan::{Action, Every, FaultRule, Plan, What, When};
use super::target::{Target, Targets};
use super::tolerant::Doubts;
use crate::base::Time;
use crate::fault::{Fault, LEAST_DRIFT_PPM, MOST_DRIFT_PPM, Nemesis};
use crate::fs::{DiskConfig, DiskPatch, Problem};
use crate::net::LinkConfig;

/// All that is wrong with a plan. `tree` is what it was read from: list entries have the same indexes. What follows only
/// from what could not be read is not said.
pub(super) fn problems(plan: &Plan, tree: &DeTable<'_>, doubts: &Doubts) -> Vec<Diagnostic> {
    let mut rules = Rules { plan, tree, doubts, problems: Vec::new() };
    rules.integers();
    rules.system();
    rules.run();
    rules.properties();
    rules.workloads();
    rules.names();
    for (index, rule) in plan.faults.iter().enumerate() {
        rules.trigger(index, rule);
        rules.times(index, rule);
        rules.action(rule);
    }
    rules.problems
}

struct Rules<'a> {
    plan: &'a Plan,
    tree: &'a DeTable<'a>,
    doubts: &'a Doubts,
    problems: Vec<Diagnostic>,
}

/// A fault that happens more often than this in a run leaves no time for anything else.
const MOST_FIRINGS: u64 = 1_000_000;

/// Longer than any run: what is beyond was not meant, and could overflow the clock.
const YEAR_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;

impl Rules<'_> {
    fn say(&mut self, title: impl Into<String>, span: Range<usize>, label: impl Into<String>, help: &str) {
        let problem = Diagnostic::error(title).at(span).label(label);
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    /// Where the value at a path of keys stands, or else the first of them.
    fn span(&self, path: &[&str]) -> Range<usize> {
        let known = (1..=path.len()).rev().find_map(|n| value_at(self.tree, &path[..n]));
        known.map_or(0..0, Spanned::span)
    }

    fn span_in_fault(&self, index: usize, key: &str) -> Range<usize> {
        self.span(&["fault", &index.to_string(), key])
    }

    /// TOML has 64-bit signed integers, and a frozen file must be able to hold what was read here.
    fn integers(&mut self) {
        let mut too_large = Vec::new();
        for (key, value) in self.tree {
            // The seed is written as what it is, 64 bits without a sign.
            if key.get_ref() != "frozen" {
                large_integers(value, &mut too_large);
            }
        }
        for span in too_large {
            self.say("the number is too large", span, format!("expected at most {}", i64::MAX), "");
        }
    }

    fn system(&mut self) {
        let expected = "expected the name of a system";
        match self.plan.system.get_ref().get("name") {
            Some(toml::Value::String(name)) if !name.is_empty() => {}
            Some(_) => self.say("the name of the system is not a name", self.span(&["system", "name"]), expected, ""),
            None if self.doubts.system => {}
            None => self.say(
                "missing key `name`",
                self.plan.system.span(),
                expected,
                "say which system this is about, for example: name = \"primary_backup\"",
            ),
        }
    }

    fn run(&mut self) {
        let run = &self.plan.run;
        for (key, time, must_pass) in
            [("setup", run.setup, false), ("main", run.main, true), ("quiet", run.quiet, true)]
        {
            if must_pass && time.nanos() == 0 {
                self.say(format!("`{key}` is zero"), self.span(&["run", key]), "expected some time", "");
            }
            self.within_a_year(key, time, self.span(&["run", key]));
        }
        for (key, time) in [("cpu_poll", run.cpu_poll), ("wake_jitter", run.wake_jitter)] {
            self.within_a_year(key, time, self.span(&["run", key]));
        }
        if run.zones == 0 {
            self.say("`zones` is zero", self.span(&["run", "zones"]), "expected at least 1", "");
        }
        if run.check_budget == 0 {
            let help = "leave it out for the default";
            self.say("`check_budget` is zero", self.span(&["run", "check_budget"]), "expected some steps", help);
        }
    }

    fn within_a_year(&mut self, key: &str, time: Time, span: Range<usize>) {
        if time.nanos() > YEAR_NS {
            self.say(format!("`{key}` is more than a year"), span, "expected less", "");
        }
    }

    fn properties(&mut self) {
        if let Some(problem) = self.plan.network.get_ref().problem() {
            self.property(&problem, &["network"], "latency");
        }
        if let Some(Problem { key, title, expected }) = self.plan.disk.problem() {
            self.say(title, self.span(&["disk", key]), expected, "");
        }
    }

    /// A problem of a link begins with the key that it is about, or else it is about its latency.
    fn property(&mut self, problem: &str, table: &[&str], latency: &str) {
        let first = problem.split(' ').next().unwrap_or_default();
        let exact = [table, &[first]].concat();
        let key = if value_at(self.tree, &exact).is_some() { first } else { latency };
        let span = self.span(&[table, &[key]].concat());
        let (title, label) = problem.split_once(", ").unwrap_or((problem, ""));
        self.say(title, span, label, "");
    }

    fn workloads(&mut self) {
        for workload in &self.plan.workloads {
            if let Some(on) = &workload.on {
                self.fixed(on.get_ref(), on.span());
                self.not_empty(on.get_ref(), on.span());
            }
        }
    }

    /// Where nodes are not drawn: clients of a workload, and the nodes that a trigger watches.
    fn fixed(&mut self, targets: &Targets, within: Range<usize>) {
        for target in &targets.0 {
            let moves = |part: &&Target| matches!(part, Target::Rest | Target::This | Target::Random { .. });
            if target.parts().iter().any(moves) {
                let span = self.span_of(target, &within);
                self.say(format!("`{target}` cannot stand here"), span, "expected nodes or roles", "");
            }
        }
    }

    fn not_empty(&mut self, targets: &Targets, span: Range<usize>) {
        if targets.0.is_empty() {
            self.say("no target is given", span, "expected at least one", "");
        }
    }

    fn span_of(&self, target: &Target, within: &Range<usize>) -> Range<usize> {
        target_span(self.tree, target, within)
    }

    /// Names are unique, and `after` leads somewhere.
    fn names(&mut self) {
        let mut rules: BTreeMap<&str, &FaultRule> = BTreeMap::new();
        for rule in &self.plan.faults {
            let Some(name) = &rule.name else { continue };
            if rules.insert(name.get_ref(), rule).is_some() {
                let help = "give each fault a name of its own; one without a name has its position, such as `fault-1`";
                self.say(format!("a second fault named `{name}`"), name.span(), "this name is taken", help);
            }
        }
        for rule in &self.plan.faults {
            let (Some(name), Some(after)) = (&rule.name, &rule.after) else { continue };
            let others = rules.keys().copied().filter(|known| known != name.get_ref());
            if after == name {
                self.say("a fault waits for itself", after.span(), "expected the name of another fault", "");
            } else if !rules.contains_key(after.get_ref().as_str()) {
                if self.doubts.names {
                    continue;
                }
                let help = suggest(after.get_ref(), "other faults", others);
                self.say(format!("no fault is named `{after}`"), after.span(), "not a fault of this file", &help);
            } else if in_circle(name.get_ref(), after.get_ref(), &rules) {
                let help = "let one of them begin with `at`, `every` or `when`";
                self.say("faults wait for each other", after.span(), "this leads back here", help);
            }
        }
        for rule in &self.plan.faults {
            let (Some(name), Some(during)) = (&rule.name, &rule.during) else { continue };
            let other = rules.get(during.get_ref().as_str());
            if during == name {
                self.say("a fault waits for itself", during.span(), "expected the name of another fault", "");
            } else if let Some(other) = other {
                if other.what.get_ref().all().iter().all(|what| what.is_momentary()) {
                    let title = format!("`{during}` is never in force: it is over when it has happened");
                    self.say(title, during.span(), "expected a fault that lasts", "use `after` to follow it");
                } else if in_circle(name.get_ref(), during.get_ref(), &rules) {
                    let help = "let one of them begin without the others";
                    self.say("faults wait for each other", during.span(), "this leads back here", help);
                }
            } else if !self.doubts.names {
                let others = rules.keys().copied().filter(|known| known != name.get_ref());
                let help = suggest(during.get_ref(), "other faults", others);
                self.say(format!("no fault is named `{during}`"), during.span(), "not a fault of this file", &help);
            }
        }
    }

    fn trigger(&mut self, index: usize, rule: &FaultRule) {
        let keys = [
            ("at", rule.at.is_some()),
            ("every", rule.every.is_some()),
            ("when", rule.when.is_some()),
            ("after", rule.after.is_some()),
            ("exact", rule.exact.is_some()),
        ];
        let given: Vec<&str> = keys.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        let place = index.to_string();
        match given[..] {
            [] if self.doubts.trigger(&self.span(&["fault", &place])) => {}
            [] => self.say(
                "the fault has no trigger",
                self.span(&["fault", &place]),
                "expected one of `at`, `every`, `when`, `after`",
                "say when it happens, for example: at = \"5s\"",
            ),
            [_] => {}
            [first, second, ..] => {
                let span =
                    key_at(self.tree, &["fault", &place, second]).unwrap_or_else(|| self.span_in_fault(index, second));
                let title = format!("the fault has two triggers, `{first}` and `{second}`");
                self.say(title, span, "expected only one", "write a [[fault]] for each");
            }
        }
        if rule.exact.is_some() && self.plan.frozen.is_none() && !self.doubts.frozen {
            let help = "use `at`, or freeze a run: a frozen file has a table [frozen]";
            self.say("`exact` outside of a frozen file", self.span_in_fault(index, "exact"), "not a trigger", help);
        }
        if let Some(when) = &rule.when {
            self.when(when);
        }
    }

    fn when(&mut self, spanned: &Spanned<When>) {
        let (when, span) = (spanned.get_ref(), spanned.span());
        let key = |name| find(self.tree, &span, |item| item == Item::Key(name)).unwrap_or_else(|| span.clone());
        match (&when.event, &when.op) {
            (None, None) => {
                let help = "name an event or an operation, for example: when = { event = \"pb.became_primary\" }";
                self.say("`when` waits for nothing", span.clone(), "expected `event` or `op`", help);
            }
            (Some(_), Some(_)) => {
                let help = "write a [[fault]] for each";
                self.say("`when` waits for two things", key("op"), "expected `event` or `op`, not both", help);
            }
            (None, Some(_)) if !when.fields.is_empty() => {
                self.say(
                    "only events have fields",
                    key("where"),
                    "not with `op`",
                    "leave it out, or wait for an event",
                );
            }
            _ => {}
        }
        if when.nth == Some(0) {
            self.say("`nth` counts from one", key("nth"), "expected at least 1", "");
        }
        if let Some(node) = &when.node {
            self.fixed(node, span.clone());
            self.not_empty(node, key("node"));
        }
    }

    fn times(&mut self, index: usize, rule: &FaultRule) {
        // If the length of the main phase is drawn, a late fault may happen in some runs and not in others.
        let drawn = self.plan.draws.iter().any(|(path, _)| path == "run" || path.starts_with("run.main"));
        let main = if drawn || self.doubts.main { Time::from_nanos(u64::MAX) } else { self.plan.run.main };
        let never = |time: Time| format!("{time} is not before the end of the main phase, which lasts {main}");
        if let Some(at) = &rule.at {
            let time = Time::from_nanos(at.get_ref().nanos().saturating_add(rule.delay.nanos()));
            if time >= main {
                let help = "times count from the beginning of the main phase; make `main` in [run] longer";
                self.say("the fault would never happen", at.span(), never(time), help);
            }
        } else if rule.delay >= main {
            let span = self.span_in_fault(index, "delay");
            self.say("the fault would never happen", span, never(rule.delay), "");
        }
        if let Some(every) = &rule.every {
            self.every(rule, every, main);
        }
        if let Some(lasts) = &rule.lasts {
            let span = self.span_in_fault(index, "for");
            let (_, high) = self.ordered("for", lasts, span.clone());
            self.within_a_year("for", high, span);
        }
        let span = self.span_in_fault(index, "times");
        match rule.times {
            Some(0) => {
                let help = "leave the fault out, or give it enabled = false";
                self.say("`times` is zero", span, "expected at least 1", help);
            }
            Some(_) if rule.at.is_some() || rule.exact.is_some() => {
                let help = "use `every` for a fault that comes again";
                self.say("`times` with a fault that happens once", span, "not with `at`", help);
            }
            _ => {}
        }
    }

    fn every(&mut self, rule: &FaultRule, every: &Spanned<Every>, main: Time) {
        let (low, high) = self.ordered("every", every.get_ref(), every.span());
        let is_limited = rule.times.is_some_and(|times| times <= MOST_FIRINGS);
        if high.nanos() == 0 {
            self.say("`every` is zero", every.span(), "expected some time", "");
        } else if low >= main {
            let label = format!("{low} is not before the end of the main phase, which lasts {main}");
            self.say("the fault would never happen", every.span(), label, "");
        } else if self.plan.run.main.nanos() / high.nanos() > MOST_FIRINGS && !is_limited {
            let label = format!("more than {MOST_FIRINGS} times in the main phase, which lasts {}", self.plan.run.main);
            let help = "make the time longer, or limit the fault with `times`";
            self.say("the fault would happen more often than any run can bear", every.span(), label, help);
        }
    }

    /// The least and the most that it may be.
    fn ordered(&mut self, key: &str, every: &Every, span: Range<usize>) -> (Time, Time) {
        match *every {
            Every::Fixed(time) => (time, time),
            Every::Drawn { draw: (low, high) } => {
                if low > high {
                    let title = format!("the range of `{key}` is empty: {low} is above {high}");
                    self.say(title, span, "expected [lowest, highest]", "");
                }
                (low, high)
            }
        }
    }

    fn action(&mut self, rule: &FaultRule) {
        let span = rule.what.span();
        if let Action::OneOf(choices) = rule.what.get_ref() {
            let total = choices.iter().try_fold(0u64, |total, choice| total.checked_add(choice.weight));
            match total {
                Some(0) if choices.is_empty() => {
                    self.say("`one_of` has nothing to choose from", span.clone(), "expected at least one fault", "");
                }
                Some(0) => self.say("all weights are zero", span.clone(), "nothing could be drawn", ""),
                Some(_) => {}
                None => self.say("the weights are too large", span.clone(), "their sum overflows", ""),
            }
        }
        for what in rule.what.get_ref().all() {
            for targets in what.targets() {
                if rule.when.is_none()
                    && let Some(target) = targets.mentions(&Target::This)
                {
                    let help = "`self` is the node that observed the event, or invoked the operation, of `when`";
                    self.say("`self` without `when`", self.span_of(target, &span), "which node?", help);
                }
                if self.plan.frozen.is_none() {
                    let key = find(self.tree, &span, |item| item == Item::Key(what.name()));
                    self.not_empty(targets, key.unwrap_or_else(|| span.clone()));
                }
            }
            match what {
                What::Fault(fault) => self.fault(fault, &span),
                What::Nemesis(nemesis) => self.nemesis(nemesis, rule, &span),
            }
        }
    }

    fn nemesis(&mut self, nemesis: &Nemesis<Targets>, rule: &FaultRule, within: &Range<usize>) {
        let key = |key| find(self.tree, within, |item| item == Item::Key(key)).unwrap_or_else(|| within.clone());
        if let Some(rest) = nemesis.nodes().mentions(&Target::Rest) {
            let help = "`rest` is what is left over by the other groups of a partition";
            let title = format!("`rest` in the fault `{}`", nemesis.name());
            self.say(title, self.span_of(rest, within), "expected nodes", help);
        }
        if rule.lasts.is_some() && !nemesis.takes_time() {
            let title = format!("`for` with `{}`", nemesis.name());
            self.say(title, key(nemesis.name()), "goes on until it is through", "leave `for` out");
        }
        match nemesis {
            Nemesis::CrashLoop { up, down, .. } => {
                for (name, time) in [("up", *up), ("down", *down)] {
                    if time.nanos() == 0 {
                        self.say(format!("`{name}` is zero"), key(name), "expected some time", "");
                    }
                    self.within_a_year(name, time, key(name));
                }
            }
            Nemesis::RollingRestart { down, pause, .. } => {
                self.within_a_year("down", *down, key("down"));
                self.within_a_year("pause", *pause, key("pause"));
            }
            Nemesis::Swizzle(_) if rule.lasts.is_none() => {
                let help = "say how long it takes from the first clog to the last release, for example: for = \"4s\"";
                self.say("`swizzle` without `for`", key("swizzle"), "how long does it take?", help);
            }
            _ => {}
        }
    }

    fn fault(&mut self, fault: &Fault<Targets>, within: &Range<usize>) {
        let name = fault.name();
        let key = |key| find(self.tree, within, |item| item == Item::Key(key)).unwrap_or_else(|| within.clone());
        if let Fault::Partition { groups, .. } = fault {
            let (earlier, last) = groups.split_at(groups.len().saturating_sub(1));
            if groups.len() < 2 && self.plan.frozen.is_none() {
                let help = "the second may be \"rest\": groups = [[\"primary\"], [\"rest\"]]";
                self.say("a partition with one side", key("groups"), "expected at least two groups", help);
            }
            if let Some(rest) = earlier.iter().find_map(|group| group.mentions(&Target::Rest)) {
                let help = "`rest` is every node that no group before it has";
                self.say("`rest` before the last group", self.span_of(rest, within), "put it last", help);
            }
            if last.iter().any(|group| group.0.contains(&Target::All)) {
                let help = "write \"rest\" for all that are not in the groups before";
                self.say("`all` as one side", self.span_of(&Target::All, within), "includes the other sides", help);
            }
        } else if let Some(rest) = fault.targets().into_iter().find_map(|targets| targets.mentions(&Target::Rest)) {
            let help = "`rest` is what is left over by the other groups of a partition";
            let title = format!("`rest` in the fault `{name}`");
            self.say(title, self.span_of(rest, within), "expected nodes", help);
        }
        match fault {
            Fault::Link { set, .. } => {
                if let Some(problem) = LinkConfig::default().patched(set).problem() {
                    let word = problem.split(' ').next().unwrap_or_default();
                    let span = find(self.tree, within, |item| item == Item::Key(word)).unwrap_or_else(|| key("set"));
                    let (title, label) = problem.split_once(", ").unwrap_or((&problem, ""));
                    self.say(title, span, label, "");
                }
            }
            Fault::Disk { set, .. } => {
                if **set == DiskPatch::default() {
                    let help = "say what they are like meanwhile, for example: set = { sync_error = 0.1 }";
                    self.say("`disk` changes nothing", key("set"), "expected a property of a disk", help);
                } else if let Some(problem) = DiskConfig::default().patched(set).problem() {
                    self.say(problem.title, key(problem.key), problem.expected, "");
                }
            }
            Fault::BitRot { sectors, files, .. } | Fault::BadSectors { sectors, files, .. } => {
                if *sectors == 0 {
                    self.say("`sectors` is zero", key("sectors"), "expected at least 1", "leave it out for one");
                }
                if files.is_empty() {
                    let help = "leave it out for all files, or use * for any characters: \"wal/*\"";
                    self.say("`files` names no file", key("files"), "expected a path", help);
                }
            }
            Fault::Reconfigure { with, .. } if with.contains_key("name") => {
                self.say("a node cannot change to another system", key("with"), "not `name`", "");
            }
            Fault::Clock { offset, drift_ppm, .. } => {
                if offset.is_zero() && *drift_ppm == 0 {
                    self.say("nothing is wrong with the clock", key("clock"), "expected `offset` or `drift_ppm`", "");
                } else if !(LEAST_DRIFT_PPM..=MOST_DRIFT_PPM).contains(drift_ppm) {
                    let label = format!("expected {LEAST_DRIFT_PPM} to {MOST_DRIFT_PPM} millionths");
                    let help = "a real clock is off by less than 500; half and twice as fast are the limits here";
                    self.say(format!("`drift_ppm` is {drift_ppm}"), key("drift_ppm"), label, help);
                }
            }
            Fault::Action { name, .. } if name.is_empty() => {
                self.say("the action has no name", key("name"), "expected one of the system's actions", "");
            }
            Fault::Buggify(points) if points.is_empty() => {
                let help = "name a fault point, or use * for any characters: \"kv.*\"";
                self.say("no fault point is named", key("buggify"), "expected a name", help);
            }
            Fault::SlowCpu { poll, .. } => self.within_a_year("poll", *poll, key("poll")),
            _ => {}
        }
    }
}

fn large_integers(value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Integer(integer) if i64::from_str_radix(integer.as_str(), integer.radix()).is_err() => {
            found.push(value.span());
        }
        DeValue::Array(array) => array.iter().for_each(|value| large_integers(value, found)),
        DeValue::Table(table) => table.values().for_each(|value| large_integers(value, found)),
        _ => {}
    }
}

/// Whether what a fault waits for, by `after` or by `while`, waits for that fault in the end: then none of them comes first.
fn in_circle(name: &str, first: &str, rules: &BTreeMap<&str, &FaultRule>) -> bool {
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![first]);
    while let Some(at) = ahead.pop() {
        if at == name {
            return true;
        }
        if seen.insert(at)
            && let Some(rule) = rules.get(at)
        {
            ahead.extend([&rule.after, &rule.during].into_iter().flatten().map(|other| other.get_ref().as_str()));
        }
    }
    false
}
