//! The process boundary: entered once per run, on a thread of its own.
//!
//! Code under test is meant to reach the world through `sim` alone. What goes past it would make a run depend on the machine.
//! Most of that comes through the C library, so the program brings its own version of those functions: madsim defines some,
//! `intercept` the others. They act on the threads of runs only.
//!
//! | what code asks the machine for | answer in a run |
//! |---|---|
//! | std's `Instant::now` and `SystemTime::now`; `time`, `gettimeofday`, `clock_gettime` | virtual: the simulator's own time, which only goes forward. A node's skewed clock is visible only through [`crate::time`] |
//! | CPU time: `clock_gettime` with another clock, `clock`, `times`, `getrusage` | refused |
//! | random bytes: `getrandom`, `getentropy`, `syscall(SYS_getrandom)`, `/dev/urandom`, `/dev/random` | virtual: from the seed |
//! | the keys of std's `HashMap` | virtual: from the seed |
//! | `std::process::id`, the thread's id in the system, the host's name, the number of processors and their limits | virtual |
//! | files: open, look at, create, rename, remove; the working directory; stdin | refused |
//! | sockets, pipes, host names | refused |
//! | threads | refused |
//! | child processes | refused |
//! | blocking in real time: `std::thread::sleep`, `park_timeout`, `recv_timeout`, `Condvar::wait_timeout` | refused |
//! | `std::process::exit` and `abort` | the end of the run, as a failure that names the caller |
//! | stdout and stderr, `/dev/null`, and the files that a backtrace reads | passed |
//! | environment variables, `Thread::id`, addresses of memory, `static` variables that outlive a run (also those of `ahash`, `foldhash` and `fastrand`), the processor's own counters and random numbers, system calls without the C library | passed; only `--verify` finds them |
//! | a lock that another task holds | passed: the run hangs, and the end of it names the place |
//!
//! A refused call fails with "permission denied" and is a failure of the run, with the signature `boundary:CALL:FILE`. It names
//! the node, the task, the call and its caller, and what to call instead. A call that ends the process prints a line that begins
//! with [`LAST_WORDS`] and says the same. The host program of a test, outside of any node, may use files and the like, but no
//! threads. The interception is of glibc on Linux; elsewhere only what madsim does is there.
//!
//! The rest follows from how madsim does it:
//!
//! - std's `HashMap` keys are initialised once per thread, so the runtime must be the first thing on its thread. A late
//!   initialisation would make `HashMap` order random: it is checked here, and is a harness failure.
//! - A clock that is refused ends the process of the run.
//! - Crates that call `tokio::time` or `tokio::spawn` find no runtime and are not supported. Per-node state that would be a
//!   `static` is a [`crate::node_local!`].

mod caller;
mod hang;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod intercept;
/// Elsewhere nothing is intercepted.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod intercept {
    pub(super) const LINKED: &[()] = &[];

    pub(super) fn say(text: &str) {
        eprint!("{text}");
    }

    pub(super) fn leave(code: i32) -> ! {
        std::process::exit(code)
    }
}
mod refuse;

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{State, panics};
use crate::base::seed::Seed;
use crate::world;
pub use hang::name_hangs_on;
pub use refuse::LAST_WORDS;
pub(super) use refuse::aborts_for_a_clock;

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
                let mut runtime = madsim::runtime::Runtime::with_seed_and_config(seed.0, madsim::Config::default());
                // It would refuse a thread with a panic and advice of its own. `intercept` refuses all threads.
                runtime.set_allow_system_thread(cfg!(all(target_os = "linux", target_env = "gnu")));
                std::hint::black_box(intercept::LINKED);
                if !hash_keys_come_from(seed.0) {
                    return Err(HarnessError::HashKeys);
                }
                panics::capture();
                let _under_way = hang::UnderWay::begin();
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
