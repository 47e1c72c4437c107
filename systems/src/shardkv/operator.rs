//! What operators do: groups join and leave, shards are moved, groups get another weight. What the arguments leave open is drawn.
//!
//! An operator decides by the latest configuration, and its change is made only if that is still the latest then
//! ([`Command::Change`]): otherwise it looks again and decides anew. A change is one command, so an operator that is cut off
//! leaves either nothing behind, or a configuration that the groups carry out without an operator.
//!
//! # Panics
//!
//! An action that names a group, a shard or a weight that cannot be fails its run, as a scenario that asks for nothing. A change that
//! is only without sense in the configuration of that moment, such as a join of a member, is refused by the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{Client, always, rand, time};

use super::config::Config;
use super::controller::{Answer, Change, Command, Query, Refusal, Reply};
use super::system::Params;
use super::{Gid, ShardId, server};

/// Arguments of `shardkv.join` and `shardkv.leave`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Groups {
    /// The groups, by their numbers; drawn by default: one or two that can.
    pub groups: Option<Vec<Gid>>,
}

/// Arguments of `shardkv.move`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Move {
    /// The shard; drawn by default.
    pub shard: Option<ShardId>,
    /// The new owner; drawn by default.
    pub to: Option<Gid>,
}

/// Arguments of `shardkv.weigh`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weight {
    /// The group; drawn by default.
    pub group: Option<Gid>,
    /// Its weight; drawn by default, 1 to 3.
    pub weight: Option<u32>,
}

/// Groups join.
pub async fn join(cx: Client<Params>, args: Groups) {
    let existing = cx.params.groups;
    must_exist(&cx, args.groups.iter().flatten());
    assert!(args.groups != Some(Vec::new()), "a join of no groups");
    change(&cx, |config| {
        let can = (1..=existing).filter(|gid| !config.groups.contains_key(gid)).collect();
        let joining = args.groups.clone().unwrap_or_else(|| some(can));
        Change::Join(joining.into_iter().map(|gid| (gid, 1)).collect::<BTreeMap<_, _>>())
    })
    .await;
}

/// Groups leave. By default at least one stays.
pub async fn leave(cx: Client<Params>, args: Groups) {
    must_exist(&cx, args.groups.iter().flatten());
    assert!(args.groups != Some(Vec::new()), "a leave of no groups");
    change(&cx, |config| {
        let mut can: Vec<Gid> = config.groups.keys().copied().collect();
        can.remove(rand::below(can.len() as u64) as usize);
        Change::Leave(args.groups.clone().unwrap_or_else(|| some(can)).into_iter().collect::<BTreeSet<_>>())
    })
    .await;
}

/// A shard moves.
pub async fn move_shard(cx: Client<Params>, args: Move) {
    must_exist(&cx, &args.to);
    let shards = cx.params.shards;
    if let Some(shard) = args.shard {
        assert!(shard < shards, "there is no shard {shard} to move: there are {shards}, from 0");
    }
    change(&cx, |config| {
        let shard = args.shard.unwrap_or_else(|| rand::below(u64::from(config.shards())) as ShardId);
        Change::Move(shard, args.to.unwrap_or_else(|| one(config)))
    })
    .await;
}

/// A group gets another weight.
pub async fn weigh(cx: Client<Params>, args: Weight) {
    must_exist(&cx, &args.group);
    assert!(args.weight != Some(0), "a group of weight 0: it would own nothing, and leaves instead");
    change(&cx, |config| {
        let weight = args.weight.unwrap_or_else(|| 1 + rand::below(3) as u32);
        Change::Weigh(args.group.unwrap_or_else(|| one(config)), weight)
    })
    .await;
}

fn must_exist<'a>(cx: &Client<Params>, named: impl IntoIterator<Item = &'a Gid>) {
    let groups = cx.params.groups;
    for gid in named {
        assert!((1..=groups).contains(gid), "there is no group {gid} to act on: there are {groups}, from 1");
    }
}

/// One or two of these groups, if there are so many.
fn some(mut can: Vec<Gid>) -> Vec<Gid> {
    let count = (1 + rand::below(2) as usize).min(can.len());
    (0..count).map(|_| can.swap_remove(rand::below(can.len() as u64) as usize)).collect()
}

/// A member of the configuration.
fn one(config: &Config) -> Gid {
    let nth = rand::below(config.groups.len() as u64) as usize;
    *config.groups.keys().nth(nth).expect("a configuration has a group")
}

/// How long an operator tries.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has a change made that is decided by the latest configuration. Decides anew if another operator was faster.
async fn change(cx: &Client<Params>, decide: impl Fn(&Config) -> Change) {
    let mut controller = server::controller_client(&cx.params);
    let deadline = time::now() + PATIENCE;
    while let Ok(Answer::Config(Some(latest))) = controller.query(Query::Latest, deadline).await {
        let change = decide(&latest);
        let command = Command::Change { change: change.clone(), after: Some(latest.number) };
        match controller.execute(command, deadline).await {
            Ok(Reply::Refused(Refusal::Overtaken(_))) => {}
            Ok(Reply::Configured(number)) => {
                let expected = latest.number + 1;
                always!(number == expected, "shardkv.change-of-latest", "made {number}, decided by {}", latest.number);
                // What came out is what was asked for.
                if let Ok(Answer::Config(Some(made))) = controller.query(Query::Numbered(number), deadline).await {
                    let is_made = change.is_made(&latest, &made);
                    always!(is_made, "shardkv.change-is-made", "{change:?} of {latest:?} made {made:?}");
                }
                return;
            }
            _ => return,
        }
    }
}
