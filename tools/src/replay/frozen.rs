//! Frozen runs, compared with what they were when they are replayed.

use sim::Report;
use sim::scenario::plan::Frozen;

/// What to say if the replay is not the run that was frozen. It is a run like any other all the same, and its verdict counts.
pub fn drift(frozen: &Frozen, report: &Report) -> Option<String> {
    (frozen.world != report.world).then(|| {
        format!(
            "this is not the run that was frozen: its world digest was {}, and is now {}; the file, the system or the \
             simulator has changed since",
            frozen.world, report.world
        )
    })
}
