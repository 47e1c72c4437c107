//! What clients and operators do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::{Client, GroupId, NodeId, group, metric, rand, rpc, time};

use super::operator::{self, MembersAre, TransferTo};
use super::server::{LogService, PORTS, Reply, Request};
use super::system::Params;
use super::{Index, events, visible};

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
    /// Share of reads that are entries of the log.
    pub by_log: f64,
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
        Mixed { reads: 0.3, anywhere: 0.3, by_log: 0.1, bytes: (8, 200), think_ms: (5, 60), deadline_ms: 2_000, ops: 0 }
    }
}

/// Appends and reads.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let mut leader = operator::servers(servers())[0];
    let mut done = 0;
    while cx.running() && (args.ops == 0 || done < args.ops) {
        done += 1;
        let op = if rand::chance(args.reads) { LogOp::Read } else { LogOp::Append((cx.index as u64) << 32 | done) };
        if op == LogOp::Read && rand::chance(args.anywhere) {
            leader = any();
        }
        let request = match op {
            LogOp::Append(id) => Request::Append(command(id, rand::between(args.bytes.0, args.bytes.1))),
            LogOp::Read if rand::chance(args.by_log) => Request::ReadByLog,
            LogOp::Read => Request::Read,
        };
        perform(&cx, &mut leader, op, request, args.deadline_ms).await;
        time::sleep(Duration::from_millis(rand::between(args.think_ms.0, args.think_ms.1))).await;
    }
}

/// Arguments of a workload that has none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArgs {}

/// Appends, and reads what there is, and the first client then waits until all members have applied what it read. Nobody gives up:
/// when all is healed, a cluster that does not do it is a failure.
pub async fn read_all(cx: Client<Params>, _: NoArgs) {
    let mut leader = operator::servers(servers())[0];
    let last = (cx.index as u64) << 32 | u64::from(u32::MAX);
    let mut tries = 0;
    let read = loop {
        // Each try appends a command of its own: the one before may yet be done. A new leader that commits no entry by itself
        // answers no reads before somebody appends.
        let id = last - tries;
        tries += 1;
        if perform(&cx, &mut leader, LogOp::Append(id), Request::Append(command(id, 8)), 2_000).await.is_none() {
            continue;
        }
        if let Some(index) = perform(&cx, &mut leader, LogOp::Read, Request::Read, 2_000).await {
            break index;
        }
    };
    if cx.index == 0 {
        // Kept from round to round: on a bad network they hardly ever answer all at once, and nobody goes back.
        let mut applied = BTreeMap::new();
        let mut newest = (0, Vec::new());
        while !all_have(read, &mut applied, &mut newest).await {
            time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Whether all members have applied everything up to `index`, after asking those again that had not; those that take no part
/// any more do not count.
async fn all_have(index: Index, applied: &mut BTreeMap<u64, Index>, newest: &mut (Index, Vec<u64>)) -> bool {
    for server in operator::servers(servers()) {
        if applied.get(&server).is_some_and(|at| *at >= index) {
            continue;
        }
        match ask(server, &Request::Status, Duration::from_millis(200)).await {
            Some(Reply::Status(at, members)) => {
                applied.insert(server, at);
                *newest = std::mem::take(newest).max((at, members));
            }
            Some(Reply::Gone) => {
                applied.insert(server, index);
            }
            _ => {}
        }
    }
    newest.0 >= index && newest.1.iter().all(|member| applied.get(member).is_some_and(|at| *at >= index))
}

/// A command that nobody else appends, of that many bytes at least.
fn command(id: u64, bytes: u64) -> Vec<u8> {
    let mut command = id.to_le_bytes().to_vec();
    command.resize(bytes.max(8) as usize, 0);
    command
}

/// The group of the servers.
const GROUP: &str = "server";

fn servers() -> GroupId {
    group::lookup(GROUP).expect("the system has servers")
}

fn any() -> u64 {
    operator::any(&operator::servers(servers()))
}

/// Asks until somebody does it, or may have done it: the index.
async fn perform(
    cx: &Client<Params>,
    leader: &mut u64,
    op: LogOp,
    request: Request,
    deadline_ms: u64,
) -> Option<Index> {
    let deadline = time::now() + Duration::from_millis(deadline_ms);
    let changes = matches!(op, LogOp::Append(_));
    let call = cx.invoke(op);
    if let Request::Append(command) = &request {
        metric::note_of(servers(), visible::Asked { hash: events::hash_of(command) });
    }
    while time::now() < deadline {
        match ask(*leader, &request, Duration::from_millis(500)).await {
            Some(Reply::Appended(index) | Reply::Read(index)) => {
                call.ok(index);
                return Some(index);
            }
            Some(Reply::Refused(other)) => {
                *leader = other.unwrap_or_else(any);
            }
            // An append whose answer did not come may be done.
            Some(Reply::Unknown) | None if changes => {
                *leader = any();
                call.unknown();
                return None;
            }
            _ => *leader = any(),
        }
        time::sleep(Duration::from_millis(rand::between(1, 20))).await;
    }
    call.fail();
    None
}

async fn ask(server: u64, request: &Request, timeout: Duration) -> Option<Reply> {
    rpc::call::<LogService>(NodeId::new(server as u16).port(PORTS[1]), request, timeout).await.ok()
}

/// Has the leader hand leadership over.
pub async fn transfer(_: Client<Params>, args: TransferTo) {
    let group = operator::group_of(&args.group, GROUP);
    insist(group, Request::Transfer(args.drawn(group))).await;
}

/// Has the leader change the membership.
pub async fn members(_: Client<Params>, args: MembersAre) {
    let group = operator::group_of(&args.group, GROUP);
    let (voters, learners) = args.drawn(group);
    insist(group, Request::Members(voters, learners)).await;
}

async fn insist(group: GroupId, request: Request) {
    operator::insist(group, async |server| match ask(server, &request, Duration::from_millis(200)).await {
        Some(Reply::Accepted) => Ok(()),
        Some(Reply::Refused(other)) => Err(other),
        _ => Err(None),
    })
    .await;
}
