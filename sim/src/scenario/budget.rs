//! What names alone say about a cluster before it runs: who is meant, and what the fault budget can never allow.
//!
//! A selector is resolved when the fault strikes, so its nodes are unknown here.

use std::collections::{BTreeMap, BTreeSet};

use super::max_down::MaxDown;
use super::plan::Plan;
use super::roster::Roster;
use super::target::{Target, Targets, ZONES};
use crate::system::{Description, Instance, NodeSpec, OPERATOR};

/// The nodes of a cluster, by their numbers.
pub(super) struct Cluster {
    roster: Roster,
    client_role: Option<String>,
    selectors: Vec<String>,
    max_down: MaxDown,
}

impl Cluster {
    pub fn new(plan: &Plan, description: &Description, instance: &dyn Instance) -> Cluster {
        Cluster {
            roster: Roster::new(instance.nodes(), plan.run.zones),
            client_role: instance.client_role(),
            selectors: description.selectors.clone(),
            max_down: plan.run.max_down.clone(),
        }
    }

    pub fn len(&self) -> usize {
        self.roster.nodes.len()
    }

    /// How many clients a target hits at most along with other nodes: of a zone, or of all nodes.
    pub fn hit_along(&self, targets: &Targets) -> usize {
        let clients = |nodes: Vec<usize>| nodes.into_iter().filter(|&node| self.is_client(node)).count();
        let in_zone = |zone| clients(self.roster.in_zone(zone));
        let zone = |name: &str| self.roster.zones().into_iter().find(|zone| format!("{ZONES}-{zone}") == name);
        let hit = |target: &Target| match target {
            Target::All => self.clients().count(),
            Target::Name(name) => zone(name).map_or(0, in_zone),
            Target::Random { count, of } if **of == Target::Name(ZONES.to_owned()) => {
                let mut zones: Vec<usize> = self.roster.zones().into_iter().map(in_zone).collect();
                zones.sort_unstable_by(|a, b| b.cmp(a));
                zones.into_iter().take(count.of(self.roster.zones().len())).sum()
            }
            _ => 0,
        };
        targets.0.iter().map(hit).sum()
    }

    /// The names of all nodes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roster.nodes.iter().map(|node| node.name.as_str())
    }

    fn node(&self, node: usize) -> &NodeSpec {
        &self.roster.nodes[node]
    }

    /// The clients.
    pub fn clients(&self) -> impl Iterator<Item = &NodeSpec> {
        self.roster.nodes.iter().filter(|node| Some(&node.role) == self.client_role.as_ref())
    }

    pub fn is_client(&self, node: usize) -> bool {
        Some(&self.node(node).role) == self.client_role.as_ref()
    }

    /// The nodes that a target always means; none if that depends on the moment.
    pub fn nodes_of(&self, target: &Target) -> Option<BTreeSet<usize>> {
        match target {
            Target::All => Some((0..self.len()).collect()),
            Target::Name(name) if self.selectors.contains(name) || name == ZONES => None,
            Target::Name(name) => Some(self.roster.named(name).into_iter().collect()),
            Target::Not(of) => {
                let not = self.nodes_of(of)?;
                Some((0..self.len()).filter(|node| !not.contains(node)).collect())
            }
            Target::And(terms) => {
                let mut terms = terms.iter().map(|term| self.nodes_of(term));
                let first = terms.next()??;
                terms.try_fold(first, |all, term| Some(&all & &term?))
            }
            Target::Rest | Target::This | Target::Random { .. } => None,
        }
    }

    /// The nodes that several targets always mean together.
    pub fn fixed(&self, targets: &Targets) -> Option<BTreeSet<usize>> {
        targets.0.iter().try_fold(BTreeSet::new(), |mut all, target| {
            all.extend(self.nodes_of(target)?);
            Some(all)
        })
    }

    /// The most nodes that several targets mean together; none if that depends on the moment.
    pub fn most(&self, targets: &Targets) -> Option<usize> {
        if let Some(nodes) = self.fixed(targets) {
            return Some(nodes.len());
        }
        let most = |target: &Target| {
            let pool = self.nodes_of(target.base())?.len();
            match target {
                Target::Random { count, .. } => Some(count.of(pool)),
                _ => Some(pool),
            }
        };
        targets.0.iter().map(most).sum()
    }

    /// Why none of these nodes can ever be down, not even alone, if none can.
    pub fn none_alone(&self, targets: &Targets) -> Option<String> {
        let mut pool = BTreeSet::new();
        for target in &targets.0 {
            pool.extend(self.nodes_of(target.base())?);
        }
        let groups: BTreeSet<&str> = pool.iter().map(|&node| self.node(node).group.as_str()).collect();
        let refused: Option<Vec<String>> = groups
            .into_iter()
            .map(|group| {
                let (all, allowed) = self.allowed(group)?;
                (allowed == 0).then(|| format!("1 of {all} {group} nodes, and max_down allows 0"))
            })
            .collect();
        refused?.into_iter().next()
    }

    /// Why these nodes can never be down at once, if they cannot.
    pub fn refusal(&self, targets: &Targets) -> Option<String> {
        let mut least: BTreeMap<&str, usize> = BTreeMap::new();
        let fixed: BTreeSet<usize> = targets.0.iter().filter_map(|target| self.nodes_of(target)).flatten().collect();
        for node in fixed {
            *least.entry(&self.node(node).group).or_default() += 1;
        }
        for target in &targets.0 {
            for (group, down) in self.least(target) {
                let most = least.entry(group).or_default();
                *most = down.max(*most);
            }
        }
        let over = least.into_iter().find_map(|(group, down)| {
            let (all, allowed) = self.allowed(group)?;
            (down > allowed).then(|| format!("{down} of {all} {group} nodes, and max_down allows {allowed}"))
        });
        over.or_else(|| {
            // Whichever server a selector names, none may be down.
            let is_server = |node: &&NodeSpec| Some(&node.role) != self.client_role.as_ref() && node.role != OPERATOR;
            let servers = || self.roster.nodes.iter().filter(is_server);
            let none = servers().all(|node| self.allowed(&node.group).is_some_and(|(_, allowed)| allowed == 0));
            let moment = targets.0.iter().all(|target| self.nodes_of(target.base()).is_none());
            (moment && none && servers().next().is_some()).then(|| "max_down allows no node to be down".to_owned())
        })
    }

    /// How many nodes of a group there are, and how many may be down; none without limit.
    fn allowed(&self, group: &str) -> Option<(usize, usize)> {
        let mut nodes = self.roster.nodes.iter().filter(|node| node.group == group);
        let first = nodes.next()?;
        let all = 1 + nodes.count();
        Some((all, self.max_down.of(first).allows(all)?))
    }

    /// How many nodes of each group a target means at least.
    fn least(&self, target: &Target) -> BTreeMap<&str, usize> {
        let mut by_group: BTreeMap<&str, usize> = BTreeMap::new();
        for node in self.nodes_of(target.base()).unwrap_or_default() {
            *by_group.entry(&self.node(node).group).or_default() += 1;
        }
        let Target::Random { count, .. } = target else { return by_group };
        // Of several groups it may draw from any.
        if by_group.len() != 1 {
            return BTreeMap::new();
        }
        by_group.values_mut().for_each(|have| *have = count.of(*have));
        by_group
    }
}
