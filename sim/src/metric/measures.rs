//! What is set up before a run, and turned into its metrics after it.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Metrics, Outcomes, balance, recovery};
use crate::base::NodeId;
use crate::check::Finished;
use crate::event::{self, EventKind, Scope};
use crate::kernel;
use crate::system::{OPERATOR, of_role};

/// Everything that watches one run.
#[derive(Default)]
pub struct Measures {
    consistency: Vec<Outcomes>,
    /// By kind.
    recovery: Vec<(&'static str, Outcomes)>,
    work: Option<Work>,
}

/// Events counted as work.
struct Work {
    name: String,
    /// By node index.
    done: Rc<RefCell<Vec<u64>>>,
}

impl Work {
    fn count(kinds: &[&'static EventKind]) -> Work {
        let done: Rc<RefCell<Vec<u64>>> = Rc::default();
        for kind in kinds {
            let done = done.clone();
            event::subscribe(kind, "work", Scope::System, move |moment, _| {
                let (at, mut done) = (moment.node.index(), done.borrow_mut());
                let length = done.len().max(at + 1);
                done.resize(length, 0);
                done[at] += 1;
                Ok(())
            });
        }
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        Work { name: names.join(" + "), done }
    }

    fn of(&self, node: NodeId) -> u64 {
        self.done.borrow().get(node.index()).copied().unwrap_or(0)
    }
}

impl Measures {
    /// `consistency` and `recovery` are the folds that the system declares, `work` are the events that it declares to be work.
    pub(crate) fn new(
        consistency: Vec<Outcomes>,
        recovery: Vec<(&'static str, Outcomes)>,
        work: &[&'static EventKind],
    ) -> Measures {
        Measures { consistency, recovery, work: (!work.is_empty()).then(|| Work::count(work)) }
    }

    /// The metrics of the run that is over. `faults` are kinds and when they struck.
    pub(crate) fn of(&self, run: &Finished, faults: &[(&'static str, u64)], client_role: Option<&str>) -> Metrics {
        let mut metrics = Metrics::default();
        for outcomes in &self.consistency {
            let consistency = metrics.consistency.get_or_insert_default();
            outcomes(&run.history).iter().for_each(|visibility| consistency.add(visibility));
        }
        let operators = of_role(&run.nodes, Some(OPERATOR));
        let operations = run.history.entries().iter().filter(|entry| !operators.contains(&entry.node));
        metrics.recovery = recovery::of(faults, operations);
        for (kind, outcomes) in &self.recovery {
            let of_kind = metrics.recovery.entry((*kind).to_owned()).or_default();
            outcomes(&run.history).iter().for_each(|spans| of_kind.add(&spans.into()));
        }
        let serving = run.nodes.iter().enumerate();
        let serving = serving.filter(|(_, node)| node.role != OPERATOR && Some(&*node.role) != client_role);
        let work_of = |id: NodeId| match &self.work {
            Some(work) => work.of(id),
            None => kernel::with(|state| state.node(id).sockets.received),
        };
        let nodes: Vec<(&str, u64)> =
            serving.map(|(index, node)| (node.role.as_str(), work_of(NodeId::new(index as u16)))).collect();
        let name = self.work.as_ref().map_or(balance::MESSAGES, |work| &work.name);
        metrics.balance = balance::of(name, &nodes, self.work.is_some());
        metrics
    }
}
