//! The reasons to stop: Ctrl-C, SIGTERM, SIGHUP (a terminal that was closed), or enough results.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// How long a run that is under way may take to end after an interruption.
const GRACE: Duration = Duration::from_secs(1);

/// Whether to go on. Shared among threads.
#[derive(Default)]
pub struct Stop {
    interrupted: Arc<AtomicBool>,
    seen: OnceLock<Instant>,
    over: AtomicBool,
}

impl Stop {
    /// From now on the first SIGINT, SIGTERM or SIGHUP interrupts and the second one kills. A SIGHUP that is ignored, as
    /// by nohup(1), stays ignored.
    ///
    /// # Errors
    ///
    /// If the signals cannot be caught.
    pub fn on_signals() -> Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if signal == SIGHUP && is_ignored(signal) {
                continue;
            }
            // In this order: the first signal sets the flag by which the second one kills.
            flag::register_conditional_default(signal, stop.interrupted.clone()).context("cannot catch signals")?;
            flag::register(signal, stop.interrupted.clone()).context("cannot catch signals")?;
        }
        Ok(stop)
    }

    /// Whether a signal said so: no new run begins.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// What stops the work that is left after this has been stopped: the next signal, not the last one.
    pub fn renewed(&self) -> Stop {
        let interrupted = if self.is_interrupted() { Arc::default() } else { self.interrupted.clone() };
        Stop { interrupted, ..Stop::default() }
    }

    /// Stops the sweep: no more results are wanted.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether no more results are wanted.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether runs that are under way are to be dropped.
    pub fn drops_runs(&self) -> bool {
        let is_late = || self.seen.get_or_init(Instant::now).elapsed() >= GRACE;
        self.is_over() || self.is_interrupted() && is_late()
    }
}

/// Whether the process that started this one asked for the signal to be ignored: the mask in proc_pid_status(5). Where there is
/// no such file, it did not.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // Rust's start-up code ignores this one.
        assert!(is_ignored(signal_hook::consts::SIGPIPE));
        assert!(!is_ignored(SIGTERM));
    }
}
