//! What operators ask of a cluster, whichever system runs on it: to move leadership, and to change the membership.
//!
//! An action is for one group of servers: the system's only one, or the one that its arguments name.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{GroupId, group, rand, time};

/// Arguments of a transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferTo {
    /// Which server is to lead, by the number of its node; drawn, without.
    pub to: Option<u64>,
    /// The servers' group, where there are several.
    pub group: Option<String>,
}

impl TransferTo {
    /// The server that is to lead, drawn of the group if the arguments do not say.
    pub fn drawn(&self, group: GroupId) -> u64 {
        self.to.unwrap_or_else(|| any(&servers(group)))
    }
}

/// Arguments of a change of the membership.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MembersAre {
    /// The voters, by the numbers of their nodes; drawn, without.
    pub voters: Option<Vec<u64>>,
    /// The learners; drawn, without.
    pub learners: Option<Vec<u64>>,
    /// The servers' group, where there are several.
    pub group: Option<String>,
}

impl MembersAre {
    /// The voters and the learners, drawn of the group if the arguments do not say.
    pub fn drawn(&self, group: GroupId) -> (Vec<u64>, Vec<u64>) {
        let servers = servers(group);
        let some = |p: f64| servers.iter().copied().filter(|_| rand::chance(p)).collect::<Vec<_>>();
        let voters = self.voters.clone().unwrap_or_else(|| some(0.7));
        let learners = self.learners.clone().unwrap_or_else(|| some(0.3));
        (voters, learners)
    }
}

/// The group that an action is for: the one that its arguments name, or else `default`.
///
/// # Panics
///
/// If there is no such group: the run fails, and says which name is wrong.
pub fn group_of(named: &Option<String>, default: &str) -> GroupId {
    let name = named.as_deref().unwrap_or(default);
    group::lookup(name).unwrap_or_else(|| panic!("there is no group `{name}` to act on"))
}

/// The ids of the servers of a group, members or not: the numbers of their nodes.
pub fn servers(group: GroupId) -> Vec<u64> {
    group.nodes().into_iter().map(|node| node.index() as u64).collect()
}

/// One of these servers, drawn.
pub fn any(servers: &[u64]) -> u64 {
    servers[rand::below(servers.len() as u64) as usize]
}

/// Asks the servers of a group for a while, one after another, until one does what is asked. `ask` is given a server; one that does
/// not do it may name another.
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
