//! Reads whose results no order of the operations could give: a value that nobody wrote, a count that is out of reach.
//!
//! Among many concurrent operations a search would try all orders before it knows. The models' bounds
//! ([`Model::may_return`]) know at once.

use super::Model;
use super::cut::Entry;
use super::partition::Part;

/// When the first such read to complete completed, in nanoseconds. Only parts with one key are looked at: the bounds are about one
/// object.
pub(super) fn earliest<M: Model>(part: &Part<M::Key>, entries: &[Entry<'_, M>]) -> Option<u64> {
    if part.keys.len() > 1 {
        return None;
    }
    let init = M::init();
    let is_impossible = |(number, read): &(usize, &Entry<'_, M>)| {
        let (Some(at), Some(ret)) = (read.at, read.ret) else { return false };
        if !M::is_read(read.op) || M::step(&init, read.op, Some(ret)).is_some() {
            return false;
        }
        let others = entries.iter().enumerate();
        let others = others.filter(|(other, entry)| other != number && entry.invoked <= at).map(|(_, entry)| entry.op);
        !M::may_return(&init, read.op, (read.op, ret), others)
    };
    let impossible = entries.iter().enumerate().take(MOST).filter(is_impossible);
    impossible.filter_map(|(_, read)| read.at).min()
}

/// So many operations are looked at: each looks at all others. In a longer history the first reads are, and the search finds the
/// others.
const MOST: usize = 1_000;
