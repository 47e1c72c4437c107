//! From what is on the disk to what the journal holds: the newest good snapshot, and the log behind it.

use std::cell::{Cell, RefCell};

use sim::{always, fs, observe, sometimes};

use super::Params;
use super::events::{Contents, LostRecords, Recovered, SnapshotSkipped, Torn};
use super::state::{Record, Sessions, State};
use crate::storage::StorageError;
use crate::storage::snapshot::Snapshots;
use crate::storage::wal::{Finding, Options, Read, Recovery, Wal};

/// Where the log is.
pub const LOG: &str = "log";
/// Where the snapshots are.
pub const SNAPSHOTS: &str = "snapshots";

/// A journal that is open: from a recovery to the next failure.
pub struct Open {
    /// Its log.
    pub wal: Wal,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// What is durable.
    pub state: RefCell<State>,
    /// What is appended and not known to be durable, ascending.
    pub pending: RefCell<Vec<(u64, Record)>>,
    /// The latest record of each client, durable or not.
    pub sessions: RefCell<Sessions>,
    /// The last good snapshot; 0 is none.
    pub kept: Cell<u64>,
    /// The last record after which a snapshot was begun.
    pub attempted: Cell<u64>,
    /// Whether a snapshot is being written.
    pub busy: Cell<bool>,
}

/// Reads the disk.
pub async fn open(params: &Params) -> Result<Open, StorageError> {
    let snapshots = Snapshots::open(SNAPSHOTS).await?;
    let (mut state, kept) = load(&snapshots).await?;
    let Params { segment, max_record, marking, .. } = *params;
    let options = Options { dir: LOG.to_owned(), segment, max_record, marking };
    let (wal, recovery) = Wal::open(options).await?;
    replay(&wal, &recovery, &mut state).await?;
    fill(&wal, &mut state).await?;
    observe!(Recovered { first: wal.first(), last: state.last(), snapshot: kept, contents: Contents::from(&state) });
    Ok(Open {
        wal,
        snapshots,
        sessions: RefCell::new(state.sessions()),
        attempted: Cell::new(kept),
        state: RefCell::new(state),
        pending: RefCell::default(),
        kept: Cell::new(kept),
        busy: Cell::new(false),
    })
}

/// The state of the newest good snapshot, and which that is.
async fn load(snapshots: &Snapshots) -> Result<(State, u64), StorageError> {
    let (snapshot, skipped) = snapshots.latest().await?;
    for skipped in &skipped {
        tracing::warn!(path = skipped.path, why = %skipped.why, "a snapshot is not good");
        observe!(SnapshotSkipped { index: skipped.index });
    }
    let Some(mut snapshot) = snapshot else { return Ok((State::default(), 0)) };
    // Two are kept. One that is no good must not take the place of one that is.
    for skipped in &skipped {
        let _ = fs::remove_file(&skipped.path).await;
    }
    let mut bytes = Vec::with_capacity(snapshot.len() as usize);
    while let Some(piece) = snapshot.read().await? {
        bytes.extend_from_slice(&piece);
    }
    let decoded = State::decode(&bytes);
    always!(decoded.is_ok(), "journal.a-verified-snapshot-is-one", "{} is none", snapshot.path());
    Ok((decoded.unwrap_or_default(), snapshot.index()))
}

/// Adds what the log has behind the state.
async fn replay(wal: &Wal, recovery: &Recovery, state: &mut State) -> Result<(), StorageError> {
    for finding in &recovery.findings {
        tracing::warn!(?finding, "the log is not as it was left");
        if let Finding::Torn { from } = finding {
            observe!(Torn { from: *from });
        }
    }
    let ambiguous = |index: u64| {
        let covers = |finding: &Finding| matches!(*finding, Finding::Ambiguous { first, last } if (first..=last).contains(&index));
        recovery.findings.iter().any(covers)
    };
    // What the log does not have any more, and no good snapshot has.
    lose(state, state.last() + 1, wal.first() - 1, false);
    let mut reader = wal.read(state.last() + 1);
    while let Some(read) = reader.next().await? {
        match read {
            Read::Record { index, payload } if payload.is_empty() => state.skip(index),
            Read::Record { index, payload } => {
                let record: Result<Record, _> = sim::codec::decode(&payload);
                always!(record.is_ok(), "journal.a-verified-record-is-one", "record {index} is none");
                match record {
                    Ok(record) => state.push(index, record),
                    Err(_) => lose(state, index, index, false),
                }
            }
            Read::Lost { first, last } => lose(state, first, last, ambiguous(last)),
        }
    }
    Ok(())
}

fn lose(state: &mut State, first: u64, last: u64, ambiguous: bool) {
    if let Some(lost) = state.lose(first, last, ambiguous) {
        tracing::warn!(first = lost.first, last, ambiguous, "records are lost");
        observe!(LostRecords { first: lost.first, last, ambiguous });
    }
}

/// A log that has lost more than its end would give out numbers again that the snapshot knows, and what came under them
/// would be taken for known the next time. Empty records bring it up to there.
async fn fill(wal: &Wal, state: &mut State) -> Result<(), StorageError> {
    if wal.last() >= state.last() {
        return Ok(());
    }
    sometimes!(true, "journal: the log ends before the snapshot");
    let mut index = wal.last();
    while index < state.last() {
        index = wal.append(&[])?;
    }
    wal.sync(index).await
}
