//! Reading a segment from end to end: which records are sound, and where.
//!
//! A bad record does not end the segment. If its header is sound, that says where the next one is; otherwise the next sound
//! header is looked for, byte by byte of its alignment. A header is only sound at its own place in its own segment, so
//! what a client put into a payload is never taken for one.

use sim::planted;

use super::format::{self, ALIGN, HEADER, Header, Kind, Name};
use super::segment::{LOST, Place, Segment};
use crate::storage::StorageError;
use crate::storage::error::Context;
use crate::storage::window::{TRIES, WINDOW, Window};

/// How often the next sound header is looked for: a bit that flipped on the way could hide it once.
const SEARCHES: usize = 3;

/// How a record looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Header and payload are sound.
    Sound(Header),
    /// The header is sound, and the payload is not.
    Hollow(Header),
    /// There is no header here.
    None,
}

/// What a scan found besides the records' places.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The last sound record; one less than the first if there is none.
    pub last: u64,
    /// The last record that has a sound header.
    pub seen: u64,
    /// The last record that is known to have been durable, as sound headers say.
    pub proved: u64,
    /// How many bytes there are behind the last sound header's record.
    pub junk: u64,
    /// How long the file is.
    pub length: u64,
    /// How many bytes were read.
    pub read: u64,
    /// How much memory that took.
    pub buffer: usize,
}

fn decode(bytes: &[u8], name: &Name, offset: u64) -> Option<Header> {
    if planted!("wal.trust-length") { Header::believe(bytes) } else { Header::decode(bytes, name, offset) }
}

/// Whether a writer could have put this header at `at`, behind what was found so far. Whatever a checksum lets through, no
/// number in it makes a log longer than its file has room for.
fn fits(header: &Header, at: u64, segment: &Segment, scan: &Scan) -> bool {
    let between = (at - segment.end) / HEADER as u64;
    (scan.seen + 1..=scan.seen + 1 + between).contains(&header.index) && header.synced < header.index
}

/// Looks at the record at `offset`, some times over if it is bad.
pub async fn look(window: &mut Window, segment: &Segment, offset: u64) -> Result<Look, StorageError> {
    let mut best = Look::None;
    for _ in 0..TRIES {
        if let Some(header) = decode(window.at(offset, HEADER).await?, &segment.name, offset) {
            let mut crc = 0;
            let add = |piece: &[u8]| crc = crc32c::crc32c_append(crc, piece);
            let whole = window.pieces(offset + HEADER as u64, header.len as usize, add).await?;
            if whole && (crc == header.payload || planted!("wal.trust-length")) {
                return Ok(Look::Sound(header));
            }
            best = Look::Hollow(header);
        }
        window.forget();
    }
    Ok(best)
}

/// The record at `offset`; `None` if it is not sound. What is returned was itself checked: the next read of the
/// same bytes might bring others.
pub async fn fetch(
    window: &mut Window,
    segment: &Segment,
    offset: u64,
) -> Result<Option<(Header, Vec<u8>)>, StorageError> {
    for _ in 0..TRIES {
        let Look::Sound(header) = look(window, segment, offset).await? else { return Ok(None) };
        let mut payload = Vec::with_capacity(header.len as usize);
        let add = |piece: &[u8]| payload.extend_from_slice(piece);
        window.pieces(offset + HEADER as u64, header.len as usize, add).await?;
        if crc32c::crc32c(&payload) == header.payload || planted!("wal.trust-length") {
            return Ok(Some((header, payload)));
        }
        window.forget();
    }
    Ok(None)
}

/// Finds the places of a segment's records below `bound`, the first that a later segment has.
pub async fn scan(segment: &mut Segment, bound: u64) -> Result<Scan, StorageError> {
    let length = segment.file.metadata().await.context("examine", &segment.path)?.len();
    let mut window = Window::new(segment.file.clone(), &segment.path);
    let before = segment.name.first - 1;
    let mut scan = Scan { last: before, seen: before, length, ..Scan::default() };
    let mut at = 0;
    while at < length && scan.seen + 1 < bound {
        let (header, sound) = match look(&mut window, segment, at).await? {
            Look::Sound(header) => (header, true),
            Look::Hollow(header) => (header, false),
            Look::None => match search(&mut window, segment, at + ALIGN, &scan, length).await? {
                Some(found) => {
                    at = found;
                    continue;
                }
                None => break,
            },
        };
        if header.index >= bound || !fits(&header, at, segment, &scan) {
            // Behind the cut that a later segment is; or what no writer ever wrote.
            break;
        }
        scan.proved = scan.proved.max(header.synced);
        match header.kind {
            Kind::Data => {
                segment.places.resize((header.index - segment.name.first) as usize, LOST);
                segment.places.push(if sound { Place { offset: at, len: header.len } } else { LOST });
                scan.seen = header.index;
                if sound {
                    scan.last = header.index;
                }
            }
            Kind::Lost => {
                let note = fetch(&mut window, segment, at).await?;
                segment.notes.extend(note.and_then(|(_, payload)| format::parse_note(&payload)));
            }
        }
        at += header.size();
        segment.end = at;
    }
    scan.junk = length.saturating_sub(segment.end);
    scan.read = window.read;
    scan.buffer = window.size();
    Ok(scan)
}

/// The nearest place from `from` on with a sound header.
async fn search(
    window: &mut Window,
    segment: &Segment,
    from: u64,
    scan: &Scan,
    length: u64,
) -> Result<Option<u64>, StorageError> {
    let mut found = None;
    for _ in 0..SEARCHES {
        window.forget();
        let mut at = from;
        while at < found.unwrap_or(length) {
            let piece = window.at(at, HEADER).await?;
            let piece = &piece[..piece.len().min(WINDOW)];
            let steps = (piece.len() / ALIGN as usize).saturating_sub(HEADER / ALIGN as usize - 1);
            let hit = (0..steps).find(|step| {
                let step = step * ALIGN as usize;
                let place = at + step as u64;
                let header = decode(&piece[step..], &segment.name, place);
                header.is_some_and(|header| fits(&header, place, segment, scan))
            });
            match hit {
                Some(step) => {
                    found = Some(at + step as u64 * ALIGN);
                    break;
                }
                None if steps == 0 => break,
                None => at += steps as u64 * ALIGN,
            }
        }
    }
    Ok(found)
}
