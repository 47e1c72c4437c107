//! The process boundary: madsim, entered once per run on a thread of its own.
//!
//! madsim intercepts libc's clocks, `getrandom` and thread creation for the thread that entered it. What follows from
//! how it does so:
//!
//! - std's `Instant::now` and `SystemTime::now` show the simulator's own time; a node's skewed clock is visible only
//!   through [`crate::time`]. They only go forward.
//! - std's `HashMap` keys are initialised once per thread, so the runtime must be the first thing on its thread. A late
//!   initialisation would make `HashMap` order random: it is checked here, and is a harness failure.
//! - Any other clock id (CPU time, for one) aborts the process: CPU time is never read inside a run.
//! - Raw `SYS_getrandom` (`rand` 0.8's `OsRng`), `ahash`'s and `foldhash`'s process seeds and `static` counters escape
//!   it. Do not use them in systems; [`crate::node_local!`] is there for per-node state.
//! - Crates that call `tokio::time` or `tokio::spawn` find no runtime and are not supported.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{State, panics};
use crate::base::seed::Seed;
use crate::world;

/// The harness itself failed: nothing is known about the system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// No thread for the run.
    #[error("cannot start a thread for the run: {0}")]
    Thread(String),
    /// std's `HashMap` keys did not come from the seed.
    #[error(
        "std's HashMap keys were initialised before the run began, so HashMap order would not be deterministic; \
         something created a HashMap on the run's thread first"
    )]
    HashKeys,
    /// The simulator's own code panicked.
    #[error("the simulator panicked: {0}")]
    Panic(String),
}

/// Stack of a run's thread. Futures are polled on it, so it bounds how deep a system's own recursion may go.
const STACK: usize = 8 << 20;

/// Tells one run's wakers from another's. Its value reaches nothing else.
static RUNS: AtomicU16 = AtomicU16::new(0);

/// Runs `f` inside a fresh world on a fresh thread.
pub(crate) fn enter<R: Send>(seed: Seed, f: impl FnOnce() -> R + Send) -> Result<R, HarnessError> {
    std::thread::scope(|scope| {
        let run =
            std::thread::Builder::new().name(format!("seed {}", seed.0)).stack_size(STACK).spawn_scoped(scope, || {
                let runtime = madsim::runtime::Runtime::with_seed_and_config(seed.0, madsim::Config::default());
                if !hash_keys_come_from(seed.0) {
                    return Err(HarnessError::HashKeys);
                }
                panics::capture();
                let result = runtime.block_on(async {
                    let _run = world::enter(State::new(seed, RUNS.fetch_add(1, Ordering::Relaxed)));
                    f()
                });
                Ok(result)
            });
        match run {
            Err(error) => Err(HarnessError::Thread(error.to_string())),
            Ok(thread) => match thread.join() {
                Ok(result) => result,
                Err(payload) => Err(HarnessError::Panic(panics::message(payload.as_ref()))),
            },
        }
    })
}

/// std hands out keys (k0 + n, k1) to the n-th `RandomState` of a thread; madsim sets both to the seed. A few have been
/// handed out by the time we look.
fn hash_keys_come_from(seed: u64) -> bool {
    let mut ours = std::hash::RandomState::new().build_hasher();
    ours.write_u64(0);
    let found = ours.finish();
    (0..64).any(|n| {
        let mut expected = siphasher::sip::SipHasher13::new_with_keys(seed.wrapping_add(n), seed);
        expected.write_u64(0);
        expected.finish() == found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hashed_before_is_a_harness_failure() {
        std::thread::spawn(|| {
            let _early = std::hash::RandomState::new();
            let _runtime = madsim::runtime::Runtime::with_seed_and_config(7, madsim::Config::default());
            assert!(!hash_keys_come_from(7));
        })
        .join()
        .unwrap();
        assert_eq!(enter(Seed(7), || hash_keys_come_from(7)), Ok(true));
    }
}
