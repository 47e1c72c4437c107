//! Operator actions of every system on Raft: leadership transfers and membership changes.
//!
//! An action concerns one group of servers: the group that its arguments name, or the system's only group.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{GroupId, group, rand, time};

/// Arguments of a leadership transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferTo {
    /// The target, by the number of its node; drawn by default.
    pub to: Option<u64>,
    /// The group of servers; required if the system has several.
    pub group: Option<String>,
}

impl TransferTo {
    /// The target of the transfer, drawn from the group by default.
    pub fn drawn(&self, group: GroupId) -> u64 {
        self.to.unwrap_or_else(|| any(&servers(group)))
    }
}

/// Arguments of a membership change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MembersAre {
    /// The voters, by the numbers of their nodes; drawn by default.
    pub voters: Option<Vec<u64>>,
    /// The learners, by the numbers of their nodes; drawn by default.
    pub learners: Option<Vec<u64>>,
    /// The group of servers; required if the system has several.
    pub group: Option<String>,
}

impl MembersAre {
    /// The voters and the learners, drawn from the group by default.
    pub fn drawn(&self, group: GroupId) -> (Vec<u64>, Vec<u64>) {
        let servers = servers(group);
        let some = |p: f64| servers.iter().copied().filter(|_| rand::chance(p)).collect::<Vec<_>>();
        let voters = self.voters.clone().unwrap_or_else(|| some(0.7));
        let learners = self.learners.clone().unwrap_or_else(|| some(0.3));
        (voters, learners)
    }
}

/// The group of an action: the group that its arguments name, or `default`.
///
/// # Panics
///
/// If there is no such group. The run then fails with the wrong name.
pub fn group_of(named: &Option<String>, default: &str) -> GroupId {
    let name = named.as_deref().unwrap_or(default);
    group::lookup(name).unwrap_or_else(|| panic!("there is no group `{name}` to act on"))
}

/// The ids of the servers of a group, members or not: the numbers of their nodes.
pub fn servers(group: GroupId) -> Vec<u64> {
    group.nodes().into_iter().map(|node| node.index() as u64).collect()
}

/// Draws one of the servers.
pub fn any(servers: &[u64]) -> u64 {
    servers[rand::below(servers.len() as u64) as usize]
}

/// Sends a request to the servers of a group, one after another, until a server accepts it, at most ten times. `ask` sends
/// the request to a server; a server that rejects the request may name another.
pub async fn insist(group: GroupId, ask: impl AsyncFn(u64) -> Result<(), Option<u64>>) {
    let servers = servers(group);
    let mut at = any(&servers);
    for _ in 0..10 {
        match ask(at).await {
            Ok(()) => return,
            Err(other) => at = other.unwrap_or_else(|| any(&servers)),
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}
