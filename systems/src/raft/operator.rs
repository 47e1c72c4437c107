//! What operators ask of a cluster, whichever system runs on it: to move leadership, and to change the membership.
//!
//! Server `i` is node `i`, so a system's servers come first in its cluster.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{node, rand, time};

/// Arguments of a transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferTo {
    /// Which server is to lead; any, without.
    pub to: Option<u64>,
}

impl TransferTo {
    /// Which server it is to be, drawn if nobody said.
    pub fn drawn(self) -> u64 {
        self.to.unwrap_or_else(|| rand::below(servers()))
    }
}

/// Arguments of a change of the membership.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MembersAre {
    /// Who shall vote, by number; drawn, without.
    pub voters: Option<Vec<u64>>,
    /// Who shall learn; drawn, without.
    pub learners: Option<Vec<u64>>,
}

impl MembersAre {
    /// Who shall vote and who shall learn, drawn if nobody said.
    pub fn drawn(self) -> (Vec<u64>, Vec<u64>) {
        let some = |p: f64| (0..servers()).filter(|_| rand::chance(p)).collect::<Vec<_>>();
        let voters = self.voters.unwrap_or_else(|| some(0.7));
        let learners = self.learners.unwrap_or_else(|| some(0.3));
        (voters, learners)
    }
}

/// How many servers there are, members or not.
pub fn servers() -> u64 {
    node::of_role("server").len() as u64
}

/// Asks around for a while until a server does it. Who does not may name another one.
pub async fn insist(ask: impl AsyncFn(u64) -> Result<(), Option<u64>>) {
    let mut at = rand::below(servers());
    for _ in 0..10 {
        match ask(at).await {
            Ok(()) => return,
            Err(other) => at = other.unwrap_or_else(|| rand::below(servers())),
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}
