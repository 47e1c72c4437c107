//! The clients of a run: the workloads of each phase, how they end, and which of them a client begins again when it comes back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::base::{NodeId, Phase};
use crate::host;
use crate::kernel;
use crate::scenario::plan::WorkloadTable;
use crate::scenario::{Plan, Scenario};
use crate::system::{ClientSlot, Instance, NodeSpec, RoleMain};

use super::RunError;

/// Workloads of one phase: how many are not done, and how to stop them.
#[derive(Clone, Default)]
pub(super) struct Running {
    pub left: Rc<Cell<usize>>,
    pub stop: Rc<Cell<bool>>,
    /// The clients that have not finished.
    pub clients: Rc<RefCell<Vec<NodeId>>>,
}

/// Counts a workload as done when it ends in whichever way.
struct Done {
    running: Running,
    node: NodeId,
    /// Whether it came to its end.
    is_over: bool,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.running.left.set(self.running.left.get() - 1);
        let mut clients = self.running.clients.borrow_mut();
        if let Some(at) = clients.iter().position(|client| *client == self.node) {
            clients.remove(at);
        }
        kernel::with_running(|state| {
            state.halted = true;
            // Where the world ends with the run, all clients are up.
            state.effects.clients_lost += u64::from(!self.is_over && !state.node(self.node).up);
        });
    }
}

/// A workload of one client.
struct Work {
    instance: Rc<dyn Instance>,
    table: WorkloadTable,
    node: NodeId,
    /// Which client it is, of how many.
    index: usize,
    count: usize,
    running: Running,
    /// In which life of the client it was started last.
    life: Cell<u32>,
}

impl Work {
    /// Starts it. A client that is down runs nothing.
    fn start(&self) -> Result<(), toml::de::Error> {
        let Work { table, node, index, count, running, .. } = self;
        let args = table.args.as_ref().map(|args| args.get_ref().clone()).unwrap_or_default();
        let slot = ClientSlot { index: *index, count: *count, stop: running.stop.clone() };
        self.life.set(kernel::with(|state| state.node(*node).incarnation));
        let future = self.instance.workload(table.name.get_ref(), slot, args)?;
        if let Some(future) = future.filter(|_| kernel::with(|state| state.node(*node).up)) {
            running.left.set(running.left.get() + 1);
            running.clients.borrow_mut().push(*node);
            let done = Done { running: running.clone(), node: *node, is_over: false };
            let all = async move {
                let mut done = done;
                future.await;
                done.is_over = true;
                drop(done);
            };
            host::spawn_on(*node, Box::pin(all));
        }
        Ok(())
    }
}

/// What clients do when they come back.
#[derive(Clone, Default)]
pub(super) struct Clients {
    again: Rc<RefCell<Vec<Rc<Work>>>>,
}

impl Clients {
    /// The code of a client node, which has none of its own: it begins again what is to be.
    pub fn main(&self, node: NodeId) -> RoleMain {
        let clients = self.clone();
        Rc::new(move || {
            let clients = clients.clone();
            Box::pin(async move { clients.begin_again(node) })
        })
    }

    fn begin_again(&self, node: NodeId) {
        let life = kernel::with(|state| state.node(node).incarnation);
        let is_wanted = |work: &&Rc<Work>| {
            // The first life begins before the first phase, and its code may be polled after.
            work.node == node && work.life.get() < life && !work.running.stop.get()
        };
        let works: Vec<Rc<Work>> = self.again.borrow().iter().filter(is_wanted).cloned().collect();
        for work in works {
            work.start().expect("its arguments were read when it began first");
            kernel::with(|state| state.effects.clients_restarted += 1);
        }
    }

    /// Starts the workloads of a phase, each on its clients.
    pub fn start(
        &self,
        when: Phase,
        (scenario, plan): (&Scenario, &Plan),
        instance: &Rc<dyn Instance>,
        nodes: &[NodeSpec],
        clients: &[NodeId],
    ) -> Result<Running, RunError> {
        let running = Running::default();
        for table in plan.workloads.iter().filter(|workload| workload.phase == when) {
            let on: Vec<NodeId> = match &table.on {
                None => clients.to_vec(),
                Some(on) => {
                    let is_on = |node: &&NodeId| on.get_ref().names(&nodes[node.index()]);
                    clients.iter().filter(is_on).copied().collect()
                }
            };
            for (index, &node) in on.iter().enumerate() {
                let (instance, running) = (instance.clone(), running.clone());
                let work =
                    Work { instance, table: table.clone(), node, index, count: on.len(), running, life: Cell::new(0) };
                work.start().map_err(|error| scenario.workload_error(table, &error))?;
                if table.restart {
                    self.again.borrow_mut().push(Rc::new(work));
                }
            }
        }
        Ok(running)
    }
}
