//! What clients do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::{Client, observe, rand};

use super::Params;
use super::client::Clerk;
use super::events::{Answered, Asked, Audited, Contents, Listed, Reading};

/// What a client asks of the journal, as the history has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JournalOp {
    /// Keep a record.
    Append {
        /// Its identity.
        record: u64,
    },
    /// Return everything.
    Read,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JournalRet {
    /// The record's number.
    Appended(u64),
    /// Everything.
    Contents(Contents),
}

impl Op for JournalOp {
    type Ret = JournalRet;
    const KINDS: &'static [&'static str] = &["append", "read"];

    fn kind(&self) -> &'static str {
        match self {
            JournalOp::Append { .. } => "append",
            JournalOp::Read => "read",
        }
    }
}

crate::args! {
    /// Arguments of `append`.
    pub struct Append {
        /// The least and the most bytes of a record.
        bytes: (u64, u64) = (8, 300),
        /// Share of reads, 0 to 1.
        reads: f64 = 0.03,
    } paced { think_ms: (5, 60), deadline_ms: 3_000 }
}

/// Appends records that all differ, and now and then reads everything.
pub async fn append(cx: Client<Params>, args: Append) {
    let (mut clerk, pace) = (Clerk::default(), args.pace());
    let one = async |_| {
        if rand::chance(args.reads) {
            return read(&cx, &clerk, pace.deadline()).await;
        }
        let record = clerk.record(body(rand::between(args.bytes.0, args.bytes.1)));
        let id = record.id();
        let work = async {
            observe!(Asked { record: id });
            let index = clerk.append(&record, pace.deadline()).await?;
            observe!(Answered { record: id, index });
            Ok(JournalRet::Appended(index))
        };
        let _ = cx.record(JournalOp::Append { record: id }, work).await;
    };
    pace.run(&cx, one).await;
}

crate::args! {
    /// Arguments of `read-all`.
    pub struct ReadAll {
        /// After this many milliseconds it is given up.
        deadline_ms: u64 = 10_000,
    }
}

/// Reads everything once.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let clerk = Clerk::default();
    read(&cx, &clerk, Duration::from_millis(args.deadline_ms)).await;
    observe!(Audited {});
}

async fn read(cx: &Client<Params>, clerk: &Clerk, within: Duration) {
    let work = async {
        observe!(Reading {});
        let (records, lost) = clerk.read(within).await?;
        let contents = Contents::of(&records, &lost);
        observe!(Listed { contents: contents.clone() });
        Ok(JournalRet::Contents(contents))
    };
    let _ = cx.record(JournalOp::Read, work).await;
}

/// A text of that length which is not all the same.
fn body(len: u64) -> String {
    let start = rand::below(26) as u8;
    (0..len).map(|i| char::from(b'a' + (start + (i % 26) as u8) % 26)).collect()
}
