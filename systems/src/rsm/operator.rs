//! What operators do with any system of this kind: move leadership, change the membership, wait until all replicas have come as
//! far.
//!
//! Server `i` is node `i`, so a system's servers come first in its cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::{NodeId, rpc, time};

use super::StateMachine;
use super::service::{Reply, Request, Service};
use crate::raft::Index;
use crate::raft::operator::{self, MembersAre, TransferTo, servers};

/// How long an operator waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(200);

/// Has the leader hand leadership over. `port` is where servers answer clients.
pub async fn transfer<S: StateMachine>(port: u16, args: TransferTo) {
    insist(port, Request::<S>::Transfer(args.drawn())).await;
}

/// Has the leader change the membership.
pub async fn members<S: StateMachine>(port: u16, args: MembersAre) {
    let (voters, learners) = args.drawn();
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

async fn ask<S: StateMachine>(server: u64, port: u16, request: &Request<S>) -> Option<Reply<S>> {
    rpc::call::<Service<S>>(NodeId::new(server as u16).port(port), request, ATTEMPT).await.ok()
}

async fn insist<S: StateMachine>(port: u16, request: Request<S>) {
    operator::insist(async |server| match ask(server, port, &request).await {
        Some(Reply::Begun) => Ok(()),
        Some(Reply::Elsewhere(other)) => Err(other),
        _ => Err(None),
    })
    .await;
}
