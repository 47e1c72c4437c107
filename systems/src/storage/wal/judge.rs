//! What is to be thought of a record that is not there: torn, corrupt, or nobody can tell.
//!
//! | the record is | it was | why |
//! |---|---|---|
//! | at most `synced` | acknowledged, and damaged since: **corrupt** | a mark, or a later record, or a later segment says that it was durable |
//! | above `written` | never acknowledged: **torn** | its batch's mark is written and synced with the batch, and is not there |
//! | in between, and the file ends before the batch does | never acknowledged: **torn** | a length is durable with the bytes, and does not rot |
//! | in between | **ambiguous** | the machine died before the batch was durable, or the batch was durable and rotted |
//! | above `written`, with a slot of the mark unreadable | **ambiguous** | that slot may have had the mark that speaks of it |
//!
//! Only what is torn is cut off. Its number is given to another record; the number of a corrupt or an ambiguous one never is.

use sim::planted;

use super::format::HEADER;
use super::{Finding, Recovery};

/// What is known before the judgement.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Ranges without a sound record, up to `seen`, ascending.
    pub missing: Vec<(u64, u64)>,
    /// The last record of which there is at least a header.
    pub seen: u64,
    /// How many bytes there are behind that one.
    pub junk: u64,
    /// The last record that is known to have been durable.
    pub synced: u64,
    /// The last record that was written with the newest mark.
    pub written: u64,
    /// Whether the batch of the newest mark is longer than the file that should hold it.
    pub unfinished: bool,
    /// Whether the newest mark is known.
    pub sound: bool,
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The last record of the log, lost or not.
    pub last: u64,
    /// Where it is cut off because something was torn there.
    pub torn: Option<u64>,
    /// Ranges of acknowledged records that are lost.
    pub corrupt: Vec<(u64, u64)>,
    /// Ranges of lost records of which nobody knows whether they were acknowledged.
    pub ambiguous: Vec<(u64, u64)>,
}

/// Judges.
pub fn judge(facts: &Facts) -> Judgement {
    let synced = facts.synced;
    let written = if facts.unfinished { synced } else { facts.written.max(synced) };
    // A batch that was never finished had no successor: its mark is the newest, even if a slot is unreadable.
    let sound = facts.sound || facts.unfinished;
    let end = match sound {
        true => written.max(facts.seen),
        // What is there may have been as many records. To name more than there were costs numbers, to name less would
        // hide a loss.
        false => written.max(facts.seen + facts.junk.div_ceil(HEADER as u64)),
    };
    let mut lost = facts.missing.clone();
    if facts.seen < end {
        lost.push((facts.seen + 1, end));
    }
    let above = |limit: u64| lost.iter().find(|(_, last)| *last > limit).map(|(first, _)| (*first).max(limit + 1));
    let mut torn = match sound {
        true => above(written).or_else(|| {
            let cut_short = facts.unfinished && facts.written > facts.seen || facts.junk > 0;
            // Behind lost records junk is what they have become.
            (cut_short && facts.seen == end).then_some(end + 1)
        }),
        false => None,
    };
    if planted!("wal.rot-is-tail") {
        torn = above(0).or(torn);
    }
    let last = torn.map_or(end, |torn| torn - 1);
    let clip = |low: u64, high: u64| {
        let clipped = lost.iter().map(move |&(a, b)| (a.max(low), b.min(high)));
        clipped.filter(|(a, b)| a <= b).collect::<Vec<_>>()
    };
    Judgement { last, torn, corrupt: clip(1, synced.min(last)), ambiguous: clip(synced + 1, last) }
}

impl Judgement {
    /// The judgement as the log's user hears it.
    pub fn report(&self, first: u64, noted: &[(u64, u64)]) -> Recovery {
        let corrupt = self.corrupt.iter().map(|&(first, last)| Finding::Corrupt { first, last });
        let ambiguous = noted.iter().chain(&self.ambiguous).map(|&(first, last)| Finding::Ambiguous { first, last });
        let mut findings: Vec<Finding> = corrupt.chain(ambiguous).collect();
        findings.sort_by_key(|finding| match *finding {
            Finding::Corrupt { first, .. } | Finding::Ambiguous { first, .. } | Finding::Torn { from: first } => first,
        });
        findings.extend(self.torn.map(|from| Finding::Torn { from }));
        Recovery { first, last: self.last, findings, read: 0, buffer: 0 }
    }
}
