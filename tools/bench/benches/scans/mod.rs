//! Histories of an ordered store, some of whose operations are scans of all keys: made by a true store, so linearizable.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sim::check::linearizable::{Operation, Outcome};
use sim::models::{StoreOp, StoreRet};

const CLIENTS: usize = 20;
const OPERATIONS: usize = 2_000;
const KEYS: u64 = 10;
const SCANS_PERCENT: u64 = 5;
const UNKNOWN_PERCENT: u64 = 2;

/// What a client is doing.
#[derive(Clone)]
enum Doing {
    Nothing,
    /// The operation with this index, which has not taken effect yet.
    Invoked(usize),
    /// The operation with this index, which has, and returns this.
    Done(usize, StoreRet),
}

/// A history: of 20 clients, 2,000 operations on 10 keys, of which 5 % are scans and 2 % end unknown, some of them having
/// taken effect.
pub fn history(seed: u64) -> Vec<Operation<StoreOp, StoreRet>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: u64| rng.next_u64() % end;
    let mut store = BTreeMap::new();
    let mut history: Vec<Operation<StoreOp, StoreRet>> = Vec::new();
    let mut clients = vec![Doing::Nothing; CLIENTS];
    let mut processes: Vec<u32> = (0..CLIENTS as u32).collect();
    let mut now = 0;
    while history.len() < OPERATIONS || clients.iter().any(|client| !matches!(client, Doing::Nothing)) {
        now += 1 + below(3);
        let client = below(CLIENTS as u64) as usize;
        clients[client] = match clients[client].clone() {
            Doing::Nothing if history.len() == OPERATIONS => Doing::Nothing,
            Doing::Nothing => {
                let (key, value) = (format!("k{}", below(KEYS)), format!("{};", history.len()));
                let op = match below(10) {
                    _ if below(100) < SCANS_PERCENT => StoreOp::Scan { from: "k".into(), to: "l".into(), limit: 100 },
                    0..=3 => StoreOp::Get { key },
                    4..=6 => StoreOp::Put { key, value },
                    7 => StoreOp::Append { key, value },
                    8 => StoreOp::Cas { expected: store.get(&key).cloned(), key, new: value },
                    _ => StoreOp::Delete { key },
                };
                history.push(Operation { process: processes[client], op, invoked: now, outcome: Outcome::Unknown });
                Doing::Invoked(history.len() - 1)
            }
            Doing::Invoked(_) if below(100) < UNKNOWN_PERCENT && below(2) == 0 => retired(&mut processes, client),
            Doing::Invoked(index) => {
                let ret = execute(&mut store, &history[index].op);
                if below(100) < UNKNOWN_PERCENT { retired(&mut processes, client) } else { Doing::Done(index, ret) }
            }
            Doing::Done(index, ret) => {
                history[index].outcome = Outcome::Ok { at: now, ret };
                Doing::Nothing
            }
        };
    }
    history
}

/// A client that does not know how its operation ended goes on as another process.
fn retired(processes: &mut [u32], client: usize) -> Doing {
    processes[client] += CLIENTS as u32;
    Doing::Nothing
}

fn execute(store: &mut BTreeMap<String, String>, op: &StoreOp) -> StoreRet {
    match op.clone() {
        StoreOp::Get { key } => StoreRet::Value(store.get(&key).cloned()),
        StoreOp::Put { key, value } => {
            store.insert(key, value);
            StoreRet::Done
        }
        StoreOp::Append { key, value } => {
            store.entry(key).or_default().push_str(&value);
            StoreRet::Done
        }
        StoreOp::Cas { key, expected, new } => {
            let swaps = store.get(&key) == expected.as_ref();
            if swaps {
                store.insert(key, new);
            }
            StoreRet::Swapped(swaps)
        }
        StoreOp::Delete { key } => StoreRet::Deleted(store.remove(&key).is_some()),
        StoreOp::Scan { from, to, limit } => {
            let pairs = store.range(from..to).take(limit);
            StoreRet::Pairs(pairs.map(|(key, value)| (key.clone(), value.clone())).collect())
        }
    }
}
