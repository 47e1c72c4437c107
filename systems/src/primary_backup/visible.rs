//! The consistency metric: the time until a write is on the primary and the backup of the latest decided view.
//!
//! Servers keep their data in memory, so a crashed server has lost it.

use sim::event::Crashed;
use sim::metric::{self, Consistency, InOrder, Watch};
use xxhash_rust::xxh3::xxh3_64;

use super::checks::ViewDecided;
use crate::kit::session::RequestId;

/// A client begins a write.
struct Begun {
    key: u64,
}

/// A server has all operations up to one.
struct Has {
    index: u64,
    /// The last of them, if it is not only part of the state that was transferred.
    key: Option<u64>,
}

fn key(RequestId { session, number }: RequestId) -> u64 {
    let mut bytes = [0; 18];
    bytes[..2].copy_from_slice(&(session.node.index() as u16).to_le_bytes());
    bytes[2..6].copy_from_slice(&session.incarnation.to_le_bytes());
    bytes[6..10].copy_from_slice(&session.nth.to_le_bytes());
    bytes[10..].copy_from_slice(&number.to_le_bytes());
    xxh3_64(&bytes)
}

/// Says that a client begins a write.
pub(super) fn begun(id: RequestId) {
    metric::note(Begun { key: key(id) });
}

/// Says that a server has all operations up to that one, which is the `index`-th.
pub(super) fn applied(index: u64, id: RequestId) {
    metric::note(Has { index, key: Some(key(id)) });
}

/// Says that a server was given all operations up to the `index`-th.
pub(super) fn received(index: u64) {
    metric::note(Has { index, key: None });
}

/// See the module.
#[derive(Default)]
pub(super) struct OnBoth(InOrder);

impl Consistency for OnBoth {
    fn subscribe(on: &mut Watch<Self>) {
        on.note::<Begun>(|_, spans, moment, note| spans.begin(moment, note.key));
        on.note::<Has>(|this, spans, moment, note| {
            if let Some(key) = note.key {
                this.0.placed(spans, key, note.index);
            }
            this.0.reached(spans, moment, note.index);
        });
        on.event::<ViewDecided>(|this, spans, moment, view| {
            this.0.must(spans, moment, [Some(view.primary), view.backup].into_iter().flatten());
        });
        on.event::<Crashed>(|this, _, moment, _| this.0.lost(moment.node));
    }
}
