//! Names: a tree of directories, as the cache has it and as it is durable, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use super::changes::{Change, Changes, DirNo, Entry, Set};
use super::inode::Inode;
use super::{error, path};

type Entries = BTreeMap<String, Entry>;

/// A directory.
#[derive(Debug, Default)]
struct Directory {
    cached: Entries,
    durable: Entries,
    /// Where it is in the cache.
    parent: DirNo,
    /// The last change of each entry that is not durable.
    pending: BTreeMap<String, u64>,
    /// The change that put it where it is, if that is not durable.
    linked: Option<u64>,
}

const ROOT: DirNo = 0;

/// All directories of a disk.
#[derive(Debug)]
pub(super) struct Names {
    dirs: BTreeMap<DirNo, Directory>,
    changes: Changes,
    /// Whether a directory was removed that may still be here.
    has_garbage: bool,
}

/// Where a path leads.
enum Spot<'a> {
    Root,
    At { dir: DirNo, name: &'a str, entry: Option<&'a Entry> },
}

impl Default for Names {
    fn default() -> Self {
        let dirs = BTreeMap::from([(ROOT, Directory::default())]);
        Names { dirs, changes: Changes::default(), has_garbage: false }
    }
}

impl Names {
    // ---- looking ----------------------------------------------------------------------------------------------

    fn locate<'a>(&'a self, path: &'a str) -> io::Result<Spot<'a>> {
        let spot = self.way_to(path)?;
        if let Spot::At { name, .. } = spot {
            path::check_name(name)?;
        }
        Ok(spot)
    }

    /// As [`Names::locate`], for any last name.
    fn way_to<'a>(&'a self, path: &'a str) -> io::Result<Spot<'a>> {
        let mut parts = path::parts(path)?;
        let Some(mut name) = parts.next() else { return Ok(Spot::Root) };
        let mut dir = ROOT;
        for next in parts {
            path::check_name(name)?;
            match self.dirs[&dir].cached.get(name) {
                Some(Entry::Dir(below)) => dir = *below,
                Some(Entry::File(_)) => return Err(error::not_a_directory()),
                None => return Err(error::not_found()),
            }
            name = next;
        }
        Ok(Spot::At { dir, name, entry: self.dirs[&dir].cached.get(name) })
    }

    /// What is wrong on the way to the last name of a path, if something is.
    pub fn check_way(&self, path: &str) -> io::Result<()> {
        self.way_to(path).map(drop)
    }

    /// What a path stands for.
    pub fn find(&self, path: &str) -> io::Result<Entry> {
        match self.locate(path)? {
            Spot::Root => Ok(Entry::Dir(ROOT)),
            Spot::At { entry: Some(Entry::File(_)), .. } if path::names_dir(path) => Err(error::not_a_directory()),
            Spot::At { entry: Some(entry), .. } => Ok(entry.clone()),
            Spot::At { entry: None, .. } => Err(error::not_found()),
        }
    }

    /// The file that a path stands for.
    pub fn file(&self, path: &str) -> io::Result<Rc<Inode>> {
        match self.find(path)? {
            Entry::File(inode) => Ok(inode),
            Entry::Dir(_) => Err(error::is_a_directory()),
        }
    }

    /// The directory that a path stands for.
    pub fn directory(&self, path: &str) -> io::Result<DirNo> {
        match self.find(path)? {
            Entry::Dir(dir) => Ok(dir),
            Entry::File(_) => Err(error::not_a_directory()),
        }
    }

    /// The names in a directory.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let dir = self.directory(path)?;
        Ok(self.dirs[&dir].cached.keys().cloned().collect())
    }

    fn is_empty(&self, dir: DirNo) -> bool {
        self.dirs[&dir].cached.is_empty()
    }

    /// The directory and those above it.
    fn up_from(&self, dir: DirNo) -> impl Iterator<Item = DirNo> {
        std::iter::successors(Some(dir), |&dir| (dir != ROOT).then(|| self.dirs[&dir].parent))
    }

    // ---- changing ---------------------------------------------------------------------------------------------

    /// Does a change in the cache. It comes after the last changes of its entries, and after `others`.
    fn change(&mut self, seq: u64, sets: Vec<Set>, others: impl IntoIterator<Item = u64>) {
        let mut after: BTreeSet<u64> = others.into_iter().collect();
        for Set { dir, name, value } in &sets {
            if let Some(Entry::Dir(below)) = value
                && let Some(below) = self.dirs.get_mut(below)
            {
                below.parent = *dir;
                below.linked = Some(seq);
            }
            let Some(dir) = self.dirs.get_mut(dir) else { continue };
            after.extend(dir.pending.insert(name.clone(), seq));
            match value {
                Some(entry) => dir.cached.insert(name.clone(), entry.clone()),
                None => dir.cached.remove(name),
            };
        }
        let after = after.into_iter().filter(|&before| before != seq).collect();
        self.changes.add(seq, Change { first: seq, sets, after });
        let dirs = &self.dirs;
        if self.changes.merge(|set| dirs.get(&set.dir).is_some_and(|dir| dir.durable.contains_key(&set.name))) {
            self.index_changes();
        }
    }

    fn index_changes(&mut self) {
        for dir in self.dirs.values_mut() {
            dir.pending.clear();
            dir.linked = None;
        }
        for (id, change) in self.changes.iter() {
            for set in &change.sets {
                if let Some(Entry::Dir(below)) = &set.value
                    && let Some(below) = self.dirs.get_mut(below)
                {
                    below.linked = Some(id);
                }
                if let Some(dir) = self.dirs.get_mut(&set.dir) {
                    dir.pending.insert(set.name.clone(), id);
                }
            }
        }
    }

    /// The changes of a directory's entries that are not durable.
    fn pending(&self, dir: DirNo) -> Vec<u64> {
        self.dirs[&dir].pending.values().copied().collect()
    }

    /// Gives a new file its name.
    pub fn create(&mut self, path: &str, inode: Rc<Inode>, seq: u64) -> io::Result<()> {
        self.make(path, Entry::File(inode), seq)
    }

    pub fn create_dir(&mut self, path: &str, number: DirNo, seq: u64) -> io::Result<()> {
        self.make(path, Entry::Dir(number), seq)
    }

    fn make(&mut self, path: &str, entry: Entry, seq: u64) -> io::Result<()> {
        match self.locate(path)? {
            Spot::At { dir, name, entry: None } => {
                let set = Set { dir, name: name.to_owned(), value: Some(entry.clone()) };
                if let Entry::Dir(number) = entry {
                    self.dirs.insert(number, Directory::default());
                }
                self.change(seq, vec![set], []);
                Ok(())
            }
            _ => Err(error::already_exists()),
        }
    }

    pub fn remove_file(&mut self, path: &str, seq: u64) -> io::Result<()> {
        match self.locate(path)? {
            Spot::At { entry: Some(Entry::File(_)), .. } if path::names_dir(path) => Err(error::not_a_directory()),
            Spot::At { dir, name, entry: Some(Entry::File(_)) } => {
                let set = Set { dir, name: name.to_owned(), value: None };
                self.change(seq, vec![set], []);
                Ok(())
            }
            Spot::At { entry: None, .. } => Err(error::not_found()),
            _ => Err(error::is_a_directory()),
        }
    }

    pub fn remove_dir(&mut self, path: &str, seq: u64) -> io::Result<()> {
        match self.locate(path)? {
            Spot::Root => Err(error::busy()),
            Spot::At { entry: None, .. } => Err(error::not_found()),
            Spot::At { entry: Some(Entry::File(_)), .. } => Err(error::not_a_directory()),
            Spot::At { entry: Some(Entry::Dir(removed)), .. } if !self.is_empty(*removed) => Err(error::not_empty()),
            Spot::At { dir, name, entry: Some(Entry::Dir(removed)) } => {
                let set = Set { dir, name: name.to_owned(), value: None };
                // What was moved out of it must not be lost with it.
                let emptied = self.pending(*removed);
                self.change(seq, vec![set], emptied);
                self.has_garbage = true;
                Ok(())
            }
        }
    }

    /// Renames a file or a directory, replacing a file or an empty directory.
    pub fn rename(&mut self, from: &str, to: &str, seq: u64) -> io::Result<()> {
        // In this order Linux finds something wrong.
        let (source, target) = (self.way_to(from)?, self.way_to(to)?);
        let (Spot::At { dir, name, entry }, Spot::At { dir: to_dir, name: to_name, entry: replaced }) =
            (source, target)
        else {
            return Err(error::busy());
        };
        path::check_name(name)?;
        let Some(entry) = entry else { return Err(error::not_found()) };
        path::check_name(to_name)?;
        if directory(entry).is_none() && (path::names_dir(from) || path::names_dir(to)) {
            return Err(error::not_a_directory());
        }
        let mut after = Vec::new();
        if let Entry::Dir(moved) = entry
            && self.up_from(to_dir).any(|above| above == *moved)
        {
            return Err(error::invalid());
        }
        if let Some(Entry::Dir(over)) = replaced
            && self.up_from(dir).any(|above| above == *over)
        {
            return Err(error::not_empty());
        }
        if dir == to_dir && name == to_name {
            return Ok(());
        }
        match (entry, replaced) {
            (Entry::Dir(_), Some(Entry::File(_))) => return Err(error::not_a_directory()),
            (Entry::File(_), Some(Entry::Dir(_))) => return Err(error::is_a_directory()),
            (Entry::Dir(_), Some(Entry::Dir(over))) if !self.is_empty(*over) => return Err(error::not_empty()),
            _ => {}
        }
        let is_garbage = replaced.is_some_and(|entry| directory(entry).is_some());
        let sets = vec![
            Set { dir, name: name.to_owned(), value: None },
            Set { dir: to_dir, name: to_name.to_owned(), value: Some(entry.clone()) },
        ];
        if let Entry::Dir(_) = entry {
            // After all others: then no order of them makes a circle, or leaves a tree without a root.
            after = self.changes.all();
        } else {
            // What is moved must not end in a directory that is nowhere.
            after.extend(self.up_from(to_dir).filter_map(|dir| self.dirs[&dir].linked));
        }
        self.change(seq, sets, after);
        self.has_garbage |= is_garbage;
        Ok(())
    }

    // ---- syncs and crashes ------------------------------------------------------------------------------------

    /// Makes durable what was changed in a directory up to `since`. Returns how many changes that were.
    pub fn sync(&mut self, dir: DirNo, since: u64) -> u64 {
        let wanted = |change: &Change| change.first <= since && change.sets.iter().any(|set| set.dir == dir);
        let closure = self.changes.closure(wanted);
        closure.iter().for_each(|&id| self.commit(id));
        if std::mem::take(&mut self.has_garbage) {
            self.sweep();
        }
        closure.len() as u64
    }

    fn commit(&mut self, id: u64) {
        let Some(change) = self.changes.take(id) else { return };
        for set in change.sets {
            if let Some(Entry::Dir(below)) = &set.value
                && let Some(below) = self.dirs.get_mut(below)
                && below.linked == Some(id)
            {
                below.linked = None;
            }
            let Some(dir) = self.dirs.get_mut(&set.dir) else { continue };
            if dir.pending.get(&set.name) == Some(&id) {
                dir.pending.remove(&set.name);
            }
            match set.value {
                Some(entry) => dir.durable.insert(set.name, entry),
                None => dir.durable.remove(&set.name),
            };
        }
    }

    /// When the changes that are not durable were made.
    pub fn unsynced(&self) -> impl Iterator<Item = u64> {
        self.changes.iter().map(|(id, _)| id)
    }

    /// The changes that a crash keeps, if `keeps` decides about each.
    pub fn survivors(&self, keeps: impl Fn(u64) -> bool) -> BTreeSet<u64> {
        self.changes.kept(keeps)
    }

    /// The crash happens: these changes are kept, and no others.
    pub fn become_what_survived(&mut self, kept: &BTreeSet<u64>) {
        kept.iter().for_each(|&id| self.commit(id));
        self.changes.take_all();
        for dir in self.dirs.values_mut() {
            dir.cached = dir.durable.clone();
        }
        self.index_changes();
        self.sweep();
        let links: Vec<(DirNo, DirNo)> =
            self.dirs.iter().flat_map(|(&above, dir)| below(&dir.cached).map(move |dir| (above, dir))).collect();
        for (above, dir) in links {
            if let Some(dir) = self.dirs.get_mut(&dir) {
                dir.parent = above;
            }
        }
    }

    /// Frees directories that nothing leads to any more.
    fn sweep(&mut self) {
        let changed = self.changes.iter().flat_map(|(_, change)| &change.sets);
        let changed = changed.flat_map(|set| [Some(set.dir), set.value.as_ref().and_then(directory)]).flatten();
        let from: Vec<DirNo> = [ROOT].into_iter().chain(changed).collect();
        let reached = self.reached(from, |dir| below(&dir.cached).chain(below(&dir.durable)).collect());
        self.dirs.retain(|dir, _| reached.contains(dir));
        let in_use = self.reached(vec![ROOT], |dir| below(&dir.cached).collect());
        self.has_garbage = in_use.len() < self.dirs.len();
    }

    fn reached(&self, mut open: Vec<DirNo>, below: impl Fn(&Directory) -> Vec<DirNo>) -> BTreeSet<DirNo> {
        let mut reached = BTreeSet::new();
        while let Some(dir) = open.pop() {
            if let Some(directory) = self.dirs.get(&dir)
                && reached.insert(dir)
            {
                open.extend(below(directory));
            }
        }
        reached
    }

    // ---- all files --------------------------------------------------------------------------------------------

    /// The files by path, as the cache has them.
    pub fn cached(&self) -> Vec<(String, Rc<Inode>)> {
        walk(|dir| self.dirs.get(&dir).map(|dir| &dir.cached))
    }

    /// The files by path, as they would be if these changes were durable.
    pub fn after(&self, kept: &BTreeSet<u64>) -> Vec<(String, Rc<Inode>)> {
        if kept.is_empty() {
            return walk(|dir| self.dirs.get(&dir).map(|dir| &dir.durable));
        }
        let mut dirs: BTreeMap<DirNo, Entries> =
            self.dirs.iter().map(|(&number, dir)| (number, dir.durable.clone())).collect();
        for set in kept.iter().filter_map(|&id| self.changes.get(id)).flat_map(|change| &change.sets) {
            let Some(dir) = dirs.get_mut(&set.dir) else { continue };
            match &set.value {
                Some(entry) => dir.insert(set.name.clone(), entry.clone()),
                None => dir.remove(&set.name),
            };
        }
        walk(|dir| dirs.get(&dir))
    }

    /// The durable file of that path.
    pub fn durable_file(&self, path: &str) -> Option<Rc<Inode>> {
        let mut at = &Entry::Dir(ROOT);
        for part in path::parts(path).ok()? {
            let Entry::Dir(dir) = at else { return None };
            at = self.dirs.get(dir)?.durable.get(part)?;
        }
        match at {
            Entry::File(inode) => Some(inode.clone()),
            Entry::Dir(_) => None,
        }
    }

    /// The file that has that path now, and after a crash whatever it decides.
    pub fn certain_file(&self, path: &str) -> Option<Rc<Inode>> {
        let mut at = Entry::Dir(ROOT);
        for part in path::parts(path).ok()? {
            let Entry::Dir(number) = at else { return None };
            let dir = self.dirs.get(&number)?;
            let entry = dir.cached.get(part)?;
            let is_it = |other: Option<&Entry>| other.is_some_and(|other| other.is(entry));
            // A change that is not durable may be lost, and those before it as well.
            let mut changed = self.changes.iter().flat_map(|(_, change)| &change.sets);
            let is_touched = dir.pending.contains_key(part)
                && changed.any(|set| (set.dir, set.name.as_str()) == (number, part) && !is_it(set.value.as_ref()));
            if is_touched || !is_it(dir.durable.get(part)) {
                return None;
            }
            at = entry.clone();
        }
        match at {
            Entry::File(inode) => Some(inode),
            Entry::Dir(_) => None,
        }
    }

    /// All files that a crash may leave or take, by number.
    pub fn inodes(&self) -> BTreeMap<u64, Rc<Inode>> {
        let of_dirs = self.dirs.values().flat_map(|dir| dir.cached.values().chain(dir.durable.values()));
        let of_changes = self.changes.iter().flat_map(|(_, change)| &change.sets).filter_map(|set| set.value.as_ref());
        let files = of_dirs.chain(of_changes).filter_map(|entry| match entry {
            Entry::File(inode) => Some((inode.number, inode.clone())),
            Entry::Dir(_) => None,
        });
        files.collect()
    }
}

fn directory(entry: &Entry) -> Option<DirNo> {
    match entry {
        Entry::Dir(dir) => Some(*dir),
        Entry::File(_) => None,
    }
}

fn below(entries: &Entries) -> impl Iterator<Item = DirNo> {
    entries.values().filter_map(directory)
}

/// All files below the root, by path.
fn walk<'a>(entries: impl Fn(DirNo) -> Option<&'a Entries>) -> Vec<(String, Rc<Inode>)> {
    let mut files = Vec::new();
    let mut open = vec![(String::new(), ROOT)];
    while let Some((above, dir)) = open.pop() {
        for (name, entry) in entries(dir).into_iter().flatten() {
            let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
            match entry {
                Entry::File(inode) => files.push((path, inode.clone())),
                Entry::Dir(below) => open.push((path, *below)),
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}
