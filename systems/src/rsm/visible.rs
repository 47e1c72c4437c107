//! When a command is visible everywhere it must be: every replica has executed it, or has a snapshot that stands for it.
//!
//! For a system on this library it takes one line in its manifest: `m.per_group().consistency::<rsm::ExecutedByAll>()`. Replicas are
//! the members of their Raft group, as in [`crate::raft::visible`]. Sessions are known by their numbers, which each group gives anew.

use sim::GroupId;
use sim::metric::{self, Consistency, Watch};

use crate::raft::Index;
use crate::raft::visible::{ByMembers, Groups};

/// A client begins a command.
struct Begun {
    key: u64,
}

/// A note to metrics: a replica has executed everything up to an index.
pub struct Executed {
    /// The index in the log of the group.
    pub index: Index,
    /// The command there, if it is one of a session.
    pub key: Option<u64>,
}

/// Which command: sessions are numbered by the log, and commands within a session.
fn key(session: u64, number: u64) -> u64 {
    session << 32 | number & 0xffff_ffff
}

/// Says that a client begins a command of its session.
pub(super) fn begun(group: GroupId, session: u64, number: u64) {
    metric::note_of(group, Begun { key: key(session, number) });
}

/// Says that a replica has executed everything up to an index, and which command of which session is there.
pub(super) fn executed(group: GroupId, index: Index, command: Option<(u64, u64)>) {
    metric::note_of(group, Executed { index, key: command.map(|(session, number)| key(session, number)) });
}

/// See the module.
#[derive(Default)]
pub struct ExecutedByAll(ByMembers);

impl Groups for ExecutedByAll {
    fn members_of(&mut self, _: GroupId) -> &mut ByMembers {
        &mut self.0
    }
}

impl Consistency for ExecutedByAll {
    fn subscribe(on: &mut Watch<Self>) {
        on.note::<Begun>(|_, spans, moment, note| spans.begin(moment, note.key));
        ByMembers::follow(on);
        on.note::<Executed>(|this, spans, moment, note| this.0.applied(spans, moment, note.index, note.key));
    }
}
