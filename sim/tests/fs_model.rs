//! Random file operations and crashes, against a model of two maps: names and bytes as the cache has them, and as the
//! platter does.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use sim::fs::{self, File, OpenOptions};
use sim::simulate;

const NAMES: [&str; 6] = ["a", "b", "d", "d/a", "d/b", "a/x"];

#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Write(usize, u64, Vec<u8>),
    SetLen(usize, u64),
    Sync(usize),
    SyncDir(&'static str),
    MakeDir,
    Rename(usize, usize),
    Remove(usize),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    prop_oneof![
        2 => name().prop_map(Step::Create),
        4 => (name(), 0..30u64, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(n, at, data)| Step::Write(n, at, data)),
        2 => (name(), 0..40u64).prop_map(|(n, len)| Step::SetLen(n, len)),
        3 => name().prop_map(Step::Sync),
        3 => prop::sample::select(vec!["", "d"]).prop_map(Step::SyncDir),
        1 => Just(Step::MakeDir),
        2 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => name().prop_map(Step::Remove),
        2 => Just(Step::Crash),
    ]
}

/// What the disk should hold: names to file numbers (none is a directory), and each file's bytes, cached and durable.
#[derive(Default, Clone, Debug)]
struct Model {
    cached: BTreeMap<&'static str, Option<usize>>,
    durable: BTreeMap<&'static str, Option<usize>>,
    files: Vec<[Vec<u8>; 2]>,
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(above, _)| above)
}

impl Model {
    fn file(&mut self, name: &str) -> Option<&mut [Vec<u8>; 2]> {
        let file = (*self.cached.get(name)?)?;
        Some(&mut self.files[file])
    }

    fn has_dir(&self, name: &str) -> bool {
        name.is_empty() || self.cached.get(name) == Some(&None)
    }

    /// Does the step; whether it succeeds.
    fn apply(&mut self, step: &Step) -> bool {
        match step {
            Step::Create(n) => match self.cached.get(NAMES[*n]) {
                Some(Some(file)) => self.files[*file][0].clear(),
                None if self.has_dir(parent(NAMES[*n])) => {
                    self.files.push([vec![], vec![]]);
                    self.cached.insert(NAMES[*n], Some(self.files.len() - 1));
                }
                _ => return false,
            },
            Step::Write(n, at, data) => {
                let Some([cached, _]) = self.file(NAMES[*n]) else { return false };
                let (at, end) = (*at as usize, *at as usize + data.len());
                if !data.is_empty() {
                    cached.resize(cached.len().max(end), 0);
                    cached[at..end].copy_from_slice(data);
                }
            }
            Step::SetLen(n, len) => match self.file(NAMES[*n]) {
                Some([cached, _]) => cached.resize(*len as usize, 0),
                None => return false,
            },
            Step::Sync(n) => match self.file(NAMES[*n]) {
                Some([cached, durable]) => durable.clone_from(cached),
                None => return false,
            },
            Step::SyncDir(dir) => {
                if !self.has_dir(dir) {
                    return false;
                }
                self.durable.retain(|name, _| parent(name) != *dir);
                self.durable.extend(self.cached.iter().filter(|(name, _)| parent(name) == *dir));
            }
            Step::MakeDir => match self.cached.get("d") {
                Some(Some(_)) => return false,
                _ => drop(self.cached.insert("d", None)),
            },
            Step::Rename(from, to) => {
                let (from, to) = (NAMES[*from], NAMES[*to]);
                let Some(Some(file)) = self.cached.get(from).copied() else { return false };
                if !self.has_dir(parent(to)) || self.has_dir(to) {
                    return false;
                }
                self.cached.remove(from);
                self.cached.insert(to, Some(file));
            }
            Step::Remove(n) => match self.cached.get(NAMES[*n]) {
                Some(Some(_)) => drop(self.cached.remove(NAMES[*n])),
                _ => return false,
            },
            Step::Crash => {
                let all = self.durable.clone();
                self.durable.retain(|name, _| parent(name).is_empty() || all.get(parent(name)) == Some(&None));
                self.cached = self.durable.clone();
                self.files.iter_mut().for_each(|[cached, durable]| cached.clone_from(durable));
            }
        }
        true
    }
}

async fn open(n: &usize) -> io::Result<File> {
    OpenOptions::new().write(true).open(NAMES[*n]).await
}

async fn perform(step: &Step) -> io::Result<()> {
    match step {
        Step::Create(n) => File::create(NAMES[*n]).await.map(drop),
        Step::Write(n, at, data) => open(n).await?.write_all_at(data, *at).await,
        Step::SetLen(n, len) => open(n).await?.set_len(*len).await,
        Step::Sync(n) => open(n).await?.sync_all().await,
        Step::SyncDir(dir) => fs::sync_dir(dir).await,
        Step::MakeDir => fs::create_dir_all("d").await,
        Step::Rename(from, to) => fs::rename(NAMES[*from], NAMES[*to]).await,
        Step::Remove(n) => fs::remove_file(NAMES[*n]).await,
        Step::Crash => unreachable!("the host does it"),
    }
}

async fn compare(model: &Model) {
    for name in NAMES {
        let expected = model.cached.get(name).copied().flatten().map(|file| model.files[file][0].clone());
        assert_eq!(fs::read(name).await.ok(), expected, "{name}");
    }
    for dir in ["", "d"] {
        let within = model.cached.keys().filter(|name| parent(name) == dir);
        let names: Vec<String> = within.map(|name| name.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(fs::read_dir(dir).await.ok(), model.has_dir(dir).then_some(names), "{dir:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn any_operations_and_crashes_leave_what_a_model_of_two_maps_has(steps in prop::collection::vec(step(), 1..60)) {
        let crashes = steps.iter().filter(|step| matches!(step, Step::Crash)).count();
        let run = simulate(1, move |sim| {
            let world = Rc::new(RefCell::new((Model::default(), VecDeque::from(steps))));
            let inner = world.clone();
            let node = sim.node("a", move || {
                let world = inner.clone();
                async move {
                    loop {
                        let model = world.borrow().0.clone();
                        compare(&model).await;
                        let next = world.borrow().1.front().cloned();
                        let Some(step) = next.filter(|step| !matches!(step, Step::Crash)) else { return };
                        let done = perform(&step).await;
                        let (model, steps) = &mut *world.borrow_mut();
                        steps.pop_front();
                        assert_eq!(done.is_ok(), model.apply(&step), "{step:?}: {done:?}");
                    }
                }
            });
            for _ in 0..crashes {
                sim.run_for(Duration::from_secs(1));
                let (model, steps) = &mut *world.borrow_mut();
                assert!(matches!(steps.pop_front(), Some(Step::Crash)), "the node stopped before it");
                model.apply(&Step::Crash);
                sim.crash(node);
                sim.boot(node);
            }
            sim.run_for(Duration::from_secs(1));
            world.borrow().1.len()
        }).unwrap();
        prop_assert_eq!((run.failures, run.value), (vec![], 0));
    }
}
