//! Tasks: `spawn`, `JoinHandle`, `yield_now`, shaped like tokio's.

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

struct Shared<T> {
    result: Option<Result<T, JoinError>>,
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
        f.debug_struct("Shared").field("finished", &self.result.is_some()).finish()
    }
}

/// Sets the result when the task ends in whichever way.
struct Completion<T>(Rc<RefCell<Shared<T>>>);

impl<T> Completion<T> {
    fn set(&self, result: Result<T, JoinError>) {
        let waiter = {
            let mut shared = self.0.borrow_mut();
            shared.result = Some(result);
            shared.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        if self.0.borrow().result.is_none() && Rc::strong_count(&self.0) > 1 {
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
    let shared = Rc::new(RefCell::new(Shared { result: None, waiter: None }));
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
        if let Some(task) = self.task {
            kernel::with_running(|state| state.abort(task));
        }
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.borrow().result.is_some()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.borrow_mut();
        match shared.result.take() {
            Some(result) => Poll::Ready(result),
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
