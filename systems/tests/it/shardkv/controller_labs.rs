//! The behaviours of the classic lab "shard controller", by their names there.

use std::collections::BTreeMap;

use sim::net::LinkConfig;
use systems::shardkv::Gid;
use systems::shardkv::config::Config;
use systems::shardkv::controller::{Change, Query, Reply};

use super::lab::*;

/// How many shards each group of a configuration owns, if all shards have owners and the counts differ by at most one.
fn balanced(config: &Config) -> Option<Vec<usize>> {
    let counts: Vec<usize> = config.groups.keys().map(|gid| config.owned_by(*gid).count()).collect();
    let (least, most) = (counts.iter().min()?, counts.iter().max()?);
    let is_owned = config.owners.iter().all(|owner| owner.is_some_and(|gid| config.groups.contains_key(&gid)));
    (is_owned && most - least <= 1).then_some(counts)
}

/// How many shards have other owners.
fn moved(before: &Config, after: &Config) -> usize {
    before.owners.iter().zip(&after.owners).filter(|(before, after)| before != after).count()
}

/// Whether the controller knows so many configurations, and answers with the same ones when any one of its servers is down.
fn same_without_any_one(lab: &mut Lab, configs: u64) -> Option<bool> {
    let all = |lab: &Lab| (1..=configs).map(|number| lab.config(Query::Numbered(number))).collect::<Option<Vec<_>>>();
    let before = all(lab)?;
    let mut same = before.iter().zip(1..).all(|(config, number)| config.number == number);
    for node in lab.controller.clone() {
        lab.sim.crash(node);
        same &= all(lab)? == before;
        lab.sim.boot(node);
    }
    Some(same)
}

/// The controller alone; groups of any number may join.
fn alone() -> systems::shardkv::Params {
    systems::shardkv::Params { groups: 1, ..params(1) }
}

#[test]
fn basic_leave_join() {
    let expected = Some((vec![5, 5], vec![4, 3, 3], vec![5, 5], vec![10]));
    assert_holds(LinkConfig::default(), &alone(), &expected, |lab| {
        lab.join(&[2])?;
        let two = balanced(&lab.latest()?)?;
        lab.join(&[3])?;
        let three = balanced(&lab.latest()?)?;
        lab.leave(&[1])?;
        let left = balanced(&lab.latest()?)?;
        lab.leave(&[2])?;
        Some((two, three, left, balanced(&lab.latest()?)?))
    });
}

#[test]
fn basic_historical_queries() {
    assert_holds(LinkConfig::default(), &alone(), &Some(true), |lab| {
        lab.join(&[2, 3])?;
        lab.change(Change::Move(0, 2))?;
        lab.leave(&[1])?;
        lab.join(&[1])?;
        same_without_any_one(lab, 5)
    });
}

#[test]
fn basic_move() {
    let expected = Some((12, true));
    assert_holds(LinkConfig::default(), &alone(), &expected, |lab| {
        lab.join(&[2])?;
        for shard in 0..10 {
            lab.change(Change::Move(shard, if shard < 5 { 2 } else { 1 }))?;
        }
        let latest = lab.latest()?;
        let as_told = (0..10).all(|shard| latest.owner(shard) == Some(if shard < 5 { 2 } else { 1 }));
        Some((latest.number, as_told))
    });
}

/// Ten operators at once: each has two groups join, and one of them leave.
fn concurrent_leave_join(lab: &mut Lab) -> Option<(Vec<Gid>, bool)> {
    let jobs: Vec<_> = (0..10_u16)
        .map(|i| {
            lab.start(async move |params| {
                let (stays, goes) = (100 + 10 * i, 101 + 10 * i);
                number(configure(&params, joining(&[goes])).await?)?;
                number(configure(&params, joining(&[stays])).await?)?;
                number(configure(&params, leaving(&[goes])).await?)
            })
        })
        .collect();
    for job in jobs {
        lab.wait(job, PATIENCE)??;
    }
    lab.leave(&[1])?;
    let latest = lab.latest()?;
    let is_balanced = balanced(&latest).is_some();
    Some((latest.groups.into_keys().collect(), is_balanced))
}

#[test]
fn basic_concurrent_leave_join() {
    let expected = Some(((0..10).map(|i| 100 + 10 * i).collect(), true));
    assert_holds(LinkConfig::default(), &alone(), &expected, concurrent_leave_join);
    assert_holds(unreliable(), &alone(), &expected, concurrent_leave_join);
}

#[test]
fn basic_minimal_transfer_and_again() {
    assert_holds(LinkConfig::default(), &alone(), &Some(true), |lab| {
        lab.join(&[2, 3])?;
        let mut before = lab.latest()?;
        let mut few = true;
        for round in 0..3 {
            for gid in 4 + round..8 {
                lab.join(&[gid])?;
                let after = lab.latest()?;
                // The course allows a share and one more; what moves is exactly what the new group owns.
                few &= moved(&before, &after) == after.owned_by(gid).count() && moved(&before, &after) <= 4;
                before = after;
            }
            for gid in 4 + round + 1..8 {
                lab.leave(&[gid])?;
                let after = lab.latest()?;
                few &= moved(&before, &after) == before.owned_by(gid).count();
                before = after;
            }
            lab.leave(&[4 + round])?;
            before = lab.latest()?;
        }
        Some(few)
    });
}

#[test]
fn multi_leave_join() {
    let expected = Some((vec![2, 2, 2, 2, 2], vec![5, 5], true));
    assert_holds(LinkConfig::default(), &alone(), &expected, |lab| {
        lab.join(&[2, 3, 4, 5])?;
        let five = lab.latest()?;
        lab.leave(&[1, 4, 5])?;
        let two = lab.latest()?;
        let stay = [2, 3].into_iter().all(|gid| five.owned_by(gid).all(|shard| two.owner(shard) == Some(gid)));
        Some((balanced(&five)?, balanced(&two)?, stay))
    });
}

/// The leader crashes, and the next one answers with the same configurations.
fn agree_config(lab: &mut Lab) -> Option<bool> {
    let weights: BTreeMap<Gid, u32> = (10..17).map(|gid| (gid, u32::from(gid) % 3 + 1)).collect();
    lab.change(Change::Join(weights))?;
    lab.leave(&[1, 12])?;
    same_without_any_one(lab, 3)
}

#[test]
fn multi_agree_config() {
    assert_holds(LinkConfig::default(), &alone(), &Some(true), agree_config);
    assert_detects("shardkv.replicas-balance-differently", LinkConfig::default(), &alone(), &Some(true), agree_config);
}

#[test]
fn a_leader_that_is_cut_off_makes_no_configuration() {
    // Its operator is on its side. When all is healed there is one history, in which the change is or is not.
    assert_holds(LinkConfig::default(), &alone(), &Some((true, true)), |lab| {
        lab.join(&[2])?;
        for at in 0..3 {
            let job = lab.start(async move |params| configure(&params, joining(&[10 + at as Gid])).await);
            let others = lab.controller_but(at);
            let cut = lab.sim.partition([vec![lab.controller[at], job.node()], others]);
            lab.sim.run_for(ms(1_500));
            let alone = !job.is_done();
            drop(cut);
            if !alone || lab.wait(job, PATIENCE)?.and_then(number).is_none() {
                return Some((alone, false));
            }
        }
        let latest = lab.latest()?;
        Some((true, (10..13).all(|gid| latest.groups.contains_key(&gid)) && latest.number == 5))
    });
}

#[test]
fn fresh_query() {
    // A replica that was cut off while a change was made does not answer with what it knew before.
    assert_holds(LinkConfig::default(), &alone(), &Some(true), |lab| {
        let mut fresh = true;
        for (at, gid) in (0..3).zip(2..) {
            let cut = lab.sim.partition([vec![lab.controller[at]], lab.controller_but(at)]);
            let made = lab.join(&[gid])?;
            drop(cut);
            fresh &= lab.latest()?.number == made;
        }
        Some(fresh)
    });
}

#[test]
fn a_repeated_change_is_made_once() {
    // The first answers are lost: the operator sends its change again, and it is made once.
    let noisy = LinkConfig { loss: 0.3, duplicate: 0.3, ..LinkConfig::default() };
    assert_holds(noisy, &alone(), &Some((2..22).collect::<Vec<u64>>()), |lab| {
        (0..20).map(|i| lab.change(Change::Move(i % 10, 1)).and_then(number)).collect()
    });
}

#[test]
fn changes_without_sense_are_refused() {
    assert_holds(LinkConfig::default(), &alone(), &Some((true, 1)), |lab| {
        let wrong = [joining(&[1]), leaving(&[7]), leaving(&[1]), Change::Move(10, 1), Change::Weigh(1, 0)];
        let mut refused = true;
        for change in wrong {
            refused &= matches!(lab.change(change)?, Reply::Refused(_));
        }
        Some((refused, lab.latest()?.number))
    });
}
