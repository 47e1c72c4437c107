//! Reading a log that is open.

use std::rc::Rc;

use super::Read;
use super::commit::Shared;
use super::scan::fetch;
use super::segment::{LOST, Place, Segment};
use crate::storage::StorageError;
use crate::storage::window::Window;

/// Reads the records of a log in order, as far as they are durable: records that could still be lost are not shown.
#[derive(Debug)]
pub struct Reader {
    shared: Rc<Shared>,
    next: u64,
    /// The segment of the last record, without its places, and what was read of it.
    at: Option<(Segment, Window)>,
}

impl Reader {
    pub(super) fn new(shared: Rc<Shared>, from: u64) -> Reader {
        Reader { shared, next: from, at: None }
    }

    /// The next record, or the next range of records that are lost. `None` at the end; when more records have become durable,
    /// it goes on.
    ///
    /// # Errors
    ///
    /// `OutOfRange` if the record was removed from the front of the log. `Io` if the file cannot be read at all;
    /// what the device refuses again and again is lost.
    pub async fn next(&mut self) -> Result<Option<Read>, StorageError> {
        loop {
            let Some(place) = self.seek()? else { return Ok(None) };
            if place == LOST {
                let (first, last) = self.shared.log.borrow().lost_from(self.next);
                self.next = last + 1;
                return Ok(Some(Read::Lost { first, last }));
            }
            let (segment, window) = self.at.as_mut().expect("a record that is there is in a segment");
            let index = self.next;
            if let Some((_, payload)) = fetch(window, segment, place.offset).await? {
                self.next = index + 1;
                return Ok(Some(Read::Record { index, payload }));
            }
            // Unless the log was cut meanwhile, it has gone bad since the log was opened.
            let mut log = self.shared.log.borrow_mut();
            if log.find(index).is_some_and(|(now, at)| now.name == segment.name && at == place) {
                log.give_up(index);
            }
        }
    }

    /// Where the next record is. `None` if there is none yet.
    fn seek(&mut self) -> Result<Option<Place>, StorageError> {
        let log = self.shared.log.borrow();
        let (first, last) = (log.first, log.last);
        if self.next < first {
            return Err(StorageError::OutOfRange { index: self.next, first, last });
        }
        let Some((segment, place)) = log.find(self.next) else { return Ok(None) };
        if self.at.as_ref().is_none_or(|(at, _)| at.name != segment.name) {
            let window = Window::new(segment.file.clone(), &segment.path);
            let segment = Segment { places: Vec::new(), notes: Vec::new(), ..segment.clone() };
            self.at = Some((segment, window));
        }
        Ok(Some(place))
    }
}
