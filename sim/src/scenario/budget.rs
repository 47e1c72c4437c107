//! What names alone say about a cluster before it runs: who is meant, and what the fault budget can never allow.
//!
//! Selectors name whoever it is at the moment, so nothing is known about them here.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{MaxDown, Plan};
use super::target::{Target, Targets, ZONES, zones_of};
use crate::base::glob_matches;
use crate::system::{Description, Instance};

/// The nodes of a cluster, by their numbers.
pub(super) struct Cluster {
    nodes: Vec<(String, String)>,
    client_role: Option<String>,
    selectors: Vec<String>,
    max_down: MaxDown,
    zones: u16,
}

impl Cluster {
    pub fn new(plan: &Plan, description: &Description, instance: &dyn Instance) -> Cluster {
        Cluster {
            nodes: instance.nodes(),
            client_role: instance.client_role(),
            selectors: description.selectors.clone(),
            max_down: plan.run.max_down,
            zones: plan.run.zones,
        }
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Name and role of each client.
    pub fn clients(&self) -> impl Iterator<Item = &(String, String)> {
        self.nodes.iter().filter(|(_, role)| Some(role) == self.client_role.as_ref())
    }

    pub fn is_client(&self, node: usize) -> bool {
        Some(&self.nodes[node].1) == self.client_role.as_ref()
    }

    /// The nodes that a target always means; none if that depends on the moment.
    pub fn nodes_of(&self, target: &Target) -> Option<BTreeSet<usize>> {
        let matching = |wanted: &dyn Fn(&(String, String)) -> bool| -> BTreeSet<usize> {
            (0..self.nodes.len()).filter(|&node| wanted(&self.nodes[node])).collect()
        };
        match target {
            Target::All => Some(matching(&|_| true)),
            Target::Name(name) if self.selectors.contains(name) || name == ZONES => None,
            // In the order in which a run looks them up.
            Target::Name(name) => {
                let exact = matching(&|node| node.0 == *name);
                let role = matching(&|node| node.1 == *name);
                let zones = zones_of(self.nodes.iter().map(|(_, role)| role.as_str()), self.zones);
                let in_zone = |node: &usize| format!("{ZONES}-{}", zones[*node]) == *name;
                let zone = (0..self.nodes.len()).filter(in_zone).collect();
                let glob = matching(&|node| glob_matches(name, &node.0));
                Some([exact, role, zone, glob].into_iter().find(|nodes| !nodes.is_empty()).unwrap_or_default())
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
        let roles: BTreeSet<&str> = pool.iter().map(|&node| self.nodes[node].1.as_str()).collect();
        let refused: Option<Vec<String>> = roles
            .into_iter()
            .map(|role| {
                let (all, allowed) = self.allowed(role)?;
                (allowed == 0).then(|| format!("1 of {all} {role} nodes, and max_down allows 0"))
            })
            .collect();
        refused?.into_iter().next()
    }

    /// Why these nodes can never be down at once, if they cannot.
    pub fn refusal(&self, targets: &Targets) -> Option<String> {
        let mut least: BTreeMap<&str, usize> = BTreeMap::new();
        let fixed: BTreeSet<usize> = targets.0.iter().filter_map(|target| self.nodes_of(target)).flatten().collect();
        for node in fixed {
            *least.entry(&self.nodes[node].1).or_default() += 1;
        }
        for target in &targets.0 {
            for (role, down) in self.least(target) {
                let most = least.entry(role).or_default();
                *most = down.max(*most);
            }
        }
        let over = least.into_iter().find_map(|(role, down)| {
            let (all, allowed) = self.allowed(role)?;
            (down > allowed).then(|| format!("{down} of {all} {role} nodes, and max_down allows {allowed}"))
        });
        over.or_else(|| {
            // Whoever a selector names, nobody may be down.
            let servers = || self.nodes.iter().filter(|(_, role)| Some(role) != self.client_role.as_ref());
            let none = servers().all(|(_, role)| self.allowed(role).is_some_and(|(_, allowed)| allowed == 0));
            let moment = targets.0.iter().all(|target| self.nodes_of(target.base()).is_none());
            (moment && none && servers().next().is_some()).then(|| "max_down allows no node to be down".to_owned())
        })
    }

    /// How many nodes of a role there are, and how many may be down; none without limit.
    fn allowed(&self, role: &str) -> Option<(usize, usize)> {
        let all = self.nodes.iter().filter(|(_, of)| of == role).count();
        match self.max_down {
            MaxDown::All => None,
            MaxDown::Nodes(most) => Some((all, most)),
            MaxDown::Minority => Some((all, all.saturating_sub(1) / 2)),
        }
    }

    /// How many nodes of each role a target means at least.
    fn least(&self, target: &Target) -> BTreeMap<&str, usize> {
        let mut by_role: BTreeMap<&str, usize> = BTreeMap::new();
        for node in self.nodes_of(target.base()).unwrap_or_default() {
            *by_role.entry(&self.nodes[node].1).or_default() += 1;
        }
        let Target::Random { count, .. } = target else { return by_role };
        // Of several roles it may draw from any.
        if by_role.len() != 1 {
            return BTreeMap::new();
        }
        by_role.values_mut().for_each(|have| *have = count.of(*have));
        by_role
    }
}
