//! What a crash leaves of a file that `set_len` cut or extended, and by the unit that is never torn.

use std::collections::BTreeSet;
use std::time::Duration;

use sim::fs::{self, DiskConfig, DiskPatch, File, Lengths};
use sim::time;

use super::crash::{Found, after_crash, after_crash_on, durable, exactly, look, patched, text};

const SECTOR: usize = 512;

fn on(disk: DiskConfig, first: impl AsyncFn() + Copy + Send + 'static) -> Found {
    after_crash_on(disk, first, async || look("f").await, |_, _| {})
}

// ---- lengths -----------------------------------------------------------------------------------------------------

#[test]
fn a_file_is_cut_whole_or_not_at_all_and_for_sure_by_either_sync() {
    async fn cut() -> File {
        let file = durable("f", &[b'A'; 3 * SECTOR]).await;
        file.set_len(SECTOR as u64).await.unwrap();
        file
    }
    exactly(&after_crash(async || drop(cut().await), async || look("f").await), &["A", "AAA"]);
    let synced = async || cut().await.sync_data().await.unwrap();
    exactly(&after_crash(synced, async || look("f").await), &["A"]);
    let synced = async || cut().await.sync_all().await.unwrap();
    exactly(&after_crash(synced, async || look("f").await), &["A"]);
}

#[test]
fn lengths_of_any_kind_are_between_the_old_and_the_new_one() {
    let any = DiskConfig { lengths: Lengths::Any, ..DiskConfig::default() };
    let cut = async || durable("f", &[b'A'; 3 * SECTOR]).await.set_len(SECTOR as u64).await.unwrap();
    exactly(&on(any, cut), &["A", "AA", "AAA"]);
    let extended = async || durable("f", &[b'A'; SECTOR]).await.set_len(3 * SECTOR as u64).await.unwrap();
    exactly(&on(any, extended), &["A", "A.", "A.."]);
}

#[test]
fn an_extension_is_whole_and_reads_as_zeros() {
    let extended = async || durable("f", &[b'A'; SECTOR]).await.set_len(3 * SECTOR as u64).await.unwrap();
    exactly(&after_crash(extended, async || look("f").await), &["A", "A.."]);
    // What is written into it and lost is zeros too, never garbage.
    let written = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        durable("other", &[b'O'; 4 * SECTOR]).await;
        file.set_len(3 * SECTOR as u64).await.unwrap();
        file.write_all_at(&[b'B'; SECTOR], 2 * SECTOR as u64).await.unwrap();
    };
    exactly(&after_crash(written, async || look("f").await), &["A", "A..", "A.B"]);
}

#[test]
fn what_was_cut_off_is_not_back_when_the_file_grows_again() {
    let first = async || {
        let file = durable("f", &[b'A'; 3 * SECTOR]).await;
        file.set_len(SECTOR as u64).await.unwrap();
        file.append(&[b'B'; SECTOR]).await.unwrap();
        file.append(&[b'C'; 2 * SECTOR]).await.unwrap();
    };
    let found = after_crash(first, async || look("f").await);
    for outcome in ["AAA", "A", "AB", "ABC", "ABCC", "A.CC"] {
        assert!(found.contains_key(outcome), "{outcome} in {found:?}");
    }
    // The sector behind the old end may hold what some other sector of the disk holds.
    let is_right = |outcome: &String| outcome == "AAA" || !outcome.chars().skip(1).take(2).any(|c| c == 'A');
    assert!(found.keys().all(is_right), "either before the cut, or nothing that was cut off: {found:?}");
}

// ---- units -------------------------------------------------------------------------------------------------------

/// How many pieces of old and new bytes there are where a sector of As was overwritten with Bs.
fn pieces(atomic: u16) -> BTreeSet<usize> {
    let overwritten = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
    };
    let disk = DiskConfig { atomic, ..DiskConfig::default() };
    let found = after_crash_on(disk, overwritten, async || text("f").await, |_, _| {});
    let is_whole = |unit: &[u8]| unit.iter().all(|byte| *byte == unit[0]);
    for outcome in found.keys() {
        let units = outcome.as_bytes().chunks(usize::from(atomic).min(SECTOR));
        assert!(units.clone().all(is_whole), "{atomic}: {outcome}");
    }
    found.keys().map(|outcome| outcome.as_bytes().chunk_by(|a, b| a == b).count()).collect()
}

#[test]
fn a_sector_is_torn_where_the_unit_is_smaller() {
    assert_eq!(pieces(512), BTreeSet::from([1]));
    assert_eq!(pieces(4096), BTreeSet::from([1]));
    for atomic in [1, 8] {
        let pieces = pieces(atomic);
        assert!(pieces.contains(&1) && pieces.contains(&2) && pieces.iter().any(|&n| n > 8), "{atomic}: {pieces:?}");
    }
}

#[test]
fn a_page_is_not_torn_where_the_unit_is_a_page() {
    let overwritten = async || {
        let file: File = durable("f", &[b'A'; 16 * SECTOR]).await;
        for half in [0, 4, 8, 12] {
            file.write_all_at(&[b'B'; 4 * SECTOR], half * SECTOR as u64).await.unwrap();
        }
    };
    let (old, new) = ("A".repeat(8), "B".repeat(8));
    let all = [[&*old, &*old], [&*old, &*new], [&*new, &*old], [&*new, &*new]].map(|pages| pages.concat());
    let found = on(DiskConfig { atomic: 4096, ..DiskConfig::default() }, overwritten);
    exactly(&found, &all.each_ref().map(|pages| &**pages));
    let found = on(DiskConfig::default(), overwritten);
    assert!(found.keys().any(|outcome| !all.contains(outcome)), "sectors are torn: {found:?}");
}

#[test]
fn a_failed_sync_drops_whole_units() {
    let first = async || {
        let file = durable("f", &[b'A'; 16 * SECTOR]).await;
        time::sleep(Duration::from_millis(30)).await;
        file.write_all_at(&[b'B'; 16 * SECTOR], 0).await.unwrap();
        assert!(file.sync_all().await.is_err());
        time::sleep(Duration::from_millis(20)).await;
        let shown = fs::read("f").await.unwrap();
        assert!(shown.chunks(8 * SECTOR).all(|page| page.iter().all(|byte| *byte == page[0])), "torn");
    };
    let fails = patched(DiskPatch { sync_error: Some(1.0), ..DiskPatch::default() });
    let disk = DiskConfig { atomic: 4096, ..DiskConfig::default() };
    let found = after_crash_on(disk, first, async || look("f").await, fails);
    let (old, new) = ("A".repeat(8), "B".repeat(8));
    let all = [[&*old, &*old], [&*old, &*new], [&*new, &*old]].map(|pages| pages.concat());
    exactly(&found, &all.each_ref().map(|pages| &**pages));
}
