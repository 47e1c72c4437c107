//! What operators do with any system of this kind: move leadership, change the membership, wait until all replicas agree.
//!
//! Server `i` is node `i`, so a system's servers come first in its cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::{NodeId, node, rand, rpc, time};

use super::StateMachine;
use super::service::{Reply, Request, Service};
use crate::raft::Index;

/// How long an operator waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(200);

/// Arguments of a transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferTo {
    /// Which server is to lead; any, without.
    pub to: Option<u64>,
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

/// Has the leader hand leadership over. `port` is where servers answer clients.
pub async fn transfer<S: StateMachine>(port: u16, args: TransferTo) {
    let to = args.to.unwrap_or_else(|| rand::below(servers()));
    insist(port, Request::<S>::Transfer(to)).await;
}

/// Has the leader change the membership.
pub async fn members<S: StateMachine>(port: u16, args: MembersAre) {
    let some = |p: f64| (0..servers()).filter(|_| rand::chance(p)).collect::<Vec<_>>();
    let voters = args.voters.unwrap_or_else(|| some(0.7));
    let learners = args.learners.unwrap_or_else(|| some(0.3));
    insist(port, Request::<S>::Members { voters, learners }).await;
}

/// Waits until all members have applied as much as the first of them that answered, at least. Those that take no part any more do
/// not count.
pub async fn converged<S: StateMachine>(port: u16) {
    // What is kept from round to round: on a bad network they hardly ever answer all at once, and nobody goes back.
    let mut applied: BTreeMap<u64, Option<Index>> = BTreeMap::new();
    let mut goal = 0;
    let mut newest = (0, Vec::new());
    loop {
        for server in 0..servers() {
            if matches!(applied.get(&server), Some(None)) {
                continue;
            }
            match ask::<S>(server, port, &Request::Status).await {
                Some(Reply::Status { applied: at, members }) => {
                    applied.insert(server, Some(at));
                    if at >= newest.0 {
                        newest = (at, members);
                    }
                }
                Some(Reply::Gone) => drop(applied.insert(server, None)),
                _ => {}
            }
        }
        // The first to have come farthest set the goal: what is applied later is not waited for.
        goal = if goal == 0 { newest.0 } else { goal };
        let has = |member: &u64| applied.get(member).is_some_and(|at| at.is_none_or(|at| at >= goal));
        if goal > 0 && newest.1.iter().all(has) {
            return;
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}

fn servers() -> u64 {
    node::of_role("server").len() as u64
}

async fn ask<S: StateMachine>(server: u64, port: u16, request: &Request<S>) -> Option<Reply<S>> {
    rpc::call::<Service<S>>(NodeId::new(server as u16).port(port), request, ATTEMPT).await.ok()
}

/// Asks around for a while until somebody does it.
async fn insist<S: StateMachine>(port: u16, request: Request<S>) {
    let mut at = rand::below(servers());
    for _ in 0..10 {
        match ask(at, port, &request).await {
            Some(Reply::Begun) => return,
            Some(Reply::Elsewhere(Some(other))) => at = other,
            _ => at = rand::below(servers()),
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}
