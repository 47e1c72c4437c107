//! Virtual time, shaped like `tokio::time`, with nanosecond resolution and no floor.
//!
//! [`Instant`] reads the node's monotonic clock, which never goes back, not even in a restart. [`SystemTime`] reads the node's
//! wall clock, which may be stepped in either direction and must not be used to measure durations. Both clocks stand still
//! during a poll. A scenario's `clock` fault makes the clocks run fast or slow, and sleeps and timeouts with them. A timer that
//! is pending when its clock becomes faster fires late; no timer fires early.
//!
//! | std and tokio 1.54 | here |
//! |---|---|
//! | `Instant - Instant`, `duration_since`, `elapsed` saturate at zero; `checked_duration_since` says so | the same |
//! | `Instant + Duration`, `Instant - Duration` panic where `checked_add` and `checked_sub` give `None` | they saturate: at the end of time, and at the beginning of the run |
//! | `SystemTime::duration_since` is an error if time went back | the same |
//! | `sleep` of zero, and `sleep_until` of the past: complete at once, but a budget makes a task that goes on so yield | yield once each |
//! | `timeout` polls the future before the deadline, also if that is past | the same |
//! | `Interval` ticks at once, and returns when the tick was due; `MissedTickBehavior`, `reset` | the same |
//! | `Interval` counts a tick up to 5 ms late as on time | the same |
//! | `Sleep::is_elapsed`, `deadline`, `reset` | the same |

use std::fmt;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
pub use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::NodeId;
use crate::kernel::{self, TimerId};

/// A reading of a node's monotonic clock. Readings of different nodes cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(u64);

impl Instant {
    /// Now.
    pub fn now() -> Instant {
        now()
    }

    /// How long ago it was; zero if it lies ahead.
    pub fn elapsed(self) -> Duration {
        now().duration_since(self)
    }

    /// From `earlier` to this; zero if `earlier` is later.
    pub fn duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// As [`Instant::duration_since`].
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }

    /// From `earlier` to this; `None` if `earlier` is later.
    pub fn checked_duration_since(self, earlier: Instant) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// So much later; `None` after the end of time, 584 years into the run.
    pub fn checked_add(self, by: Duration) -> Option<Instant> {
        self.0.checked_add(u64::try_from(by.as_nanos()).ok()?).map(Instant)
    }

    /// So much earlier; `None` before the beginning of the run.
    pub fn checked_sub(self, by: Duration) -> Option<Instant> {
        self.0.checked_sub(u64::try_from(by.as_nanos()).ok()?).map(Instant)
    }

    /// Nanoseconds since the run began, as far as the clock knows.
    pub fn as_nanos(self) -> u64 {
        self.0
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    /// Saturates at the beginning of the run.
    fn sub(self, by: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(by)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, by: Duration) {
        *self = *self - by;
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    /// Saturates at the end of time, 584 years into the run.
    fn add(self, by: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(by)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

/// A reading of the node's wall clock, as nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SystemTime(i64);

/// Where true wall-clock time begins: 2026-01-01T00:00:00Z.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;

impl SystemTime {
    /// What the node's wall clock shows now.
    pub fn now() -> SystemTime {
        kernel::with(|state| {
            let error = state.nodes[state.here().index()].clock.wall_error(state.now);
            SystemTime(EPOCH_NS.saturating_add(state.now as i64).saturating_add(error))
        })
    }

    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: SystemTime = SystemTime(0);

    /// From `earlier` to this.
    ///
    /// # Errors
    ///
    /// If `earlier` is later, as when the clock was stepped back in between: the difference.
    pub fn duration_since(self, earlier: SystemTime) -> Result<Duration, SystemTimeError> {
        let difference = Duration::from_nanos(self.0.abs_diff(earlier.0));
        if self >= earlier { Ok(difference) } else { Err(SystemTimeError(difference)) }
    }

    /// How long ago it was, by the running node's clock.
    ///
    /// # Errors
    ///
    /// If it lies ahead.
    pub fn elapsed(self) -> Result<Duration, SystemTimeError> {
        SystemTime::now().duration_since(self)
    }

    /// So much later; `None` if that is after the year 2262.
    pub fn checked_add(self, by: Duration) -> Option<SystemTime> {
        self.0.checked_add(i64::try_from(by.as_nanos()).ok()?).map(SystemTime)
    }

    /// So much earlier; `None` if that is before the year 1677.
    pub fn checked_sub(self, by: Duration) -> Option<SystemTime> {
        self.0.checked_sub(i64::try_from(by.as_nanos()).ok()?).map(SystemTime)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn as_nanos(self) -> i64 {
        self.0
    }
}

/// The second time is not after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the second time is {0:?} later than the first")]
pub struct SystemTimeError(Duration);

impl SystemTimeError {
    /// By how much it is earlier.
    pub fn duration(&self) -> Duration {
        self.0
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The reading of the monotonic clock of `node`, for oracles. The code on a node sees only its own clock.
pub fn shown_by(node: NodeId) -> Instant {
    Instant(kernel::with(|state| state.nodes[node.index()].clock.monotonic(state.now)))
}

/// The monotonic clock's reading.
#[inline]
pub fn now() -> Instant {
    Instant(kernel::with(|state| state.clock_now()))
}

/// Waits for `duration`. Zero yields once.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(now() + duration)
}

/// Waits until `deadline`; yields once if it is past.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, timer: None }
}

/// Completes at its deadline. Dropping it cancels the timer; it does not survive a crash of its node.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    timer: Option<TimerId>,
}

impl Sleep {
    /// When it will complete.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        now() >= self.deadline
    }

    /// Moves the deadline, cancelling the present timer.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
    }

    fn cancel(&mut self) {
        if let Some(timer) = self.timer.take() {
            let at = self.deadline.0;
            kernel::with_running(|state| state.cancel_timer(timer, at));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.0;
        let waker = cx.waker();
        let timer = self.timer;
        let armed = kernel::with(|state| {
            // Even what is past has to wait once: a loop of such sleeps would never return to the kernel.
            if timer.is_some() && state.clock_now() >= deadline && state.current.alive {
                // Not fired yet if the task was woken by something else in the same nanosecond.
                if let Some(timer) = timer.filter(|&timer| state.is_timer_pending(timer)) {
                    state.cancel_timer(timer, deadline);
                }
                return Err(());
            }
            match timer {
                // Still waiting, perhaps for another task by now.
                Some(timer) if state.is_timer_pending(timer) => state.rearm_timer(timer, waker),
                // A crashed node sets no timers.
                _ if !state.current.alive => {}
                _ => return Ok(Some(state.add_timer(deadline, waker.clone()))),
            }
            Ok(timer)
        });
        match armed {
            Err(()) => {
                self.timer = None;
                Poll::Ready(())
            }
            Ok(timer) => {
                self.timer = timer;
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The timeout elapsed before the future completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;

/// Awaits `future` for at most `duration`. On a tie the future wins. The future is dropped with the returned one.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(now() + duration, future).await
}

/// As [`timeout`], with a deadline.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = std::pin::pin!(future);
    let mut sleep = std::pin::pin!(sleep_until(deadline));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

/// Ticks at once and then every `period`.
///
/// # Panics
/// If `period` is zero.
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks at `start` and then every `period`.
///
/// # Panics
/// If `period` is zero.
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period above zero");
    Interval { sleep: sleep_until(start), period, missed: MissedTickBehavior::default() }
}

/// The lateness up to which a tick counts as on time: tokio's tolerance (`tokio::time::interval`).
const ON_TIME: Duration = Duration::from_millis(5);

/// The behaviour of an interval after a late tick, for example after a pause of the node. A tick up to 5 ms late counts as on
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks without waiting until it has caught up.
    #[default]
    Burst,
    /// Waits a full period from the late tick.
    Delay,
    /// Drops missed ticks and keeps to the original grid.
    Skip,
}

/// A periodic timer.
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns the moment that it was due. Cancel-safe.
    pub async fn tick(&mut self) -> Instant {
        std::future::poll_fn(|cx| Pin::new(&mut self.sleep).poll(cx)).await;
        let due = self.sleep.deadline();
        let now = now();
        let next = match self.missed {
            _ if now <= due + ON_TIME => due + self.period,
            MissedTickBehavior::Burst => due + self.period,
            MissedTickBehavior::Delay => now + self.period,
            MissedTickBehavior::Skip => {
                let behind = now.0 - due.0;
                let period = nanos(self.period);
                Instant(due.0.saturating_add((behind / period + 1).saturating_mul(period)))
            }
        };
        self.sleep.reset(next);
        due
    }

    /// Lets the next tick come a period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(now() + self.period);
    }

    /// Chooses what happens after a late tick.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// The time between ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}

/// `1.234567s`-style: as short as nanosecond precision allows.
pub(crate) struct Stamp(pub u64);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}
