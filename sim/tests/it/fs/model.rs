//! Random operations and crashes, against a model written apart from the disk: what was found after each crash must be
//! something that the model allows, and everything that it allows must be found sometimes.
//!
//! The model of bytes is in [`bytes`]. The model of names: of the changes that are not durable, any may be lost, but of those of one name the
//! later ones before the earlier ones, none halfway, and never so that a file is nowhere that was somewhere before
//! and after.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::fs::{self, DiskConfig, File, Lengths, OpenOptions};
use sim::simulate;

mod bytes;

use bytes::{Bytes, Rules};

const SECTOR: usize = 512;
const ROOT: usize = 0;
const PATHS: [&str; 7] = ["a", "b", "d", "e", "d/a", "d/b", "d/e"];

#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    /// Where, how many bytes.
    Write(&'static str, usize, usize),
    SetLen(&'static str, usize),
    Sync(&'static str, bool),
    SyncDir(&'static str),
    MakeDir(&'static str),
    RemoveDir(&'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(PATHS.to_vec());
    let dir = || prop::sample::select(vec!["d", "e", "d/e"]);
    let place = || prop_oneof![Just(0usize), Just(SECTOR), 0..4 * SECTOR];
    prop_oneof![
        7 => path().prop_map(Step::Create),
        14 => (path(), place(), prop_oneof![1..40usize, 1..3 * SECTOR])
            .prop_map(|(path, at, n)| Step::Write(path, at, n)),
        2 => (path(), place()).prop_map(|(path, len)| Step::SetLen(path, len)),
        4 => (path(), any::<bool>()).prop_map(|(path, all)| Step::Sync(path, all)),
        4 => prop::sample::select(vec!["", "", "d", "e", "d/e"]).prop_map(Step::SyncDir),
        3 => dir().prop_map(Step::MakeDir),
        1 => dir().prop_map(Step::RemoveDir),
        5 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => path().prop_map(Step::Remove),
        2 => Just(Step::Crash),
    ]
}

/// An entry of a directory and its new value.
type Set = ((usize, String), Option<usize>);

#[derive(Clone, Debug)]
struct Change {
    sets: Vec<Set>,
    is_sure: bool,
    is_rename: bool,
}

type Tree = BTreeMap<(usize, String), usize>;

#[derive(Clone, Debug, Default)]
struct Model {
    /// Files and directories (none) by number; the root is the first.
    nodes: Vec<Option<Bytes>>,
    durable: Tree,
    cached: Tree,
    changes: Vec<Change>,
}

/// All paths, and what they lead to.
fn paths(tree: &Tree) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    let mut open = vec![(String::new(), ROOT)];
    while let Some((above, dir)) = open.pop() {
        for ((_, name), node) in tree.range((dir, String::new())..(dir + 1, String::new())) {
            let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
            all.insert(path.clone(), *node);
            open.push((path, *node));
        }
    }
    all
}

/// What was found on a disk: files with bytes, and directories.
type Found = BTreeMap<String, Option<Vec<u8>>>;

impl Model {
    fn of(found: &Found) -> Model {
        let mut model = Model { nodes: vec![None], ..Model::default() };
        for (path, bytes) in found {
            let (dir, name) = model.entry(path);
            model.nodes.push(bytes.as_deref().map(Bytes::durable));
            model.durable.insert((dir, name.clone()), model.nodes.len() - 1);
            model.cached = model.durable.clone();
        }
        model
    }

    fn dir(&self, path: &str) -> usize {
        if path.is_empty() { ROOT } else { paths(&self.cached)[path] }
    }

    fn entry(&self, path: &str) -> (usize, String) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.dir(above), name.to_owned())
    }

    fn file(&mut self, path: &str) -> &mut Bytes {
        let number = paths(&self.cached)[path];
        self.nodes[number].as_mut().expect("a file")
    }

    fn change(&mut self, sets: Vec<Set>, is_rename: bool) {
        for (entry, value) in &sets {
            match value {
                Some(node) => self.cached.insert(entry.clone(), *node),
                None => self.cached.remove(entry),
            };
        }
        self.changes.push(Change { sets, is_sure: false, is_rename });
    }

    /// The step succeeded.
    fn apply(&mut self, step: &Step, data: &[u8]) {
        match step {
            Step::Create(path) if paths(&self.cached).contains_key(*path) => self.file(path).set_len(0),
            Step::Create(path) | Step::MakeDir(path) => {
                self.nodes.push(matches!(step, Step::Create(_)).then(|| Bytes::durable(&[])));
                let set = (self.entry(path), Some(self.nodes.len() - 1));
                self.change(vec![set], false);
            }
            Step::Write(path, at, _) => self.file(path).write(*at, data),
            Step::SetLen(path, len) => self.file(path).set_len(*len),
            Step::Sync(path, _) => self.file(path).sync(),
            Step::Remove(path) | Step::RemoveDir(path) => self.change(vec![(self.entry(path), None)], false),
            Step::Rename(from, to) if from == to => {}
            Step::Rename(from, to) => {
                let node = paths(&self.cached)[*from];
                self.change(vec![(self.entry(from), None), (self.entry(to), Some(node))], true);
            }
            Step::SyncDir(path) => {
                let dir = self.dir(path);
                let touches = |change: &Change| change.sets.iter().any(|((d, _), _)| *d == dir);
                self.changes.iter_mut().filter(|change| touches(change)).for_each(|change| change.is_sure = true);
            }
            Step::Crash => unreachable!("nobody does it"),
        }
    }

    /// The tree if only some of the changes are durable; none if that cannot be.
    fn tree(&self, kept: impl Fn(usize) -> bool) -> Option<Tree> {
        let mut tree = self.durable.clone();
        let mut lost = BTreeSet::new();
        for (i, change) in self.changes.iter().enumerate() {
            if !kept(i) {
                lost.extend(change.sets.iter().map(|(entry, _)| entry));
                continue;
            }
            for (entry, value) in &change.sets {
                if lost.contains(entry) {
                    return None;
                }
                match value {
                    Some(node) => tree.insert(entry.clone(), *node),
                    None => tree.remove(entry),
                };
            }
        }
        Some(tree)
    }

    /// What is wrong with a disk after a crash, or which kinds of outcomes it shows.
    fn judge(&self, found: &Found, rules: Rules) -> Result<BTreeSet<&'static str>, String> {
        // From here on later changes come after: a sure one needs those before it of the same names.
        let open: Vec<usize> = (0..self.changes.len()).filter(|&i| !self.changes[i].is_sure).collect();
        assert!(open.len() <= 12, "too many for trying them all");
        let is_file = |node: &usize| self.nodes[*node].is_some();
        let files =
            |tree: &Tree| -> BTreeSet<usize> { paths(tree).into_values().filter(|node| is_file(node)).collect() };
        let stays: Vec<usize> = files(&self.durable).intersection(&files(&self.cached)).copied().collect();
        let mut why = String::from("names that cannot be");
        for choice in 0..1u32 << open.len() {
            let kept = |i: usize| open.iter().position(|&o| o == i).is_none_or(|bit| choice >> bit & 1 == 1);
            let Some(tree) = self.tree(kept) else { continue };
            let names = paths(&tree);
            let there = files(&tree);
            let same = |(path, node): (&String, &usize)| found.get(path).is_some_and(|f| f.is_some() == is_file(node));
            if names.len() != found.len() || !names.iter().all(same) || !stays.iter().all(|file| there.contains(file)) {
                continue;
            }
            let mut kinds = BTreeSet::new();
            let judged = names.iter().try_for_each(|(path, node)| match (&self.nodes[*node], &found[path]) {
                (Some(model), Some(bytes)) => {
                    kinds.extend(model.judge(bytes, rules).map_err(|wrong| format!("{path}: {wrong}"))?);
                    Ok(())
                }
                _ => Ok(()),
            });
            match judged {
                Ok(()) => {
                    for &i in &open {
                        kinds.insert(match (self.changes[i].is_rename, kept(i)) {
                            (true, true) => "a rename is kept",
                            (true, false) => "a rename is lost",
                            (false, true) => "a name is kept",
                            (false, false) => "a name is lost",
                        });
                    }
                    return Ok(kinds);
                }
                Err(wrong) => why = wrong,
            }
        }
        Err(why)
    }
}

async fn perform(step: &Step, data: &[u8]) -> std::io::Result<()> {
    let open = |path: &'static str| OpenOptions::new().write(true).open(path);
    match step {
        Step::Create(path) => File::create(path).await.map(drop),
        Step::Write(path, at, _) => open(path).await?.write_all_at(data, *at as u64).await,
        Step::SetLen(path, len) => open(path).await?.set_len(*len as u64).await,
        Step::Sync(path, true) => open(path).await?.sync_all().await,
        Step::Sync(path, false) => open(path).await?.sync_data().await,
        Step::SyncDir(dir) => fs::sync_dir(dir).await,
        Step::MakeDir(path) => fs::create_dir(path).await,
        Step::RemoveDir(path) => fs::remove_dir(path).await,
        Step::Rename(from, to) => fs::rename(from, to).await,
        Step::Remove(path) => fs::remove_file(path).await,
        Step::Crash => unreachable!("the host does it"),
    }
}

async fn look() -> Found {
    let mut found = Found::new();
    let mut open = vec![String::new()];
    while let Some(dir) = open.pop() {
        for name in fs::read_dir(&dir).await.unwrap() {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            let bytes = match fs::metadata(&path).await.unwrap().is_dir() {
                true => None,
                false => Some(fs::read(&path).await.unwrap()),
            };
            if bytes.is_none() {
                open.push(path.clone());
            }
            found.insert(path, bytes);
        }
    }
    found
}

#[derive(Default)]
struct World {
    model: Option<Model>,
    steps: VecDeque<Step>,
    done: u64,
    kinds: BTreeMap<&'static str, u64>,
}

/// One life: looks at what the crash before left, and goes on until the next.
async fn live(world: Rc<RefCell<World>>, rules: Rules) {
    let found = look().await;
    {
        let world = &mut *world.borrow_mut();
        if let Some(model) = &world.model {
            let kinds = model.judge(&found, rules).unwrap_or_else(|wrong| panic!("{wrong}\n{model:?}\n{found:?}"));
            kinds.into_iter().for_each(|kind| *world.kinds.entry(kind).or_default() += 1);
        }
        world.model = Some(Model::of(&found));
    }
    loop {
        let (step, data) = {
            let world = &mut *world.borrow_mut();
            let Some(step) = world.steps.front().filter(|step| !matches!(step, Step::Crash)).cloned() else { return };
            world.steps.pop_front();
            world.done += 1;
            let len = if let Step::Write(_, _, len) = step { len } else { 0 };
            // Every write has other bytes than all before it, in each sector.
            let data = (0..len).map(|i| (world.done % 251) as u8 + 1 + u8::from(i % 7 == 3)).collect::<Vec<u8>>();
            (step, data)
        };
        let is_done = perform(&step, &data).await.is_ok();
        let unsure = {
            let world = &mut *world.borrow_mut();
            let model = world.model.as_mut().expect("there is one since it looked");
            if is_done {
                model.apply(&step, &data);
            }
            model.changes.iter().filter(|change| !change.is_sure).count()
        };
        if unsure >= 9 {
            fs::sync_dir("").await.unwrap();
            let model = &mut world.borrow_mut().model;
            model.as_mut().expect("as before").apply(&Step::SyncDir(""), &[]);
        }
    }
}

/// Runs random steps. Returns how often each kind of outcome was seen.
fn kinds_seen(cases: u32, rules: Rules) -> BTreeMap<&'static str, u64> {
    let kinds: RefCell<BTreeMap<&'static str, u64>> = RefCell::default();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[rules.atomic as u8; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = (prop::collection::vec(step(), 1..60), any::<u64>());
    let result = runner.run(&steps, |(mut steps, seed)| {
        steps.push(Step::Crash);
        let crashes = steps.iter().filter(|step| matches!(step, Step::Crash)).count();
        let run = simulate(seed, move |sim| {
            sim.disks(DiskConfig { lengths: rules.lengths, atomic: rules.atomic as u16, ..DiskConfig::default() });
            let world = Rc::new(RefCell::new(World { steps: steps.into(), ..World::default() }));
            let inner = world.clone();
            let node = sim.node("a", move || live(inner.clone(), rules));
            for _ in 0..crashes {
                sim.run_for(Duration::from_secs(1));
                world.borrow_mut().steps.pop_front();
                sim.crash(node);
                sim.boot(node);
            }
            sim.run_for(Duration::from_secs(1));
            let world = &mut *world.borrow_mut();
            (world.steps.len(), std::mem::take(&mut world.kinds))
        });
        let run = run.unwrap();
        prop_assert_eq!(run.failures, vec![]);
        prop_assert_eq!(run.value.0, 0, "the node stopped before the end");
        for (kind, n) in run.value.1 {
            *kinds.borrow_mut().entry(kind).or_default() += n;
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    kinds.take()
}

#[test]
fn a_crash_leaves_what_the_model_allows_and_everything_that_it_allows() {
    let kinds = kinds_seen(12_000, Rules { lengths: Lengths::Whole, atomic: SECTOR });
    for kind in [
        "a sector is kept",
        "a sector is lost",
        "a sector from the middle",
        "zeros",
        "garbage",
        "the length is kept",
        "the length is lost",
        "the length is between",
        "the length is from the middle",
        "a name is kept",
        "a name is lost",
        "a rename is kept",
        "a rename is lost",
    ] {
        assert!(kinds.get(kind).is_some_and(|&n| n >= 20), "{kind} in {kinds:?}");
    }
}

#[test]
fn other_units_and_lengths_leave_what_their_models_allow() {
    for atomic in [1, 8, 4096] {
        let kinds = kinds_seen(2000, Rules { lengths: Lengths::Whole, atomic });
        assert!(kinds["a sector is kept"] >= 20 && kinds["a sector is lost"] >= 20, "{atomic}: {kinds:?}");
    }
    let kinds = kinds_seen(2000, Rules { lengths: Lengths::Any, atomic: SECTOR });
    assert!(kinds["the length is between"] >= 20, "{kinds:?}");
}
