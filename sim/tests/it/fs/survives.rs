//! What is said to be certain is the same in every crash image, and what is said not to be is another one in some (but for
//! names that only lead to another file with the same bytes): for random operations on a disk whose syncs take their time, fail, and go astray.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::fs::{self, CrashImage, DiskConfig, File, Loss, OpenOptions, crash_image, survives};
use sim::{Latency, NodeId, Sim, Time, simulate, task, time};

const SECTOR: usize = 512;
const PATHS: [&str; 5] = ["a", "b", "d/a", "d/e/a", "e/b"];
const DIRS: [&str; 4] = ["", "d", "d/e", "e"];
const NODE: NodeId = NodeId::new(0);

/// More crash images than it takes to see all that may happen.
const MANY: u64 = 500;
/// Enough to see what should not happen, over all the cases.
const FEW: u64 = 12;

#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    /// Where, how many bytes, and of what.
    Write(&'static str, usize, usize, u8),
    SetLen(&'static str, usize),
    /// Goes on while the next steps are done.
    Sync(&'static str, bool),
    SyncDir(&'static str),
    Rename(&'static str, &'static str),
    RenameDir(&'static str, &'static str),
    Remove(&'static str),
    Pause,
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(PATHS.to_vec());
    let dir = || prop::sample::select(DIRS.to_vec());
    let place = || prop_oneof![Just(0usize), Just(SECTOR), 0..4 * SECTOR];
    prop_oneof![
        6 => path().prop_map(Step::Create),
        14 => (path(), place(), prop_oneof![1..40usize, 1..3 * SECTOR], 0..3u8)
            .prop_map(|(path, at, n, byte)| Step::Write(path, at, n, byte)),
        3 => (path(), place()).prop_map(|(path, len)| Step::SetLen(path, len)),
        8 => (path(), any::<bool>()).prop_map(|(path, all)| Step::Sync(path, all)),
        6 => dir().prop_map(Step::SyncDir),
        2 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (dir(), dir()).prop_map(|(from, to)| Step::RenameDir(from, to)),
        1 => path().prop_map(Step::Remove),
        6 => Just(Step::Pause),
    ]
}

async fn perform(step: Step) -> std::io::Result<()> {
    let open = |path: &'static str| OpenOptions::new().write(true).open(path);
    match step {
        Step::Create(path) => File::create(path).await.map(drop),
        Step::Write(path, at, n, byte) => open(path).await?.write_all_at(&vec![byte; n], at as u64).await,
        Step::SetLen(path, len) => open(path).await?.set_len(len as u64).await,
        Step::Sync(path, all) => {
            let file = open(path).await?;
            task::spawn(async move { if all { file.sync_all().await } else { file.sync_data().await } });
            Ok(())
        }
        Step::SyncDir(dir) => {
            task::spawn(fs::sync_dir(dir));
            Ok(())
        }
        Step::Rename(from, to) | Step::RenameDir(from, to) => fs::rename(from, to).await,
        Step::Remove(path) => fs::remove_file(path).await,
        Step::Pause => {
            time::sleep(Duration::from_millis(12)).await;
            Ok(())
        }
    }
}

/// How many parts of files were said to be certain; not to be, and were not; not to be, and were.
type Counts = [u64; 3];

/// Looks at all files: which of their parts are certain, and what crashes leave of them.
fn examine(seed: u64) -> Counts {
    let now = crash_image(NODE, Loss::Nothing);
    let image = |i: u64| crash_image(NODE, if i == 0 { Loss::Everything } else { Loss::Drawn(seed ^ i) });
    let few: Vec<CrashImage> = (0..FEW).map(image).collect();
    let mut counts = [0; 3];
    for (path, bytes) in now.files() {
        let len = bytes.len();
        assert!(!survives(NODE, path, 0, len as u64 + 1), "{path}: beyond the end");
        let middle = seed as usize % (len + 1);
        for (from, to) in [(0, len), (0, len.min(10)), (middle, len), (0, middle), (middle, len.min(middle + 3))] {
            let stays =
                |image: &CrashImage| image.read(path).and_then(|found| found.get(from..to)) == Some(&bytes[from..to]);
            if survives(NODE, path, from as u64, to as u64) {
                assert!(few.iter().all(stays), "{path}: {from} to {to} of {len} are not certain");
                counts[0] += 1;
            } else {
                let is_lost = !few.iter().all(stays) || (FEW..MANY).map(image).any(|image| !stays(&image));
                counts[if is_lost { 1 } else { 2 }] += 1;
            }
        }
    }
    assert!(!survives(NODE, "no/such", 0, 0) && !survives(NODE, "d", 0, 0) && !survives(NODE, "../a", 0, 0));
    counts
}

fn add(counts: &mut Counts, more: Counts) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}

fn run(steps: Vec<Step>, seed: u64, looks: bool) -> (u128, Counts) {
    let n = steps.len() as u64;
    let run = simulate(seed, move |sim: &Sim| {
        sim.disks(DiskConfig {
            sync: Latency::Constant(Time::new(Duration::from_millis(10))),
            sync_error: 0.15,
            misdirect: 0.02,
            ..DiskConfig::default()
        });
        sim.node("a", move || {
            let steps = steps.clone();
            async move {
                fs::create_dir_all("d/e").await.unwrap();
                fs::create_dir("e").await.unwrap();
                for step in steps {
                    let _ = perform(step).await;
                    time::sleep(Duration::from_millis(3)).await;
                }
            }
        });
        let mut counts = Counts::default();
        for i in 0..n {
            sim.run_for(Duration::from_millis(5));
            if looks && i % 3 == 0 {
                add(&mut counts, examine(seed.rotate_left(i as u32)));
            }
        }
        sim.crash(NODE);
        for (path, bytes) in crash_image(NODE, Loss::Nothing).files() {
            assert!(survives(NODE, path, 0, bytes.len() as u64), "{path}: there is nothing left to lose");
        }
        counts
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    (run.digest, run.value)
}

#[test]
fn what_is_certain_is_in_every_crash_image_and_what_is_not_is_missing_in_some() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner =
        TestRunner::new_with_rng(Config { cases: 400, failure_persistence: None, ..Config::default() }, rng);
    let counts: RefCell<Counts> = RefCell::default();
    let steps = (prop::collection::vec(step(), 1..50), any::<u64>());
    let result = runner.run(&steps, |(steps, seed)| {
        let (digest, found) = run(steps.clone(), seed, true);
        add(&mut counts.borrow_mut(), found);
        prop_assert_eq!(run(steps, seed, false).0, digest, "looking changes nothing");
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let [certain, uncertain, too_careful] = counts.take();
    assert!(certain > 1_000 && uncertain > 1_000, "{certain} and {uncertain}");
    assert!(too_careful * 100 < uncertain, "{too_careful} of {uncertain} were certain");
}

/// Whether all of `f` is certain, after each of the steps that a node does by the clock, one each 100 ms.
#[test]
fn a_file_is_certain_when_its_bytes_its_length_and_all_its_names_are() {
    let run = simulate(1, |sim| {
        sim.node("a", async || {
            fs::create_dir("d").await.unwrap();
            let file = OpenOptions::new().read(true).write(true).create(true).open("d/f").await.unwrap();
            let wait = async || time::sleep(Duration::from_millis(100)).await;
            file.write_all_at(&[1; 700], 0).await.unwrap();
            wait().await;
            file.sync_all().await.unwrap();
            wait().await;
            fs::sync_dir("d").await.unwrap();
            wait().await;
            fs::sync_dir("").await.unwrap();
            wait().await;
            // The same bytes again are no change.
            file.write_all_at(&[1; 700], 0).await.unwrap();
            wait().await;
            file.append(&[2; 10]).await.unwrap();
            wait().await;
            file.write_all_at(&[3; 10], 0).await.unwrap();
            wait().await;
            file.sync_data().await.unwrap();
            wait().await;
            fs::rename("d", "e").await.unwrap();
        });
        let is = |path: &str, from, to| u8::from(survives(NODE, path, from, to));
        let mut seen = BTreeMap::new();
        for i in 0..9 {
            sim.run_for(Duration::from_millis(if i == 0 { 50 } else { 100 }));
            seen.insert(i, [is("d/f", 0, 700), is("d/f", 700, 710), is("d//f", 512, 700), is("e/f", 0, 700)]);
        }
        seen
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    let expected = [
        [0, 0, 0, 0], // written
        [0, 0, 0, 0], // synced
        [0, 0, 0, 0], // and its name
        [1, 0, 1, 0], // and that of its directory
        [1, 0, 1, 0], // written again
        [1, 0, 1, 0], // longer
        [0, 0, 1, 0], // another beginning
        [1, 1, 1, 0], // synced
        [0, 0, 0, 0], // the directory has another name
    ];
    assert_eq!(run.value.into_values().collect::<Vec<_>>(), expected);
    assert_eq!(expected.into_iter().collect::<BTreeSet<_>>().len(), 4);
}
