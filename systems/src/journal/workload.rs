//! What clients do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::history::Op;
use sim::{Client, observe, rand, time};

use super::Params;
use super::client::{Clerk, NotKept};
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

/// Arguments of `append`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Append {
    /// The least and the most bytes of a record.
    pub bytes: (u64, u64),
    /// Share of reads, 0 to 1.
    pub reads: f64,
    /// The least and the most time between operations, in milliseconds.
    pub think_ms: (u64, u64),
    /// After this many milliseconds an operation is given up.
    pub deadline_ms: u64,
    /// After this many operations a client is done; 0 is never.
    pub ops: u64,
}

impl Default for Append {
    fn default() -> Self {
        Append { bytes: (8, 300), reads: 0.03, think_ms: (5, 60), deadline_ms: 3_000, ops: 0 }
    }
}

/// Appends records that all differ, and now and then reads everything.
pub async fn append(cx: Client<Params>, args: Append) {
    let mut clerk = Clerk::default();
    let deadline = Duration::from_millis(args.deadline_ms);
    let mut done = 0;
    while cx.running() && (args.ops == 0 || done < args.ops) {
        done += 1;
        if rand::chance(args.reads) {
            read(&cx, &clerk, deadline).await;
        } else {
            let record = clerk.record(body(rand::between(args.bytes.0, args.bytes.1)));
            let id = record.id();
            let call = cx.invoke(JournalOp::Append { record: id });
            observe!(Asked { record: id });
            match clerk.append(&record, deadline).await {
                Ok(index) => {
                    observe!(Answered { record: id, index });
                    call.ok(JournalRet::Appended(index));
                }
                Err(NotKept::Refused) => call.fail(),
                Err(NotKept::Unknown) => call.unknown(),
            }
        }
        time::sleep(Duration::from_millis(rand::between(args.think_ms.0, args.think_ms.1))).await;
    }
}

/// Arguments of `read-all`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadAll {
    /// After this many milliseconds it is given up.
    pub deadline_ms: u64,
}

impl Default for ReadAll {
    fn default() -> Self {
        ReadAll { deadline_ms: 10_000 }
    }
}

/// Reads everything once.
pub async fn read_all(cx: Client<Params>, args: ReadAll) {
    let clerk = Clerk::default();
    read(&cx, &clerk, Duration::from_millis(args.deadline_ms)).await;
    observe!(Audited {});
}

async fn read(cx: &Client<Params>, clerk: &Clerk, deadline: Duration) {
    let call = cx.invoke(JournalOp::Read);
    observe!(Reading {});
    match clerk.read(deadline).await {
        Some((records, lost)) => {
            let contents = Contents::of(&records, &lost);
            observe!(Listed { contents: contents.clone() });
            call.ok(JournalRet::Contents(contents));
        }
        None => call.unknown(),
    }
}

/// A text of that length which is not all the same.
fn body(len: u64) -> String {
    let start = rand::below(26) as u8;
    (0..len).map(|i| char::from(b'a' + (start + (i % 26) as u8) % 26)).collect()
}
