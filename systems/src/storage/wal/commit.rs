//! The committer: the one task that writes.
//!
//! Appends and truncations stand in one queue, in the order in which they were asked for. As long as somebody waits for
//! something in it, the committer takes as many records as there are, writes them with one write and one mark, and syncs both,
//! side by side or one after the other ([`Marking`]): however many callers wait, they share the syncs (group commit; DeWitt et
//! al., "Implementation techniques for main memory database systems", SIGMOD 1984). It is a task of its own, so that a
//! caller who stops waiting stops nothing.
//!
//! When a write or a sync fails, it is unknown what is on the disk, and a second sync that succeeds says nothing about
//! what the first one failed for. The log is *poisoned*: all waiting callers get the error, and the only way on is to open it
//! anew, which looks at what there is.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use sim::sync::Notify;
use sim::{buggify, planted, rand, time};

use super::format::{self, Kind};
use super::lock::Lock;
use super::log::{Log, unlink};
use super::mark::Mark;
use super::segment::{Place, Segment};
use super::{Marking, Options};
use crate::storage::StorageError;
use crate::storage::directory;
use crate::storage::error::Context;

/// The longest wait of a buggified batch between its write and its sync.
const LATE: Duration = Duration::from_millis(5);

/// What stands in the queue. Each entry has a ticket: the number of entries before it since the log was opened, more or less.
#[derive(Debug)]
enum Entry {
    Record(Vec<u8>),
    /// Remove this record and those behind it.
    Suffix(u64),
    /// Remove the records below this one.
    Prefix(u64),
}

/// What the handles of a log share with its committer.
#[derive(Debug)]
pub struct Shared {
    pub log: RefCell<Log>,
    queue: RefCell<VecDeque<Entry>>,
    /// The number of the next record that is appended.
    next: Cell<u64>,
    /// A record's ticket less its number. Grows when numbers are given anew.
    shift: Cell<u64>,
    /// The last ticket that somebody waits for.
    wanted: Cell<u64>,
    /// The last ticket that is done, durably.
    done: Cell<u64>,
    failed: RefCell<Option<StorageError>>,
    closed: Cell<bool>,
    ended: Cell<bool>,
    work: Notify,
    progress: Notify,
}

impl Shared {
    pub fn new(log: Log) -> Rc<Shared> {
        let last = log.last;
        Rc::new(Shared {
            log: RefCell::new(log),
            queue: RefCell::default(),
            next: Cell::new(last + 1),
            shift: Cell::new(0),
            wanted: Cell::new(last),
            done: Cell::new(last),
            failed: RefCell::default(),
            closed: Cell::new(false),
            ended: Cell::new(false),
            work: Notify::new(),
            progress: Notify::new(),
        })
    }

    /// The last record that was appended.
    pub fn last(&self) -> u64 {
        self.next.get() - 1
    }

    /// Whether it still takes anything.
    pub fn usable(&self) -> Result<(), StorageError> {
        if self.failed.borrow().is_some() { Err(StorageError::Poisoned) } else { Ok(()) }
    }

    /// Takes a record and gives it a number.
    pub fn append(&self, record: &[u8]) -> u64 {
        self.queue.borrow_mut().push_back(Entry::Record(record.to_vec()));
        let index = self.next.get();
        self.next.set(index + 1);
        index
    }

    /// Puts the removal of `from` and what is behind it into the queue, and returns its ticket. The next record is `from`.
    pub fn remove_from(&self, from: u64) -> u64 {
        self.queue.borrow_mut().push_back(Entry::Suffix(from));
        let ticket = self.ticket(self.next.get());
        self.next.set(from);
        self.shift.set(ticket + 1 - from);
        ticket
    }

    /// Puts the removal of what is below `before` into the queue, and returns its ticket.
    pub fn remove_below(&self, before: u64) -> u64 {
        self.queue.borrow_mut().push_back(Entry::Prefix(before));
        let ticket = self.ticket(self.next.get());
        self.shift.set(self.shift.get() + 1);
        ticket
    }

    /// Behind which ticket a record is durable.
    pub fn ticket(&self, index: u64) -> u64 {
        index + self.shift.get()
    }

    /// Waits until a ticket is done.
    pub async fn wait_for(&self, ticket: u64) -> Result<(), StorageError> {
        self.wanted.set(self.wanted.get().max(ticket));
        self.work.notify_one();
        loop {
            let progress = self.progress.notified();
            if self.done.get() >= ticket {
                return Ok(());
            }
            if let Some(error) = &*self.failed.borrow() {
                return Err(error.clone());
            }
            progress.await;
        }
    }

    /// All handles are gone.
    pub fn close(&self) {
        self.closed.set(true);
        self.work.notify_one();
    }

    /// Whether the committer has nothing more to do than to finish.
    pub fn is_ending(&self) -> bool {
        self.closed.get() || self.failed.borrow().is_some() || self.ended.get()
    }

    /// Waits for the committer to be gone.
    pub async fn wait_for_end(&self) {
        while !self.ended.get() {
            self.progress.notified().await;
        }
    }

    fn finish(&self, ticket: u64) {
        self.done.set(ticket);
        self.progress.notify_waiters();
    }
}

/// The records of one write.
struct Batch {
    segment: Segment,
    /// The segment is new: its name has to be synced as well.
    unnamed: bool,
    bytes: Vec<u8>,
    places: Vec<Place>,
    mark: Mark,
}

/// The committer's life. `lock` is what makes it the only one.
pub async fn run(shared: Rc<Shared>, lock: Lock) {
    while !shared.closed.get() {
        if shared.wanted.get() <= shared.done.get() {
            shared.work.notified().await;
            continue;
        }
        if let Err(error) = step(&shared).await {
            *shared.failed.borrow_mut() = Some(error);
            break;
        }
    }
    drop(lock);
    shared.ended.set(true);
    shared.progress.notify_waiters();
}

/// One batch, or one truncation.
async fn step(shared: &Shared) -> Result<(), StorageError> {
    let removal = match shared.queue.borrow().front().expect("somebody waits for an entry") {
        Entry::Record(_) => None,
        Entry::Suffix(from) => Some((true, *from)),
        Entry::Prefix(before) => Some((false, *before)),
    };
    match removal {
        None => write(shared).await,
        Some((suffix, at)) => {
            match suffix {
                true => cut(shared, at).await?,
                false => drop_before(shared, at).await?,
            }
            shared.queue.borrow_mut().pop_front();
            shared.finish(shared.done.get() + 1);
            Ok(())
        }
    }
}

/// Writes a batch and makes it durable.
async fn write(shared: &Shared) -> Result<(), StorageError> {
    rotate(shared).await?;
    let batch = gather(shared);
    let marks = shared.log.borrow().marks.clone();
    let Options { dir, marking, .. } = shared.log.borrow().options.clone();
    let segment = &batch.segment;
    segment.file.write_all_at(&batch.bytes, segment.end).await.context("write", &segment.path)?;
    let beside = marking == Marking::WithBatch;
    if beside {
        marks.write(&batch.mark).await?;
    }
    if planted!("wal.ack-before-sync") {
        apply(shared, &batch);
    }
    if buggify!("wal.late-sync") {
        time::sleep(rand::duration(Duration::ZERO, LATE)).await;
    }
    let sync = async || {
        let records = async { segment.file.sync_data().await.context("sync", &segment.path) };
        let name = async {
            match batch.unnamed && !planted!("wal.no-dir-sync") {
                true => directory::sync(&dir).await,
                false => Ok(()),
            }
        };
        let mark = async { if beside { marks.sync().await } else { Ok(()) } };
        all([Box::pin(records) as Step<'_>, Box::pin(mark), Box::pin(name)]).await
    };
    let mut synced = sync().await;
    if synced.is_err() && planted!("wal.retry-sync") {
        synced = sync().await;
    }
    synced?;
    if !beside {
        marks.write(&batch.mark).await?;
        marks.sync().await?;
    }
    if !planted!("wal.ack-before-sync") {
        apply(shared, &batch);
    }
    Ok(())
}

/// Begins a new segment if the next record would make this one too long. What is in the log by now is durable: a
/// segment may begin.
async fn rotate(shared: &Shared) -> Result<(), StorageError> {
    let (dir, name) = {
        let log = shared.log.borrow();
        let queue = shared.queue.borrow();
        let Some(Entry::Record(record)) = queue.front() else { return Ok(()) };
        let active = log.active();
        let fits = active.end + format::size(record.len()) <= log.options.segment;
        if active.places.is_empty() || fits && !buggify!("wal.early-segment") {
            return Ok(());
        }
        (log.options.dir.clone(), log.next_name(log.last + 1))
    };
    let segment = Segment::begin(&dir, name, &[]).await?;
    let mut log = shared.log.borrow_mut();
    log.segments.push(segment);
    log.unnamed = true;
    Ok(())
}

/// Takes records out of the queue, as many as fit into the segment, but at least one.
fn gather(shared: &Shared) -> Batch {
    let log = shared.log.borrow();
    let mut queue = shared.queue.borrow_mut();
    let segment = log.active();
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    while let Some(Entry::Record(record)) = queue.front() {
        let end = segment.end + bytes.len() as u64;
        let fits = end + format::size(record.len()) <= log.options.segment;
        if !places.is_empty() && (!fits || buggify!("wal.short-batch")) {
            break;
        }
        let index = log.last + 1 + places.len() as u64;
        let offset = format::put(&mut bytes, &segment.name, segment.end, Kind::Data, index, log.last, record);
        places.push(Place { offset, len: record.len() as u32 });
        queue.pop_front();
    }
    let written = log.last + places.len() as u64;
    let synced = match log.options.marking {
        Marking::WithBatch => log.last,
        Marking::AfterBatch => written,
    };
    let mark = Mark { synced, written, end: segment.end + bytes.len() as u64, ..log.settled() };
    // Not the places: of those there may be many, and the log has them.
    let segment = Segment { places: Vec::new(), notes: Vec::new(), ..segment.clone() };
    Batch { segment, unnamed: log.unnamed, bytes, places, mark }
}

/// A batch is durable: now it is in the log.
fn apply(shared: &Shared, batch: &Batch) {
    let mut log = shared.log.borrow_mut();
    let segment = log.segments.last_mut().expect("an open log has a segment");
    segment.places.extend(&batch.places);
    segment.end = batch.mark.end;
    log.last = batch.mark.written;
    log.mark = batch.mark;
    log.unnamed = false;
    drop(log);
    shared.finish(shared.done.get() + batch.places.len() as u64);
}

/// Removes `from` and what is behind it. What is in front is durable: it was in the queue before.
async fn cut(shared: &Shared, from: u64) -> Result<(), StorageError> {
    let (dir, name, notes) = {
        let log = shared.log.borrow();
        if from > log.last {
            return Ok(());
        }
        (log.options.dir.clone(), log.next_name(from), log.to_note(from))
    };
    let begun = Segment::cut(&dir, name, &notes).await?;
    let dead = {
        let mut log = shared.log.borrow_mut();
        let dead = log.forget_from(from);
        log.segments.push(begun);
        log.unnamed = false;
        dead
    };
    unlink(&dir, dead.iter().map(|segment| segment.path.to_string())).await?;
    settle(shared).await
}

/// Removes the segments whose records are all below `before`: first the mark says where the log begins, so that those of
/// them which a crash brings back, in whichever order, are not taken for a log with holes.
async fn drop_before(shared: &Shared, before: u64) -> Result<(), StorageError> {
    let (dir, dead) = {
        let mut log = shared.log.borrow_mut();
        let kept = log.segments.partition_point(|segment| segment.name.first <= before).saturating_sub(1);
        let dead: Vec<String> = log.segments.drain(..kept).map(|segment| segment.path.to_string()).collect();
        log.first = log.first.max(log.segments[0].name.first);
        (log.options.dir.clone(), dead)
    };
    if dead.is_empty() {
        return Ok(());
    }
    settle(shared).await?;
    unlink(&dir, dead).await
}

/// Has both slots of the mark say how the log is now.
async fn settle(shared: &Shared) -> Result<(), StorageError> {
    let (marks, mark) = {
        let log = shared.log.borrow();
        (log.marks.clone(), log.settled())
    };
    let mark = marks.settle(mark).await?;
    shared.log.borrow_mut().mark = mark;
    Ok(())
}

type Step<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), StorageError>> + 'a>>;

/// Runs all of them side by side, all to their ends: when one has failed, another may still be writing.
async fn all<const N: usize>(steps: [Step<'_>; N]) -> Result<(), StorageError> {
    let mut steps = steps.map(Some);
    let mut result = Ok(());
    let mut run = pin!(poll_fn(|cx| {
        for step in &mut steps {
            if let Some(Poll::Ready(done)) = step.as_mut().map(|step| step.as_mut().poll(cx)) {
                *step = None;
                if result.is_ok() {
                    result = done;
                }
            }
        }
        if steps.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    }));
    run.as_mut().await;
    result
}
