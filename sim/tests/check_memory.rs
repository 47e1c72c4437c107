//! What a check costs in memory. Alone in its process, whose memory is measured.

use sim::check::linearizable::{Operation, Outcome, Verdict, check};
use sim::models::{Counter, CounterOp, CounterRet};

/// How many operations the one client makes.
const OPERATIONS: u64 = 200_000;

/// The most memory that this process ever had.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn a_history_without_concurrency_costs_memory_by_its_length() {
    let history: Vec<_> = (0..OPERATIONS)
        .map(|n| Operation {
            process: 0,
            op: CounterOp::FetchAdd { by: 1 },
            invoked: 10 * n,
            outcome: Outcome::Ok { at: 10 * n + 5, ret: CounterRet::Value(n as i64) },
        })
        .collect();
    let before = peak();
    assert_eq!(check::<Counter>(&history, 10_000_000), Verdict::Linearizable { steps: OPERATIONS });
    let grown = peak() - before;
    println!("{} bytes an operation", grown / OPERATIONS);
    // With the whole set of operations in each configuration it would be 25 KB.
    assert!(grown / OPERATIONS < 500, "{} bytes an operation", grown / OPERATIONS);
}
