//! What is to be thought of a record that is not there: torn, corrupt, or ambiguous.
//!
//! | the record is | it was | why |
//! |---|---|---|
//! | at most `synced` | acknowledged, and damaged since: **corrupt** | a mark, or a later record, or a later segment says that it was durable |
//! | above `written` | never acknowledged: **torn** | its batch's mark is synced before the acknowledgement, and is not there |
//! | in between, and the file ends before the batch does | never acknowledged: **torn** | a length is durable with the bytes, and does not rot |
//! | in between | **ambiguous** | the machine crashed before the batch was durable, or the batch was durable and rotted |
//! | above `written`, with a slot of the mark unreadable | **ambiguous** | that slot may have had the mark that speaks of it |
//!
//! Nothing is in between if marks are written when their batches are durable: then only damage to marks makes anything ambiguous.
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
    /// Ranges of lost records of which it is unknown whether they were acknowledged.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Records 1 to 20; the last batch was 16 to 20.
    fn facts() -> Facts {
        Facts { missing: vec![], seen: 20, junk: 0, synced: 15, written: 20, unfinished: false, sound: true }
    }

    fn whole(last: u64) -> Judgement {
        Judgement { last, ..Judgement::default() }
    }

    #[test]
    fn nothing_is_wrong_with_a_whole_log() {
        assert_eq!(judge(&facts()), whole(20));
        // Also if it is unknown what the newest mark said.
        assert_eq!(judge(&Facts { sound: false, ..facts() }), whole(20));
        // A batch of which only the records are left is as good as one that was acknowledged.
        assert_eq!(judge(&Facts { seen: 25, ..facts() }), whole(25));
    }

    #[test]
    fn what_was_acknowledged_is_corrupt_wherever_it_is() {
        let missing = vec![(2, 4), (15, 15)];
        let judged = judge(&Facts { missing: missing.clone(), ..facts() });
        assert_eq!(judged, Judgement { corrupt: missing, ..whole(20) });
    }

    #[test]
    fn the_last_batch_is_ambiguous() {
        let judged = judge(&Facts { missing: vec![(14, 17)], seen: 18, ..facts() });
        let (corrupt, ambiguous) = (vec![(14, 15)], vec![(16, 17), (19, 20)]);
        assert_eq!(judged, Judgement { corrupt, ambiguous, ..whole(20) });
    }

    #[test]
    fn what_has_no_mark_is_torn() {
        // The first two records of a batch, then bytes.
        assert_eq!(judge(&Facts { seen: 22, junk: 99, ..facts() }), Judgement { torn: Some(23), ..whole(22) });
        // A hole in a batch: what is behind it goes too.
        let judged = judge(&Facts { missing: vec![(22, 22)], seen: 25, ..facts() });
        assert_eq!(judged, Judgement { torn: Some(22), ..whole(21) });
        // A hole that begins in the batch before.
        let judged = judge(&Facts { missing: vec![(20, 22)], seen: 25, ..facts() });
        assert_eq!(judged, Judgement { torn: Some(21), ambiguous: vec![(20, 20)], ..whole(20) });
    }

    #[test]
    fn nothing_is_ambiguous_if_the_mark_waited_for_its_batch() {
        let facts = Facts { synced: 20, ..facts() };
        let judged = judge(&Facts { missing: vec![(19, 19)], ..facts.clone() });
        assert_eq!(judged, Judgement { corrupt: vec![(19, 19)], ..whole(20) });
        let judged = judge(&Facts { seen: 18, junk: 70, ..facts.clone() });
        assert_eq!(judged, Judgement { corrupt: vec![(19, 20)], ..whole(20) });
        // The next batch, whose mark is not there.
        let judged = judge(&Facts { missing: vec![(20, 21)], seen: 22, junk: 9, ..facts });
        assert_eq!(judged, Judgement { torn: Some(21), corrupt: vec![(20, 20)], ..whole(20) });
    }

    #[test]
    fn a_batch_that_is_longer_than_its_file_was_never_acknowledged() {
        let judged = judge(&Facts { missing: vec![(17, 17)], seen: 18, unfinished: true, ..facts() });
        assert_eq!(judged, Judgement { torn: Some(17), ..whole(16) });
        let judged = judge(&Facts { seen: 18, unfinished: true, sound: false, ..facts() });
        assert_eq!(judged, Judgement { torn: Some(19), ..whole(18) });
    }

    #[test]
    fn bytes_behind_lost_records_are_those_records() {
        let judged = judge(&Facts { seen: 18, junk: 70, ..facts() });
        assert_eq!(judged, Judgement { ambiguous: vec![(19, 20)], ..whole(20) });
    }

    #[test]
    fn without_the_newest_mark_it_is_ambiguous() {
        // 70 bytes have room for the headers of three records.
        let judged = judge(&Facts { sound: false, junk: 70, ..facts() });
        assert_eq!(judged, Judgement { ambiguous: vec![(21, 23)], ..whole(23) });
        let judged = judge(&Facts { sound: false, missing: vec![(21, 21)], seen: 22, ..facts() });
        assert_eq!(judged, Judgement { ambiguous: vec![(21, 21)], ..whole(22) });
    }
}
