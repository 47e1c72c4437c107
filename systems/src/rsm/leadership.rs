//! A watch on leadership, for what only the leader does: coordinate, assign work, let time-outs run.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sim::sync::watch::Receiver;

use super::{Replica, StateMachine};
use crate::raft::Term;

/// Watches whether a replica leads.
///
/// ```
/// # use systems::rsm::{Replica, StateMachine};
/// # async fn coordinate<S: StateMachine>(_: &Replica<S>) {}
/// /// Coordinates whenever this replica leads.
/// async fn coordinator<S: StateMachine>(replica: Replica<S>) {
///     let mut leadership = replica.leadership();
///     while let Ok(term) = leadership.gained().await {
///         // Dropped where it stands when the term is over for this replica.
///         leadership.hold(term, coordinate(&replica)).await;
///     }
/// }
/// ```
///
/// # What it promises
///
/// - Each loss is seen: terms tell one leadership from the next, so a watcher that looks too late to see the loss of term 3
///   finds that [`Leadership::lost`] of term 3 returns at once, and [`Leadership::gained`] returns the later term.
/// - A leader that was paused, or cut off, for two election timeouts or longer finds that it has lost leadership before the
///   work in [`Leadership::hold`] goes on. This needs [`check_quorum`](crate::raft::Config::check_quorum).
/// - When [`Leadership::gained`] returns, the replica has applied everything that earlier leaders committed.
///
/// # What it does not promise
///
/// That no other replica leads at the same time. A leader that is cut off learns of it one to two election timeouts later, and a new
/// one may be elected meanwhile. What two leaders must never both do goes through the log: [`Replica::submit`] fails on the
/// one that is deposed.
pub struct Leadership<S: StateMachine> {
    replica: Replica<S>,
    watched: Receiver<Option<Term>>,
    /// The last term that was returned.
    last: Term,
}

/// The replica has stopped: it was closed, or its disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica has stopped")]
pub struct Stopped;

impl<S: StateMachine> Leadership<S> {
    pub(super) fn new(replica: Replica<S>) -> Self {
        let watched = replica.raft().leadership();
        Leadership { replica, watched, last: 0 }
    }

    /// Waits until the replica leads in a term later than those returned before, and has applied an entry of that term. Returns
    /// the term.
    ///
    /// Without [`noop`](crate::raft::Config::noop) entries a new leader has an entry of its term only when a client asks for
    /// something.
    ///
    /// # Errors
    ///
    /// [`Stopped`]: the replica will not lead any more. Its server may start another one.
    pub async fn gained(&mut self) -> Result<Term, Stopped> {
        loop {
            let term = self.replica.raft().leads().filter(|term| *term > self.last);
            let Some(term) = term else {
                self.watched.changed().await.map_err(|_| Stopped)?;
                continue;
            };
            let replica = self.replica.clone();
            if self.hold(term, replica.has_applied_term(term)).await.is_some() {
                self.last = term;
                return Ok(term);
            }
        }
    }

    /// Waits until the replica does not lead in `term` any more, or has stopped.
    pub async fn lost(&mut self, term: Term) {
        while self.replica.raft().leads() == Some(term) && self.watched.changed().await.is_ok() {}
    }

    /// Does `work` as long as the replica leads in `term`. Returns `None` if leadership was lost before the work was done; `work` is
    /// then dropped. Each time before `work` goes on, the replica looks at its clock and makes sure that it still leads.
    pub async fn hold<T>(&mut self, term: Term, work: impl Future<Output = T>) -> Option<T> {
        let replica = self.replica.clone();
        let (mut lost, mut work) = (pin!(self.lost(term)), pin!(work));
        poll_fn(|cx| {
            let is_over = lost.as_mut().poll(cx).is_ready() || replica.raft().leads() != Some(term);
            if is_over { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
        })
        .await
    }
}
