//! What operators do with any system of this kind: move leadership, change the membership, wait until all replicas have come as
//! far.
//!
//! `group` is the group of the system's servers; the arguments of an action may name another. `port` is where servers answer clients.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::{GroupId, NodeId, rpc, time};

use super::StateMachine;
use super::service::{Admin, Reply, Request, Service};
use crate::raft::Index;
use crate::raft::operator::{self, MembersAre, TransferTo, group_of, servers};

/// How long an operator waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(200);

/// Has the leader hand leadership over.
pub async fn transfer<S: StateMachine>(group: &str, port: u16, args: TransferTo) {
    let group = group_of(&args.group, group);
    insist::<S>(group, port, Admin::Transfer(args.drawn(group))).await;
}

/// Has the leader change the membership.
pub async fn members<S: StateMachine>(group: &str, port: u16, args: MembersAre) {
    let group = group_of(&args.group, group);
    let (voters, learners) = args.drawn(group);
    insist::<S>(group, port, Admin::Members { voters, learners }).await;
}

/// Waits until all members have applied as much as the first of them that answered, at least. Those that take no part any more do
/// not count.
pub async fn converged<S: StateMachine>(group: GroupId, port: u16) {
    // What is kept from round to round: on a bad network they hardly ever answer all at once, and nobody goes back.
    let mut applied: BTreeMap<u64, Option<Index>> = BTreeMap::new();
    let mut goal = 0;
    let mut newest = (0, Vec::new());
    loop {
        for server in servers(group) {
            if matches!(applied.get(&server), Some(None)) {
                continue;
            }
            match ask::<S>(server, port, &Request::Admin(Admin::Status)).await {
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

async fn insist<S: StateMachine>(group: GroupId, port: u16, request: Admin) {
    let request = Request::<S>::Admin(request);
    operator::insist(group, async |server| match ask(server, port, &request).await {
        Some(Reply::Begun) => Ok(()),
        Some(Reply::Elsewhere(other)) => Err(other),
        _ => Err(None),
    })
    .await;
}
