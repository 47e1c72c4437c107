//! Balancing by load: which shard to move where, from what groups report.
//!
//! After the weighted-move algorithm of Adya et al., "Slicer: Auto-Sharding for Datacenter Applications", OSDI 2016, section 4.4.1:
//! the move that helps most, within a budget of moves. Rates are averaged, and nothing moves unless the imbalance is large and the move
//! makes it smaller by enough, so a steady load comes to rest.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::planted;

use super::config::Config;
use super::{Gid, ShardId};

/// When the controller moves shards by load. All its replicas must be given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The most moves within a minute of the log's time; 0 switches balancing by load off.
    pub moves_per_minute: usize,
    /// Nothing moves unless the busiest group has so many hundredths of the mean load by weight.
    pub hysteresis_percent: u64,
}

/// The least by which a move must lower the load of the busiest group, in hundredths of the mean.
const WORTH_PERCENT: u64 = 10;

/// A rate is the mean of about so many reports: fewer would make the controller follow chance, more would make it slow.
const REPORTS: u64 = 16;

/// The reports of a shard before its rate is believed.
const ENOUGH: u64 = 8;

/// What a group reports: the operations that it served on each shard, and over which time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The group.
    pub gid: Gid,
    /// The configuration that the group had adopted, with all of its shards handed over and installed.
    pub config: Option<u64>,
    /// Over how long, in milliseconds.
    pub millis: u64,
    /// Operations by shard.
    pub ops: BTreeMap<ShardId, u64>,
}

/// The load of each shard, as it was reported, and the moves that were made for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loads {
    rates: BTreeMap<ShardId, Rate>,
    /// The configuration in which each group last reported, if nothing was on its way then.
    settled: BTreeMap<Gid, Option<u64>>,
    /// When shards were moved for their load, within the last minute, in the log's time.
    moved: VecDeque<Duration>,
}

/// The load of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Rate {
    /// Operations in a thousand seconds, averaged.
    mean: u64,
    /// How many reports it is the mean of, at most [`REPORTS`].
    reports: u64,
}

impl Loads {
    /// Takes a report into account. Shards that the group does not own any more are left out.
    pub fn report(&mut self, report: &Report, config: &Config) {
        self.settled.insert(report.gid, report.config);
        for shard in config.owned_by(report.gid) {
            let ops = report.ops.get(&shard).copied().unwrap_or(0);
            let rate = ops * 1_000_000 / report.millis.max(1);
            let known = self.rates.entry(shard).or_default();
            known.reports = (known.reports + 1).min(REPORTS);
            known.mean = (known.mean * (known.reports - 1) + rate) / known.reports;
        }
    }

    /// The load of each group by weight: operations in a thousand seconds.
    pub fn by_group(&self, config: &Config) -> BTreeMap<Gid, u64> {
        let load = |(gid, weight): (&Gid, &u32)| {
            let sum: u64 = config.owned_by(*gid).map(|shard| self.rate(shard)).sum();
            (*gid, sum / u64::from(*weight))
        };
        config.groups.iter().map(load).collect()
    }

    fn rate(&self, shard: ShardId) -> u64 {
        self.rates.get(&shard).map_or(0, |rate| rate.mean)
    }

    /// The move that helps most, if one is worth it: all groups have settled in this configuration, the budget allows it, one group has
    /// much more load than the mean, and the move makes the busier of the two groups less busy by enough.
    pub fn best_move(&self, config: &Config, policy: Policy, now: Duration) -> Option<(ShardId, Gid)> {
        let recent = self.moved.iter().filter(|at| now.saturating_sub(**at) < Duration::from_secs(60)).count();
        if recent >= policy.moves_per_minute && !planted!("shardkv.moves-without-bound") {
            return None;
        }
        let is_settled = |gid: &Gid| self.settled.get(gid).copied().flatten() == Some(config.number);
        let is_known = |shard| self.rates.get(&shard).is_some_and(|rate| rate.reports >= ENOUGH);
        if !config.groups.keys().all(is_settled) || !(0..config.shards()).all(is_known) {
            return None;
        }
        let loads = self.by_group(config);
        let weights: u64 = config.groups.values().map(|weight| u64::from(*weight)).sum();
        let all: u64 = (0..config.shards()).map(|shard| self.rate(shard)).sum();
        let mean = all / weights.max(1);
        let (&busiest, &most) = loads.iter().max_by_key(|(gid, load)| (**load, std::cmp::Reverse(**gid)))?;
        let (&idlest, &least) = loads.iter().min_by_key(|(gid, load)| (**load, **gid))?;
        if most == 0 || most * 100 < mean * policy.hysteresis_percent {
            return None;
        }
        let weight = |gid: Gid| u64::from(config.groups[&gid]);
        let busier_after = |shard: ShardId| {
            let rate = self.rate(shard);
            (most - (rate / weight(busiest)).min(most)).max(least + rate / weight(idlest))
        };
        let movable = config.owned_by(busiest).filter(|shard| !config.pinned.contains(shard));
        let best = movable.min_by_key(|shard| (busier_after(*shard), *shard))?;
        (busier_after(best) * 100 + mean.max(1) * WORTH_PERCENT <= most * 100).then_some((best, idlest))
    }

    /// A shard was moved for its load.
    pub fn moved(&mut self, now: Duration) {
        self.moved.push_back(now);
        while self.moved.front().is_some_and(|at| now.saturating_sub(*at) >= Duration::from_secs(60)) {
            self.moved.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Cause;
    use super::*;

    const POLICY: Policy = Policy { moves_per_minute: 2, hysteresis_percent: 120 };

    fn config(groups: &[(Gid, u32)], shards: ShardId) -> Config {
        Config::none(shards).rebalanced(Cause::First, groups.iter().copied().collect())
    }

    fn loads(config: &Config, rates: &[u64]) -> Loads {
        loads_after(ENOUGH, config, rates)
    }

    fn loads_after(reports: u64, config: &Config, rates: &[u64]) -> Loads {
        let mut loads = Loads::default();
        for gid in config.groups.keys() {
            let ops = config.owned_by(*gid).map(|shard| (shard, rates[usize::from(shard)])).collect();
            let report = Report { gid: *gid, config: Some(config.number), millis: 1_000, ops };
            (0..reports).for_each(|_| loads.report(&report, config));
        }
        loads
    }

    fn best(config: &Config, rates: &[u64]) -> Option<(ShardId, Gid)> {
        loads(config, rates).best_move(config, POLICY, Duration::ZERO)
    }

    #[test]
    fn the_shard_moves_that_makes_the_busiest_least_busy() {
        // The first group owns shards 0 and 1, the second 2 and 3.
        let config = config(&[(1, 1), (2, 1)], 4);
        assert_eq!(config.owners, [Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(best(&config, &[50, 60, 10, 10]), Some((0, 2)));
        // A shard that would make the other as busy stays, however hot it is.
        assert_eq!(best(&config, &[0, 100, 0, 0]), None);
        assert_eq!(best(&config, &[10, 100, 0, 0]), Some((0, 2)));
    }

    #[test]
    fn a_small_imbalance_stays() {
        let config = config(&[(1, 1), (2, 1)], 4);
        assert_eq!(best(&config, &[55, 55, 50, 50]), None);
        assert_eq!(best(&config, &[0, 0, 0, 0]), None);
    }

    #[test]
    fn a_group_bears_as_much_load_as_it_weighs() {
        let config = config(&[(1, 3), (2, 1)], 4);
        assert_eq!(best(&config, &[30, 30, 30, 30]), None);
        assert_eq!(best(&config, &[10, 10, 10, 60]), Some((3, 1)), "the large group bears it better");
    }

    #[test]
    fn a_shard_that_an_operator_moved_stays() {
        let config = config(&[(1, 1), (2, 1)], 4);
        let pinned = config.moved(Cause::Move, 0, 1);
        assert_eq!(best(&config, &[50, 60, 10, 10]), Some((0, 2)));
        assert_eq!(best(&pinned, &[50, 60, 10, 10]), Some((1, 2)));
    }

    #[test]
    fn nothing_moves_until_enough_reports_have_come() {
        let config = config(&[(1, 1), (2, 1)], 4);
        let after = |reports| {
            let loads = loads_after(reports, &config, &[50, 60, 10, 10]);
            loads.best_move(&config, POLICY, Duration::ZERO)
        };
        assert_eq!(after(ENOUGH - 1), None);
        assert_eq!(after(ENOUGH), Some((0, 2)));
    }

    #[test]
    fn a_rate_follows_its_reports_slowly() {
        let config = config(&[(1, 1)], 1);
        let mut loads = loads_after(100, &config, &[100]);
        let report = Report { gid: 1, config: Some(1), millis: 1_000, ops: BTreeMap::from([(0, 260)]) };
        loads.report(&report, &config);
        assert_eq!(loads.rate(0), 110_000);
    }

    #[test]
    fn nothing_moves_until_all_groups_have_settled() {
        let config = config(&[(1, 1), (2, 1)], 4);
        let mut loads = loads(&config, &[50, 60, 10, 10]);
        assert!(loads.best_move(&config, POLICY, Duration::ZERO).is_some());
        loads.report(&Report { gid: 2, config: None, millis: 1_000, ops: BTreeMap::new() }, &config);
        assert_eq!(loads.best_move(&config, POLICY, Duration::ZERO), None);
    }

    #[test]
    fn moves_are_bounded_within_a_minute() {
        let config = config(&[(1, 1), (2, 1)], 4);
        let mut loads = loads(&config, &[50, 60, 10, 10]);
        let at = Duration::from_secs;
        loads.moved(at(10));
        assert!(loads.best_move(&config, POLICY, at(20)).is_some());
        loads.moved(at(20));
        assert_eq!(loads.best_move(&config, POLICY, at(69)), None);
        assert!(loads.best_move(&config, POLICY, at(70)).is_some());
    }
}
