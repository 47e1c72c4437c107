//! Channels and locks between the tasks of a node.
//!
//! These are tokio's, which need no runtime and are deterministic on one thread: all queues in them are first come,
//! first served. The exception is `tokio::sync::watch`, which picks a waiter list by a random or a process-global number;
//! [`watch`] here is ours. `tokio::select!` starts at a random branch; use [`crate::select!`].

pub use tokio::sync::{Mutex, MutexGuard, Notify, RwLock, Semaphore, mpsc, oneshot};

/// A value that many tasks watch; each sees the latest, not every one.
pub mod watch {
    use std::cell::{Cell, Ref, RefCell};
    use std::rc::Rc;

    use super::Notify;

    struct Shared<T> {
        value: RefCell<T>,
        version: Cell<u64>,
        closed: Cell<bool>,
        changed: Notify,
    }

    /// Sets the value.
    pub struct Sender<T>(Rc<Shared<T>>);

    /// Sees the value, and waits for the next.
    pub struct Receiver<T> {
        shared: Rc<Shared<T>>,
        seen: u64,
    }

    /// The sender is gone: there will be no other value.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
    #[error("the watched value will not change any more")]
    pub struct Closed;

    /// A watched value and its two ends.
    pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let shared = Rc::new(Shared {
            value: RefCell::new(value),
            version: Cell::new(0),
            closed: Cell::new(false),
            changed: Notify::new(),
        });
        (Sender(shared.clone()), Receiver { shared, seen: 0 })
    }

    impl<T> Sender<T> {
        /// Sets the value and wakes those who wait.
        pub fn send(&self, value: T) {
            let old = self.0.value.replace(value);
            self.0.version.set(self.0.version.get() + 1);
            self.0.changed.notify_waiters();
            drop(old);
        }

        /// The present value.
        pub fn borrow(&self) -> Ref<'_, T> {
            self.0.value.borrow()
        }

        /// A receiver that has seen the present value.
        pub fn subscribe(&self) -> Receiver<T> {
            Receiver { shared: self.0.clone(), seen: self.0.version.get() }
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.closed.set(true);
            self.0.changed.notify_waiters();
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Receiver { shared: self.shared.clone(), seen: self.seen }
        }
    }

    impl<T> Receiver<T> {
        /// The present value.
        pub fn borrow(&self) -> Ref<'_, T> {
            self.shared.value.borrow()
        }

        /// The present value, marked as seen.
        pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
            self.seen = self.shared.version.get();
            self.shared.value.borrow()
        }

        /// Waits for a value that was not seen yet, and marks it as seen.
        pub async fn changed(&mut self) -> Result<(), Closed> {
            loop {
                // Registered before looking: no change can slip in between.
                let notified = self.shared.changed.notified();
                if self.shared.version.get() != self.seen {
                    self.seen = self.shared.version.get();
                    return Ok(());
                }
                if self.shared.closed.get() {
                    return Err(Closed);
                }
                notified.await;
            }
        }

        /// Waits until the value satisfies `wanted`.
        pub async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<(), Closed> {
            while !wanted(&self.borrow_and_update()) {
                self.changed().await?;
            }
            Ok(())
        }
    }
}

/// Awaits several branches and goes on with the first that is ready, looking at them in the order in which they are
/// written. Syntax and cancellation are those of `tokio::select!` with `biased;`.
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => { $crate::private::tokio::select! { biased; $($branches)* } };
}
