//! What clients do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::linearizable::models::{StoreOp, StoreRet};
use sim::{Client, rand, time};

use super::client::{Clerk, Done};
use super::store::Store;
use super::{Params, server};
use crate::rsm::operator;

/// Arguments of `mixed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mixed {
    /// How many keys there are.
    pub keys: u64,
    /// Share of gets among all operations, 0 to 1.
    pub reads: f64,
    /// Share of scans among the rest.
    pub scans: f64,
    /// Share of compare-and-swaps among the writes.
    pub swaps: f64,
    /// Share of deletes among the other writes.
    pub deletes: f64,
    /// Share of appends among the other writes; the rest are puts.
    pub appends: f64,
    /// Share of gets and scans that go to any server, not just to the leader.
    pub anywhere: f64,
    /// The least and the most time between operations, in milliseconds.
    pub think_ms: (u64, u64),
    /// After this many milliseconds an operation is given up.
    pub deadline_ms: u64,
    /// After this many operations a client is done; 0 is never.
    pub ops: u64,
}

impl Default for Mixed {
    fn default() -> Self {
        Mixed {
            keys: 3,
            reads: 0.4,
            scans: 0.05,
            swaps: 0.2,
            deletes: 0.1,
            appends: 0.7,
            anywhere: 0.2,
            think_ms: (5, 100),
            deadline_ms: 4_000,
            ops: 0,
        }
    }
}

/// The first string behind all keys.
const END: &str = "l";

/// All operations, on a few keys; what is written is written once.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let mut clerk = Clerk::new(&cx.params);
    let mut done = 0;
    // What was last read, for compare-and-swaps that succeed now and then.
    let mut seen: Option<String> = None;
    while cx.running() && (args.ops == 0 || done < args.ops) {
        done += 1;
        let key = key(rand::below(args.keys));
        let value = format!("{}.{done};", cx.index);
        let op = match () {
            () if rand::chance(args.reads) => StoreOp::Get { key },
            () if rand::chance(args.scans) => {
                StoreOp::Scan { from: key, to: END.to_owned(), limit: 1 + rand::below(args.keys) as usize }
            }
            () if rand::chance(args.swaps) => StoreOp::Cas { key, expected: seen.take(), new: value },
            () if rand::chance(args.deletes) => StoreOp::Delete { key },
            () if rand::chance(args.appends) => StoreOp::Append { key, value },
            () => StoreOp::Put { key, value },
        };
        if let Some(StoreRet::Value(value)) =
            perform(&cx, &mut clerk, op, rand::chance(args.anywhere), args.deadline_ms).await
        {
            seen = value;
        }
        time::sleep(Duration::from_millis(rand::between(args.think_ms.0, args.think_ms.1))).await;
    }
}

/// Arguments of `read-all`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadAll {
    /// How many keys there are.
    pub keys: u64,
    /// After this many milliseconds a read is given up.
    pub deadline_ms: u64,
}

impl Default for ReadAll {
    fn default() -> Self {
        ReadAll { keys: Mixed::default().keys, deadline_ms: 10_000 }
    }
}

/// Writes and reads every key once, and the first client then waits until all members have applied the same. It does not give
/// up: when all is healed, a cluster that does not come to agree is a failure.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let mut clerk = Clerk::new(&cx.params);
    for at in 0..args.keys {
        let value = format!("{}.last;", cx.index);
        perform(&cx, &mut clerk, StoreOp::Append { key: key(at), value }, false, args.deadline_ms).await;
        perform(&cx, &mut clerk, StoreOp::Get { key: key(at) }, false, args.deadline_ms).await;
    }
    if cx.index == 0 {
        operator::converged::<Store>(server::group(), server::PORT).await;
    }
}

fn key(at: u64) -> String {
    format!("k{at}")
}

/// Performs an operation and writes it into the history. Its result, if it has one.
async fn perform(
    cx: &Client<Params>,
    clerk: &mut Clerk,
    op: StoreOp,
    anywhere: bool,
    deadline_ms: u64,
) -> Option<StoreRet> {
    let call = cx.invoke(op.clone());
    match clerk.perform(op, anywhere, Duration::from_millis(deadline_ms)).await {
        Done::Ok(ret) => {
            call.ok(ret.clone());
            Some(ret)
        }
        Done::Failed => {
            call.fail();
            None
        }
        Done::Unknown => {
            call.unknown();
            None
        }
    }
}
