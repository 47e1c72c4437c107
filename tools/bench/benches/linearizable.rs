//! The checker on histories with scans, and on recorded ones against the times of the reference that stand in their table.
//!
//! `DST_HISTORIES=folder cargo bench -p bench --bench linearizable`. A time is the median of some checks, each from the parsed
//! history to the verdict and, where that is a violation, its explanation. The reference gives verdicts only.

// Of the tests that check the same histories.
#[path = "../../../sim/tests/it/recorded.rs"]
mod recorded;
mod scans;

use std::hint::black_box;
use std::time::{Duration, Instant};

use recorded::Row;
use sim::check::linearizable::{Model, Operation, Outcome, Verdict, check};
use sim::models::{Kv, KvMap, Register, Store, StoreRet};

const BUDGET: u64 = 100_000_000;
/// At least so many checks of a file, and for so long.
const CHECKS: usize = 5;
const WHILE: Duration = Duration::from_millis(50);

/// Histories with scans.
const SEEDS: u64 = 10;

fn main() {
    with_scans();
    let Some(folder) = recorded::folder() else {
        println!("skipped: DST_HISTORIES does not name the folder of recorded histories");
        return;
    };
    println!("{:24} {:18} {:12} {:>12} {:>12} {:>8}", "file", "mode", "verdict", "ours ms", "reference ms", "ratio");
    let (mut ours, mut reference, mut slower) = (0.0, 0.0, 0);
    // As with other benches: a word that the names of the files have.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for row in recorded::table(&folder).into_iter().filter(|row| row.file.contains(&filter)) {
        let path = folder.join(&row.file);
        let (accepted, ms) = match row.mode.as_str() {
            "single register" => time::<Register>(&recorded::etcd(&path)),
            "per-key partition" => time::<Kv>(&recorded::kv(&path)),
            "no partition" => time::<KvMap>(&recorded::kv(&path)),
            other => panic!("README.md: what mode is {other:?}?"),
        };
        assert_eq!(accepted, Some(row.legal), "{}: the table says otherwise", row.file);
        let verdict = if row.legal { "linearizable" } else { "ILLEGAL" };
        let Row { file, mode, reference_ms, .. } = row;
        println!("{file:24} {mode:18} {verdict:12} {ms:12.4} {reference_ms:12.3} {:8.1}", reference_ms / ms);
        slower += usize::from(ms >= reference_ms);
        if mode == "single register" {
            ours += ms;
            reference += reference_ms;
        }
    }
    println!("sum of the etcd logs: {ours:.3} ms, reference {reference:.3} ms, ratio {:.1}", reference / ours);
    println!("rows that are not faster than the reference: {slower}");
}

/// 20 clients, 2,000 operations, 10 keys, all of which 5 % of the operations scan; as they are, and with one get made wrong.
fn with_scans() {
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        let mut history = scans::history(seed);
        let (accepted, ms) = time::<Store>(&history);
        assert_eq!(accepted, Some(true), "seed {seed}");
        right.push(ms);
        let middle = history.len() / 2;
        let get = history[middle..].iter_mut().find_map(|operation| match &mut operation.outcome {
            Outcome::Ok { ret: StoreRet::Value(value), .. } => Some(value),
            _ => None,
        });
        *get.expect("a get") = Some("never written".to_owned());
        let (accepted, ms) = time::<Store>(&history);
        assert_eq!(accepted, Some(false), "seed {seed}");
        wrong.push(ms);
    }
    for (what, mut times) in [("linearizable", right), ("ILLEGAL", wrong)] {
        times.sort_by(f64::total_cmp);
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{SEEDS} histories with scans, {what:12}: median {median:8.3} ms, longest {most:8.3} ms");
    }
}

/// Whether the history is linearizable, if that was found out, and how many milliseconds the median check took.
fn time<M: Model>(history: &[Operation<M::Op, M::Ret>]) -> (Option<bool>, f64) {
    let began = Instant::now();
    let mut times = Vec::new();
    let mut accepted = None;
    while times.len() < CHECKS || began.elapsed() < WHILE {
        let start = Instant::now();
        let verdict = check::<M>(black_box(history), BUDGET);
        times.push(start.elapsed());
        accepted = match verdict {
            Verdict::Linearizable { .. } => Some(true),
            Verdict::Violation(_) => Some(false),
            Verdict::Exhausted { .. } => None,
        };
        if began.elapsed() > 100 * WHILE {
            break;
        }
    }
    times.sort();
    (accepted, times[times.len() / 2].as_secs_f64() * 1e3)
}
