//! Sectors: the unit in which a disk writes, and in which a crash keeps or loses.

use std::ops::Range;

/// Bytes of a sector. What is smaller is never torn.
pub(super) const SECTOR: usize = 512;

/// The content of one sector.
pub(super) type Block = Box<[u8; SECTOR]>;

/// The number of sectors that this many bytes occupy.
#[inline]
pub(super) fn count(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR as u64)
}

/// Where a sector begins in its file.
#[inline]
pub(super) fn start(sector: u64) -> u64 {
    sector * SECTOR as u64
}

/// The part of a sector that `len` bytes reach into.
#[inline]
fn within(sector: u64, len: usize) -> Range<usize> {
    let start = start(sector) as usize;
    start.min(len)..(start + SECTOR).min(len)
}

/// A sector of a file with these bytes; zeros beyond the end.
#[inline]
pub(super) fn copy(bytes: &[u8], sector: u64) -> Block {
    let part = &bytes[within(sector, bytes.len())];
    match part.try_into() {
        Ok(whole) => Box::new(whole),
        Err(_) => {
            let mut block = zeros();
            block[..part.len()].copy_from_slice(part);
            block
        }
    }
}

/// Puts a sector into a file, as far as the file goes.
pub(super) fn put(bytes: &mut [u8], sector: u64, block: &[u8; SECTOR]) {
    let part = within(sector, bytes.len());
    let n = part.len();
    bytes[part].copy_from_slice(&block[..n]);
}

pub(super) fn zeros() -> Block {
    Box::new([0; SECTOR])
}
