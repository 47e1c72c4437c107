//! The checker on recorded histories with known verdicts: Porcupine's public test set.
//!
//! Where `DST_HISTORIES` is unset the tests print so and pass.

use std::path::Path;

use sim::check::linearizable::{Model, Operation, Verdict, check};
use sim::models::{Kv, KvMap, Register};

use crate::recorded;

const BUDGET: u64 = 20_000_000;

#[test]
fn etcd_verdicts_are_right() {
    every_verdict_is_right::<Register>("single register", recorded::etcd);
}

#[test]
fn kv_verdicts_are_right() {
    every_verdict_is_right::<Kv>("per-key partition", recorded::kv);
}

#[test]
fn kv_verdicts_are_right_without_partition() {
    every_verdict_is_right::<KvMap>("no partition", recorded::kv);
}

fn every_verdict_is_right<M: Model>(mode: &str, read: impl Fn(&Path) -> Vec<Operation<M::Op, M::Ret>>) {
    let Some(folder) = recorded::folder() else {
        println!("skipped: DST_HISTORIES does not name the folder of recorded histories");
        return;
    };
    let mut files = 0;
    for row in recorded::table(&folder).into_iter().filter(|row| row.mode == mode) {
        let history = read(&folder.join(&row.file));
        let verdict = check::<M>(&history, BUDGET);
        println!("{}: {} operations, {} ms by the reference", row.file, history.len(), row.reference_ms);
        match &verdict {
            Verdict::Linearizable { steps } => println!("  linearizable, {steps} steps"),
            Verdict::Violation(v) => println!("  {} steps\n{}", v.steps, v.explanation),
            Verdict::Exhausted { part, steps } => panic!("{}: {part} took {steps} steps", row.file),
        }
        let accepted = matches!(verdict, Verdict::Linearizable { .. });
        assert_eq!(accepted, row.legal, "{}: the table says otherwise", row.file);
        if let Verdict::Violation(violation) = verdict {
            assert!(violation.at_is_exact, "{}: {violation:?}", row.file);
        }
        files += 1;
    }
    assert!(files > 0, "no rows of mode {mode} in the table");
}
