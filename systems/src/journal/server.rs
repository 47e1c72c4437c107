//! The journal's node.
//!
//! Appends go into the log's buffer as they come; each waits until the log says that it is durable, many on one sync. When a
//! write or a sync fails, nobody knows what of the log is on disk: everything in memory is given up, and the log is opened
//! anew as after a restart.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::rpc::{self, Responder};
use sim::sync::Notify;
use sim::task::JoinHandle;
use sim::{observe, planted, sometimes, task, time};

use super::Params;
use super::events::{
    Acked, Appended, Compacted, Poisoned, Recovering, SnapshotFailed, Snapshotted, Snapshotting, Unavailable,
};
use super::recovery::{self, Open};
use super::state::{Lost, Record, id_of};
use crate::kit::session::Seen;
use crate::storage::StorageError;

/// Where the journal listens.
pub const PORT: u16 = 1;

/// How long it rests after a failure before it opens the log anew: at first, and at most.
const REST: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(320));
/// How many bytes of a snapshot are written at a time.
const PIECE: usize = 4096;

/// What the journal is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Call {
    /// Keep a record.
    Append(Record),
    /// Return everything.
    Read,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The record is durable and has this number.
    Appended(u64),
    /// Everything that is durable, with numbers, and what is lost.
    Contents(Vec<(u64, Record)>, Vec<Lost>),
    /// Nothing was done, and nothing will be.
    Refused,
    /// The disk failed in the middle of it: the record may be there or not.
    Uncertain,
}

/// The journal as an RPC service.
pub struct Service;

impl rpc::Service for Service {
    type Request = Call;
    type Reply = Answer;
}

struct Server {
    params: Rc<Params>,
    /// `None` between a failure and the next recovery.
    open: RefCell<Option<Rc<Open>>>,
    /// The open log has failed.
    failed: Notify,
    /// The last compaction that was begun.
    compaction: RefCell<Option<JoinHandle<()>>>,
}

/// The code of the journal's node.
pub async fn boot(params: Rc<Params>) {
    let server =
        Rc::new(Server { params, open: RefCell::default(), failed: Notify::new(), compaction: RefCell::default() });
    task::spawn(server.clone().keep_open());
    let mut calls = rpc::Server::<Service>::bind(PORT).expect("nobody else binds the port");
    loop {
        let call = calls.recv().await;
        match call.request {
            Call::Append(record) => {
                task::spawn(server.clone().append(record, call.responder));
            }
            Call::Read => call.responder.send(&server.contents()),
        }
    }
}

impl Server {
    /// Opens the journal, and again whenever it has failed.
    async fn keep_open(self: Rc<Self>) {
        let (mut rest, mut attempt) = (REST.0, 0);
        loop {
            attempt += 1;
            observe!(Recovering { attempt });
            match recovery::open(&self.params).await {
                Ok(open) => {
                    let (open, recovered) = (Rc::new(open), time::now());
                    *self.open.borrow_mut() = Some(open);
                    self.failed.notified().await;
                    self.stop_compaction().await;
                    if recovered.elapsed() > REST.1 {
                        (rest, attempt) = (REST.0, 0);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the journal cannot be opened");
                    observe!(Unavailable { full: error.is_full() });
                }
            }
            time::sleep(rest).await;
            rest = (rest * 2).min(REST.1);
        }
    }

    /// The log of `open` has failed. Everybody who waits for it finds out; the first one says so.
    fn give_up(&self, open: &Rc<Open>, error: &StorageError) {
        let mut present = self.open.borrow_mut();
        if present.as_ref().is_some_and(|present| Rc::ptr_eq(present, open)) {
            tracing::warn!(%error, "the log failed");
            *present = None;
            drop(present);
            observe!(Poisoned { full: error.is_full() });
            self.failed.notify_one();
        }
    }

    fn contents(&self) -> Answer {
        match &*self.open.borrow() {
            None => Answer::Refused,
            Some(open) => {
                let state = open.state.borrow();
                Answer::Contents(state.records().to_vec(), state.lost().to_vec())
            }
        }
    }

    async fn append(self: Rc<Self>, record: Record, responder: Responder<Service>) {
        if let Some(answer) = self.keep(record).await {
            responder.send(&answer);
        }
    }

    /// Appends a record and waits until it is durable. `None` if nobody waits for the answer any more.
    async fn keep(self: &Rc<Self>, record: Record) -> Option<Answer> {
        let Some(open) = self.open.borrow().clone() else { return Some(Answer::Refused) };
        let bytes = record.encode();
        let id = id_of(&bytes);
        let seen = open.sessions.borrow().seen(record.request).copied();
        let index = match seen {
            Seen::Stale => return None,
            Seen::Answered(index) => {
                sometimes!(true, "journal: a record is sent again");
                index
            }
            Seen::New => match open.store.wal().append(&bytes) {
                Ok(index) => {
                    open.sessions.borrow_mut().insert(record.request, index);
                    open.pending.borrow_mut().push((index, record));
                    observe!(Appended { index, record: id });
                    index
                }
                Err(error) => {
                    self.give_up(&open, &error);
                    return Some(Answer::Refused);
                }
            },
        };
        if let Err(error) = open.store.wal().sync(index).await {
            self.give_up(&open, &error);
            return Some(Answer::Uncertain);
        }
        open.apply();
        let place = open.store.wal().locate(index);
        let (path, offset, len) = place.map_or_else(Default::default, |place| (place.path, place.offset, place.len));
        observe!(Acked { index, record: id, path, offset, len });
        self.compact_if_due(&open);
        Some(Answer::Appended(index))
    }

    fn compact_if_due(self: &Rc<Self>, open: &Rc<Open>) {
        let last = open.state.borrow().last();
        if !open.busy.get() && last >= open.attempted.get() + self.params.snapshot_every {
            open.busy.set(true);
            open.attempted.set(last);
            let compaction = task::spawn(self.clone().compact(open.clone()));
            *self.compaction.borrow_mut() = Some(compaction);
        }
    }

    /// A snapshot that is being written must not meet the one that the next open journal writes.
    async fn stop_compaction(&self) {
        let compaction = self.compaction.take();
        if let Some(compaction) = compaction {
            compaction.abort();
            let _ = compaction.await;
        }
    }

    /// Writes a snapshot, then cuts the log.
    async fn compact(self: Rc<Self>, open: Rc<Open>) {
        let (index, bytes) = {
            let state = open.state.borrow();
            (state.last(), state.encode())
        };
        observe!(Snapshotting { index });
        let before = if planted!("journal.delete-before-snapshot") {
            let _ = open.store.wal().truncate_prefix(index + 1).await;
            index
        } else {
            open.store.newest().unwrap_or(0)
        };
        match open.save(index, &bytes).await {
            Ok(()) => {
                observe!(Snapshotted { index });
                match open.store.cut(before + 1).await {
                    Ok(()) => observe!(Compacted { first: open.store.wal().first() }),
                    Err(error) => self.give_up(&open, &error),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no snapshot");
                observe!(SnapshotFailed { full: error.is_full() });
            }
        }
        open.busy.set(false);
    }
}

impl Open {
    /// Moves what is durable by now into the state.
    fn apply(&self) {
        let (durable, mut state) = (self.store.wal().durable(), self.state.borrow_mut());
        let mut pending = self.pending.borrow_mut();
        let ready = pending.partition_point(|(index, _)| *index <= durable);
        for (index, record) in pending.drain(..ready) {
            state.push(index, record);
        }
    }

    async fn save(&self, index: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut writer = self.store.begin(index).await?;
        for piece in bytes.chunks(PIECE) {
            writer.write(piece).await?;
        }
        self.store.commit(writer).await
    }
}
