//! Whom a fault hits: names in a scenario become nodes at the moment in which it fires.

use super::{Director, NodeEntry, slot};
use crate::check::guarded;
use crate::fault::Fault;
use crate::kernel;
use crate::node::NodeId;
use crate::scenario::target::{Count, Target, Targets, glob_matches};
use crate::seed::Draw;

impl Director {
    /// The fault with its nodes, or `None` if there is nobody to hit.
    pub(super) fn resolve_fault(&self, fault: Fault<Targets>, index: usize, i: u64) -> Option<Fault<Vec<NodeId>>> {
        let key = self.state.borrow().rules[index].key;
        let mut next = slot::TARGETS;
        let mut draw = |_: &Targets| {
            next += 1;
            key.draw(next, i)
        };
        let mut taken: Vec<NodeId> = Vec::new();
        let partition = matches!(fault, Fault::Partition { .. });
        let fault = fault.map(|targets| {
            let mut nodes = self.resolve(&targets, &taken, &mut |_| draw(&targets));
            if partition {
                // A node is on one side only: the first that names it.
                nodes.retain(|node| !taken.contains(node));
                taken.extend(&nodes);
            }
            nodes
        });
        let up = |nodes: Vec<NodeId>| -> Vec<NodeId> {
            kernel::with(|state| nodes.into_iter().filter(|&node| state.node(node).up).collect())
        };
        let fault = match fault {
            Fault::Crash(nodes) => Fault::Crash(up(nodes)),
            Fault::Restart(nodes) => Fault::Restart(up(nodes)),
            Fault::Pause(nodes) => Fault::Pause(up(nodes)),
            other => other,
        };
        let enough = match &fault {
            Fault::Partition { groups, .. } => groups.iter().filter(|group| !group.is_empty()).count() >= 2,
            other => other.targets().iter().all(|nodes| !nodes.is_empty()),
        };
        enough.then_some(fault)
    }

    pub(super) fn resolve(
        &self,
        targets: &Targets,
        taken: &[NodeId],
        draw: &mut dyn FnMut(&Target) -> Draw,
    ) -> Vec<NodeId> {
        let mut found: Vec<NodeId> = Vec::new();
        for target in &targets.0 {
            for node in self.resolve_one(target, taken, draw) {
                if !found.contains(&node) {
                    found.push(node);
                }
            }
        }
        found
    }

    pub(super) fn resolve_one(
        &self,
        target: &Target,
        taken: &[NodeId],
        draw: &mut dyn FnMut(&Target) -> Draw,
    ) -> Vec<NodeId> {
        let every = || self.nodes.iter().map(|(id, ..)| *id);
        match target {
            Target::All => every().collect(),
            Target::Rest => every().filter(|id| !taken.contains(id)).collect(),
            Target::Name(name) => self.named(name),
            Target::Random { count, of } => {
                let mut pool = self.resolve_one(of, taken, draw);
                let wanted = match count {
                    Count::Nodes(n) => (*n as usize).min(pool.len()),
                    Count::Minority => pool.len().saturating_sub(1) / 2,
                    Count::Majority => pool.len() / 2 + 1,
                };
                let mut picked: Vec<NodeId> = (0..wanted.min(pool.len()))
                    .map(|_| pool.remove(draw(target).below(pool.len() as u64) as usize))
                    .collect();
                picked.sort_unstable();
                picked
            }
        }
    }

    /// A selector, a node, a role or a glob, in this order.
    pub(super) fn named(&self, name: &str) -> Vec<NodeId> {
        if let Some((_, find)) = self.selectors.iter().find(|(known, _)| *known == name) {
            return guarded(&format_args!("the selector `{name}`"), || find()).unwrap_or_default();
        }
        let matching = |wanted: &dyn Fn(&NodeEntry) -> bool| -> Vec<NodeId> {
            self.nodes.iter().filter(|node| wanted(node)).map(|(id, ..)| *id).collect()
        };
        let exact = matching(&|node| node.1 == name);
        if !exact.is_empty() {
            return exact;
        }
        let role = matching(&|node| node.2 == name);
        if !role.is_empty() { role } else { matching(&|node| glob_matches(name, &node.1)) }
    }
}
