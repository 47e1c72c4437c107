//! Configurations: which group owns which shard, and how the shards of groups that come and go are balanced.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sim::planted;

use super::{Gid, ShardId};

/// What a configuration was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It is the first one.
    First,
    /// Groups joined.
    Join,
    /// Groups left.
    Leave,
    /// An operator moved a shard.
    Move,
    /// An operator changed the weight of a group.
    Weigh,
    /// The controller moved a shard away from a group with too much load.
    Load,
}

impl Cause {
    /// Whether the shards were balanced by their number. The other causes move at most one shard.
    pub fn balances(self) -> bool {
        !matches!(self, Cause::Move | Cause::Load)
    }
}

/// Which group owns which shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its number. The first is 1; 0 is that of a group that has adopted none yet.
    pub number: u64,
    /// What it was made for.
    pub cause: Cause,
    /// The groups, each with its weight, which is at least 1: a group of weight 2 owns twice as many shards as one of weight 1.
    pub groups: BTreeMap<Gid, u32>,
    /// The owner of each shard.
    pub owners: Vec<Option<Gid>>,
    /// Shards that an operator moved since groups last joined or left: load does not move them away.
    pub pinned: BTreeSet<ShardId>,
}

impl Config {
    /// The configuration before the first: nobody owns anything.
    pub fn none(shards: ShardId) -> Config {
        let owners = vec![None; usize::from(shards)];
        Config { number: 0, cause: Cause::First, groups: BTreeMap::new(), owners, pinned: BTreeSet::new() }
    }

    /// The owner of a shard, if it has one.
    pub fn owner(&self, shard: ShardId) -> Option<Gid> {
        self.owners.get(usize::from(shard)).copied().flatten()
    }

    /// How many shards there are.
    pub fn shards(&self) -> ShardId {
        self.owners.len() as ShardId
    }

    /// The shards that a group owns, in ascending order.
    pub fn owned_by(&self, gid: Gid) -> impl Iterator<Item = ShardId> {
        let owned = move |(shard, owner): (usize, &Option<Gid>)| (*owner == Some(gid)).then_some(shard as ShardId);
        self.owners.iter().enumerate().filter_map(owned)
    }

    /// The configuration after this one, in which these groups own the shards, balanced by number.
    pub fn rebalanced(&self, cause: Cause, groups: BTreeMap<Gid, u32>) -> Config {
        let owners = balance(&self.owners, &groups);
        Config { number: self.number + 1, cause, groups, owners, pinned: BTreeSet::new() }
    }

    /// The configuration after this one, in which one shard has another owner.
    pub fn moved(&self, cause: Cause, shard: ShardId, to: Gid) -> Config {
        let mut next = Config { number: self.number + 1, cause, ..self.clone() };
        next.owners[usize::from(shard)] = Some(to);
        if cause == Cause::Move {
            next.pinned.insert(shard);
        }
        next
    }
}

/// How many shards a group may own in a balanced configuration: its share by weight, rounded down, and whether some groups of
/// that share own one more.
pub fn share(shards: usize, weight: u32, total: u64) -> (usize, bool) {
    let exact = shards as u64 * u64::from(weight);
    ((exact / total) as usize, !exact.is_multiple_of(total))
}

/// Gives each shard to one of the groups, such that each group owns its share by weight, rounded up or down, and as few shards as
/// possible change their owner. Depends on nothing but its arguments.
fn balance(owners: &[Option<Gid>], groups: &BTreeMap<Gid, u32>) -> Vec<Option<Gid>> {
    let total: u64 = groups.values().map(|weight| u64::from(*weight)).sum();
    if total == 0 {
        return vec![None; owners.len()];
    }
    let mut owned: BTreeMap<Gid, usize> = groups.keys().map(|gid| (*gid, 0)).collect();
    for gid in owners.iter().flatten() {
        if let Some(count) = owned.get_mut(gid) {
            *count += 1;
        }
    }
    // Where shares are no whole numbers, some groups own one shard more: first those that own it already, since nothing moves then.
    let mut quota: BTreeMap<Gid, usize> = BTreeMap::new();
    let mut may_own_more: Vec<(bool, std::cmp::Reverse<u64>, Gid)> = Vec::new();
    let equal = planted!("shardkv.weights-ignored").then_some((1, groups.len() as u64));
    for (&gid, &weight) in groups {
        let (weight, total) = equal.unwrap_or((weight, total));
        let (least, is_rounded) = share(owners.len(), weight, total);
        quota.insert(gid, least);
        if is_rounded {
            let rest = owners.len() as u64 * u64::from(weight) % total;
            may_own_more.push((owned[&gid] <= least, std::cmp::Reverse(rest), gid));
        }
    }
    may_own_more.sort_unstable();
    let left = owners.len() - quota.values().sum::<usize>();
    for (_, _, gid) in &may_own_more[..left] {
        *quota.get_mut(gid).expect("each group has one") += 1;
    }
    let mut next: Vec<Option<Gid>> = Vec::with_capacity(owners.len());
    let mut room = quota;
    for owner in owners {
        let keeps = owner.filter(|gid| room.get(gid).is_some_and(|room| *room > 0));
        if let Some(gid) = keeps {
            *room.get_mut(&gid).expect("it is a group") -= 1;
        }
        next.push(keeps);
    }
    let mut takers = room.iter().flat_map(|(gid, room)| std::iter::repeat_n(*gid, *room));
    for owner in next.iter_mut().filter(|owner| owner.is_none()) {
        *owner = takers.next();
    }
    if planted!("shardkv.moves-more-than-needed") {
        next.rotate_left(1);
    }
    next
}

/// The fewest shards that must change their owner for a balanced configuration of these groups: the measure of
/// [`Config::rebalanced`], counted in another way.
pub fn fewest_moves(owners: &[Option<Gid>], groups: &BTreeMap<Gid, u32>) -> usize {
    let total: u64 = groups.values().map(|weight| u64::from(*weight)).sum();
    let (mut stay, mut rounded_up, mut sum_of_least) = (0, 0, 0);
    for (&gid, &weight) in groups {
        let owned = owners.iter().filter(|owner| **owner == Some(gid)).count();
        let (least, is_rounded) = share(owners.len(), weight, total.max(1));
        stay += owned.min(least);
        rounded_up += usize::from(is_rounded && owned > least);
        sum_of_least += least;
    }
    owners.len() - stay - rounded_up.min(owners.len().saturating_sub(sum_of_least))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(all: &[(Gid, u32)]) -> BTreeMap<Gid, u32> {
        all.iter().copied().collect()
    }

    fn counts(config: &Config) -> Vec<usize> {
        config.groups.keys().map(|gid| config.owned_by(*gid).count()).collect()
    }

    #[test]
    fn groups_that_join_and_leave_own_equal_shares() {
        let first = Config::none(10).rebalanced(Cause::First, weights(&[(1, 1)]));
        assert_eq!((first.number, counts(&first)), (1, vec![10]));
        let joined = first.rebalanced(Cause::Join, weights(&[(1, 1), (2, 1), (3, 1)]));
        assert_eq!(counts(&joined), [4, 3, 3]);
        let left = joined.rebalanced(Cause::Leave, weights(&[(2, 1), (3, 1)]));
        assert_eq!(counts(&left), [5, 5]);
        assert_eq!(left.owners.iter().zip(&joined.owners).filter(|(a, b)| a != b).count(), 4);
    }

    #[test]
    fn a_group_owns_as_many_shards_as_it_weighs() {
        let config = Config::none(12).rebalanced(Cause::First, weights(&[(1, 1), (2, 3), (3, 2)]));
        assert_eq!(counts(&config), [2, 6, 4]);
    }

    #[test]
    fn a_move_is_honoured_until_groups_join_or_leave() {
        let first = Config::none(4).rebalanced(Cause::First, weights(&[(1, 1), (2, 1)]));
        let moved = first.moved(Cause::Move, 0, 2);
        assert_eq!((counts(&moved), moved.pinned.len()), (vec![1, 3], 1));
        let joined = moved.rebalanced(Cause::Join, weights(&[(1, 1), (2, 1), (3, 1)]));
        assert_eq!((counts(&joined), joined.pinned.len()), (vec![1, 2, 1], 0));
    }

    #[test]
    fn without_groups_nobody_owns_anything() {
        let first = Config::none(4).rebalanced(Cause::First, weights(&[(1, 1)]));
        assert_eq!(balance(&first.owners, &BTreeMap::new()), [None; 4]);
    }

    /// The fewest moves by trying all assignments.
    fn brute_force(owners: &[Option<Gid>], groups: &BTreeMap<Gid, u32>) -> usize {
        let gids: Vec<Gid> = groups.keys().copied().collect();
        let total: u64 = groups.values().map(|weight| u64::from(*weight)).sum();
        let all = (0..gids.len().pow(owners.len() as u32)).filter_map(|mut code| {
            let next: Vec<Gid> = (0..owners.len())
                .map(|_| {
                    let gid = gids[code % gids.len()];
                    code /= gids.len();
                    gid
                })
                .collect();
            let is_balanced = groups.iter().all(|(gid, weight)| {
                let (least, is_rounded) = share(owners.len(), *weight, total);
                let count = next.iter().filter(|owner| *owner == gid).count();
                (least..=least + usize::from(is_rounded)).contains(&count)
            });
            is_balanced.then(|| owners.iter().zip(&next).filter(|(old, new)| **old != Some(**new)).count())
        });
        all.min().expect("there is a balanced assignment")
    }

    proptest! {
        #[test]
        fn balanced_with_the_fewest_moves(
            owners in prop::collection::vec(prop::option::of(1..5_u16), 1..7),
            groups in prop::collection::btree_map(1..5_u16, 1..4_u32, 1..4),
        ) {
            let next = balance(&owners, &groups);
            let total: u64 = groups.values().map(|weight| u64::from(*weight)).sum();
            for (gid, weight) in &groups {
                let (least, is_rounded) = share(owners.len(), *weight, total);
                let count = next.iter().filter(|owner| **owner == Some(*gid)).count();
                prop_assert!((least..=least + usize::from(is_rounded)).contains(&count), "{next:?}");
            }
            let moved = owners.iter().zip(&next).filter(|(old, new)| old != new).count();
            prop_assert_eq!(moved, brute_force(&owners, &groups));
            prop_assert_eq!(moved, fewest_moves(&owners, &groups));
        }
    }
}
