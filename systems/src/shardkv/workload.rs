//! What clients do.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::models::{StoreOp, StoreRet};
use sim::{Client, observe, rand, time};

use super::client::Clerk;
use super::controller::{self, Controller};
use super::events::{Improved, Rested, Settled, Unaffected};
use super::group::{Answer, Group, Query};
use super::system::Params;
use super::{Gid, ShardId, nodes_of, server, shard_of};
use crate::rsm::{self, operator};

crate::args! {
    /// Arguments of `mixed`.
    pub struct Mixed {
        /// How many keys there are.
        keys: u64 = 8,
        /// The exponent of Zipf's law, by which keys are drawn: 0 (all alike), 1 or 2.
        zipf: u32 = 0,
        /// Share of gets among all operations, 0 to 1.
        reads: f64 = 0.4,
        /// Share of compare-and-swaps among the writes.
        swaps: f64 = 0.1,
        /// Share of deletes among the other writes.
        deletes: f64 = 0.05,
        /// Share of appends among the other writes; the rest are puts.
        appends: f64 = 0.7,
        /// Share of gets that go to any server of a group, not just to the leader.
        anywhere: f64 = 0.2,
        /// The bytes that each written value has at least.
        value_bytes: usize = 0,
    } paced { think_ms: (5, 100), deadline_ms: 4_000 }
}

/// All operations; what is written is written once.
pub async fn mixed(cx: Client<Params>, args: Mixed) {
    let (mut clerk, pace) = (Clerk::new(cx.params.clone()), args.pace());
    let keys = Keys::new(args.keys, args.zipf);
    let filler = ".".repeat(args.value_bytes);
    // What was last read, for compare-and-swaps that succeed now and then.
    let mut seen: Option<(String, Option<String>)> = None;
    let one = async |number| {
        let key = keys.draw();
        let value = format!("{}.{number}{filler};", cx.index);
        let op = match () {
            () if rand::chance(args.reads) => StoreOp::Get { key },
            () if rand::chance(args.swaps) => {
                let (key, expected) = seen.take().unwrap_or((key, None));
                StoreOp::Cas { key, expected, new: value }
            }
            () if rand::chance(args.deletes) => StoreOp::Delete { key },
            () if rand::chance(args.appends) => StoreOp::Append { key, value },
            () => StoreOp::Put { key, value },
        };
        let anywhere = rand::chance(args.anywhere);
        let done = cx.record(op.clone(), clerk.perform(op.clone(), anywhere, pace.deadline())).await;
        if let (StoreOp::Get { key }, Ok(StoreRet::Value(value))) = (op, done) {
            seen = Some((key, value));
        }
    };
    pace.run(&cx, one).await;
}

/// Keys that are drawn by Zipf's law.
struct Keys {
    /// The sum of the weights up to each key.
    sums: Vec<u64>,
}

impl Keys {
    fn new(keys: u64, exponent: u32) -> Keys {
        let mut sum = 0;
        let weight = |rank: u64| (1_000_000 / (rank + 1).saturating_pow(exponent)).max(1);
        let sums = (0..keys.max(1)).map(|rank| {
            sum += weight(rank);
            sum
        });
        Keys { sums: sums.collect() }
    }

    fn draw(&self) -> String {
        let at = rand::below(*self.sums.last().expect("there is a key"));
        key(self.sums.partition_point(|sum| *sum <= at) as u64)
    }
}

fn key(at: u64) -> String {
    format!("k{at}")
}

crate::args! {
    /// Arguments of `steady`.
    pub struct Steady {
        /// How many keys there are.
        keys: u64 = Mixed::default().keys,
        /// The shard that moves: its keys are left out.
        without: ShardId = 0,
        /// So long after its begin the shard moves, in milliseconds.
        moves_ms: u64 = 4_000,
    } paced { think_ms: (1, 20), deadline_ms: 4_000 }
}

/// Puts and gets of keys in shards that stay. Observes whether they took about as long while another shard moved.
///
/// # Panics
///
/// If no key is in another shard than the one that moves. The run then fails.
pub async fn steady(cx: Client<Params>, args: Steady) {
    let (mut clerk, pace) = (Clerk::new(cx.params.clone()), args.pace());
    let moves = time::now() + Duration::from_millis(args.moves_ms);
    let keys: Vec<String> =
        (0..args.keys).map(key).filter(|key| shard_of(key, cx.params.shards) != args.without).collect();
    assert!(
        !keys.is_empty(),
        "all {} keys are in shard {}, which moves: there is nothing to use",
        args.keys,
        args.without
    );
    let (mut before, mut during) = (Vec::new(), Vec::new());
    let one = async |number| {
        let key = keys[rand::below(keys.len() as u64) as usize].clone();
        let op = match rand::chance(0.5) {
            true => StoreOp::Get { key },
            false => StoreOp::Put { key, value: format!("{}.{number};", cx.index) },
        };
        let began = time::now();
        let _ = cx.record(op.clone(), clerk.perform(op, false, pace.deadline())).await;
        let took = time::now().duration_since(began).as_nanos() as u64;
        if began < moves { before.push(took) } else { during.push(took) }
    };
    pace.run(&cx, one).await;
    if let (Some(before_ns), Some(during_ns)) = (p99(before), p99(during))
        && during_ns <= 2 * before_ns
    {
        observe!(Unaffected { before_ns, during_ns });
    }
}

/// The 99th percentile, if there are enough values for one.
fn p99(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    (values.len() >= 100).then(|| values[values.len() * 99 / 100])
}

crate::args! {
    /// Arguments of `watch`.
    pub struct Watch {
        /// So long after its begin the load is measured for the first time, in milliseconds.
        first_ms: u64 = 3_000,
        /// So long after its begin no shard should move any more.
        rest_ms: u64 = 60_000,
    }
}

/// Watches how the controller balances the load, until the phase is over. Observes whether the balance has improved, and whether no
/// shard has moved lately.
pub async fn watch(cx: Client<Params>, args: Watch) {
    let mut controller = server::controller_client(&cx.params);
    let began = time::now();
    let since = |ms: u64| time::now() >= began + Duration::from_millis(ms);
    let (mut first, mut resting, mut last) = (None, None, None);
    while cx.running() {
        time::sleep(Duration::from_millis(500)).await;
        if !since(args.first_ms) {
            continue;
        }
        let Some(now) = look(&mut controller).await else { continue };
        first = first.or(Some(now.0));
        resting = resting.or(since(args.rest_ms).then_some(now.1));
        last = Some(now);
    }
    let (Some(before), Some((after, config))) = (first, last) else { return };
    if after < before {
        observe!(Improved { before, after });
    }
    if resting == Some(config) {
        observe!(Rested { config });
    }
}

/// The load of the busiest group by the mean, in hundredths, and the number of the latest configuration.
async fn look(controller: &mut rsm::Client<Controller>) -> Option<(u64, u64)> {
    let deadline = time::now() + Duration::from_secs(1);
    let (loads, latest) = (
        controller.query(controller::Query::Loads, deadline).await,
        controller.query(controller::Query::Latest, deadline).await,
    );
    let (Ok(controller::Answer::Loads(loads)), Ok(controller::Answer::Config(Some(latest)))) = (loads, latest) else {
        return None;
    };
    let mean = (loads.values().sum::<u64>() / loads.len().max(1) as u64).max(1);
    Some((loads.values().max()? * 100 / mean, latest.number))
}

crate::args! {
    /// Arguments of `settle`.
    pub struct Settle {
        /// How many keys there are.
        keys: u64 = Mixed::default().keys,
        /// After this many milliseconds an operation is given up.
        deadline_ms: u64 = 10_000,
    }
}

/// Writes and reads every key once, and the first client then waits until all groups have come to the latest configuration and hold
/// what they own and nothing else. It does not give up: when all is healed, groups that do not settle are a failure.
pub async fn settle(cx: Client<Params>, args: Settle) {
    let mut clerk = Clerk::new(cx.params.clone());
    for at in 0..args.keys {
        let append = StoreOp::Append { key: key(at), value: format!("{}.last;", cx.index) };
        for op in [append, StoreOp::Get { key: key(at) }] {
            let within = Duration::from_millis(args.deadline_ms);
            let _ = cx.record(op.clone(), clerk.perform(op, false, within)).await;
        }
    }
    if cx.index == 0 {
        settled(&cx.params).await;
        for gid in 1..=cx.params.groups {
            let group = nodes_of(gid).expect("it was built");
            operator::converged::<Group>(group, server::PORT).await;
        }
    }
}

/// Waits until each group has adopted the latest configuration, and serves what it holds. Observes what each holds then.
pub async fn settled(params: &Params) {
    let mut controller = server::controller_client(params);
    let step = Duration::from_secs(1);
    // What is kept from round to round: on a bad network they hardly ever answer all at once.
    let mut held: BTreeMap<Gid, Vec<_>> = BTreeMap::new();
    let mut of = 0;
    loop {
        let latest = controller.query(controller::Query::Latest, time::now() + step).await;
        if let Ok(controller::Answer::Config(Some(latest))) = latest {
            if latest.number != of {
                (held, of) = (BTreeMap::new(), latest.number);
            }
            for gid in 1..=params.groups {
                if held.contains_key(&gid) {
                    continue;
                }
                let mut group = server::group_client(params, gid).expect("it was built");
                if let Ok(Answer::Held(number, shards)) = group.query(Query::Held, time::now() + step).await
                    && number == latest.number
                    && shards.values().all(|served| *served)
                {
                    held.insert(gid, shards.into_keys().collect());
                }
            }
            if held.len() == usize::from(params.groups) {
                for (gid, held) in held {
                    observe!(Settled { gid, config: latest.number, held });
                }
                return;
            }
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}
