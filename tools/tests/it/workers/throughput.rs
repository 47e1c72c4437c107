//! Time and memory: who gets it, and how much of it is accounted for.

use super::{scenarios, sweep};

#[test]
fn limited_time_is_shared_and_not_the_runs() {
    let folder = scenarios(&[("fast", "seeds = {}"), ("slow", "seeds = {}\nwork = 3_000_000")]);
    let summary = sweep(&folder, "--for 4s --json --jobs 2").end().expect(0).summary();
    let row = |n: usize, field: &str| summary["scenarios"][n][field].as_f64().unwrap();
    let (fast, slow) = (row(0, "run_seconds"), row(1, "run_seconds"));
    // Taken in turn, the slow one would have nearly all of it. On a busy machine the last runs may be long ones.
    assert!(fast.min(slow) >= (fast + slow) / 4.0, "{summary}");
    assert!(row(0, "runs") > row(1, "runs"), "{summary}");
}

#[test]
fn the_cpu_time_of_workers_counts() {
    let folder = scenarios(&[("s", "seeds = {}\nwork = 3_000_000")]);
    let summary = sweep(&folder, "--seeds 4 --json").end().expect(0).summary();
    let cpu = summary["cpu_seconds"].as_f64().unwrap();
    let run = summary["scenarios"][0]["run_seconds"].as_f64().unwrap();
    assert!(cpu > 0.0 && run > 0.0, "{summary}");
    // A run is nothing but CPU time, and may have had to wait for a core.
    assert!(cpu > run / 50.0, "{summary}");
}
