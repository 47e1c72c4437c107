//! When a command is visible everywhere it must be: each replica of the group that executed it has it, or a snapshot that stands for
//! it. The replicas of a group are known as in [`crate::raft::visible`].

use std::collections::BTreeMap;

use sim::GroupId;
use sim::metric::{self, Consistency, Watch};

use super::shard::SessionId;
use crate::raft::visible::{ByMembers, Groups};
use crate::rsm;

/// A client begins a command.
struct Begun(u64);

/// A replica executes a command, in the entry that it reports next as applied.
struct Executes(u64);

/// Which command: sessions have names that are unique over all groups.
fn key(session: SessionId, number: u64) -> u64 {
    session << 20 | number & 0xf_ffff
}

/// Says that a client begins a command of its session.
pub(super) fn begun(session: SessionId, number: u64) {
    metric::note(Begun(key(session, number)));
}

/// Says that a replica executes a command.
pub(super) fn executed(session: SessionId, number: u64) {
    metric::note(Executes(key(session, number)));
}

/// See the module.
#[derive(Default)]
pub struct ExecutedByOwners {
    groups: BTreeMap<GroupId, ByMembers>,
    executing: Option<u64>,
}

impl Groups for ExecutedByOwners {
    fn members_of(&mut self, group: GroupId) -> &mut ByMembers {
        self.groups.entry(group).or_default()
    }
}

impl Consistency for ExecutedByOwners {
    fn subscribe(on: &mut Watch<Self>) {
        on.note::<Begun>(|_, spans, moment, note| spans.begin(moment, note.0));
        ByMembers::follow(on);
        on.note::<Executes>(|this, _, _, note| this.executing = Some(note.0));
        on.note::<rsm::Executed>(|this, spans, moment, note| {
            let key = this.executing.take();
            this.members_of(moment.group).applied(spans, moment, note.index, key);
        });
    }
}
