//! Opening a log: what is there, what is to be thought of it, and how it is put in order.
//!
//! Nothing is believed because it can be read. When the process crashed and the machine did not, or when a sync failed, the
//! page cache shows bytes that are not on the disk, and a failed sync leaves some of them *clean*: no later sync will
//! write them (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020). So everything that is not known
//! to be durable is written once more, the same bytes to the same place, and synced, before it is shown to any caller.
//!
//! All of this may be cut short by a crash at any point, and begun anew: each step leaves a log that means the same. The
//! order of the steps is what counts:
//!
//! 1. The tail is written again and synced, and the names are: now all that is left of the log is durable.
//! 2. A new segment begins, where something was torn or behind the last record. Its name is durable before anything else
//!    happens, and says that all before it is settled, which is true since step 1.
//! 3. The marks say how far the log is. Until then the old ones do, and they stay true.
//! 4. What was overruled goes away, and what lies in front of the log; if a crash brings it back, it is still overruled, or in
//!    front. That is why this comes last: the mark that says where the log begins may have been in the page cache
//!    only, and without it the files that are gone would be a hole.

use sim::planted;

use super::format::Name;
use super::judge::{Facts, judge};
use super::log::{Log, unlink};
use super::mark::{Mark, MarkFile};
use super::scan::{Scan, fetch, scan};
use super::segment::{LOST, Segment};
use super::{Options, Recovery};
use crate::storage::StorageError;
use crate::storage::directory::{self, join};
use crate::storage::error::Context;
use crate::storage::window::Window;

/// The segments of a directory.
struct Listed {
    /// Those that count, each with the first record that a later one has.
    live: Vec<(Name, u64)>,
    /// Those that were overruled or cut off.
    dead: Vec<Name>,
}

/// Opens the log in a directory, and puts it in order.
pub async fn open(options: Options) -> Result<(Log, Recovery), StorageError> {
    let dir = &options.dir;
    directory::create(dir).await?;
    let files = directory::tidy(dir).await?;
    let mut names: Vec<Name> = files.iter().filter_map(|file| Name::parse(file)).collect();
    names.sort_by_key(|name| (name.sequence, name.salt));
    let (marks, found) = MarkFile::open(dir, &files, names.is_empty()).await?;
    // If all marks are lost, the segments are the log.
    let mut mark = found.newest.unwrap_or(Mark { first: names.first().map_or(1, |name| name.first), ..Mark::START });
    let newest = names.last().map_or(0, |name| name.sequence);
    let sequence = newest.max(mark.segment) + 1;
    // A mark knows nothing of cuts that came after it.
    for name in names.iter().filter(|name| name.sequence > mark.segment) {
        mark.written = mark.written.min(name.first - 1);
        mark.synced = mark.synced.min(name.first - 1);
    }
    let Listed { live, dead } = list(names, mark.first);

    let mut segments = Vec::new();
    let mut scans: Vec<Scan> = Vec::new();
    for &(name, bound) in &live {
        let mut segment = Segment::open(dir, name).await?;
        scans.push(scan(&mut segment, bound).await?);
        if bound < u64::MAX {
            segment.places.resize((bound - name.first) as usize, LOST);
        }
        segments.push(segment);
    }
    let noted = merge(segments.iter().flat_map(|segment| segment.notes.clone()), mark.first);
    for segment in &mut segments {
        give_up(segment, &noted);
    }

    let facts = facts(&segments, &scans, &mark, newest, found.sound, &noted);
    let judgement = judge(&facts);
    let first = segments.first().map_or(mark.first, |segment| segment.name.first.max(mark.first));
    let mut recovery = judgement.report(first, &noted);
    recovery.read = scans.iter().map(|scan| scan.read).sum();
    recovery.buffer = scans.iter().map(|scan| scan.buffer).max().unwrap_or(0);

    // Step 1.
    let last = judgement.last;
    if let Some(segment) = segments.last() {
        rewrite(segment, facts.synced, last).await?;
        directory::sync(dir).await?;
    }

    // Step 2.
    let mut log = Log { options, first, last, segments, unnamed: false, marks, mark };
    let dir = log.options.dir.clone();
    let mut notes = log.to_note(last + 1);
    notes.extend(judgement.ambiguous);
    let begun = Segment::cut(&dir, Name::new(sequence, last + 1), &notes).await?;

    let overruled = log.forget_from(last + 1).into_iter().map(|segment| segment.name);
    let dead = dead.into_iter().chain(overruled).map(|name| join(&dir, &name.file_name()));
    if let Some(segment) = log.segments.last_mut() {
        segment.places.resize((last + 1 - segment.name.first) as usize, LOST);
        if judgement.torn.is_some() {
            segment.shrink().await;
        }
    }
    log.segments.push(begun);
    log.first = first.max(log.segments[0].name.first);

    // Step 3.
    log.mark = log.marks.settle(log.settled()).await?;

    // Step 4.
    unlink(&dir, dead).await?;
    Ok((log, recovery))
}

/// Which segments count: not those that a later one overruled from their first record on, nor those in front of the log.
fn list(names: Vec<Name>, first: u64) -> Listed {
    let mut listed = Listed { live: Vec::new(), dead: Vec::new() };
    let mut bound = u64::MAX;
    for name in names.into_iter().rev() {
        if name.first >= bound || bound <= first {
            listed.dead.push(name);
        } else {
            listed.live.push((name, bound));
        }
        bound = bound.min(name.first);
    }
    listed.live.reverse();
    listed
}

/// Ranges in order, without what lies before `first`; those that touch become one.
fn merge(ranges: impl IntoIterator<Item = (u64, u64)>, first: u64) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = ranges.into_iter().filter(|range| range.1 >= first).collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (a, b) in ranges {
        match merged.last_mut() {
            Some((_, end)) if a <= *end + 1 => *end = b.max(*end),
            _ => merged.push((a.max(first), b)),
        }
    }
    merged
}

/// What was given up stays so, even if it can be read this time.
fn give_up(segment: &mut Segment, noted: &[(u64, u64)]) {
    let first = segment.name.first;
    for &(a, b) in noted {
        for index in a.max(first)..=b.min(segment.last()) {
            segment.places[(index - first) as usize] = LOST;
        }
    }
}

fn facts(segments: &[Segment], scans: &[Scan], mark: &Mark, newest: u64, sound: bool, noted: &[(u64, u64)]) -> Facts {
    let mut missing = Vec::new();
    // Names do not rot: only a file that somebody removed leaves a hole in front.
    let begin = segments.first().map_or(mark.first, |segment| segment.name.first);
    if begin > mark.first {
        missing.push((mark.first, begin - 1));
    }
    for segment in segments {
        let places = segment.places.iter().enumerate().filter(|(_, place)| **place == LOST);
        let lost = places.map(|(at, _)| segment.name.first + at as u64).filter(|&index| index >= mark.first);
        missing.extend(lost.filter(|&index| !within(noted, index)).map(|index| (index, index)));
    }
    let proved = scans.iter().map(|scan| scan.proved).max().unwrap_or(0);
    let before = segments.last().map_or(mark.first - 1, |segment| segment.name.first - 1);
    let last = scans.last();
    Facts {
        missing: merge(missing, mark.first),
        seen: last.map_or(before, |scan| scan.seen),
        junk: last.map_or(0, |scan| scan.junk),
        synced: mark.synced.max(proved).max(before),
        written: mark.written,
        unfinished: mark.segment > newest || mark.segment == newest && last.is_some_and(|scan| scan.length < mark.end),
        sound,
    }
}

fn within(ranges: &[(u64, u64)], index: u64) -> bool {
    let after = ranges.partition_point(|range| range.0 <= index);
    after > 0 && ranges[after - 1].1 >= index
}

/// Writes the records behind `synced` once more, and syncs them: they may be in the page cache only, and look durable.
/// All of them are in the last segment, as it began when everything before it was durable.
async fn rewrite(segment: &Segment, synced: u64, last: u64) -> Result<(), StorageError> {
    if planted!("wal.trust-cache") {
        return Ok(());
    }
    let mut window = Window::new(segment.file.clone(), &segment.path);
    for index in synced + 1..=last {
        let place = segment.place(index);
        if place == LOST {
            continue;
        }
        let Some((header, payload)) = fetch(&mut window, segment, place.offset).await? else {
            // Just now it was sound. The next attempt will find out what it is.
            let why = "a record changed while the log was being opened";
            return Err(StorageError::Corrupt { path: segment.path.to_string(), offset: place.offset, why });
        };
        let mut record = header.encode(&segment.name, place.offset).to_vec();
        record.extend_from_slice(&payload);
        record.resize(header.size() as usize, 0);
        segment.file.write_all_at(&record, place.offset).await.context("write", &segment.path)?;
    }
    let synced = segment.file.sync_data().await.context("sync", &segment.path);
    if planted!("wal.ignore-sync-error") { Ok(()) } else { synced }
}
