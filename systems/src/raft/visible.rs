//! When a command is visible everywhere it must be: every member has applied its entry, or a snapshot that stands for it.
//!
//! Members are those of the newest membership that any server has applied, learners too. One that is down must have the entry
//! too, when it is back; one that had it and then crashed had it, unless it lost its disk.

use std::collections::BTreeSet;

use sim::NodeId;
use sim::event::{Crashed, Moment};
use sim::metric::{Consistency, InOrder, Spans, Watch};

use super::events::{Applied, Installed, Members, MembersApplied};
use super::{Id, Index};

/// A client begins to append a command.
pub struct Asked {
    /// What the command is, as a hash.
    pub hash: u64,
}

/// How far the members have come. The address of a server is its id, as a node.
#[derive(Default)]
pub struct ByMembers {
    log: InOrder,
    /// Where the newest membership that was applied is in the log.
    membership: Option<Index>,
}

impl ByMembers {
    /// Follows the memberships, snapshots and disks of a Raft cluster. What is left to say is when an entry is applied
    /// ([`ByMembers::applied`]), and which operation it is.
    pub fn follow<T: Consistency + AsMut<ByMembers>>(on: &mut Watch<T>) {
        on.event::<Members>(|this, spans, moment, event| {
            if event.base {
                let all = [&event.incoming, &event.outgoing, &event.learners];
                this.as_mut().members(spans, moment, event.index, all);
            }
        });
        on.event::<MembersApplied>(|this, spans, moment, event| {
            let all = [&event.incoming, &event.outgoing, &event.learners];
            this.as_mut().members(spans, moment, event.index, all);
        });
        on.event::<Crashed>(|this, _, moment, event| {
            if event.wiped {
                this.as_mut().log.lost(moment.node);
            }
        });
    }

    /// A server has applied everything up to an index. If the entry there is an operation, `key` is its.
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

impl AsMut<ByMembers> for AppliedByAll {
    fn as_mut(&mut self) -> &mut ByMembers {
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
