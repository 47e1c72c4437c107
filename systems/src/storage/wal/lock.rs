//! One writer at a time: two would write to the same segment, each with its own idea of where it ends.
//!
//! Between processes a real log uses a lock file; here all writers of a directory are tasks of one process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::commit::Shared;
use crate::storage::StorageError;

sim::node_local! {
    static OPEN: RefCell<BTreeMap<String, Holder>> = RefCell::default();
}

/// The user of a directory.
#[derive(Clone)]
enum Holder {
    /// A log that is being opened.
    Opening,
    /// An open log.
    Log(Rc<Shared>),
}

/// The right to write in a directory, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    dir: String,
}

impl Lock {
    /// Takes a directory. A log that has failed, or whose handles are dropped, is waited for: its last operation may
    /// still be under way.
    pub async fn take(dir: &str) -> Result<Lock, StorageError> {
        loop {
            let holder = OPEN.with(|open| open.borrow().get(dir).cloned());
            match holder {
                None => break,
                Some(Holder::Log(log)) if log.is_ending() => log.wait_for_end().await,
                Some(_) => return Err(StorageError::InUse { dir: dir.to_owned() }),
            }
        }
        OPEN.with(|open| open.borrow_mut().insert(dir.to_owned(), Holder::Opening));
        Ok(Lock { dir: dir.to_owned() })
    }

    /// Says which log it is for.
    pub fn held_by(&self, log: &Rc<Shared>) {
        OPEN.with(|open| open.borrow_mut().insert(self.dir.clone(), Holder::Log(log.clone())));
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let old = OPEN.with(|open| open.borrow_mut().remove(&self.dir));
        drop(old);
    }
}
