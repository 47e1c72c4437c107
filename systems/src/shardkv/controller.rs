//! The shard controller's replicated state: all configurations, and the load that groups report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{node, observe, planted, reachable};
use xxhash_rust::xxh3::xxh3_64;

use super::config::{Cause, Config};
use super::events::{Configured, LoadMoved, LoadReported};
use super::load::{Loads, Policy, Report};
use super::{Gid, ShardId};
use crate::rsm::{At, StateMachine};
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

/// A change of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// These groups join, each with its weight. Shards are balanced.
    Join(BTreeMap<Gid, u32>),
    /// These groups leave. Shards are balanced.
    Leave(BTreeSet<Gid>),
    /// This group owns the shard, until groups join or leave.
    Move(ShardId, Gid),
    /// The group has another weight. Shards are balanced.
    Weigh(Gid, u32),
}

impl Change {
    /// Whether the configuration `made` is `before` with this change: those who asked for it can tell.
    pub fn is_made(&self, before: &Config, made: &Config) -> bool {
        let mut groups = before.groups.clone();
        let is_placed = match self {
            Change::Join(joining) => {
                groups.extend(joining);
                true
            }
            Change::Leave(leaving) => {
                groups.retain(|gid, _| !leaving.contains(gid));
                true
            }
            Change::Move(shard, to) => made.owner(*shard) == Some(*to),
            Change::Weigh(gid, weight) => {
                groups.insert(*gid, *weight);
                true
            }
        };
        is_placed && groups == made.groups
    }
}

/// A command to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Makes the next configuration. With `after`, only if the latest has that number: nobody's change is lost on an operator that
    /// decided by an older one.
    Change {
        /// The change.
        change: Change,
        /// The number that the latest configuration must have.
        after: Option<u64>,
    },
    /// A group reports its load.
    Report(Report),
    /// Moves a shard by load, if that is worth it.
    Balance,
}

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The configuration of this number is the latest; it is new, or a repeated change was no change.
    Configured(u64),
    /// The change is not made.
    Refused(Refusal),
    /// The report is taken into account.
    Noted,
}

/// Why a change is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The latest configuration has this number, and the operator expected another.
    Overtaken(u64),
    /// A group that joins is a member already, or one that leaves is none.
    Members,
    /// No group would be left to own the shards.
    LastGroup,
    /// There is no such shard or group, or a weight is 0.
    NoSuch,
}

/// A query to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The configuration of that number.
    Numbered(u64),
    /// The latest configuration.
    Latest,
    /// The load of each group.
    Loads,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A configuration. None if there is none of that number yet.
    Config(Option<Config>),
    /// Operations in a thousand seconds by weight, for each group.
    Loads(BTreeMap<Gid, u64>),
}

/// The state of the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    policy: Policy,
    /// All configurations; the first has the number 1.
    configs: Vec<Config>,
    loads: Loads,
}

impl Controller {
    /// A controller whose first configuration has these groups, each with weight 1.
    pub fn new(shards: ShardId, first: impl IntoIterator<Item = Gid>, policy: Policy) -> Controller {
        let groups = first.into_iter().map(|gid| (gid, 1)).collect();
        let configs = vec![Config::none(shards).rebalanced(Cause::First, groups)];
        Controller { policy, configs, loads: Loads::default() }
    }

    /// The latest configuration.
    pub fn latest(&self) -> &Config {
        self.configs.last().expect("the first is never removed")
    }

    /// Whether [`Command::Balance`] would move a shard at that moment of the log's time.
    pub fn is_move_worth(&self, now: Duration) -> bool {
        self.loads.best_move(self.latest(), self.policy, now).is_some()
    }

    fn numbered(&self, number: u64) -> Option<&Config> {
        self.configs.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The configuration that a change makes of the latest.
    fn change(&self, change: Change, after: Option<u64>) -> Result<Config, Refusal> {
        let latest = self.latest();
        if after.is_some_and(|after| after != latest.number) && !planted!("shardkv.lost-update") {
            reachable!("shardkv: an operator's change is overtaken");
            return Err(Refusal::Overtaken(latest.number));
        }
        let mut groups = latest.groups.clone();
        let cause = match change {
            Change::Join(joining) => {
                if joining.is_empty() || joining.keys().any(|gid| groups.contains_key(gid)) {
                    return Err(Refusal::Members);
                }
                if joining.values().any(|weight| *weight == 0) {
                    return Err(Refusal::NoSuch);
                }
                groups.extend(joining);
                Cause::Join
            }
            Change::Leave(leaving) => {
                if leaving.is_empty() || !leaving.iter().all(|gid| groups.contains_key(gid)) {
                    return Err(Refusal::Members);
                }
                groups.retain(|gid, _| !leaving.contains(gid));
                Cause::Leave
            }
            Change::Move(shard, to) => {
                if shard >= latest.shards() || !groups.contains_key(&to) {
                    return Err(Refusal::NoSuch);
                }
                return Ok(latest.moved(Cause::Move, shard, to));
            }
            Change::Weigh(gid, weight) => {
                if weight == 0 || !groups.contains_key(&gid) {
                    return Err(Refusal::NoSuch);
                }
                groups.insert(gid, weight);
                Cause::Weigh
            }
        };
        if groups.is_empty() {
            return Err(Refusal::LastGroup);
        }
        Ok(latest.rebalanced(cause, groups))
    }

    fn configure(&mut self, at: &At, mut config: Config) -> Reply {
        let number = config.number;
        if planted!("shardkv.replicas-balance-differently") && node::this().index().is_multiple_of(2) {
            // As if its replicas went through a hash map, each in its own order.
            config.owners.reverse();
        }
        observe!(Configured::of(at.index, &config));
        self.configs.push(config);
        Reply::Configured(number)
    }
}

impl StateMachine for Controller {
    type Command = Command;
    type Reply = Reply;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, at: &At, command: Command) -> Reply {
        match command {
            Command::Change { change, after } => match self.change(change, after) {
                Ok(config) => self.configure(at, config),
                Err(refusal) => Reply::Refused(refusal),
            },
            Command::Report(report) => {
                let ops = report.ops.values().sum();
                observe!(LoadReported { index: at.index, gid: report.gid, ops });
                let latest = self.configs.last().expect("the first is never removed");
                self.loads.report(&report, latest);
                Reply::Noted
            }
            Command::Balance => {
                let latest = self.latest();
                let Some((shard, to)) = self.loads.best_move(latest, self.policy, at.now) else {
                    return Reply::Configured(latest.number);
                };
                let next = latest.moved(Cause::Load, shard, to);
                self.loads.moved(at.now);
                let most = self.policy.moves_per_minute as u64;
                observe!(LoadMoved { index: at.index, shard, to, most });
                self.configure(at, next)
            }
        }
    }

    fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Numbered(number) => Answer::Config(self.numbered(*number).cloned()),
            Query::Latest => Answer::Config(Some(self.latest().clone())),
            Query::Loads => Answer::Loads(self.loads.by_group(self.latest())),
        }
    }

    fn digest(&self) -> u64 {
        let owners = self.latest().owners.iter().flat_map(|owner| owner.unwrap_or(0).to_le_bytes());
        xxh3_64(&owners.collect::<Vec<u8>>()) ^ self.latest().number
    }

    async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
        to.put(&(self.policy, &self.loads, self.configs.len())).await?;
        for config in &self.configs {
            to.put(config).await?;
        }
        Ok(())
    }

    async fn load(from: &mut Snapshot) -> Result<Controller, StorageError> {
        let (policy, loads, count): (Policy, Loads, usize) = from.get().await?;
        let mut configs = Vec::new();
        for _ in 0..count {
            configs.push(from.get().await?);
        }
        Ok(Controller { policy, configs, loads })
    }
}

/// How long until the controller next looks whether a move by load is worth it.
pub const BALANCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Policy = Policy { moves_per_minute: 0, hysteresis_percent: 120 };

    fn apply(controller: &mut Controller, change: Change, after: Option<u64>) -> Reply {
        let at = At { index: controller.configs.len() as u64, now: Duration::ZERO };
        // Events are observed inside runs only.
        let run = {
            let mut controller = controller.clone();
            let script = async move { (controller.apply(&at, Command::Change { change, after }), controller) };
            sim::simulate(1, move |sim| sim.wait(sim.client("c", script), Duration::from_secs(1)).unwrap())
        };
        let (reply, after) = run.unwrap().value;
        *controller = after;
        reply
    }

    fn join(gids: &[Gid]) -> Change {
        Change::Join(gids.iter().map(|gid| (*gid, 1)).collect())
    }

    fn leave(gids: &[Gid]) -> Change {
        Change::Leave(gids.iter().copied().collect())
    }

    #[test]
    fn changes_make_configurations_that_all_stay_known() {
        let mut controller = Controller::new(10, [1], OFF);
        for (change, number) in [(join(&[2, 3]), 2), (Change::Move(0, 3), 3), (leave(&[1]), 4)] {
            let before = controller.latest().clone();
            assert_eq!(apply(&mut controller, change.clone(), None), Reply::Configured(number));
            assert!(change.is_made(&before, controller.latest()));
            assert!(!change.is_made(&before, &before));
        }
        for number in 1..=4 {
            let Answer::Config(Some(config)) = controller.query(&Query::Numbered(number)) else { panic!("{number}") };
            assert_eq!(config.number, number);
        }
        assert_eq!(controller.query(&Query::Numbered(0)), Answer::Config(None));
        assert_eq!(controller.query(&Query::Numbered(5)), Answer::Config(None));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut controller = Controller::new(10, [1], OFF);
        let mut refused = |change| apply(&mut controller, change, None);
        assert_eq!(refused(join(&[1])), Reply::Refused(Refusal::Members));
        assert_eq!(refused(join(&[])), Reply::Refused(Refusal::Members));
        assert_eq!(refused(leave(&[2])), Reply::Refused(Refusal::Members));
        assert_eq!(refused(leave(&[1])), Reply::Refused(Refusal::LastGroup));
        assert_eq!(refused(Change::Move(10, 1)), Reply::Refused(Refusal::NoSuch));
        assert_eq!(refused(Change::Move(0, 2)), Reply::Refused(Refusal::NoSuch));
        assert_eq!(refused(Change::Weigh(1, 0)), Reply::Refused(Refusal::NoSuch));
        assert_eq!(controller.latest().number, 1);
    }

    #[test]
    fn a_change_that_was_decided_by_an_older_configuration_is_refused() {
        let mut controller = Controller::new(10, [1], OFF);
        assert_eq!(apply(&mut controller, join(&[2]), Some(1)), Reply::Configured(2));
        assert_eq!(apply(&mut controller, join(&[3]), Some(1)), Reply::Refused(Refusal::Overtaken(2)));
        assert_eq!(apply(&mut controller, join(&[3]), Some(2)), Reply::Configured(3));
    }
}
