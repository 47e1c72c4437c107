//! What a crash may leave of what was not synced: the facts that storage code has to live with. Each is shown over many
//! seeds: what may happen does, and nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{
    self, CrashImage, DiskConfig, DiskPatch, FailedSync, File, Loss, OpenOptions, crash_image, durable_bytes,
};
use sim::{Latency, NodeId, Sim, Time, node, simulate, task, time};

const SEEDS: u64 = 1_000;
const SECTOR: usize = 512;

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What was found after the crash, and in how many of the seeds.
pub(super) type Found = BTreeMap<String, u64>;

/// Runs `first`, crashes after 100 ms, and runs `look` in the next life.
pub(super) fn after_crash(
    first: impl AsyncFn() + Copy + Send + 'static,
    look: impl AsyncFn() -> String + Copy + Send + 'static,
) -> Found {
    after_crash_of(first, look, |_, _| {})
}

pub(super) fn after_crash_of(
    first: impl AsyncFn() + Copy + Send + 'static,
    look: impl AsyncFn() -> String + Copy + Send + 'static,
    before: impl Fn(&Sim, NodeId) + Copy + Send,
) -> Found {
    after_crash_on(DiskConfig::default(), first, look, before)
}

pub(super) fn after_crash_on(
    disk: DiskConfig,
    first: impl AsyncFn() + Copy + Send + 'static,
    look: impl AsyncFn() -> String + Copy + Send + 'static,
    before: impl Fn(&Sim, NodeId) + Copy + Send,
) -> Found {
    let mut all = Found::new();
    for seed in 0..SEEDS {
        let run = simulate(seed, move |sim| {
            sim.disks(DiskConfig { sync: Latency::Constant(Time::new(ms(10))), ..disk });
            let found = Rc::new(RefCell::new(None));
            let log = found.clone();
            let node = sim.node("a", move || {
                let log = log.clone();
                async move {
                    if node::incarnation() == 1 {
                        return first().await;
                    }
                    let found = look().await;
                    *log.borrow_mut() = Some(found);
                }
            });
            before(sim, node);
            sim.run_for(ms(100));
            sim.crash(node);
            sim.boot(node);
            sim.run_for(ms(100));
            found.take()
        });
        let run = run.unwrap();
        assert_eq!(run.failures, []);
        *all.entry(run.value.expect("it looked")).or_default() += 1;
    }
    all
}

/// All of these happen, and nothing else.
#[track_caller]
pub(super) fn exactly(found: &Found, expected: &[&str]) {
    let expected: Vec<&str> = std::collections::BTreeSet::from_iter(expected.iter().copied()).into_iter().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{found:?}");
}

pub(super) async fn put(path: &str, data: &[u8]) -> File {
    let file = File::create(path).await.unwrap();
    file.write_all_at(data, 0).await.unwrap();
    file
}

async fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path).await.unwrap()
}

/// A durable file with a durable name.
pub(super) async fn durable(path: &str, data: &[u8]) -> File {
    put(path, data).await.sync_all().await.unwrap();
    fs::sync_dir("").await.unwrap();
    open(path).await
}

fn shown(read: io::Result<Vec<u8>>) -> String {
    match read {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\0', "."),
        Err(error) => format!("{:?}", error.kind()),
    }
}

pub(super) async fn text(path: &str) -> String {
    shown(fs::read(path).await)
}

/// What each sector is made of: `AAB.` is two of As, one of Bs, one of zeros; `?` is garbage.
pub(super) fn sectors(bytes: &[u8]) -> String {
    let one = |sector: &[u8]| match sector[0] {
        first if sector.iter().any(|&byte| byte != first) => '?',
        0 => '.',
        letter if letter.is_ascii_alphabetic() => char::from(letter),
        _ => '?',
    };
    bytes.chunks(SECTOR).map(one).collect()
}

pub(super) async fn look(path: &str) -> String {
    fs::read(path).await.map_or_else(|error| format!("{:?}", error.kind()), |bytes| sectors(&bytes))
}

#[test]
fn a_file_that_was_synced_may_be_gone_if_its_directory_was_not() {
    let found = after_crash(async || drop(put("f", b"synced").await.sync_all().await), async || text("f").await);
    exactly(&found, &["NotFound", "synced"]);
}

#[test]
fn a_directory_that_was_synced_may_be_gone_if_the_one_above_was_not() {
    let first = async || {
        fs::create_dir("d").await.unwrap();
        put("d/f", b"synced").await.sync_all().await.unwrap();
        fs::sync_dir("d").await.unwrap();
    };
    exactly(&after_crash(first, async || text("d/f").await), &["NotFound", "synced"]);
}

#[test]
fn a_rename_without_a_sync_may_leave_an_empty_file() {
    let first = async || {
        durable("f", b"old").await;
        put("new", b"NEW").await;
        fs::rename("new", "f").await.unwrap();
    };
    let found = after_crash(first, async || text("f").await);
    assert!(["old", "", "NEW", "..."].iter().all(|outcome| found.contains_key(*outcome)), "{found:?}");
    let is_strange = |outcome: &&String| !outcome.is_empty() && outcome.as_str() != "NEW" && outcome.as_str() != "...";
    assert!(found.keys().filter(is_strange).any(|outcome| outcome != "old"), "garbage, too: {found:?}");
    // Names and bytes have nothing to do with each other: the new file may still be where it was.
    let both = after_crash(first, async || format!("{:?}", fs::read_dir("").await.unwrap()));
    exactly(&both, &[r#"["f", "new"]"#, r#"["f"]"#]);
}

#[test]
fn a_rename_is_never_half() {
    let first = async || {
        durable("f", b"old").await;
        durable("g", b"new").await;
        fs::create_dir("d").await.unwrap();
        fs::rename("g", "f").await.unwrap();
        fs::rename("f", "d/f").await.unwrap();
    };
    let look = async || {
        let mut all = String::new();
        for path in ["f", "g", "d/f"] {
            all += &format!("{path}={} ", text(path).await);
        }
        all.replace("NotFound", "-")
    };
    exactly(&after_crash(first, look), &["f=old g=new d/f=- ", "f=new g=- d/f=- ", "f=- g=- d/f=new "]);
}

#[test]
fn directories_move_and_their_trees_are_never_lost() {
    let first = async || {
        fs::create_dir_all("a/b").await.unwrap();
        put("a/b/f", b"x").await.sync_all().await.unwrap();
        for dir in ["a/b", "a", ""] {
            fs::sync_dir(dir).await.unwrap();
        }
        // Inside out.
        fs::rename("a/b", "b").await.unwrap();
        fs::rename("a", "b/a").await.unwrap();
        fs::rename("b/f", "b/a/f").await.unwrap();
    };
    let look = async || {
        let mut all = Vec::new();
        for path in ["a/b/f", "b/f", "b/a/f"] {
            if fs::try_exists(path).await.unwrap() {
                all.push(path);
            }
        }
        all.join(" ")
    };
    exactly(&after_crash(first, look), &["a/b/f", "b/f", "b/a/f"]);
}

#[test]
fn what_was_moved_out_of_a_directory_is_not_lost_with_it() {
    let first = async || {
        fs::create_dir("d").await.unwrap();
        put("d/f", b"x").await.sync_all().await.unwrap();
        fs::sync_dir("d").await.unwrap();
        fs::sync_dir("").await.unwrap();
        fs::rename("d/f", "f").await.unwrap();
        fs::remove_dir("d").await.unwrap();
    };
    let look = async || format!("{} {}", text("f").await, text("d/f").await);
    exactly(&after_crash(first, look), &["NotFound x", "x NotFound"]);
}

#[test]
fn a_tail_that_was_not_synced_may_be_missing_zero_or_garbage() {
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        durable("other", &[b'O'; 4 * SECTOR]).await;
        file.append(&[b'B'; 2 * SECTOR]).await.unwrap();
    };
    let found = after_crash(first, async || look("f").await);
    for outcome in ["A", "ABB", "AB", "A..", "AB.", "A.B", "A?B", "AOB"] {
        assert!(found.contains_key(outcome), "{outcome} in {found:?}");
    }
    assert!(found.keys().all(|outcome| outcome.starts_with('A') && outcome.len() <= 3), "{found:?}");
}

#[test]
fn a_write_may_be_torn_between_sectors_and_never_within_one() {
    let first = async || {
        let file = durable("f", &[b'A'; 3 * SECTOR]).await;
        file.write_all_at(&[b'B'; 3 * SECTOR], 0).await.unwrap();
    };
    let found = after_crash(first, async || look("f").await);
    exactly(&found, &["AAA", "AAB", "ABA", "ABB", "BAA", "BAB", "BBA", "BBB"]);
}

#[test]
fn a_sector_may_be_as_it_was_in_the_middle() {
    let first = async || {
        let log = durable("log", b"").await;
        for record in [b"one ", b"two ", b"tri "] {
            log.append(record).await.unwrap();
        }
    };
    let found = after_crash(first, async || text("log").await);
    for outcome in ["", "one two tri ", "one two ....", "one ........", "............"] {
        assert!(found.contains_key(outcome), "{outcome:?} in {found:?}");
    }
}

#[test]
fn writes_come_through_in_any_order_and_in_order_too() {
    let first = async || {
        let file = durable("f", &[b'A'; 3 * SECTOR]).await;
        for (i, letter) in (0..).zip(b"BCD") {
            file.write_all_at(&[*letter; SECTOR], i * SECTOR as u64).await.unwrap();
        }
    };
    let found = after_crash(first, async || look("f").await);
    exactly(&found, &["AAA", "AAD", "ACA", "ACD", "BAA", "BAD", "BCA", "BCD"]);
    let in_order = ["AAA", "BAA", "BCA", "BCD"].iter().map(|outcome| found[*outcome]).sum::<u64>();
    assert!(in_order > SEEDS / 2, "{found:?}");
}

#[test]
fn growth_is_durable_with_the_data() {
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        file.append(&[b'B'; SECTOR]).await.unwrap();
        file.set_len(3 * SECTOR as u64).await.unwrap();
        file.sync_data().await.unwrap();
    };
    exactly(&after_crash(first, async || look("f").await), &["AB."]);
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_no_more() {
    let first = async || {
        let file = durable("f", &[b'A'; 2 * SECTOR]).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        let other = file.clone();
        task::spawn(async move {
            time::sleep(ms(5)).await;
            other.write_all_at(&[b'C'; 2 * SECTOR], 0).await.unwrap();
        });
        file.sync_all().await.unwrap();
    };
    exactly(&after_crash(first, async || look("f").await), &["BA", "BC", "CA", "CC"]);
}

#[test]
fn syncs_of_one_file_follow_each_other() {
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        let begun = time::now();
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        let other = file.clone();
        let second = task::spawn(async move {
            time::sleep(ms(1)).await;
            other.write_all_at(&[b'C'; SECTOR], 0).await.unwrap();
            other.sync_all().await.unwrap();
        });
        file.sync_all().await.unwrap();
        second.await.unwrap();
        assert!((ms(20)..ms(21)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    };
    exactly(&after_crash(first, async || look("f").await), &["C"]);
}

#[test]
fn a_crash_during_a_sync_makes_nothing_certain() {
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        time::sleep(ms(95).saturating_sub(Duration::from_nanos(time::now().as_nanos()))).await;
        file.sync_all().await.unwrap();
    };
    exactly(&after_crash(first, async || look("f").await), &["A", "B"]);
}

#[test]
fn a_sync_that_nobody_waits_for_makes_nothing_certain() {
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        let cancelled = time::timeout(ms(5), file.sync_all()).await;
        assert!(cancelled.is_err());
        // Nor does it stand in the way of the next one.
        durable("g", b"x").await;
        time::sleep(ms(20)).await;
    };
    exactly(&after_crash(first, async || look("f").await), &["A", "B"]);
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        let _ = time::timeout(ms(5), file.sync_all()).await;
        file.sync_all().await.unwrap();
    };
    exactly(&after_crash(first, async || look("f").await), &["B"]);
}

/// The disk of a node gets other properties for good.
pub(super) fn patched(patch: DiskPatch) -> impl Fn(&Sim, NodeId) + Copy + Send {
    move |sim, node| {
        sim.run_for(ms(50));
        let injected = sim.inject(Fault::Disk { nodes: vec![node], set: Box::new(patch) });
        sim.run_for(ms(30));
        drop(injected);
    }
}

/// A sync fails, the next one succeeds, and a file says what the cache showed in between.
async fn first_fails() {
    let file = durable("f", &[b'A'; 2 * SECTOR]).await;
    time::sleep(ms(30)).await;
    file.write_all_at(&[b'B'; 2 * SECTOR], 0).await.unwrap();
    assert_eq!(file.sync_all().await.unwrap_err().raw_os_error(), Some(libc::EIO));
    // The cache shows the new bytes still, or the old ones.
    let mut cached = vec![0; 2 * SECTOR];
    time::sleep(ms(20)).await;
    file.read_exact_at(&mut cached, 0).await.unwrap();
    file.sync_all().await.unwrap();
    put("cached", sectors(&cached).as_bytes()).await.sync_all().await.unwrap();
    fs::sync_dir("").await.unwrap();
}

#[test]
fn after_a_failed_sync_the_data_is_gone_though_the_next_one_succeeds() {
    let found = |failed_sync: Option<FailedSync>| {
        let patch = DiskPatch { sync_error: Some(1.0), failed_sync, ..DiskPatch::default() };
        after_crash_of(
            first_fails,
            async || format!("{} then {}", text("cached").await, look("f").await),
            patched(patch),
        )
    };
    let (new, old) = (["BB then AA", "BB then AB", "BB then BA"], ["AA then AA", "AB then AB", "BA then BA"]);
    exactly(&found(None), &[new, old].concat());
    exactly(&found(Some(FailedSync::Any)), &[new, old].concat());
    exactly(&found(Some(FailedSync::Clean)), &new);
    exactly(&found(Some(FailedSync::Old)), &old);
}

#[test]
fn what_a_failed_sync_dropped_is_durable_when_it_was_written_again() {
    let first = async || {
        let file = durable("f", &[b'A'; 2 * SECTOR]).await;
        time::sleep(ms(30)).await;
        file.write_all_at(&[b'B'; 2 * SECTOR], 0).await.unwrap();
        file.append(&[b'C'; SECTOR]).await.unwrap();
        assert!(file.sync_all().await.is_err());
        time::sleep(ms(20)).await;
        file.write_all_at(&[b'B'; 2 * SECTOR], 0).await.unwrap();
        file.write_all_at(&[b'C'; SECTOR], 2 * SECTOR as u64).await.unwrap();
        // If the new length is still shown and was dropped, only another change of it is written.
        file.set_len(4 * SECTOR as u64).await.unwrap();
        file.sync_all().await.unwrap();
    };
    let patch = DiskPatch { sync_error: Some(1.0), ..DiskPatch::default() };
    exactly(&after_crash_of(first, async || look("f").await, patched(patch)), &["BBC."]);
}

#[test]
fn after_a_sync_that_lied_an_honest_one_makes_all_durable() {
    let lie = patched(DiskPatch { lying_sync: Some(true), ..DiskPatch::default() });
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        time::sleep(ms(30)).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        file.sync_all().await.unwrap();
    };
    exactly(&after_crash_of(first, async || look("f").await, lie), &["A", "B"]);
    let first = async || {
        let file = durable("f", &[b'A'; SECTOR]).await;
        time::sleep(ms(30)).await;
        file.write_all_at(&[b'B'; SECTOR], 0).await.unwrap();
        file.sync_all().await.unwrap();
        time::sleep(ms(20)).await;
        file.sync_all().await.unwrap();
    };
    exactly(&after_crash_of(first, async || look("f").await, lie), &["B"]);
}

/// Images of one moment: what is certain, what is cached, and outcomes that crashes have.
#[test]
fn a_crash_image_is_what_a_crash_may_leave() {
    let run = simulate(7, |sim| {
        let node = sim.node("a", async || {
            let file = durable("f", &[b'A'; 2 * SECTOR]).await;
            file.write_all_at(&[b'B'; 3 * SECTOR], 0).await.unwrap();
            put("new", b"x").await;
        });
        sim.run_for(ms(50));
        let files = |image: &CrashImage| -> String {
            image.files().map(|(path, bytes)| format!("{path}={} ", sectors(bytes))).collect()
        };
        let events = |sim: &Sim| (sim.effect("disk.ops"), sim.now_ns());
        let before = events(sim);
        assert_eq!(files(&crash_image(node, Loss::Everything)), "f=AA ");
        assert_eq!(files(&crash_image(node, Loss::Nothing)), "f=BBB new=x ");
        let drawn: Vec<String> = (0..500).map(|i| files(&crash_image(node, Loss::Drawn(i)))).collect();
        assert_eq!(files(&crash_image(node, Loss::Drawn(3))), drawn[3], "the same number, the same outcome");
        for outcome in ["f=AA ", "f=BBB new=x ", "f=BA ", "f=AB. ", "f=AAB "] {
            assert!(drawn.iter().any(|found| found == outcome), "{outcome}");
        }
        assert_eq!(durable_bytes(node, "f", 500, 520), Some(vec![b'A'; 20]));
        assert_eq!(durable_bytes(node, "f", 1020, 1025), None, "beyond the durable end");
        assert_eq!(durable_bytes(node, "new", 0, 1), None);
        assert_eq!((files(&crash_image(node, Loss::Nothing)).as_str(), events(sim)), ("f=BBB new=x ", before));
        sim.crash(node);
        let after = files(&crash_image(node, Loss::Everything));
        assert_eq!(after, files(&crash_image(node, Loss::Nothing)), "there is nothing left to lose");
    });
    assert_eq!(run.unwrap().failures, []);
}

#[test]
fn the_same_seed_has_the_same_crash_and_another_one_another() {
    let digest = |seed| {
        let run = simulate(seed, |sim| {
            let node = sim.node("a", async || {
                let file = durable("f", &[b'A'; SECTOR]).await;
                file.write_all_at(&[b'B'; 20 * SECTOR], 0).await.unwrap();
            });
            sim.run_for(ms(50));
            sim.crash(node);
            shown(crash_image(node, Loss::Nothing).read("f").map(<[u8]>::to_vec).ok_or(io::ErrorKind::NotFound.into()))
        });
        let run = run.unwrap();
        (run.digest, run.value)
    };
    assert_eq!(digest(1), digest(1));
    let different: std::collections::BTreeSet<_> = (0..20).map(|seed| digest(seed).1).collect();
    assert!(different.len() > 6, "{}", different.len());
}
