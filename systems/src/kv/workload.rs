//! What clients do.

use std::time::Duration;

use sim::models::{StoreOp, StoreRet};
use sim::{Client, rand};

use super::client::Clerk;
use super::store::Store;
use super::{Params, server};
use crate::rsm::operator;

crate::args! {
    /// Arguments of `mixed`.
    pub struct Mixed {
        /// How many keys there are.
        keys: u64 = 3,
        /// Share of gets among all operations, 0 to 1.
        reads: f64 = 0.4,
        /// Share of scans among the rest.
        scans: f64 = 0.05,
        /// Share of compare-and-swaps among the writes.
        swaps: f64 = 0.2,
        /// Share of deletes among the other writes.
        deletes: f64 = 0.1,
        /// Share of appends among the other writes; the rest are puts.
        appends: f64 = 0.7,
        /// Share of gets and scans that go to any server, not just to the leader.
        anywhere: f64 = 0.2,
    } paced { think_ms: (5, 100), deadline_ms: 4_000 }
}

/// The first string behind all keys.
const END: &str = "l";

/// All operations, on a few keys; what is written is written once.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let (mut clerk, pace) = (Clerk::new(&cx.params), args.pace());
    // What was last read, for compare-and-swaps that succeed now and then.
    let mut seen: Option<String> = None;
    let one = async |number| {
        let key = key(rand::below(args.keys));
        let value = format!("{}.{number};", cx.index);
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
        let anywhere = rand::chance(args.anywhere);
        let done = cx.record(op.clone(), clerk.perform(op, anywhere, pace.deadline())).await;
        if let Ok(StoreRet::Value(value)) = done {
            seen = value;
        }
    };
    pace.run(&cx, one).await;
}

crate::args! {
    /// Arguments of `read-all`.
    pub struct ReadAll {
        /// How many keys there are.
        keys: u64 = Mixed::default().keys,
        /// After this many milliseconds a read is given up.
        deadline_ms: u64 = 10_000,
    }
}

/// Writes and reads every key once, and the first client then waits until all members have applied the same. It does not give
/// up: when all is healed, a cluster that does not come to agree is a failure.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let mut clerk = Clerk::new(&cx.params);
    for at in 0..args.keys {
        let append = StoreOp::Append { key: key(at), value: format!("{}.last;", cx.index) };
        for op in [append, StoreOp::Get { key: key(at) }] {
            let within = Duration::from_millis(args.deadline_ms);
            let _ = cx.record(op.clone(), clerk.perform(op, false, within)).await;
        }
    }
    if cx.index == 0 {
        operator::converged::<Store>(server::group(), server::PORT).await;
    }
}

fn key(at: u64) -> String {
    format!("k{at}")
}
