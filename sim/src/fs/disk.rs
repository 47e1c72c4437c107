//! One node's disk: a page cache in front of a durable image, for bytes and for names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::{Loss, Metadata, error};
use crate::kernel::State;
use crate::node::NodeId;
use crate::seed::{Key, Purpose, Seed};
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

/// A file's bytes: as the cache has them, and as the platter does.
#[derive(Debug, Default)]
pub(crate) struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// The hull of all bytes written since the last sync.
    dirty: Option<(usize, usize)>,
}

impl Inode {
    pub fn len(&self) -> u64 {
        self.cached.len() as u64
    }

    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = (offset as usize).min(self.cached.len());
        let n = buf.len().min(self.cached.len() - from);
        buf[..n].copy_from_slice(&self.cached[from..from + n]);
        Ok(n)
    }

    pub fn write_at(&mut self, data: &[u8], offset: u64) {
        if data.is_empty() {
            // Nothing is written, so no gap before it either.
            return;
        }
        let (from, end) = (offset as usize, offset as usize + data.len());
        let old = self.cached.len();
        if end > old {
            self.cached.resize(end, 0);
        }
        self.cached[from..end].copy_from_slice(data);
        self.touch(from.min(old), end);
    }

    pub fn set_len(&mut self, len: u64) {
        let old = self.cached.len();
        self.cached.resize(len as usize, 0);
        self.touch(old.min(len as usize), self.cached.len());
    }

    fn touch(&mut self, from: usize, end: usize) {
        let (a, b) = self.dirty.unwrap_or((from, end));
        self.dirty = Some((a.min(from), b.max(end)));
    }

    /// Makes everything durable and says how many bytes that took.
    pub fn sync(&mut self) -> u64 {
        let Some((from, end)) = self.dirty.take() else { return 0 };
        let end = end.min(self.cached.len());
        self.durable.resize(self.cached.len(), 0);
        let from = from.min(end);
        self.durable[from..end].copy_from_slice(&self.cached[from..end]);
        (end - from) as u64
    }

    /// What the crash costs: the number of unsynced bytes.
    fn crash(&mut self) -> u64 {
        let lost = self.dirty.take().map_or(0, |(from, end)| (end - from) as u64);
        if lost > 0 || self.cached.len() != self.durable.len() {
            self.cached.clone_from(&self.durable);
        }
        lost
    }
}

#[derive(Clone, Debug)]
enum Entry {
    File(Rc<RefCell<Inode>>),
    Dir,
}

/// A disk.
pub(crate) struct Disk {
    limit: u64,
    cached: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
}

fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

fn normal(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

impl Disk {
    fn new(_: Key) -> Disk {
        Disk { limit: u64::MAX, cached: BTreeMap::new(), durable: BTreeMap::new() }
    }

    pub fn used(&self) -> u64 {
        0
    }

    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub fn is_damaged(&self) -> bool {
        false
    }

    pub fn durable_sectors(&self, _files: &str) -> u64 {
        0
    }

    pub fn corrupt(&mut self, _files: &str, _n: u64, _bit: crate::seed::Draw) -> Option<(String, u64)> {
        None
    }

    pub fn spoil(&mut self, _files: &str, _n: u64) -> Option<(String, u64)> {
        None
    }

    fn directory(&self, path: &str) -> io::Result<()> {
        match self.cached.get(path) {
            _ if path.is_empty() => Ok(()),
            Some(Entry::Dir) => Ok(()),
            Some(Entry::File(_)) => Err(error::not_a_directory()),
            None => Err(self.missing(path)),
        }
    }

    /// Why there is nothing at `path`: a file has the name of a directory on the way, or there just is nothing.
    fn missing(&self, path: &str) -> io::Error {
        let is_file = |above: &&str| matches!(self.cached.get(*above), Some(Entry::File(_)));
        match path.match_indices('/').map(|(at, _)| &path[..at]).find(is_file) {
            Some(_) => error::not_a_directory(),
            None => error::not_found(),
        }
    }

    pub fn open(&self, path: &str) -> io::Result<Rc<RefCell<Inode>>> {
        let path = normal(path);
        match self.cached.get(&path) {
            Some(Entry::File(inode)) => Ok(inode.clone()),
            Some(Entry::Dir) => Err(error::is_a_directory()),
            None if path.is_empty() => Err(error::is_a_directory()),
            None => Err(self.missing(&path)),
        }
    }

    /// Creates a file where there is none.
    pub fn create(&mut self, path: &str) -> io::Result<Rc<RefCell<Inode>>> {
        let path = normal(path);
        self.directory(parent(&path))?;
        let inode = Rc::<RefCell<Inode>>::default();
        self.cached.insert(path, Entry::File(inode.clone()));
        Ok(inode)
    }

    pub fn metadata(&self, path: &str) -> io::Result<Metadata> {
        match self.open(path) {
            Ok(inode) => Ok(Metadata { len: inode.borrow().len(), is_dir: false }),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(Metadata { len: 0, is_dir: true }),
            Err(error) => Err(error),
        }
    }

    pub fn image(&self, loss: Loss) -> BTreeMap<String, Vec<u8>> {
        let (names, durable) = match loss {
            Loss::Nothing => (&self.cached, false),
            Loss::Everything | Loss::Drawn(_) => (&self.durable, true),
        };
        let bytes = |inode: &Inode| if durable { inode.durable.clone() } else { inode.cached.clone() };
        let files = names.iter().filter_map(|(name, entry)| match entry {
            Entry::File(inode) => Some((name.clone(), bytes(&inode.borrow()))),
            Entry::Dir => None,
        });
        files.collect()
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        let inode = self.open(&from)?;
        self.directory(parent(&to))?;
        if to.is_empty() || matches!(self.cached.get(&to), Some(Entry::Dir)) {
            return Err(error::is_a_directory());
        }
        self.cached.remove(&from);
        self.cached.insert(to, Entry::File(inode));
        Ok(())
    }

    pub fn remove_file(&mut self, path: &str) -> io::Result<()> {
        let path = normal(path);
        self.open(&path)?;
        self.cached.remove(&path);
        Ok(())
    }

    pub fn create_dir_all(&mut self, path: &str) -> io::Result<()> {
        let path = normal(path);
        let mut above = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(part);
            match self.cached.get(&above) {
                Some(Entry::Dir) => {}
                Some(Entry::File(_)) => return Err(error::not_a_directory()),
                None => {
                    self.cached.insert(above.clone(), Entry::Dir);
                }
            }
        }
        Ok(())
    }

    pub fn read_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let path = normal(path);
        self.directory(&path)?;
        Ok(self
            .cached
            .keys()
            .filter(|name| parent(name) == path)
            .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned())
            .collect())
    }

    pub fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        let path = normal(path);
        self.directory(&path)?;
        self.durable.retain(|name, _| parent(name) != path);
        for (name, entry) in self.cached.iter().filter(|(name, _)| parent(name) == path) {
            self.durable.insert(name.clone(), entry.clone());
        }
        Ok(())
    }

    /// Power is lost: what was not synced is gone. Returns how many bytes and how many names that were.
    fn crash(&mut self) -> (u64, u64) {
        let mut bytes = 0;
        for entry in self.cached.values().chain(self.durable.values()) {
            if let Entry::File(inode) = entry {
                bytes += inode.borrow_mut().crash();
            }
        }
        // A directory that is gone takes what was in it along.
        let durable = std::mem::take(&mut self.durable);
        for (name, entry) in durable {
            let above = parent(&name);
            if above.is_empty() || self.durable.contains_key(above) {
                self.durable.insert(name, entry);
            }
        }
        let changed = |a: &BTreeMap<String, Entry>, b: &BTreeMap<String, Entry>| {
            a.keys().filter(|name| !b.contains_key(*name)).count() as u64
        };
        let names = changed(&self.cached, &self.durable) + changed(&self.durable, &self.cached);
        self.cached = self.durable.clone();
        (bytes, names)
    }
}

/// The disks of all nodes.
#[derive(Default)]
pub(crate) struct Disks {
    disks: Vec<Disk>,
}

impl Disks {
    pub fn add(&mut self, seed: Seed, node: &str) {
        self.disks.push(Disk::new(seed.key(Purpose::Disk, node)));
    }

    pub fn of(&mut self, node: NodeId) -> &mut Disk {
        &mut self.disks[node.index()]
    }
}

impl State {
    /// The node lost power.
    pub(crate) fn crash_disk(&mut self, node: NodeId) {
        self.reset_device(node);
        let (bytes, names) = self.disks.of(node).crash();
        self.effects.unsynced_bytes += bytes;
        self.effects.unsynced_names += names;
        self.digest.event(Tag::Disk, u64::from(node.0), bytes << 16 ^ names, self.now);
        if bytes + names > 0 {
            self.record(node, Kind::Disk, |_| format!("crash lost {bytes} unsynced bytes and {names} names"));
        }
    }

    /// The node's disk is replaced by an empty one.
    pub(crate) fn wipe_disk(&mut self, node: NodeId) {
        self.empty_device(node);
        let disk = self.disks.of(node);
        disk.cached.clear();
        disk.durable.clear();
        self.digest.event(Tag::Disk, u64::from(node.0), u64::MAX, self.now);
    }

    pub(crate) fn disk_event(&mut self, op: &'static str, path: &str, what: u64) {
        let here = self.here();
        if !self.current.alive {
            return;
        }
        self.effects.disk_ops += 1;
        let which = hash_bytes(op.as_bytes()) ^ hash_bytes(path.as_bytes()).rotate_left(1) ^ what.rotate_left(2);
        self.digest.event(Tag::Disk, u64::from(here.0), which, self.now);
        self.record(here, Kind::Disk, |_| format!("{op} {path}").trim_end().to_owned());
    }
}
