//! A scenario and a seed in, a report out.
//!
//! The phases of a run, in order:
//!
//! 1. *set-up*: all nodes boot; `setup` workloads run until they are done.
//! 2. *main*: faults strike, `main` workloads run.
//! 3. *heal*: every fault is undone, every code-level fault point is off, every node is up.
//! 4. *quiet*: the system must make progress. `main` workloads end and `final` ones follow; without `final` ones, each
//!    client must complete an operation that it invoked after the heal.
//!
//! The run ends early at the first failure that is seen while it runs. Then everything is dropped, and the checks judge
//! the history. A run in which nothing happened is a failure.

mod clients;
pub(crate) mod director;
pub(crate) mod dose;
pub(crate) mod report;
pub(crate) mod timeline;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use xxhash_rust::xxh3::Xxh3;

use crate::base::seed::Seed;
use crate::base::{Dose, Failure, NodeId, Phase, Time};
use crate::check::{Finished, Verdict};
use crate::fault::Fault;
use crate::history;
use crate::host::{self, Sim};
use crate::kernel::boundary::HarnessError;
use crate::kernel::{self, CpuModel, panics};
use crate::probe::ProbeKind;
use crate::scenario::plan::{DECLARED, Frozen, What};
use crate::scenario::{self, Bounds, Plan, Scenario, ScenarioError};
use crate::system::{self, DynSystem, Instance, NodeSpec};
use crate::trace::record::{Kind, Recorder};
use clients::{Clients, Running};
use director::{Director, deadlock};
use report::{Outcome, Report};

/// How to run, besides scenario and seed.
#[derive(Default)]
pub struct RunOptions {
    /// Known bugs to switch on.
    pub planted: Vec<String>,
    /// Who sees what happens. The digest is the same with and without.
    pub recorder: Option<Recorder>,
    /// Whether to write the run down as a frozen scenario.
    pub freeze: bool,
    /// Whether to give the client operations out.
    pub history: bool,
}

/// Why there is no report.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The scenario is wrong.
    #[error(transparent)]
    Scenario(#[from] Box<ScenarioError>),
    /// The harness itself failed.
    #[error(transparent)]
    Harness(#[from] HarnessError),
}

impl From<ScenarioError> for RunError {
    fn from(error: ScenarioError) -> Self {
        RunError::Scenario(Box::new(error))
    }
}

/// Runs a scenario with a seed. A frozen scenario brings its own seed and known bugs, which take precedence.
pub fn run(system: &dyn DynSystem, scenario: &Scenario, seed: u64, options: RunOptions) -> Result<Report, RunError> {
    let plan = scenario.plan(seed)?.with_suggested(&system.description());
    let seed = plan.frozen.as_ref().map_or(seed, |frozen| frozen.seed);
    let mut planted = options.planted;
    planted.extend(plan.frozen.iter().flat_map(|frozen| frozen.planted.clone()));
    let subscriber = options.recorder.is_some().then(crate::trace::log::subscriber);
    let recorder = options.recorder;
    let (freeze, history) = (options.freeze, options.history);
    let run = || Run { system, scenario, plan: &plan, seed, planted, freeze, history }.execute(recorder);
    host::in_world(Seed(seed), || match subscriber {
        Some(subscriber) => tracing::dispatcher::with_default(&subscriber, run),
        None => run(),
    })?
}

/// Finds what is wrong with a scenario for its system, without running it: parameters, arguments of workloads, and all
/// names that only the system knows.
///
/// # Errors
///
/// All that is wrong, with any alternative of any draw and with some seeds. Of a `one_of` with very many alternatives
/// one that few seeds draw may still be wrong: [`run()`] says so when it comes to it.
pub fn validate(system: &dyn DynSystem, scenario: &Scenario) -> Result<(), ScenarioError> {
    let findings = scenario::examine(scenario.draft(), Some(system)).findings;
    if findings.has_errors() { Err(findings) } else { Ok(()) }
}

fn instantiate(system: &dyn DynSystem, scenario: &Scenario, plan: &Plan) -> Result<Box<dyn Instance>, ScenarioError> {
    let instance = system.instantiate(plan.system_params()).map_err(|error| scenario.system_error(plan, &error))?;
    let nodes = instance.nodes();
    scenario::check(scenario, plan, &system.description(), &nodes)?;
    // What the system cannot read would otherwise restart nodes and change nothing, or do nothing at all.
    for rule in &plan.faults {
        for what in rule.what.get_ref().all() {
            let read = match what {
                What::Fault(Fault::Reconfigure { with, .. }) => {
                    nodes.iter().try_for_each(|node| instance.boot(&node.role, Some(with)).map(drop))
                }
                What::Fault(Fault::Action { name, args, .. }) => instance.check_action(name, args.clone()),
                _ => Ok(()),
            };
            read.map_err(|error| scenario.action_error(rule, &error))?;
        }
    }
    Ok(instance)
}

struct Run<'a> {
    system: &'a dyn DynSystem,
    scenario: &'a Scenario,
    plan: &'a Plan,
    seed: u64,
    planted: Vec<String>,
    freeze: bool,
    history: bool,
}

impl Run<'_> {
    fn execute(self, recorder: Option<Recorder>) -> Result<Report, RunError> {
        let instance: Rc<dyn Instance> = Rc::from(instantiate(self.system, self.scenario, self.plan)?);
        let sim = Sim::enter();
        let table = &self.plan.run;
        let seed = Seed(self.seed);
        let buggify = kernel::with(|state| {
            state.recorder = recorder;
            state.policy = table.schedule;
            state.cpu = CpuModel { poll: table.cpu_poll.duration(), wake_jitter: table.wake_jitter.duration() };
            state.net.configure(*self.plan.network.get_ref());
            state.configure_disks(self.plan.disk);
            state.probes.plant(&self.planted);
            match &self.plan.frozen {
                Some(frozen) => state.probes.enable_buggify(seed, Some(&frozen.buggify)),
                None if table.buggify => state.probes.enable_buggify(seed, None),
                None => Vec::new(),
            }
        });
        let nodes = instance.nodes();
        for node in &nodes {
            sim.add_node(&node.name, &node.role, &node.group);
        }
        instance.install_invariants();
        let measures = instance.install_measures();
        let director = Director::new(instance.clone(), nodes.clone(), self.plan, seed);
        let healed = self.phases(&director, &instance, &nodes)?;
        kernel::bury();

        let history = history::take();
        let (world, events, virtual_ns, mut dose) = kernel::with(|state| {
            let mut dose: Dose = state.probes.event_counts().map(|(name, count)| (name.to_owned(), count)).collect();
            state.effects.add_to(&mut dose);
            dose.extend(
                Some(("planted".to_owned(), state.probes.fired(ProbeKind::Planted))).filter(|(_, count)| *count > 0),
            );
            (state.digest.value(), state.digest.events(), state.now, dose)
        });
        director.add_to(&mut dose);
        add_operations(&history, &mut dose);
        let faults = director.lines();
        let prevented = director.prevented();
        let frozen_faults = director.frozen_faults();
        let sometimes = kernel::with(|state| state.probes.held());
        sim.end();
        let mut failures = kernel::with(|state| std::mem::take(&mut state.failures));

        let finished = Finished { history, end_ns: virtual_ns, healed_ns: healed, nodes, budget: table.check_budget };
        let metrics = measures.of(&finished, &director.strikes(), instance.client_role().as_deref());
        judge(instance.as_ref(), &finished, &mut failures);
        // What `always!` found in a check.
        failures.extend(kernel::with(|state| std::mem::take(&mut state.failures)));
        if finished.history.ok_count() == 0 {
            failures.push(Failure::new(
                "vacuous:no-operation-completed",
                virtual_ns,
                "no client operation completed: nothing was tested",
            ));
        }
        let complete = failures.is_empty();
        let expect = &self.plan.expect;
        for (name, bounds) in expect.run.iter().filter(|_| complete) {
            let found = dose.get(name).copied().unwrap_or(0);
            if !bounds.hold(found) {
                // Why a fault happened seldom does not explain why something happened often.
                let why = if bounds.is_exceeded(found) { String::new() } else { director.explain() };
                let text = format!("expected `{name}` {bounds}, found {found}; {why}");
                failures.push(Failure::new(format!("dose:{name}"), virtual_ns, text.trim_end_matches("; ")));
            }
        }
        // The earliest violation names the run; `unknown` is no violation, so it comes last.
        failures.sort_by_key(|failure| (failure.signature.starts_with("unknown:"), failure.at_ns));
        let is_declared = |failure: &Failure| expect.fails.iter().any(|declared| failure.is_of(declared));
        let declared = (!failures.is_empty() && failures.iter().all(is_declared)).then(|| {
            dose.insert(DECLARED.to_owned(), 1);
            failures.drain(..).next().expect("it has one")
        });

        let mut hasher = Xxh3::new();
        hasher.update(&world.to_le_bytes());
        hasher.update(&self.seed.to_le_bytes());
        for line in self.plan.draws.iter().map(|(path, value)| format!("{path}={value}")).chain(faults.iter().cloned())
        {
            hasher.update(line.as_bytes());
            hasher.update(&[0]);
        }
        let world = format!("{world:032x}");
        let frozen = self.freeze.then(|| {
            let frozen = Frozen {
                seed: self.seed,
                scenario: self.scenario.path().to_owned(),
                planted: self.planted.clone(),
                buggify,
                world: world.clone(),
            };
            let mut plan = self.plan.clone();
            // The least guards what a scenario draws, and would only fail where a fault is taken out. What was short of it
            // in this run still is in that. The most is a promise of the system.
            plan.expect.run.retain(|name, bounds| {
                if dose.get(name).is_some_and(|count| *count >= bounds.least) {
                    bounds.least = 0;
                }
                *bounds != Bounds::default()
            });
            scenario::freeze(self.scenario, &plan, &frozen, &frozen_faults)
        });
        let name_of = |node: NodeId| finished.nodes[node.index()].name.clone();
        let history = self.history.then(|| finished.history.lines(name_of));
        let mut failures = failures.into_iter();
        let failure = failures.next();
        let verdict = match &failure {
            None => Outcome::Pass,
            Some(failure) if failure.signature.starts_with("unknown:") => Outcome::Unknown,
            Some(_) => Outcome::Fail,
        };
        Ok(Report {
            scenario: self.scenario.path().to_owned(),
            system: self.plan.system_name().to_owned(),
            seed: self.seed,
            verdict,
            failure,
            also: failures.collect(),
            declared,
            digest: format!("{:032x}", hasher.digest128()),
            world,
            virtual_ns,
            events,
            dose,
            metrics,
            sometimes: sometimes.into_iter().map(str::to_owned).collect(),
            draws: self.plan.draws.clone(),
            faults,
            prevented,
            expect_sweep: expect.over_a_sweep(),
            frozen,
            history,
        })
    }

    /// Runs the phases until the end or the first failure. Returns when the world was healed, if it came to that.
    fn phases(
        &self,
        director: &Director,
        instance: &Rc<dyn Instance>,
        nodes: &[NodeSpec],
    ) -> Result<Option<u64>, RunError> {
        let table = &self.plan.run;
        let failed = || kernel::with(|state| !state.failures.is_empty());
        let (role, workloads) = (instance.client_role(), Clients::default());
        let start =
            |phase, clients: &[NodeId]| workloads.start(phase, (self.scenario, self.plan), instance, nodes, clients);
        for (index, node) in nodes.iter().enumerate() {
            let id = NodeId::new(index as u16);
            let main =
                instance.boot(&node.role, None).map_err(|error| self.scenario.system_error(self.plan, &error))?;
            host::set_main(id, Some(main.unwrap_or_else(|| workloads.main(id))));
            host::boot(id);
        }
        let clients = system::of_role(nodes, role.as_deref());

        let setup = start(Phase::Setup, &clients)?;
        if setup.left.get() > 0 {
            phase("setup");
            self.wait(director, table.setup.nanos(), &setup, "setup");
        }
        if failed() {
            return Ok(None);
        }

        phase("main");
        director.begin_main(table.main.nanos());
        let main = start(Phase::Main, &clients)?;
        let end = kernel::with(|state| state.now) + table.main.nanos();
        // A world that stands still is no deadlock yet: what is paused, held or down goes on after the heal.
        director.run_until(end, &|| false);
        if failed() {
            return Ok(None);
        }
        if kernel::with(|state| state.now) < end {
            kernel::with(|state| state.advance_to(end));
        }

        phase("heal");
        director.heal();
        kernel::with(|state| state.probes.disable_buggify());
        let healed = kernel::with(|state| state.now);
        let deadline = healed + table.quiet.nanos();
        let has_final = self.plan.workloads.iter().any(|workload| workload.phase == Phase::Final);
        if !has_final {
            self.await_progress(director, deadline, healed, &main);
        }
        main.stop.set(true);
        let left = |now: u64| deadline.saturating_sub(now);
        if !failed() {
            self.wait(director, left(kernel::with(|state| state.now)), &main, "main");
        }
        if has_final && !failed() {
            phase("final");
            let last = start(Phase::Final, &clients)?;
            self.wait(director, left(kernel::with(|state| state.now)), &last, "final");
        }
        if !failed() && !history::peek(|history| clients.iter().any(|&node| history.has_ok_since(node, healed))) {
            kernel::with(|state| {
                let text = "no operation that was invoked after the heal completed, because no client was running \
                            any more: give the scenario a workload with `phase = \"final\"`";
                state.fail(Failure::new("vacuous:no-operation-after-heal", state.now, text));
            });
        }
        Ok(Some(healed))
    }

    /// Waits until all of `running` are done; if they are not in time, the system is not live.
    fn wait(&self, director: &Director, bound: u64, running: &Running, what: &str) {
        let deadline = kernel::with(|state| state.now) + bound;
        let live = director.run_until(deadline, &|| running.left.get() == 0);
        let failed = kernel::with(|state| !state.failures.is_empty());
        if running.left.get() == 0 || failed {
            return;
        }
        if !live {
            return deadlock(running.left.get());
        }
        kernel::with(|state| {
            let who: Vec<String> = running.clients.borrow().iter().map(|&node| state.name_of(node)).collect();
            let within = Time::from_nanos(bound);
            let text = format!("the {what} workloads of {} were not done within {within:#}", who.join(", "));
            state.fail(Failure::new(format!("liveness:{what}"), state.now, text));
        });
    }

    /// After the heal each client that is still running must complete an operation.
    fn await_progress(&self, director: &Director, deadline: u64, healed: u64, main: &Running) {
        let waiting = || -> Vec<NodeId> {
            let clients = main.clients.borrow();
            history::peek(|history| {
                clients.iter().copied().filter(|&node| !history.has_ok_since(node, healed)).collect()
            })
        };
        kernel::with(|state| state.host_waits = true);
        let live = director.run_until(deadline, &|| waiting().is_empty());
        kernel::with(|state| state.host_waits = false);
        let without = waiting();
        if without.is_empty() || kernel::with(|state| !state.failures.is_empty()) {
            return;
        }
        if !live {
            return deadlock(without.len());
        }
        kernel::with(|state| {
            let who: Vec<String> = without.iter().map(|&node| state.name_of(node)).collect();
            let quiet = self.plan.run.quiet;
            let text =
                format!("{} completed no operation within {quiet:#} after everything was healed", who.join(", "));
            state.fail(Failure::new("liveness:no-progress", state.now, text));
        });
    }
}

fn phase(name: &'static str) {
    kernel::with(|state| state.record(NodeId::HOST, Kind::Phase, |_| name.to_owned()));
}

/// Counts operations: `ops_ok`, `ops_failed`, `ops_unknown`, and `op.KIND.ok`.
fn add_operations(history: &history::History, dose: &mut Dose) {
    for entry in history.entries() {
        let how = match entry.ended {
            Some((_, history::Ended::Ok)) => "ok",
            Some((_, history::Ended::Failed)) => "failed",
            _ => "unknown",
        };
        *dose.entry(format!("ops_{how}")).or_default() += 1;
        if how == "ok" {
            *dose.entry(format!("op.{}.ok", entry.kind)).or_default() += 1;
        }
    }
}

/// Lets every check judge. One that errs or panics is a failure, never a pass.
fn judge(instance: &dyn Instance, finished: &Finished, failures: &mut Vec<Failure>) {
    for (name, check) in instance.checks() {
        let end = finished.end_ns;
        match catch_unwind(AssertUnwindSafe(|| check(finished))) {
            Ok(Ok(Verdict::Pass)) => {}
            Ok(Ok(Verdict::Fail(violation))) => {
                let (signature, at_ns) = (violation.signature(name), violation.at_ns.unwrap_or(end));
                let details = violation.details;
                failures.push(Failure { details, ..Failure::new(signature, at_ns, violation.explanation) });
            }
            Ok(Ok(Verdict::Unknown(why))) => failures.push(Failure::new(format!("unknown:{name}"), end, why)),
            Ok(Err(error)) => failures.push(Failure::new(format!("check-error:{name}"), end, error)),
            Err(payload) => {
                let whose = format!("the check `{name}`");
                failures.push(panics::failure(&format!("check-panic:{name}"), end, &whose, payload.as_ref()));
            }
        }
    }
}
