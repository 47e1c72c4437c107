//! What clients and operators do.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;
use sim::history::Op;
use sim::{Client, GroupId, NodeId, OpError, group, metric, rand, rpc, time};

use super::operator::{self, MembersAre, TransferTo};
use super::server::{LogService, PORTS, Reply, Request};
use super::system::Params;
use super::{Index, events, visible};
use crate::kit::retry::{Pause, Route, retry};
use crate::kit::workload::NoArgs;

/// How long a client waits for one answer.
const ATTEMPT: Duration = Duration::from_millis(500);
/// How long it pauses before it tries again.
const PAUSE: Pause = Pause::Millis(1, 20);

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

crate::args! {
    /// Arguments of `mixed`.
    pub struct Mixed {
        /// Share of reads, 0 to 1.
        reads: f64 = 0.3,
        /// Share of reads that go to any server, not just to the leader.
        anywhere: f64 = 0.3,
        /// Share of reads that are entries of the log.
        by_log: f64 = 0.1,
        /// The least and the most bytes of a command.
        bytes: (u64, u64) = (8, 200),
    } paced { think_ms: (5, 60), deadline_ms: 2_000 }
}

/// Appends and reads.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let (mut route, pace) = (Route::new(servers().addrs(PORTS[1])), args.pace());
    let one = async |number| {
        let op = if rand::chance(args.reads) { LogOp::Read } else { LogOp::Append((cx.index as u64) << 32 | number) };
        if op == LogOp::Read && rand::chance(args.anywhere) {
            route.anywhere();
        }
        let request = match op {
            LogOp::Append(id) => Request::Append(command(id, rand::between(args.bytes.0, args.bytes.1))),
            LogOp::Read if rand::chance(args.by_log) => Request::ReadByLog,
            LogOp::Read => Request::Read,
        };
        let _ = cx.record(op, perform(&mut route, &request, pace.deadline())).await;
    };
    pace.run(&cx, one).await;
}

/// Appends, and reads what there is, and the first client then waits until all members have applied what it read. Nobody gives up:
/// when all is healed, a cluster that does not do it is a failure.
pub async fn read_all(cx: Client<Params>, _: NoArgs) {
    let mut route = Route::new(servers().addrs(PORTS[1]));
    let within = Duration::from_secs(2);
    let last = (cx.index as u64) << 32 | u64::from(u32::MAX);
    let mut tries = 0;
    let read = loop {
        // Each try appends a command of its own: the one before may yet be done. A new leader that commits no entry by itself
        // answers no reads before somebody appends.
        let id = last - tries;
        tries += 1;
        let append = Request::Append(command(id, 8));
        if cx.record(LogOp::Append(id), perform(&mut route, &append, within)).await.is_err() {
            continue;
        }
        if let Ok(index) = cx.record(LogOp::Read, perform(&mut route, &Request::Read, within)).await {
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

/// Asks until a server does it, or may have done it: the index.
async fn perform(route: &mut Route, request: &Request, within: Duration) -> Result<Index, OpError> {
    let is_append = match request {
        Request::Append(command) => {
            metric::note_of(servers(), visible::Asked { hash: events::hash_of(command) });
            true
        }
        _ => false,
    };
    let done = retry(time::now() + within, PAUSE, async || {
        match ask(route.next_id(), request, ATTEMPT).await {
            Some(Reply::Appended(index) | Reply::Read(index)) => return ControlFlow::Break(Ok(index)),
            // It leads, and cannot answer yet.
            Some(Reply::Refused(Some(leader))) if leader == route.next_id() => {}
            Some(Reply::Refused(leader)) => route.redirect(leader),
            // An append whose answer did not come may be done.
            Some(Reply::Unknown) | None if is_append => {
                route.anywhere();
                return ControlFlow::Break(Err(OpError::Unknown));
            }
            _ => route.anywhere(),
        }
        ControlFlow::Continue(())
    });
    done.await.unwrap_or(Err(OpError::Failed))
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
