//! What clients do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::linearizable::models::KvOp;
use sim::{Client, node, rand, rpc, time};

use super::Params;
use super::client::Clerk;
use super::view_service::{self, ViewService};

/// Arguments of `mixed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mixed {
    /// How many keys there are.
    pub keys: u64,
    /// Share of reads, 0 to 1.
    pub reads: f64,
    /// Share of appends among the writes, 0 to 1.
    pub appends: f64,
    /// The least and the most time between operations, in milliseconds.
    pub think_ms: (u64, u64),
    /// After this many milliseconds an operation is given up.
    pub deadline_ms: u64,
    /// After this many operations a client is done; 0 is never.
    pub ops: u64,
}

impl Default for Mixed {
    fn default() -> Self {
        Mixed { keys: 3, reads: 0.5, appends: 0.7, think_ms: (10, 200), deadline_ms: 4_000, ops: 0 }
    }
}

/// Gets, puts and appends of unique values on a few keys.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let mut clerk = Clerk::default();
    let mut done = 0;
    while cx.running() && (args.ops == 0 || done < args.ops) {
        done += 1;
        let key = format!("k{}", rand::below(args.keys));
        let value = format!("{}.{done};", cx.index);
        let op = match () {
            () if rand::chance(args.reads) => KvOp::Get { key },
            () if rand::chance(args.appends) => KvOp::Append { key, value },
            () => KvOp::Put { key, value },
        };
        perform(&cx, &mut clerk, op, args.deadline_ms).await;
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

/// Reads every key once.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let mut clerk = Clerk::default();
    for key in 0..args.keys {
        perform(&cx, &mut clerk, KvOp::Get { key: format!("k{key}") }, args.deadline_ms).await;
    }
}

/// Arguments of a workload that has none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArgs {}

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

async fn perform(cx: &Client<Params>, clerk: &mut Clerk, op: KvOp, deadline_ms: u64) {
    let call = cx.invoke(op.clone());
    match clerk.execute(op, Duration::from_millis(deadline_ms)).await {
        Ok(result) => call.ok(result),
        Err(_) => call.unknown(),
    }
}
