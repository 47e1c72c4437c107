//! CPU time: what a sweep really costs, however many jobs share the machine.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What this process and its children that have ended have used so far.
pub fn used() -> Duration {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .filter_map(|who| getrusage(who).ok())
        .map(|usage| (usage.user_time() + usage.system_time()).num_microseconds())
        .map(|micros| Duration::from_micros(micros.unsigned_abs()))
        .sum()
}
