//! When a command is visible everywhere it must be: each replica of the group that executed it has it, or a snapshot that stands for
//! it. The replicas of a group are known as in [`crate::raft::visible`].
//!
//! And for how long a shard is not served that moves: by the groups ([`NotServed`]), and as its clients see it ([`NotSeen`]).

use std::collections::{BTreeMap, BTreeSet};

use sim::GroupId;
use sim::event::Moment;
use sim::metric::{self, Consistency, Spans, Watch};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::ShardId;
use super::events::{GaveUp, Installed, ReadServed, Served};
use super::shard::SessionId;
use crate::raft::visible::{ByMembers, Groups};
use crate::rsm;

/// A client begins a command.
struct Begun(u64);

/// A replica executes a command, in the entry that it reports next as applied.
struct Executes(u64);

/// Which command: a hash, since names of sessions, which are unique over all groups, take all bits of a number.
fn key(session: SessionId, number: u64) -> u64 {
    xxh3_64_with_seed(&session.to_le_bytes(), number)
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

/// From the entry by which a group gives a shard up to the entry by which the next group has all of it, each where it is applied
/// first.
#[derive(Default)]
pub struct NotServed {
    /// By configuration and shard.
    moved: BTreeSet<(u64, ShardId)>,
}

/// A shard that moves by a configuration.
fn key_of(config: u64, shard: ShardId) -> u64 {
    config << 16 | u64::from(shard)
}

impl Consistency for NotServed {
    fn subscribe(on: &mut Watch<Self>) {
        on.event::<GaveUp>(|this, spans, moment, event| {
            if !this.moved.contains(&(event.config, event.shard)) {
                spans.begin(moment, key_of(event.config, event.shard));
            }
        });
        on.event::<Installed>(|this, spans, moment, event| {
            this.moved.insert((event.config, event.shard));
            spans.end(moment, key_of(event.config, event.shard));
        });
    }
}

/// From the last operation on a shard before it is given up to the first one after, whatever clients do in between.
#[derive(Default)]
pub struct NotSeen {
    /// The last operation on each shard, and the configuration by which it was served.
    served: BTreeMap<ShardId, (u64, Moment)>,
    /// The shards that have been given up since, and by which configuration.
    given_up: BTreeMap<ShardId, u64>,
    moved: BTreeSet<(u64, ShardId)>,
}

impl NotSeen {
    fn served(&mut self, spans: &mut Spans, moment: &Moment, config: u64, shard: ShardId) {
        if let Some(&moved) = self.given_up.get(&shard).filter(|moved| config >= **moved) {
            self.given_up.remove(&shard);
            spans.end(moment, key_of(moved, shard));
        }
        if self.served.get(&shard).is_none_or(|(before, _)| config >= *before) {
            self.served.insert(shard, (config, *moment));
        }
    }
}

impl Consistency for NotSeen {
    fn subscribe(on: &mut Watch<Self>) {
        on.event::<Served>(|this, spans, moment, event| this.served(spans, moment, event.config, event.shard));
        on.event::<ReadServed>(|this, spans, moment, event| this.served(spans, moment, event.config, event.shard));
        on.event::<GaveUp>(|this, spans, _, event| {
            // A shard that no client uses is not missed.
            let Some((_, last)) = this.served.get(&event.shard) else { return };
            if this.moved.insert((event.config, event.shard)) && !this.given_up.contains_key(&event.shard) {
                this.given_up.insert(event.shard, event.config);
                spans.begin(last, key_of(event.config, event.shard));
            }
        });
    }
}
