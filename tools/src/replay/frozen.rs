//! Frozen runs, compared with what they were when they are replayed.

use sim::Report;
use sim::scenario::plan::Frozen;

/// What to say if the replay is not the run that was frozen.
pub fn drift(frozen: &Frozen, report: &Report) -> Option<String> {
    (frozen.world != report.world).then(|| {
        format!(
            "this is not the run that was frozen: its world digest was {}, and is now {}; the system, the simulator or \
             the file has changed since",
            frozen.world, report.world
        )
    })
}
