//! A thread pool whose results have a fixed order.
//!
//! Each thread has a runner, and takes jobs from the schedule. The calling thread consumes the results in the order of the
//! jobs, so the outcome, including a stop, is the same with any number of threads. A thread that is far ahead of the slowest
//! one waits, so that results do not pile up.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::schedule::{Job, Schedule};
use crate::stop::Stop;

/// How far the fastest thread may be ahead of the slowest: several seconds of short runs, while one hangs.
const WINDOW: u64 = 8192;

/// How often `tick` is called while there is nothing to hand over.
const TICK: Duration = Duration::from_millis(200);

/// A job that is done.
pub struct Done<R> {
    /// Which.
    pub job: Job,
    /// What came of it.
    pub result: R,
    /// How long it took.
    pub took: Duration,
}

/// Works on jobs, one after the other.
pub trait Runner<R> {
    /// Whether it has no job.
    fn is_idle(&self) -> bool;
    /// Whether it takes one more job now.
    fn has_room(&self) -> bool;
    /// Takes a job.
    fn begin(&mut self, job: Job);
    /// Waits until the oldest job is done. None if there is none, or if jobs under way are to be dropped.
    fn finish(&mut self) -> Option<Done<R>>;
}

/// What the calling thread does meanwhile.
pub trait Consumer<R> {
    /// Takes the next result; break to want no more.
    fn take(&mut self, done: Done<R>) -> ControlFlow<()>;
    /// Called several times a second, with the job whose result is the next to be taken, if it has begun.
    fn tick(&mut self, waited_for: Option<Job>);
}

/// Performs all jobs of the schedule, and passes the results to `consumer` in order. When the consumer breaks, work in
/// progress is discarded. After an interruption the results may have gaps.
pub fn in_order<R: Send, W: Runner<R>>(
    threads: usize,
    runner: impl Fn() -> W + Sync,
    schedule: Schedule<'_>,
    stop: &Stop,
    consumer: &mut impl Consumer<R>,
) {
    let gate = Gate::new(schedule, stop);
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..threads {
            let (sender, gate, runner) = (sender.clone(), &gate, &runner);
            scope.spawn(move || {
                let mut runner = runner();
                while let Some(done) = gate.work(&mut runner) {
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut next = 0;
        loop {
            let is_last = match results.recv_timeout(TICK) {
                Ok(done) => {
                    early.insert(done.job.index, done);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            while let Some(done) = early.first_entry().filter(|first| is_last || *first.key() == next) {
                next = *done.key() + 1;
                let flow = consumer.take(done.remove());
                gate.taken(next);
                if flow.is_break() {
                    stop.end();
                    return;
                }
            }
            if is_last {
                return;
            }
            consumer.tick(gate.job(next));
        }
    });
}

/// What the threads share.
struct Gate<'a> {
    state: Mutex<State<'a>>,
    moved: Condvar,
    stop: &'a Stop,
}

struct State<'a> {
    schedule: Schedule<'a>,
    /// Handed out, and not yet taken by the consumer.
    out: BTreeMap<u64, Job>,
    /// The first that was not taken.
    next: u64,
}

impl<'a> Gate<'a> {
    fn new(schedule: Schedule<'a>, stop: &'a Stop) -> Gate<'a> {
        let state = Mutex::new(State { schedule, out: BTreeMap::new(), next: 0 });
        Gate { state, moved: Condvar::new(), stop }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the runner as many jobs as it takes, and waits for its next result. None at the end.
    fn work<R>(&self, runner: &mut impl Runner<R>) -> Option<Done<R>> {
        while runner.has_room() {
            let Some(job) = self.next_job(runner.is_idle()) else { break };
            runner.begin(job);
        }
        let done = runner.finish()?;
        self.lock().schedule.ended(done.job, done.took);
        Some(done)
    }

    /// The next job. Far ahead of the slowest there is none for now; only who has nothing else to do may wait for it, since
    /// his own job may be the slowest.
    fn next_job(&self, may_wait: bool) -> Option<Job> {
        let is_over = || self.stop.is_over() || self.stop.is_interrupted();
        let is_ahead =
            |state: &State<'_>| state.out.last_key_value().is_some_and(|(last, _)| last + 1 >= state.next + WINDOW);
        let mut state = self.lock();
        while is_ahead(&state) && !is_over() {
            if !may_wait {
                return None;
            }
            // An interruption does not wake this thread, so the wait needs a timeout.
            state = self.moved.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        if is_over() {
            return None;
        }
        let job = state.schedule.next()?;
        state.out.insert(job.index, job);
        Some(job)
    }

    /// The result before `next` has been taken.
    fn taken(&self, next: u64) {
        let mut state = self.lock();
        state.out.remove(&(next - 1));
        state.next = next;
        self.moved.notify_all();
    }

    fn job(&self, index: u64) -> Option<Job> {
        self.lock().out.get(&index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::plan::Plan;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Collect(Vec<u64>, u64);

    impl Consumer<u64> for Collect {
        fn take(&mut self, done: Done<u64>) -> ControlFlow<()> {
            assert_eq!(done.job.index, done.result);
            self.0.push(done.result);
            if done.result == self.1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn tick(&mut self, _: Option<Job>) {}
    }

    /// Takes two jobs at a time.
    struct Two<F>(Vec<Job>, F);

    impl<F: Fn(u64) -> Option<u64>> Runner<u64> for Two<F> {
        fn is_idle(&self) -> bool {
            self.0.is_empty()
        }
        fn has_room(&self) -> bool {
            self.0.len() < 2
        }
        fn begin(&mut self, job: Job) {
            self.0.push(job);
        }
        fn finish(&mut self) -> Option<Done<u64>> {
            if self.0.is_empty() {
                return None;
            }
            let job = self.0.remove(0);
            Some(Done { job, result: self.1(job.index)?, took: Duration::ZERO })
        }
    }

    fn collect(threads: usize, runs: u64, last: u64, work: impl Fn(u64) -> Option<u64> + Sync) -> Vec<u64> {
        let plan = Plan::of(1, 0..runs, None);
        let mut some = Collect(Vec::new(), last);
        let stop = Stop::default();
        in_order(threads, || Two(Vec::new(), &work), Schedule::new(&plan), &stop, &mut some);
        some.0
    }

    /// The work on every seventh number takes longer.
    fn uneven(index: u64) -> Option<u64> {
        if index.is_multiple_of(7) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(index)
    }

    #[test]
    fn results_come_in_order() {
        for threads in [1, 4] {
            assert_eq!(collect(threads, 300, u64::MAX, uneven), (0..300).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_stops_at_the_same_result_with_any_number_of_threads() {
        for threads in [1, 2, 8] {
            assert_eq!(collect(threads, u64::MAX, 41, uneven), (0..=41).collect::<Vec<_>>());
        }
    }

    #[test]
    fn results_after_a_gap_are_handed_over_at_the_end() {
        let all = collect(2, 300, u64::MAX, |index| if index == 5 { None } else { uneven(index) });
        assert!(all.is_sorted() && all.len() > 100 && !all.contains(&5), "{all:?}");
    }

    #[test]
    fn no_thread_runs_far_ahead_of_the_slowest() {
        let furthest = AtomicU64::new(0);
        let work = |index| {
            if index == 0 {
                std::thread::sleep(Duration::from_millis(100));
                assert!(furthest.load(Ordering::Relaxed) < WINDOW);
            }
            furthest.fetch_max(index, Ordering::Relaxed);
            Some(index)
        };
        assert_eq!(collect(3, 2 * WINDOW, u64::MAX, work).len() as u64, 2 * WINDOW);
    }
}
