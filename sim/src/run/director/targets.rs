//! Whom a fault hits: names in a scenario become nodes at the moment in which it fires.

use std::collections::BTreeSet;

use super::rule::slot;
use super::{Director, id};
use crate::base::NodeId;
use crate::base::seed::Draw;
use crate::check::guarded;
use crate::fault::Fault;
use crate::fault::nemesis::shuffled;
use crate::kernel;
use crate::scenario::target::{Count, Target, Targets, ZONES};

/// Where the i-th draw comes from.
type Draws<'a> = &'a mut dyn FnMut() -> Draw;

impl Director {
    /// The fault with its nodes, or the reason why it matches no node.
    pub(super) fn resolve_fault(
        &self,
        fault: Fault<Targets>,
        index: usize,
        i: u64,
        about: Option<NodeId>,
    ) -> Result<Fault<Vec<NodeId>>, String> {
        let key = self.state.borrow().rules[index].key;
        let mut next = slot::TARGETS;
        let mut draw = || {
            next += 1;
            key.draw(next, i)
        };
        let mut taken: Vec<NodeId> = Vec::new();
        let partition = matches!(fault, Fault::Partition { .. });
        let ring = matches!(fault, Fault::Ring(_));
        let mut nobody = None;
        let fault = fault.map(|targets| {
            let mut nodes = self.resolve(&targets, &taken, about, &mut draw);
            if partition {
                // A node is on one side only: the first that names it.
                nodes.retain(|node| !taken.contains(node));
                taken.extend(&nodes);
            } else if ring && !self.frozen {
                nodes = shuffled(nodes, &mut draw);
            }
            if nodes.is_empty() {
                nobody.get_or_insert_with(|| format!("`{targets}` named nobody"));
            }
            nodes
        });
        match &fault {
            Fault::Partition { groups, .. } if groups.iter().filter(|group| !group.is_empty()).count() < 2 => {
                Err("fewer than two sides had a node".to_owned())
            }
            Fault::Ring(nodes) if nodes.len() < 3 => {
                Err(format!("a ring takes three nodes, and there were {}", nodes.len()))
            }
            Fault::Partition { .. } => Ok(fault),
            Fault::Action { on, .. } if self.operator(on.as_deref()).is_none() => {
                Err("no operator that may do it was up".to_owned())
            }
            _ => nobody.map_or_else(|| hits(fault), Err),
        }
    }

    pub(super) fn resolve(
        &self,
        targets: &Targets,
        taken: &[NodeId],
        about: Option<NodeId>,
        draw: Draws<'_>,
    ) -> Vec<NodeId> {
        let mut found: Vec<NodeId> = Vec::new();
        for target in &targets.0 {
            for node in self.resolve_one(target, taken, about, draw) {
                if !found.contains(&node) {
                    found.push(node);
                }
            }
        }
        found
    }

    fn resolve_one(&self, target: &Target, taken: &[NodeId], about: Option<NodeId>, draw: Draws<'_>) -> Vec<NodeId> {
        let every = || (0..self.roster.nodes.len()).map(id);
        match target {
            Target::All => every().collect(),
            Target::Rest => every().filter(|id| !taken.contains(id)).collect(),
            Target::This => about.into_iter().collect(),
            Target::Name(name) => self.named(name),
            Target::Not(of) => {
                let not = self.resolve_one(of, taken, about, draw);
                every().filter(|id| !not.contains(id)).collect()
            }
            Target::And(terms) => {
                let mut terms = terms.iter().map(|term| self.resolve_one(term, taken, about, draw));
                let mut nodes = terms.next().unwrap_or_default();
                terms.for_each(|term| nodes.retain(|node| term.contains(node)));
                nodes
            }
            Target::Random { count, of } if **of == Target::Name(ZONES.to_owned()) => {
                let zones: Vec<u16> = self.roster.zones().into_iter().collect();
                let picked = pick(zones, *count, draw).into_iter();
                let mut nodes: Vec<NodeId> = picked.flat_map(|zone| self.roster.in_zone(zone)).map(id).collect();
                nodes.sort_unstable();
                nodes
            }
            Target::Random { count, of } => {
                let mut picked = pick(self.resolve_one(of, taken, about, draw), *count, draw);
                picked.sort_unstable();
                picked
            }
        }
    }

    /// A selector, or else what the name stands for in the cluster.
    pub(super) fn named(&self, name: &str) -> Vec<NodeId> {
        if let Some((_, find)) = self.selectors.iter().find(|(known, _)| *known == name) {
            return guarded(&format_args!("the selector `{name}`"), || find()).unwrap_or_default();
        }
        self.roster.named(name).into_iter().map(id).collect()
    }
}

/// As many of the pool as `count` says, in the order in which they are drawn.
fn pick<T>(mut pool: Vec<T>, count: Count, draw: Draws<'_>) -> Vec<T> {
    (0..count.of(pool.len())).map(|_| pool.remove(draw().below(pool.len() as u64) as usize)).collect()
}

/// The fault on those of its nodes that it can hit: what is down cannot be crashed or paused, and where nothing is durable
/// nothing rots.
pub(super) fn hits(fault: Fault<Vec<NodeId>>) -> Result<Fault<Vec<NodeId>>, String> {
    let down: std::cell::RefCell<BTreeSet<NodeId>> = std::cell::RefCell::default();
    let up = |nodes: Vec<NodeId>| -> Vec<NodeId> {
        let (up, not): (Vec<NodeId>, Vec<NodeId>) =
            kernel::with(|state| nodes.into_iter().partition(|&node| state.node(node).up));
        down.borrow_mut().extend(not);
        up
    };
    let written = |nodes: Vec<NodeId>, files: &str| -> Vec<NodeId> {
        kernel::with(|state| nodes.into_iter().filter(|&node| state.sectors_to_damage(node, files) > 0).collect())
    };
    let fault = match fault {
        Fault::BitRot { nodes, sectors, files } => Fault::BitRot { nodes: written(nodes, &files), sectors, files },
        Fault::BadSectors { nodes, sectors, files } => {
            Fault::BadSectors { nodes: written(nodes, &files), sectors, files }
        }
        Fault::Crash(nodes) => Fault::Crash(up(nodes)),
        Fault::Kill(nodes) => Fault::Kill(up(nodes)),
        Fault::Restart(nodes) => Fault::Restart(up(nodes)),
        Fault::Pause(nodes) => Fault::Pause(up(nodes)),
        other => other,
    };
    if fault.targets().iter().all(|nodes| !nodes.is_empty()) {
        return Ok(fault);
    }
    if let Fault::BitRot { files, .. } | Fault::BadSectors { files, .. } = &fault {
        return Err(format!("nothing of `{files}` was durable"));
    }
    let names: Vec<String> = kernel::with(|state| down.borrow().iter().map(|&node| state.name_of(node)).collect());
    Err(match &names[..] {
        [one] => format!("{one} was down"),
        many => format!("{} were down", many.join(", ")),
    })
}
