//! The reasons to stop: Ctrl-C, SIGTERM, or enough results.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
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
    /// From now on the first SIGINT or SIGTERM interrupts and the second one kills.
    ///
    /// # Errors
    ///
    /// If the signals cannot be caught.
    pub fn on_signals() -> Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
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
