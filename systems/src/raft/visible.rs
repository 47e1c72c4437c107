//! The consistency metric of Raft: a command is visible once every member has applied its entry, or a snapshot that includes it.
//!
//! The members are the voters and learners of the newest membership that any server has applied. A member that is down must
//! apply the entry after its restart. A member that applied the entry and then crashed counts, unless it lost its disk.

use std::collections::BTreeSet;

use sim::event::{Crashed, Moment};
use sim::metric::{Consistency, InOrder, Spans, Watch};
use sim::{GroupId, NodeId};

use super::events::{Applied, Installed, Members, MembersApplied};
use super::{Id, Index};

/// A client begins to append a command.
pub struct Asked {
    /// The hash of the command.
    pub hash: u64,
}

/// The last applied entry of each member. A server's id is the number of its node.
#[derive(Default)]
pub struct ByMembers {
    log: InOrder,
    /// The index of the newest applied membership.
    membership: Option<Index>,
}

/// A fold with the members of one Raft group, or of several.
pub trait Groups {
    /// The members of that group. A fold that is declared per group has those of one group only.
    fn members_of(&mut self, group: GroupId) -> &mut ByMembers;
}

impl ByMembers {
    /// Follows the memberships and disks of a Raft group. The caller reports applied entries and their operations
    /// ([`ByMembers::applied`]).
    pub fn follow<T: Consistency + Groups>(on: &mut Watch<T>) {
        on.event::<Members>(|this, spans, moment, event| {
            if event.base {
                let all = [&event.incoming, &event.outgoing, &event.learners];
                this.members_of(moment.group).members(spans, moment, event.index, all);
            }
        });
        on.event::<MembersApplied>(|this, spans, moment, event| {
            let all = [&event.incoming, &event.outgoing, &event.learners];
            this.members_of(moment.group).members(spans, moment, event.index, all);
        });
        on.event::<Crashed>(|this, _, moment, event| {
            if event.wiped {
                this.members_of(moment.group).log.lost(moment.node);
            }
        });
    }

    /// A server has applied all entries up to an index. `key` is the operation of the entry at that index, if it has one.
    pub fn applied(&mut self, spans: &mut Spans, moment: &Moment, index: Index, key: Option<u64>) {
        if let Some(key) = key {
            self.log.placed(spans, key, index);
        }
        self.log.reached(spans, moment, index);
    }

    fn members(&mut self, spans: &mut Spans, moment: &Moment, index: Index, all: [&Vec<u64>; 3]) {
        if self.membership.is_some_and(|newest| newest >= index) {
            return;
        }
        self.membership = Some(index);
        let members: BTreeSet<u64> = all.into_iter().flatten().copied().collect();
        self.log.must(spans, moment, members.into_iter().map(|id| node_of(Id(id))));
    }
}

fn node_of(id: Id) -> NodeId {
    NodeId::new(id.0 as u16)
}

/// The log's own: a command is known by its hash.
#[derive(Default)]
pub struct AppliedByAll(ByMembers);

impl Groups for AppliedByAll {
    fn members_of(&mut self, _: GroupId) -> &mut ByMembers {
        &mut self.0
    }
}

impl Consistency for AppliedByAll {
    fn subscribe(on: &mut Watch<Self>) {
        on.note::<Asked>(|_, spans, moment, note| spans.begin(moment, note.hash));
        ByMembers::follow(on);
        on.event::<Applied>(|this, spans, moment, event| {
            this.0.applied(spans, moment, event.index, Some(event.hash));
        });
        on.event::<Installed>(|this, spans, moment, event| this.0.applied(spans, moment, event.index, None));
    }
}
