//! Experiments: a program outside of the world that has clients do something and waits for the result.
//!
//! [`Sim::client`] runs test code on a node of its own and gives its value back, [`Sim::wait`] and [`Sim::until`] let time pass,
//! and [`Sim::partition`] cuts nodes into sides. An experiment reads like the test of a real cluster:
//!
//! ```
//! use std::time::Duration;
//! use sim::net::UdpSocket;
//! use sim::{WaitError, simulate, time};
//!
//! let run = simulate(42, |sim| {
//!     let server = sim.node("server", || async {
//!         let socket = UdpSocket::bind(80).unwrap();
//!         loop {
//!             let ping = socket.recv_from().await;
//!             socket.send_to(ping.payload, ping.from);
//!         }
//!     });
//!     let ping = |name: &str| {
//!         sim.client(name, async move {
//!             let socket = UdpSocket::bind(80).unwrap();
//!             loop {
//!                 socket.send_to(b"ping".as_slice(), server.port(80));
//!                 if let Ok(pong) = time::timeout(Duration::from_millis(10), socket.recv_from()).await {
//!                     return pong.from;
//!                 }
//!             }
//!         })
//!     };
//!     let first = sim.wait(ping("client-0"), Duration::from_secs(1));
//!     assert_eq!(first, Ok(server.port(80)));
//!
//!     let second = ping("client-1");
//!     let cut = sim.partition([[server], [second.node()]]);
//!     sim.run_for(Duration::from_secs(1));
//!     assert!(!second.is_done());
//!     drop(cut);
//!     sim.until(Duration::from_secs(1), || second.is_done())?;
//!     Ok::<_, WaitError>(sim.received(server))
//! })
//! .unwrap();
//! assert!(run.failures.is_empty());
//! assert_eq!(run.value, Ok(2));
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::base::NodeId;
use crate::fault::{Fault, InFlight};
use crate::host::{self, Injected, Sim};
use crate::kernel::{self, Stop};
use crate::time::nanos;

/// The role of the nodes that [`Sim::client`] adds.
const ROLE: &str = "client";

/// How often [`Sim::until`] asks for its condition, in virtual time.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Test code that runs, or ran, on a node of its own. See [`Sim::client`].
pub struct Job<T> {
    node: NodeId,
    result: Rc<JobResult<T>>,
}

struct JobResult<T> {
    value: RefCell<Option<T>>,
    /// Whether the host has to have control when the value is there.
    awaited: Cell<bool>,
}

impl<T> Default for JobResult<T> {
    fn default() -> Self {
        JobResult { value: RefCell::new(None), awaited: Cell::new(false) }
    }
}

impl<T> JobResult<T> {
    fn complete(&self, value: T) {
        *self.value.borrow_mut() = Some(value);
        if self.awaited.get() {
            kernel::with_running(|state| state.halted = true);
        }
    }
}

impl<T> Job<T> {
    /// The node that the code runs on.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Whether the code has returned. It never will once its node has crashed.
    pub fn is_done(&self) -> bool {
        self.result.value.borrow().is_some()
    }

    /// Looks at the value, if there is one yet.
    pub fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.result.value.borrow().as_ref().map(look)
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("node", &self.node).field("done", &self.is_done()).finish()
    }
}

/// Why a wait ended without what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up.
    #[error("not done within {0:?}")]
    TimedOut(Duration),
    /// The run has failed, so no more time passes in it: see [`Simulated::failures`](crate::Simulated::failures).
    #[error("the run has failed")]
    RunFailed,
}

impl Sim {
    /// Runs `code` on a new node of the role `client`. The code runs once: if its node crashes, it ends there, and a later boot
    /// does not begin it again.
    ///
    /// # Panics
    /// If there is a node of that name.
    #[track_caller]
    pub fn client<T, F>(&self, name: &str, code: F) -> Job<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let result = Rc::new(JobResult::default());
        let (code, out) = (Cell::new(Some(code)), result.clone());
        let node = self.node_in_role(ROLE, name, move || {
            let (code, out) = (code.take(), out.clone());
            async move {
                if let Some(code) = code {
                    out.complete(code.await);
                }
            }
        });
        Job { node, result }
    }

    /// As [`Sim::client`], on a node that there is, beside what it does already: for an experiment that asks much and should not
    /// need a node for each question. If the node crashes, the code ends there.
    ///
    /// # Panics
    /// If the node is down.
    #[track_caller]
    pub fn spawn<T, F>(&self, node: NodeId, code: F) -> Job<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        assert!(self.is_up(node), "nothing runs on a node that is down");
        let result = Rc::new(JobResult::default());
        let out = result.clone();
        host::spawn_on(node, Box::pin(async move { out.complete(code.await) }));
        Job { node, result }
    }

    /// Lets time pass until the job is done, for at most `most`, and returns its value. No time passes after the poll in which the
    /// job completes.
    ///
    /// # Errors
    /// If the job takes longer, or the run fails.
    pub fn wait<T>(&self, job: Job<T>, most: Duration) -> Result<T, WaitError> {
        job.result.awaited.set(true);
        let deadline = self.now_ns().saturating_add(nanos(most));
        while !job.is_done() && !has_failed() && self.now_ns() < deadline {
            if kernel::run_to(deadline) == Stop::Idle {
                kernel::with(|state| state.advance_to(deadline));
            }
        }
        // The job's end is no failure: time goes on.
        kernel::with(|state| state.halted = !state.failures.is_empty());
        job.result.value.take().ok_or_else(|| not_done(most))
    }

    /// Lets time pass until the condition holds, for at most `most`. The condition is evaluated now and after each millisecond of
    /// virtual time, between polls.
    ///
    /// # Errors
    /// If it does not hold in time, or the run fails before it does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sim::{WaitError, simulate, time};
    ///
    /// let second = Duration::from_secs(1);
    /// let run = simulate(1, |sim| {
    ///     let node = sim.node("node", || async {});
    ///     sim.until(second, || sim.is_up(node))?;
    ///     assert_eq!(sim.now_ns(), 0);
    ///     sim.until(second, || !sim.is_up(node))
    /// });
    /// assert_eq!(run.unwrap().value, Err(WaitError::TimedOut(second)));
    /// ```
    pub fn until(&self, most: Duration, mut holds: impl FnMut() -> bool) -> Result<(), WaitError> {
        let deadline = self.now_ns().saturating_add(nanos(most));
        while !holds() {
            let left = deadline.saturating_sub(self.now_ns());
            if left == 0 || has_failed() {
                return Err(not_done(most));
            }
            self.run_for(RESOLUTION.min(Duration::from_nanos(left)));
        }
        Ok(())
    }

    /// Cuts nodes into sides: those of one side reach each other and none of another side; nodes on no side reach all. Messages
    /// under way between sides are lost, and sides without nodes are left out. Heals when the guard is dropped.
    #[must_use = "the partition heals when the guard is dropped"]
    pub fn partition<Side: Into<Vec<NodeId>>>(&self, sides: impl IntoIterator<Item = Side>) -> Injected {
        let sides = sides.into_iter().map(Into::into);
        let groups = sides.filter(|side: &Vec<NodeId>| !side.is_empty()).collect();
        self.inject(Fault::Partition { groups, in_flight: InFlight::Drop })
    }
}

fn has_failed() -> bool {
    kernel::with(|state| !state.failures.is_empty())
}

fn not_done(within: Duration) -> WaitError {
    if has_failed() { WaitError::RunFailed } else { WaitError::TimedOut(within) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{simulate, time};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_wait_ends_with_the_job() {
        let run = simulate(1, |sim| {
            let job = sim.client("client", async {
                time::sleep(Duration::from_nanos(1_234_567)).await;
                7
            });
            let value = sim.wait(job, SECOND);
            let after = sim.now_ns();
            sim.run_for(SECOND);
            (value, after, sim.now_ns() - after)
        });
        let (value, after, later) = run.unwrap().value;
        assert_eq!(value, Ok(7));
        assert!((1_234_567..1_300_000).contains(&after), "the wait ended at {after} ns");
        assert_eq!(later, 1_000_000_000, "time goes on after a wait");
    }

    #[test]
    fn a_wait_takes_no_longer_than_it_may() {
        let run = simulate(1, |sim| {
            let never = sim.client("never", std::future::pending::<()>());
            (sim.wait(never, SECOND), sim.now_ns())
        });
        assert_eq!(run.unwrap().value, (Err(WaitError::TimedOut(SECOND)), 1_000_000_000));
    }

    #[test]
    fn a_failure_of_the_run_ends_all_waits() {
        let run = simulate(1, |sim| {
            let bad = sim.client("bad", async {
                time::sleep(Duration::from_millis(5)).await;
                panic!("as is to be shown");
            });
            let waited: Result<(), _> = sim.wait(bad, SECOND);
            let until = sim.until(SECOND, || false);
            (waited, until, sim.now_ns() < 10_000_000)
        });
        let run = run.unwrap();
        assert_eq!(run.value, (Err(WaitError::RunFailed), Err(WaitError::RunFailed), true));
        assert_eq!(run.failures.len(), 1);
    }

    #[test]
    fn code_on_a_node_that_crashed_does_not_begin_again() {
        let run = simulate(1, |sim| {
            let job = sim.client("client", async {
                time::sleep(SECOND).await;
            });
            sim.run_for(SECOND / 2);
            sim.crash(job.node());
            sim.boot(job.node());
            sim.run_for(2 * SECOND);
            (job.is_done(), job.peek(|()| ()))
        });
        assert_eq!(run.unwrap().value, (false, None));
    }

    #[test]
    fn jobs_on_one_node_run_side_by_side_and_end_with_it() {
        let run = simulate(1, |sim| {
            let node = sim.node("node", || async {});
            let after = |ms| sim.spawn(node, time::sleep(Duration::from_millis(ms)));
            let (slow, fast, never) = (after(20), after(10), after(500));
            let both = (sim.wait(fast, SECOND), sim.now_ns() / 1_000_000, sim.wait(slow, SECOND));
            sim.crash(node);
            sim.run_for(SECOND);
            (both, never.is_done(), never.node() == node)
        });
        assert_eq!(run.unwrap().value, ((Ok(()), 10, Ok(())), false, true));
    }

    #[test]
    fn a_condition_is_seen_within_a_millisecond() {
        let run = simulate(1, |sim| {
            let job = sim.client("client", time::sleep(Duration::from_micros(2_500)));
            sim.until(SECOND, || job.is_done()).map(|()| sim.now_ns())
        });
        assert_eq!(run.unwrap().value, Ok(3_000_000));
    }
}
