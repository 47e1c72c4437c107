//! A file without its name.

use std::cell::RefCell;
use std::rc::Rc;

use super::content::Content;
use super::space::Space;

/// An inode exists as long as a cached name, a durable name or an open handle refers to it.
#[derive(Debug)]
pub(super) struct Inode {
    /// Unique on its disk, in order of creation.
    pub number: u64,
    pub content: RefCell<Content>,
    /// Held by the sync under way: syncs of one file follow each other.
    pub syncs: tokio::sync::Mutex<()>,
}

impl Inode {
    pub fn new(number: u64, space: &Rc<Space>) -> Rc<Inode> {
        let content = RefCell::new(Content::new(space.clone()));
        Rc::new(Inode { number, content, syncs: tokio::sync::Mutex::new(()) })
    }
}
