//! The promise of a sync, for random operations on one file while syncs are under way, of which some fail: a byte is sure to be
//! there after a crash if a sync that began after it was written succeeded, and none that failed came between.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::fs::{self, DiskConfig, Loss, OpenOptions, crash_image, survives};
use sim::{Latency, NodeId, Time, simulate, task, time};

const SECTOR: usize = 512;
const NODE: NodeId = NodeId::new(0);

#[derive(Clone, Debug)]
enum Step {
    Write(usize, usize),
    Append(usize),
    SetLen(usize),
    /// Unless one is under way.
    Sync(bool),
    Pause,
}

fn step() -> impl Strategy<Value = Step> {
    let place = || prop_oneof![Just(0usize), Just(SECTOR), 0..4 * SECTOR];
    let n = || prop_oneof![1..40usize, 1..2 * SECTOR];
    prop_oneof![
        6 => (place(), n()).prop_map(|(at, n)| Step::Write(at, n)),
        3 => n().prop_map(Step::Append),
        3 => place().prop_map(Step::SetLen),
        6 => any::<bool>().prop_map(Step::Sync),
        3 => Just(Step::Pause),
    ]
}

/// What is known of a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Byte {
    value: u8,
    /// In which step it was written.
    written: usize,
    /// Which step's failure takes it away: zeros that fill a sector up are written with what is before them in it.
    depends: usize,
    is_sure: bool,
    is_dropped: bool,
}

#[derive(Default)]
struct Model {
    bytes: Vec<Byte>,
    step: usize,
    is_syncing: bool,
    /// When it was cut first, and whether a sync failed since: then the zeros behind the end may be what was there before.
    cut: Option<usize>,
    cut_dropped: bool,
    failed: u64,
    sure: u64,
}

impl Model {
    fn write(&mut self, at: usize, n: usize) {
        if self.bytes.len() < at + n {
            self.set_len(at + n);
        }
        let byte = Byte { value: value(self.step), written: self.step, depends: self.step, ..Byte::default() };
        self.bytes[at..at + n].fill(byte);
    }

    fn set_len(&mut self, len: usize) {
        let zero = Byte { written: self.step, depends: self.step, ..Byte::default() };
        let old = self.bytes.len();
        if len < old {
            self.cut.get_or_insert(self.step);
        }
        self.bytes.resize(len, zero);
        let from = old / SECTOR * SECTOR;
        let before = self.bytes.get(from..old.min(len)).unwrap_or_default();
        let depends = before.iter().map(|byte| byte.depends).chain(self.cut).min().unwrap_or(self.step);
        let is_dropped = self.cut_dropped || before.iter().any(|byte| byte.is_dropped);
        for byte in self.bytes.iter_mut().take(from + SECTOR).skip(old) {
            (byte.depends, byte.is_dropped) = (depends, is_dropped);
        }
    }

    fn synced(&mut self, since: usize, is_ok: bool) {
        self.is_syncing = false;
        self.failed += u64::from(!is_ok);
        self.cut_dropped |= !is_ok && self.cut.is_some_and(|cut| cut <= since);
        for byte in self.bytes.iter_mut().filter(|byte| !byte.is_sure) {
            byte.is_sure = is_ok && byte.written <= since && !byte.is_dropped;
            byte.is_dropped |= !is_ok && byte.depends <= since;
        }
    }

    /// Which runs of bytes are sure.
    fn judge(&mut self) {
        let shown = crash_image(NODE, Loss::Nothing);
        let shown = shown.read("f").unwrap_or_default();
        let mut at = 0;
        for run in self.bytes.chunk_by(|a, b| a.is_sure == b.is_sure) {
            let to = at + run.len();
            if run[0].is_sure {
                assert!(survives(NODE, "f", at as u64, to as u64), "step {}: {at} to {to} may be lost", self.step);
                assert!(run.iter().zip(&shown[at..to]).all(|(byte, shown)| byte.value == *shown), "{at} to {to}");
                self.sure += 1;
            }
            at = to;
        }
    }
}

fn value(step: usize) -> u8 {
    (step % 250) as u8 + 1
}

async fn live(model: Rc<RefCell<Model>>, steps: Vec<Step>) {
    let file = OpenOptions::new().read(true).write(true).create(true).open("f").await.unwrap();
    while fs::sync_dir("").await.is_err() {}
    for step in steps {
        model.borrow_mut().step += 1;
        let now = model.borrow().step;
        let len = file.metadata().await.unwrap().len() as usize;
        // After a cut that failed the file may be longer or shorter than it was.
        if model.borrow().bytes.len() != len {
            let model = &mut *model.borrow_mut();
            assert!(model.failed > 0, "{len} bytes");
            model.bytes.resize(len, Byte { is_dropped: true, ..Byte::default() });
        }
        match step {
            Step::Write(at, n) => {
                file.write_all_at(&vec![value(now); n], at as u64).await.unwrap();
                model.borrow_mut().write(at, n);
            }
            Step::Append(n) => {
                file.append(&vec![value(now); n]).await.unwrap();
                model.borrow_mut().write(len, n);
            }
            Step::SetLen(to) => {
                file.set_len(to as u64).await.unwrap();
                model.borrow_mut().set_len(to);
            }
            Step::Sync(all) if !model.borrow().is_syncing => {
                model.borrow_mut().is_syncing = true;
                let (file, model) = (file.clone(), model.clone());
                task::spawn(async move {
                    let synced = if all { file.sync_all().await } else { file.sync_data().await };
                    model.borrow_mut().synced(now, synced.is_ok());
                });
            }
            Step::Sync(_) => {}
            Step::Pause => time::sleep(Duration::from_millis(12)).await,
        }
        time::sleep(Duration::from_millis(3)).await;
    }
}

#[test]
fn a_sync_that_succeeds_keeps_its_promise_whatever_failed_before() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner =
        TestRunner::new_with_rng(Config { cases: 3_000, failure_persistence: None, ..Config::default() }, rng);
    let counts = RefCell::new((0, 0));
    let steps = (prop::collection::vec(step(), 1..40), any::<u64>());
    let result = runner.run(&steps, |(steps, seed)| {
        let n = steps.len();
        let run = simulate(seed, move |sim| {
            let sync = Latency::Constant(Time::new(Duration::from_millis(10)));
            sim.disks(DiskConfig { sync, sync_error: 0.25, ..DiskConfig::default() });
            let model: Rc<RefCell<Model>> = Rc::default();
            let inner = model.clone();
            sim.node("a", move || live(inner.clone(), steps.clone()));
            for _ in 0..3 * n {
                sim.run_for(Duration::from_millis(5));
                model.borrow_mut().judge();
            }
            sim.crash(NODE);
            model.borrow_mut().judge();
            let model = model.borrow();
            (model.sure, model.failed)
        });
        let run = run.unwrap();
        prop_assert_eq!(run.failures, vec![]);
        counts.replace_with(|counts| (counts.0 + run.value.0, counts.1 + run.value.1));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (sure, failed) = counts.take();
    assert!(sure > 10_000 && failed > 1_000, "{sure} and {failed}");
}
