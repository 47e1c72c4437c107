//! Random operations on a simulated disk and on the machine's own file system: the same bytes, names and errors, by number.
//!
//! Not compared is what differs on purpose: a directory cannot be opened, and the root cannot be renamed.

use std::cell::RefCell;
use std::fs as real;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use sim::fs::{self, File, OpenOptions};
use sim::simulate;

const SLOTS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// read, write, truncate, create, create_new.
    Open(usize, String, [bool; 5]),
    Close(usize),
    ReadAt(usize, usize, u64),
    WriteAt(usize, u64, Vec<u8>),
    Append(usize, Vec<u8>),
    SetLen(usize, u64),
    Sync(usize, bool),
    Len(usize),
    Read(String),
    Write(String, Vec<u8>),
    Metadata(String),
    Exists(String),
    ReadDir(String),
    CreateDir(String),
    CreateDirAll(String),
    RemoveDir(String),
    RemoveFile(String),
    Rename(String, String),
    SyncDir(String),
}

fn path() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        4 => name().prop_map(str::to_owned),
        4 => (name(), name()).prop_map(|(a, b)| format!("{a}/{b}")),
        3 => (name(), name(), name()).prop_map(|(a, b, c)| format!("{a}/{b}/{c}")),
        1 => (name(), name()).prop_map(|(a, b)| format!("./{a}//{b}")),
        1 => name().prop_map(|a| format!("{a}/")),
        1 => (name(), name()).prop_map(|(a, b)| format!("{a}/{b}//")),
        1 => (name(), 254..258usize).prop_map(|(a, n)| format!("{a}/{}", "n".repeat(n))),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0..2_000usize).prop_map(|(byte, n)| vec![byte; n]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..SLOTS;
    let offset = || prop_oneof![3 => 0..60u64, 2 => 0..3_000u64];
    prop_oneof![
        6 => (slot(), path(), any::<[bool; 5]>()).prop_map(|(slot, path, how)| Step::Open(slot, path, how)),
        4 => (slot(), path()).prop_map(|(slot, path)| Step::Open(slot, path, [true, true, false, true, false])),
        1 => slot().prop_map(Step::Close),
        4 => (slot(), 0..700usize, offset()).prop_map(|(slot, n, at)| Step::ReadAt(slot, n, at)),
        6 => (slot(), offset(), bytes()).prop_map(|(slot, at, data)| Step::WriteAt(slot, at, data)),
        2 => (slot(), bytes()).prop_map(|(slot, data)| Step::Append(slot, data)),
        3 => (slot(), offset()).prop_map(|(slot, len)| Step::SetLen(slot, len)),
        2 => (slot(), any::<bool>()).prop_map(|(slot, all)| Step::Sync(slot, all)),
        2 => slot().prop_map(Step::Len),
        4 => path().prop_map(Step::Read),
        3 => (path(), bytes()).prop_map(|(path, data)| Step::Write(path, data)),
        2 => path().prop_map(Step::Metadata),
        2 => path().prop_map(Step::Exists),
        3 => path().prop_map(Step::ReadDir),
        1 => Just(Step::ReadDir(String::new())),
        4 => path().prop_map(Step::CreateDir),
        2 => path().prop_map(Step::CreateDirAll),
        3 => path().prop_map(Step::RemoveDir),
        3 => path().prop_map(Step::RemoveFile),
        8 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => path().prop_map(Step::SyncDir),
    ]
}

/// What came of it, with an error's number.
fn said<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        // Some of std's own have no number.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => "invalid input".to_owned(),
        Err(error) => format!("error {:?} {:?}", error.raw_os_error(), error.kind()),
    }
}

fn really(root: &Path, slots: &mut [Option<real::File>], step: &Step) -> Option<String> {
    let at = |path: &str| root.join(path);
    let is_dir = |path: &str| at(path).is_dir();
    Some(match step {
        // Linux opens it, and reading fails then.
        Step::Open(_, path, [true, false, false, false, false]) | Step::Read(path) if is_dir(path) => {
            said(io::Result::<()>::Err(io::Error::from_raw_os_error(libc::EISDIR)))
        }
        Step::Open(slot, path, [read, write, truncate, create, create_new]) => {
            let mut options = real::OpenOptions::new();
            options.read(*read).write(*write).truncate(*truncate).create(*create).create_new(*create_new);
            said(options.open(at(path)).map(|file| slots[*slot] = Some(file)))
        }
        Step::Close(slot) => format!("{:?}", slots[*slot].take().is_some()),
        Step::ReadAt(slot, n, offset) => {
            let mut buf = vec![0; *n];
            said(slots[*slot].as_ref()?.read_at(&mut buf, *offset).map(|n| buf[..n].to_vec()))
        }
        Step::WriteAt(slot, offset, data) => said(slots[*slot].as_ref()?.write_at(data, *offset)),
        Step::Append(slot, data) => {
            let file = slots[*slot].as_ref()?;
            let end = file.metadata().unwrap().len();
            said(file.write_all_at(data, end).map(|()| end).and_then(|end| {
                // An empty write has no effect, and asks for no right.
                if data.is_empty() { file.write_at(data, end).map(|_| end) } else { Ok(end) }
            }))
        }
        Step::SetLen(slot, len) => said(slots[*slot].as_ref()?.set_len(*len)),
        Step::Sync(slot, true) => said(slots[*slot].as_ref()?.sync_all()),
        Step::Sync(slot, false) => said(slots[*slot].as_ref()?.sync_data()),
        Step::Len(slot) => said(slots[*slot].as_ref()?.metadata().map(|metadata| metadata.len())),
        Step::Read(path) => said(real::read(at(path))),
        Step::Write(path, data) => said(real::write(at(path), data)),
        Step::Metadata(path) => {
            let len = |metadata: &real::Metadata| if metadata.is_dir() { 0 } else { metadata.len() };
            said(real::metadata(at(path)).map(|found| (len(&found), found.is_dir(), found.is_file())))
        }
        Step::Exists(path) => said(at(path).try_exists()),
        Step::ReadDir(path) => said(real::read_dir(at(path)).map(|entries| {
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        })),
        Step::CreateDir(path) => said(real::create_dir(at(path))),
        Step::CreateDirAll(path) => said(real::create_dir_all(at(path))),
        Step::RemoveDir(path) => said(real::remove_dir(at(path))),
        Step::RemoveFile(path) => said(real::remove_file(at(path))),
        Step::Rename(from, to) => said(real::rename(at(from), at(to))),
        Step::SyncDir(path) if !is_dir(path) => said(real::read_dir(at(path)).map(drop)),
        Step::SyncDir(path) => said(real::File::open(at(path)).and_then(|dir| dir.sync_all())),
    })
}

async fn simulated(slots: &mut [Option<File>], step: &Step) -> Option<String> {
    Some(match step {
        Step::Open(slot, path, [read, write, truncate, create, create_new]) => {
            let options = OpenOptions::new().read(*read).write(*write).truncate(*truncate);
            let opened = options.create(*create).create_new(*create_new).open(path).await;
            said(opened.map(|file| slots[*slot] = Some(file)))
        }
        Step::Close(slot) => format!("{:?}", slots[*slot].take().is_some()),
        Step::ReadAt(slot, n, offset) => {
            let mut buf = vec![0; *n];
            said(slots[*slot].as_ref()?.read_at(&mut buf, *offset).await.map(|n| buf[..n].to_vec()))
        }
        Step::WriteAt(slot, offset, data) => said(slots[*slot].as_ref()?.write_at(data, *offset).await),
        Step::Append(slot, data) => said(slots[*slot].as_ref()?.append(data).await),
        Step::SetLen(slot, len) => said(slots[*slot].as_ref()?.set_len(*len).await),
        Step::Sync(slot, true) => said(slots[*slot].as_ref()?.sync_all().await),
        Step::Sync(slot, false) => said(slots[*slot].as_ref()?.sync_data().await),
        Step::Len(slot) => said(slots[*slot].as_ref()?.metadata().await.map(|metadata| metadata.len())),
        Step::Read(path) => said(fs::read(path).await),
        Step::Write(path, data) => said(fs::write(path, data).await),
        Step::Metadata(path) => {
            said(fs::metadata(path).await.map(|found| (found.len(), found.is_dir(), found.is_file())))
        }
        Step::Exists(path) => said(fs::try_exists(path).await),
        Step::ReadDir(path) => said(fs::read_dir(path).await),
        Step::CreateDir(path) => said(fs::create_dir(path).await),
        Step::CreateDirAll(path) => said(fs::create_dir_all(path).await),
        Step::RemoveDir(path) => said(fs::remove_dir(path).await),
        Step::RemoveFile(path) => said(fs::remove_file(path).await),
        Step::Rename(from, to) => said(fs::rename(from, to).await),
        Step::SyncDir(path) => said(fs::sync_dir(path).await),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_simulated_disk_does_what_the_machine_does(steps in prop::collection::vec(step(), 1..150)) {
        let root = tempfile::tempdir().unwrap();
        let mut slots: [Option<real::File>; SLOTS] = Default::default();
        let expected: Vec<_> = steps.iter().map(|step| really(root.path(), &mut slots, step)).collect();
        let code = steps.clone();
        let run = simulate(1, move |sim| {
            let said = Rc::new(RefCell::new(Vec::new()));
            let log = said.clone();
            sim.node("a", move || {
                let (log, steps) = (log.clone(), code.clone());
                async move {
                    let mut slots: [Option<File>; SLOTS] = Default::default();
                    for step in &steps {
                        let said = simulated(&mut slots, step).await;
                        log.borrow_mut().push(said);
                    }
                }
            });
            sim.run_for(Duration::from_secs(10));
            said.take()
        }).unwrap();
        prop_assert_eq!(run.failures, vec![]);
        for (i, (real, simulated)) in expected.iter().zip(&run.value).enumerate() {
            prop_assert_eq!(real, simulated, "step {} {:?}", i, steps[i]);
        }
        prop_assert_eq!(run.value.len(), steps.len());
    }
}
