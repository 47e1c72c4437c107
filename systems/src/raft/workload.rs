//! What clients and operators do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::{Client, NodeId, node, rand, rpc, time};

use super::Index;
use super::server::{LogService, PORTS, Reply, Request};
use super::system::Params;

/// A client operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum LogOp {
    /// Append a command that nobody else appends.
    Append(u64),
    /// How far the log has come.
    Read,
}

impl Op for LogOp {
    /// The index: of the command, or up to which everything is applied.
    type Ret = Index;
    const KINDS: &'static [&'static str] = &["append", "read"];

    fn kind(&self) -> &'static str {
        match self {
            LogOp::Append(_) => "append",
            LogOp::Read => "read",
        }
    }
}

/// Arguments of `mixed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mixed {
    /// Share of reads, 0 to 1.
    pub reads: f64,
    /// Share of reads that go to any server, not just to the leader.
    pub anywhere: f64,
    /// The least and the most bytes of a command.
    pub bytes: (u64, u64),
    /// The least and the most time between operations, in milliseconds.
    pub think_ms: (u64, u64),
    /// After this many milliseconds an operation is given up.
    pub deadline_ms: u64,
    /// After this many operations a client is done; 0 is never.
    pub ops: u64,
}

impl Default for Mixed {
    fn default() -> Self {
        Mixed { reads: 0.3, anywhere: 0.3, bytes: (8, 200), think_ms: (5, 60), deadline_ms: 2_000, ops: 0 }
    }
}

/// Appends and reads.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let mut leader = 0;
    let mut done = 0;
    while cx.running() && (args.ops == 0 || done < args.ops) {
        done += 1;
        let op = if rand::chance(args.reads) { LogOp::Read } else { LogOp::Append((cx.index as u64) << 32 | done) };
        if op == LogOp::Read && rand::chance(args.anywhere) {
            leader = any(&cx.params);
        }
        perform(&cx, &mut leader, op, rand::between(args.bytes.0, args.bytes.1), args.deadline_ms).await;
        time::sleep(Duration::from_millis(rand::between(args.think_ms.0, args.think_ms.1))).await;
    }
}

/// Arguments of `read-all`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadAll {
    /// After this many milliseconds an operation is given up.
    pub deadline_ms: u64,
}

impl Default for ReadAll {
    fn default() -> Self {
        ReadAll { deadline_ms: 10_000 }
    }
}

/// One append and one read.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let mut leader = 0;
    let last = LogOp::Append((cx.index as u64) << 32 | u64::from(u32::MAX));
    for op in [last, LogOp::Read] {
        perform(&cx, &mut leader, op, 8, args.deadline_ms).await;
    }
}

fn any(params: &Params) -> u64 {
    rand::below(params.servers as u64)
}

/// Asks until somebody does it, or may have done it.
async fn perform(cx: &Client<Params>, leader: &mut u64, op: LogOp, bytes: u64, deadline_ms: u64) {
    let deadline = time::now() + Duration::from_millis(deadline_ms);
    let call = cx.invoke(op.clone());
    let request = match op {
        LogOp::Append(id) => {
            let mut command = id.to_le_bytes().to_vec();
            command.resize(bytes.max(8) as usize, 0);
            Request::Append(command)
        }
        LogOp::Read => Request::Read,
    };
    // An append whose answer did not come may be done.
    let mut open = false;
    while time::now() < deadline && !open {
        match ask(*leader, &request, Duration::from_millis(500)).await {
            Some(Reply::Appended(index) | Reply::Read(index)) => return call.ok(index),
            Some(Reply::Refused(other)) => {
                let servers = node::of_role("server").len() as u64;
                *leader = other.unwrap_or_else(|| rand::below(servers));
            }
            Some(Reply::Accepted | Reply::Unknown) | None => {
                open = matches!(op, LogOp::Append(_));
                *leader = any(&cx.params);
            }
        }
        time::sleep(Duration::from_millis(rand::between(1, 20))).await;
    }
    if open { call.unknown() } else { call.fail() }
}

async fn ask(server: u64, request: &Request, timeout: Duration) -> Option<Reply> {
    rpc::call::<LogService>(NodeId::new(server as u16).port(PORTS[1]), request, timeout).await.ok()
}

/// Arguments of `raft.transfer`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferTo {
    /// Which server is to lead; any, without.
    pub to: Option<u64>,
}

/// Has the leader hand leadership over.
pub async fn transfer(cx: Client<Params>, args: TransferTo) {
    let to = args.to.unwrap_or_else(|| any(&cx.params));
    insist(Request::Transfer(to)).await;
}

/// Arguments of `raft.members`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MembersAre {
    /// Who shall vote, by number; drawn, without.
    pub voters: Option<Vec<u64>>,
    /// Who shall learn; drawn, without.
    pub learners: Option<Vec<u64>>,
}

/// Has the leader change the membership.
pub async fn members(_: Client<Params>, args: MembersAre) {
    let all = node::of_role("server").len() as u64;
    let some = |p: f64| (0..all).filter(|_| rand::chance(p)).collect::<Vec<_>>();
    let voters = args.voters.unwrap_or_else(|| some(0.7));
    let learners = args.learners.unwrap_or_else(|| some(0.3));
    insist(Request::Members(voters, learners)).await;
}

/// Asks around for a while until somebody accepts.
async fn insist(request: Request) {
    let all = node::of_role("server").len() as u64;
    let mut at = rand::below(all);
    for _ in 0..10 {
        match ask(at, &request, Duration::from_millis(200)).await {
            Some(Reply::Accepted) => return,
            Some(Reply::Refused(Some(other))) => at = other,
            _ => at = rand::below(all),
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}
