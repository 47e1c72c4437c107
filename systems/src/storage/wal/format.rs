//! What is in a segment, byte by byte.
//!
//! A segment is a row of records and nothing else. What a segment is, its *name* says: its place in the order of all segments,
//! the number of its first record, and a salt that no other segment has. A header in the file would say the same, and be one
//! more sector to lose.
//!
//! | bytes | of a record's header |
//! |---|---|
//! | 0..4 | CRC-32C of the segment's name, the record's own offset, and the bytes 4..32 |
//! | 4..8 | kind |
//! | 8..12 | length of the payload |
//! | 12..16 | CRC-32C of the payload |
//! | 16..24 | index |
//! | 24..32 | the last record that was durable when this one was written |
//!
//! The payload follows, then zeros up to a multiple of eight. Numbers are little-endian.
//!
//! Name and offset are in the checksum and not in the header: a record is only one in the file and at the place where it was
//! written. Old blocks that a file system hands out again, and sectors that a disk writes to the wrong place, are full
//! of records that once were sound.

use sim::rand;

use crate::storage::checksum;

/// The bytes of a header.
pub const HEADER: usize = 32;

/// Records begin at multiples of this.
pub const ALIGN: u64 = 8;

/// The identity of a segment. Names are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Which segment of the log it is, in the order in which they were made.
    pub sequence: u64,
    /// The number of its first record.
    pub first: u64,
    /// Told apart by this are even segments of two lives that had the same idea and did not know of each other.
    pub salt: u64,
}

impl Name {
    /// A name that there never was.
    pub fn new(sequence: u64, first: u64) -> Name {
        Name { sequence, first, salt: rand::draw().0 }
    }

    /// As a file name.
    pub fn file_name(&self) -> String {
        format!("segment-{:016x}-{:016x}-{:016x}", self.sequence, self.first, self.salt)
    }

    /// From a file name.
    pub fn parse(file_name: &str) -> Option<Name> {
        let mut numbers = file_name.strip_prefix("segment-")?.split('-').map(hex);
        let name = Name { sequence: numbers.next()??, first: numbers.next()??, salt: numbers.next()?? };
        (numbers.next().is_none() && name.first > 0).then_some(name)
    }

    fn seed(&self, offset: u64) -> u32 {
        checksum(&[self.sequence, self.first, self.salt, offset])
    }
}

/// A number as names have it.
pub fn hex(digits: &str) -> Option<u64> {
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It holds what was appended.
    Data = 1,
    /// It holds a range of records that were given up as ambiguous: see [`note`]. It takes no number.
    Lost = 2,
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// The length of its payload.
    pub len: u32,
    /// The checksum of its payload.
    pub payload: u32,
    /// Its number; that of the next record if it takes none.
    pub index: u64,
    /// The last record that was durable when it was written.
    pub synced: u64,
}

impl Header {
    /// How many bytes the whole record takes.
    pub fn size(&self) -> u64 {
        size(self.len as usize)
    }

    /// The header in bytes, for this place.
    pub fn encode(&self, name: &Name, offset: u64) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[4..8].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.index.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        let crc = crc32c::crc32c_append(name.seed(offset), &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at this place, if `bytes` begin with one that belongs there.
    pub fn decode(bytes: &[u8], name: &Name, offset: u64) -> Option<Header> {
        let header = Header::believe(bytes)?;
        (bytes[..4] == crc32c::crc32c_append(name.seed(offset), &bytes[4..HEADER]).to_le_bytes()).then_some(header)
    }

    /// What `bytes` say, sound or not.
    pub fn believe(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.first_chunk::<HEADER>()?;
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let kind = match u32_at(4) {
            1 => Kind::Data,
            2 => Kind::Lost,
            _ => return None,
        };
        Some(Header { kind, len: u32_at(8), payload: u32_at(12), index: u64_at(16), synced: u64_at(24) })
    }
}

/// How many bytes a record with such a payload takes.
pub fn size(payload: usize) -> u64 {
    (HEADER as u64 + payload as u64).next_multiple_of(ALIGN)
}

/// Adds a record to `out`, which begins at `start` in the segment; returns the record's offset.
pub fn put(out: &mut Vec<u8>, name: &Name, start: u64, kind: Kind, index: u64, synced: u64, payload: &[u8]) -> u64 {
    let offset = start + out.len() as u64;
    let len = u32::try_from(payload.len()).expect("the log's options limit the length");
    let header = Header { kind, len, payload: crc32c::crc32c(payload), index, synced };
    out.extend_from_slice(&header.encode(name, offset));
    out.extend_from_slice(payload);
    out.resize((offset - start + header.size()) as usize, 0);
    offset
}

/// The payload that says that `first..=last` are lost.
pub fn note(first: u64, last: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&last.to_le_bytes());
    bytes
}

/// What [`note`] wrote.
pub fn parse_note(payload: &[u8]) -> Option<(u64, u64)> {
    let (first, last) = payload.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*first), u64::from_le_bytes(last.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> impl Strategy<Value = Name> {
        (any::<u64>(), 1..u64::MAX, any::<u64>()).prop_map(|(sequence, first, salt)| Name { sequence, first, salt })
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(name in names()) {
            prop_assert_eq!(Name::parse(&name.file_name()), Some(name));
        }

        #[test]
        fn what_is_no_name_is_none(text in "segment-[0-9a-g-]{40,60}|[a-z]*") {
            if let Some(name) = Name::parse(&text) {
                prop_assert_eq!(name.file_name(), text);
            }
        }

        #[test]
        fn records_are_read_as_they_were_written(
            name in names(),
            start in (0..1u64 << 40).prop_map(|start| start * ALIGN),
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..10),
        ) {
            let mut bytes = Vec::new();
            let at: Vec<u64> =
                payloads.iter().map(|it| put(&mut bytes, &name, start, Kind::Data, 7, 5, it)).collect();
            for (payload, offset) in payloads.iter().zip(at) {
                let at = (offset - start) as usize;
                let header = Header::decode(&bytes[at..], &name, offset).unwrap();
                prop_assert_eq!((header.kind, header.index, header.synced), (Kind::Data, 7, 5));
                prop_assert_eq!(offset % ALIGN, 0);
                prop_assert_eq!(&bytes[at + HEADER..at + HEADER + header.len as usize], &payload[..]);
                prop_assert_eq!(header.payload, crc32c::crc32c(payload));
                prop_assert_eq!(&header.encode(&name, offset)[..], &bytes[at..at + HEADER]);
            }
        }

        #[test]
        fn a_header_with_a_flipped_bit_or_at_another_place_is_none(
            name in names(),
            other in names(),
            offset in any::<u32>(),
            bit in 0..HEADER * 8,
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let offset = u64::from(offset) * ALIGN;
            let mut bytes = Vec::new();
            put(&mut bytes, &name, offset, Kind::Data, 1, 0, &payload);
            prop_assert!(Header::decode(&bytes, &name, offset + ALIGN).is_none());
            prop_assert!(Header::decode(&bytes, &other, offset).is_none());
            prop_assert!(Header::decode(&bytes[..HEADER - 1], &name, offset).is_none());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Header::decode(&bytes, &name, offset).is_none());
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Header::decode(&[0; 64], &Name { sequence: 1, first: 1, salt: 0 }, 0), None);
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        assert_eq!(parse_note(&note(3, 9)), Some((3, 9)));
        assert_eq!(parse_note(b"too short"), None);
    }
}
