//! What clients do.

use std::time::Duration;

use sim::models::KvOp;
use sim::{Client, node, rand, rpc, time};

use super::Params;
use super::client::Clerk;
use super::view_service::{self, ViewService};
use crate::kit::workload::NoArgs;

crate::args! {
    /// Arguments of `mixed`.
    pub struct Mixed {
        /// How many keys there are.
        keys: u64 = 2,
        /// Share of reads, 0 to 1.
        reads: f64 = 0.5,
        /// Share of appends among the writes, 0 to 1.
        appends: f64 = 0.7,
    } paced { think_ms: (1, 40), deadline_ms: 4_000 }
}

/// Gets, puts and appends of unique values on a few keys.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let (mut clerk, pace) = (Clerk::default(), args.pace());
    let one = async |number| {
        let key = format!("k{}", rand::below(args.keys));
        let value = format!("{}.{number};", cx.index);
        let op = match () {
            () if rand::chance(args.reads) => KvOp::Get { key },
            () if rand::chance(args.appends) => KvOp::Append { key, value },
            () => KvOp::Put { key, value },
        };
        let _ = cx.record(op.clone(), clerk.execute(op, pace.deadline())).await;
    };
    pace.run(&cx, one).await;
}

crate::args! {
    /// Arguments of `read-all`.
    pub struct ReadAll {
        /// How many keys there are.
        keys: u64 = 3,
        /// After this many milliseconds a read is given up.
        deadline_ms: u64 = 10_000,
    }
}

/// Reads every key once.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let mut clerk = Clerk::default();
    for key in 0..args.keys {
        let op = KvOp::Get { key: format!("k{key}") };
        let _ = cx.record(op.clone(), clerk.execute(op, Duration::from_millis(args.deadline_ms))).await;
    }
}

/// Waits until there is a backup that could take over: the state in which a fault can strike without losing data
/// that nobody else has.
pub async fn settle(cx: Client<Params>, _: NoArgs) {
    let service = node::lookup("view-0").expect("there is a view service").port(view_service::PORT);
    loop {
        let asked = rpc::call::<ViewService>(service, &view_service::Request::Get, Duration::from_millis(100)).await;
        if asked.is_ok_and(|reply| reply.ready || cx.params.servers < 2 && reply.view.primary.is_some()) {
            return;
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}
