//! Tasks: `spawn`, `JoinHandle`, `yield_now`, shaped like tokio's.
//!
//! | tokio 1.54 | here |
//! |---|---|
//! | `spawn` runs the task on the runtime | on the node whose code calls it; the task ends with its node's incarnation |
//! | a task that panics ends alone; `JoinError::is_panic` | its node crashes, and the run fails: no code sees the panic |
//! | `JoinHandle` awaited again after it gave the result: panics | the same |
//! | `is_finished` stays true once the result was taken | the same |
//! | `abort` takes effect at the task's next suspension; one that has ended keeps its result | the same |
//! | `JoinError::is_cancelled` after an abort | the same |
//! | `abort_handle`, `AbortHandle` | the same |
//! | `JoinSet` | none: keep handles in a `Vec` |
//! | `yield_now` lets other tasks run | the same, of the node |

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::kernel::{self, TaskId};

/// Why a task has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It was aborted, or it panicked (which is a failure of the run, reported by itself).
    #[error("the task was aborted or panicked")]
    Ended,
}

impl JoinError {
    /// Whether the task was aborted. A panic takes the node with it, and so all that could ask.
    pub fn is_cancelled(&self) -> bool {
        true
    }

    /// Whether the task panicked: never, for the same reason.
    pub fn is_panic(&self) -> bool {
        false
    }
}

struct Shared<T> {
    result: Option<Result<T, JoinError>>,
    /// Whether there is or was a result.
    finished: bool,
    waiter: Option<Waker>,
}

/// Awaits a task's result. Dropping it detaches the task, which runs on.
#[derive(Debug)]
pub struct JoinHandle<T> {
    task: Option<TaskId>,
    shared: Rc<RefCell<Shared<T>>>,
}

impl<T> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("finished", &self.finished).finish()
    }
}

/// Sets the result when the task ends in whichever way.
struct Completion<T>(Rc<RefCell<Shared<T>>>);

impl<T> Completion<T> {
    fn set(&self, result: Result<T, JoinError>) {
        let waiter = {
            let mut shared = self.0.borrow_mut();
            shared.result = Some(result);
            shared.finished = true;
            shared.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        if !self.0.borrow().finished && Rc::strong_count(&self.0) > 1 {
            self.set(Err(JoinError::Ended));
        }
    }
}

/// Starts a task on the node whose code is running. It ends with its node's incarnation.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let shared = Rc::new(RefCell::new(Shared { result: None, finished: false, waiter: None }));
    let completion = Completion(shared.clone());
    let future = Box::pin(async move {
        let value = future.await;
        completion.set(Ok(value));
    });
    let place = Location::caller();
    let task = kernel::with(|state| state.spawn(future, place));
    JoinHandle { task, shared }
}

impl<T> JoinHandle<T> {
    /// Ends the task: its future is dropped before the calling task continues after its next `await`.
    pub fn abort(&self) {
        abort(self.task);
    }

    /// A handle that can end the task, but not await it.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { task: self.task }
    }

    /// Whether the task has ended. This stays true when the result has been taken.
    pub fn is_finished(&self) -> bool {
        self.shared.borrow().finished
    }
}

/// Ends a task that somebody else awaits, or nobody.
#[derive(Clone, Copy, Debug)]
pub struct AbortHandle {
    task: Option<TaskId>,
}

impl AbortHandle {
    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        abort(self.task);
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_none_or(|task| kernel::with_running(|state| !state.has_task(task)).unwrap_or(true))
    }
}

fn abort(task: Option<TaskId>) {
    if let Some(task) = task {
        kernel::with_running(|state| state.abort(task));
    }
}

/// # Panics
/// If it is awaited again after it gave the result.
impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.borrow_mut();
        match shared.result.take() {
            Some(result) => Poll::Ready(result),
            None if shared.finished => panic!("JoinHandle polled after completion"),
            None => {
                let old = shared.waiter.replace(cx.waker().clone());
                drop(shared);
                drop(old);
                Poll::Pending
            }
        }
    }
}

/// Lets other tasks of the node run before the caller goes on.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
