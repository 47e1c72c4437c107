//! What clients do: they acquire locks, hold them for a while, and give them back or let their leases end.

use std::time::Duration;

use serde::Serialize;
use sim::history::Op;
use sim::{Client, rand, time};

use super::client::{Held, acquire, release};
use super::system::Params;
use super::table::Table;
use crate::rsm;

/// A client operation: to acquire the lock of that name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Acquire(pub String);

impl Op for Acquire {
    /// The token, if the lock was granted.
    type Ret = Option<u64>;
    const KINDS: &'static [&'static str] = &["acquire"];

    fn kind(&self) -> &'static str {
        "acquire"
    }
}

crate::args! {
    /// Arguments of `mixed`.
    pub struct Mixed {
        /// How many locks there are.
        locks: u64 = 2,
        /// The least and the most milliseconds of a lease.
        lease_ms: (u64, u64) = (200, 2_000),
        /// Share of locks that are not given back.
        kept: f64 = 0.3,
    } paced { think_ms: (1, 50), deadline_ms: 2_000 }
}

/// Acquires locks, holds each for at most its lease, and gives most of them back.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let (mut client, pace) = (cx.params.client(), args.pace());
    let once = async |_| {
        let name = format!("l{}", rand::below(args.locks));
        let lease = Duration::from_millis(rand::between(args.lease_ms.0, args.lease_ms.1));
        let Some(held) = try_once(&cx, &mut client, name, lease, pace.deadline()).await else { return };
        time::sleep(rand::duration(Duration::ZERO, held.until - time::now())).await;
        if !rand::chance(args.kept) {
            let _ = release(&mut client, held, time::now() + pace.deadline()).await;
        }
    };
    pace.run(&cx, once).await;
}

/// Acquires each lock, and tries until it has it: a lock that is never granted again is a failure.
pub async fn each(cx: Client<Params>, args: Mixed) {
    let (mut client, within) = (cx.params.client(), args.pace().deadline());
    for lock in 0..args.locks {
        let held = loop {
            let name = format!("l{lock}");
            match try_once(&cx, &mut client, name, Duration::from_secs(1), within).await {
                Some(held) => break held,
                None => time::sleep(Duration::from_millis(20)).await,
            }
        };
        let _ = release(&mut client, held, time::now() + within).await;
    }
}

/// One operation: to acquire a lock.
async fn try_once(
    cx: &Client<Params>,
    client: &mut rsm::Client<Table>,
    name: String,
    lease: Duration,
    within: Duration,
) -> Option<Held> {
    let mut held = None;
    let acquiring = async {
        held = acquire(client, &name, lease, time::now() + within).await?;
        Ok(held.as_ref().map(|held| held.token))
    };
    let _ = cx.record(Acquire(name.clone()), acquiring).await;
    held
}
