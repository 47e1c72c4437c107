//! From what is on the disk to what the journal holds: the newest good snapshot, and the log behind it.

use std::cell::{Cell, RefCell};

use sim::{always, observe};

use super::Params;
use super::events::{Contents, LostRecords, Recovered, SnapshotSkipped, Torn};
use super::state::{Record, State};
use crate::kit::session::Replies;
use crate::storage::StorageError;
use crate::storage::checkpointed::{Checkpointed, Opened};
use crate::storage::snapshot::{Skipped, Snapshot};
use crate::storage::wal::{Finding, Options, Read, Recovery, Wal};

/// Where the log is.
pub const LOG: &str = "log";
/// Where the snapshots are.
pub const SNAPSHOTS: &str = "snapshots";

/// A journal that is open: from a recovery to the next failure.
pub struct Open {
    /// Its log and its snapshots.
    pub store: Checkpointed,
    /// What is durable.
    pub state: RefCell<State>,
    /// What is appended and not known to be durable, ascending.
    pub pending: RefCell<Vec<(u64, Record)>>,
    /// The latest record of each client, durable or not.
    pub sessions: RefCell<Replies<u64>>,
    /// The last record after which a snapshot was begun.
    pub attempted: Cell<u64>,
    /// Whether a snapshot is being written.
    pub busy: Cell<bool>,
}

/// Reads the disk.
pub async fn open(params: &Params) -> Result<Open, StorageError> {
    let Params { segment, max_record, marking, .. } = *params;
    let options = Options { dir: LOG.to_owned(), segment, max_record, marking };
    let Opened { store, snapshot, skipped, recovery } = Checkpointed::open(SNAPSHOTS, options).await?;
    say_skipped(&skipped);
    let (mut state, kept) = load(snapshot).await?;
    let wal = store.wal();
    replay(wal, &recovery, &mut state).await?;
    fill(wal, &mut state).await?;
    store.discard(&skipped).await;
    observe!(Recovered { first: wal.first(), last: state.last(), snapshot: kept, contents: Contents::from(&state) });
    Ok(Open {
        store,
        sessions: RefCell::new(state.sessions()),
        attempted: Cell::new(kept),
        state: RefCell::new(state),
        pending: RefCell::default(),
        busy: Cell::new(false),
    })
}

fn say_skipped(skipped: &[Skipped]) {
    for skipped in skipped {
        tracing::warn!(path = skipped.path, why = %skipped.why, "a snapshot is not good");
        observe!(SnapshotSkipped { index: skipped.index });
    }
}

/// The state of the newest good snapshot, and which that is; 0 is none.
async fn load(snapshot: Option<Snapshot>) -> Result<(State, u64), StorageError> {
    let Some(mut snapshot) = snapshot else { return Ok((State::default(), 0)) };
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

/// A log that ends before the snapshot would give out numbers again that the snapshot knows, and what came under them would be
/// taken for known the next time. Empty records bring it up to there. Damage does not shorten a log, so that this only is if
/// the disk said that something was durable which was not, or somebody has put an older log in its place.
async fn fill(wal: &Wal, state: &mut State) -> Result<(), StorageError> {
    if wal.last() >= state.last() {
        return Ok(());
    }
    let mut index = wal.last();
    while index < state.last() {
        index = wal.append(&[])?;
    }
    wal.sync(index).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sim::fs;

    use super::*;
    use crate::kit::session::{RequestId, Session};

    fn record(number: u64) -> Record {
        let session = Session { node: sim::NodeId::new(1), incarnation: 1, nth: 0 };
        Record { request: RequestId { session, number }, body: "body".to_owned() }
    }

    async fn append(open: &Open, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            let index = open.store.wal().append(&record(number).encode()).expect("the log is in order");
            open.store.wal().sync(index).await.expect("the log is in order");
        }
    }

    fn known(open: &Open) -> Vec<(u64, u64)> {
        open.state.borrow().records().iter().map(|(index, record)| (*index, record.request.number)).collect()
    }

    #[test]
    fn a_number_that_the_snapshot_knows_is_not_given_out_again_by_a_log_that_lost_it() {
        let run = sim::simulate(1, |sim| {
            sim.node("journal-0", || async {
                let params = Params::default();
                {
                    let first = open(&params).await.expect("the disk is sound");
                    append(&first, 1..=5).await;
                }
                {
                    let second = open(&params).await.expect("the disk is sound");
                    let bytes = second.state.borrow().encode();
                    let mut writer = second.store.begin(5).await.expect("there is space");
                    writer.write(&bytes).await.expect("there is space");
                    second.store.commit(writer).await.expect("there is space");
                }
                for name in fs::read_dir(LOG).await.expect("it is there") {
                    fs::remove_file(&format!("{LOG}/{name}")).await.expect("it is there");
                }
                {
                    let third = open(&params).await.expect("the disk is sound");
                    assert_eq!((third.store.wal().first(), third.store.wal().last()), (1, 5));
                    append(&third, 6..=6).await;
                }
                let fourth = open(&params).await.expect("the disk is sound");
                assert_eq!(known(&fourth), (1..=6).map(|n| (n, n)).collect::<Vec<_>>());
            });
            sim.run_for(Duration::from_secs(5));
        });
        assert_eq!(run.expect("the world runs").failures, vec![]);
    }
}
