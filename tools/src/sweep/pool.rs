//! Work on several threads, results in one order.
//!
//! Workers take the numbers 0, 1, 2, ... and work on them in parallel. The results are handed over in that order,
//! on the calling thread: whatever is done with them, stopping included, is the same with any number of workers. A
//! worker that is far ahead of the slowest waits, so that results do not pile up.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far the fastest worker may be ahead of the slowest.
const WINDOW: u64 = 1024;

/// How often `tick` is called while there is nothing to hand over.
const TICK: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    done: u64,
    stopped: bool,
}

/// What the calling thread does meanwhile.
pub trait Consumer<R> {
    /// Takes the n-th result; break to want no more.
    fn take(&mut self, index: u64, result: R) -> ControlFlow<()>;
    /// Called several times a second.
    fn tick(&mut self);
}

/// Works on 0, 1, 2, ... as long as `goes_on`, and hands the results to `consumer` in order. Work that is under way when
/// the consumer breaks is finished and thrown away.
pub fn in_order<R: Send>(
    workers: usize,
    goes_on: impl Fn(u64) -> bool + Sync,
    work: impl Fn(u64) -> R + Sync,
    consumer: &mut impl Consumer<R>,
) {
    let gate = Gate::default();
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..workers {
            let (sender, gate, goes_on, work) = (sender.clone(), &gate, &goes_on, &work);
            scope.spawn(move || {
                while let Some(index) = gate.next(goes_on) {
                    if sender.send((index, work(index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut next = 0;
        loop {
            match results.recv_timeout(TICK) {
                Ok((index, result)) => drop(early.insert(index, result)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Some(result) = early.remove(&next) {
                let flow = consumer.take(next, result);
                next += 1;
                gate.done(next, flow.is_break());
                if flow.is_break() {
                    return;
                }
            }
            consumer.tick();
        }
    });
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, goes_on: &impl Fn(u64) -> bool) -> Option<u64> {
        let far_ahead = |state: &mut State| !state.stopped && state.next >= state.done + WINDOW;
        let mut state = self.moved.wait_while(self.lock(), far_ahead).unwrap_or_else(PoisonError::into_inner);
        state.stopped |= !goes_on(state.next);
        if state.stopped {
            self.moved.notify_all();
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }

    fn done(&self, done: u64, stop: bool) {
        let mut state = self.lock();
        state.done = done;
        state.stopped |= stop;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Collect(Vec<u64>, u64);

    impl Consumer<u64> for Collect {
        fn take(&mut self, index: u64, result: u64) -> ControlFlow<()> {
            assert_eq!(index, result);
            self.0.push(result);
            if result == self.1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn tick(&mut self) {}
    }

    /// The work on every seventh number takes longer.
    fn uneven(index: u64) -> u64 {
        if index.is_multiple_of(7) {
            std::thread::sleep(Duration::from_millis(1));
        }
        index
    }

    #[test]
    fn results_come_in_order() {
        for workers in [1, 4] {
            let mut all = Collect(Vec::new(), u64::MAX);
            in_order(workers, |index| index < 300, uneven, &mut all);
            assert_eq!(all.0, (0..300).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_stops_at_the_same_result_with_any_number_of_workers() {
        for workers in [1, 2, 8] {
            let mut some = Collect(Vec::new(), 41);
            in_order(workers, |_| true, uneven, &mut some);
            assert_eq!(some.0, (0..=41).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nobody_runs_far_ahead_of_the_slowest() {
        let furthest = AtomicU64::new(0);
        let work = |index| {
            if index == 0 {
                std::thread::sleep(Duration::from_millis(100));
                assert!(furthest.load(Ordering::Relaxed) < WINDOW);
            }
            furthest.fetch_max(index, Ordering::Relaxed);
            index
        };
        let mut all = Collect(Vec::new(), u64::MAX);
        in_order(3, |index| index < 2 * WINDOW, work, &mut all);
        assert_eq!(all.0.len() as u64, 2 * WINDOW);
    }
}
