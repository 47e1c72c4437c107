//! What must hold, judged from what replicas apply.
//!
//! An entry of a group's log is applied by each replica, and decided when the first of them applies it. The checks of one moment look at
//! the first replica alone: what others apply later is about the past.

use std::collections::{BTreeMap, BTreeSet};

use sim::check::{Invariant, Violation};
use sim::event::{Moment, On};
use sim::{GroupId, NodeId};

use super::config::{Cause, fewest_moves, share};
use super::events::{
    Adopted, ChunkInstalled, Configured, Forgot, GaveUp, Installed, LoadMoved, LoadReported, ReadServed, Served,
    SessionEnded, Settled,
};
use super::shard::SessionId;
use super::{Gid, ShardId};

/// Tells what the first replica of a group applies from what others apply again.
#[derive(Default)]
struct First(BTreeMap<GroupId, (u64, NodeId, u64)>);

impl First {
    /// Whether the entry at `index` is now applied for the first time in the group. All events of an entry have one moment.
    fn is_first(&mut self, moment: &Moment, index: u64) -> bool {
        let this = (index, moment.node, moment.at_ns);
        let last = self.0.entry(moment.group).or_insert(this);
        if index > last.0 {
            *last = this;
        }
        *last == this
    }
}

/// At most one group executes commands on a shard: with each configuration that moves a shard, its former owner has executed its last
/// command before the new one executes its first.
#[derive(Default)]
pub struct OneOwner {
    first: First,
    /// The last group that executed a command on the shard, and by which configuration.
    served: BTreeMap<ShardId, (u64, GroupId)>,
}

impl Invariant for OneOwner {
    const NAME: &'static str = "one-owner";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Served>(|this, moment, event| {
            if !this.first.is_first(moment, event.index) {
                return Ok(());
            }
            let now = (event.config, moment.group);
            let before = this.served.insert(event.shard, now).unwrap_or(now);
            let is_older = now.0 < before.0 || now.0 == before.0 && now.1 != before.1;
            if is_older && now.1 != before.1 {
                let (group, config) = (before.1.name(), before.0);
                let text = format!(
                    "executes a command on shard {} by configuration {}, after {group} did by {config}",
                    event.shard, event.config
                );
                return Err(Violation::new(text));
            }
            Ok(())
        });
    }
}

/// A shard is installed by its new owner as its former owner gave it up, and deleted there only after that.
#[derive(Default)]
pub struct Handover {
    /// What was given up: the hash of its contents, by configuration and shard.
    given_up: BTreeMap<(u64, ShardId), u64>,
    installed: BTreeSet<(u64, ShardId)>,
}

impl Invariant for Handover {
    const NAME: &'static str = "handover";

    fn subscribe(on: &mut On<Self>) {
        on.event::<GaveUp>(|this, _, event| {
            let hash = *this.given_up.entry((event.config, event.shard)).or_insert(event.hash);
            match hash == event.hash {
                true => Ok(()),
                false => {
                    Err(Violation::about("contents", format!("replicas give up other contents of {}", event.shard)))
                }
            }
        });
        on.event::<Installed>(|this, _, event| {
            let Installed { config, shard, hash, .. } = *event;
            this.installed.insert((config, shard));
            match this.given_up.get(&(config, shard)) {
                // The first configuration: nobody had it.
                None if hash == 0 && config == 1 => Ok(()),
                None => Err(Violation::about("nowhere", format!("shard {shard} arrived, and nobody gave it up"))),
                Some(given_up) if *given_up == hash => Ok(()),
                Some(_) => {
                    let text = format!("shard {shard} arrived by configuration {config} other than it was given up");
                    Err(Violation::about("contents", text))
                }
            }
        });
        on.event::<Forgot>(|this, _, event| match this.installed.contains(&(event.config, event.shard)) {
            true => Ok(()),
            false => Err(Violation::about("lost", format!("deletes shard {}, which has not arrived", event.shard))),
        });
    }
}

/// Each group adopts one configuration after another.
#[derive(Default)]
pub struct InOrder {
    first: First,
    adopted: BTreeMap<GroupId, u64>,
}

impl Invariant for InOrder {
    const NAME: &'static str = "configurations-in-order";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Adopted>(|this, moment, event| {
            if !this.first.is_first(moment, event.index) {
                return Ok(());
            }
            let before = this.adopted.insert(moment.group, event.config).unwrap_or(0);
            match event.config == before + 1 {
                true => Ok(()),
                false => Err(Violation::new(format!("configuration {} follows {before}", event.config))),
            }
        });
    }
}

/// Configurations are balanced, and move as few shards as can be. A shard that an operator moved stays until groups join or leave.
#[derive(Default)]
pub struct Balanced {
    configs: BTreeMap<u64, Configured>,
    /// The shards that operators moved since.
    pinned: BTreeSet<ShardId>,
}

impl Balanced {
    /// Whether a shard moves by load that an operator has moved.
    fn moves_pinned(&mut self, before: Option<&Configured>, now: &Configured) -> Option<ShardId> {
        let owners = before.into_iter().flat_map(|before| before.owners.iter().zip(&now.owners).zip(0..));
        let moved: Vec<ShardId> = owners.filter(|((old, new), _)| old != new).map(|(_, shard)| shard).collect();
        match now.cause {
            Cause::Load => return moved.into_iter().find(|shard| self.pinned.contains(shard)),
            Cause::Move => self.pinned.extend(moved),
            _ => self.pinned.clear(),
        }
        None
    }
}

impl Invariant for Balanced {
    const NAME: &'static str = "balanced";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Configured>(|this, _, event| {
            if let Some(known) = this.configs.get(&event.number) {
                return match known.owners == event.owners {
                    true => Ok(()),
                    false => {
                        Err(Violation::about("replicas", format!("replicas differ in configuration {}", event.number)))
                    }
                };
            }
            let before = event.number.checked_sub(1).and_then(|number| this.configs.get(&number));
            let before = before.cloned();
            let pinned = this.moves_pinned(before.as_ref(), event);
            this.configs.insert(event.number, event.clone());
            if let Some(shard) = pinned {
                let text = format!("moves shard {shard} by load, which an operator has moved");
                return Err(Violation::about("pinned", text));
            }
            judge(before.as_ref(), event)
        });
    }
}

fn judge(before: Option<&Configured>, now: &Configured) -> Result<(), Violation> {
    let total: u64 = now.weights.iter().map(|weight| u64::from(*weight)).sum();
    if let Some(stranger) = now.owners.iter().find(|owner| !now.gids.contains(owner)) {
        return Err(Violation::about("members", format!("group {stranger} owns a shard, and is no member")));
    }
    if now.cause.balances() {
        for (gid, weight) in now.gids.iter().zip(&now.weights) {
            let (least, is_rounded) = share(now.owners.len(), *weight, total);
            let owned = now.owners.iter().filter(|owner| *owner == gid).count();
            if !(least..=least + usize::from(is_rounded)).contains(&owned) {
                let text = format!("group {gid} owns {owned} shards, and its share is {least} or one more");
                return Err(Violation::about("share", text));
            }
        }
    }
    let Some(before) = before else { return Ok(()) };
    let moved = before.owners.iter().zip(&now.owners).filter(|(old, new)| old != new).count();
    let owners: Vec<Option<Gid>> = before.owners.iter().map(|gid| Some(*gid)).collect();
    let groups = now.gids.iter().copied().zip(now.weights.iter().copied()).collect();
    let (fits, needed) = match now.cause {
        Cause::Move | Cause::Load => (moved <= 1, 1),
        _ => {
            let fewest = fewest_moves(&owners, &groups);
            (moved == fewest, fewest)
        }
    };
    match fits {
        true => Ok(()),
        false => {
            let text = format!("configuration {} moves {moved} shards, and {needed} would do", now.number);
            Err(Violation::about("moves", text))
        }
    }
}

/// A group reports no more operations than its servers served.
#[derive(Default)]
pub struct LoadCountedOnce {
    first: First,
    /// By the name of the group.
    served: BTreeMap<String, u64>,
    reported: BTreeMap<Gid, u64>,
}

impl Invariant for LoadCountedOnce {
    const NAME: &'static str = "load-counted-once";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Served>(|this, moment, event| {
            if this.first.is_first(moment, event.index) {
                *this.served.entry(moment.group.name()).or_default() += 1;
            }
        });
        on.fold::<ReadServed>(|this, moment, _| *this.served.entry(moment.group.name()).or_default() += 1);
        on.event::<LoadReported>(|this, moment, event| {
            if !this.first.is_first(moment, event.index) {
                return Ok(());
            }
            let reported = this.reported.entry(event.gid).or_default();
            *reported += event.ops;
            let served = this.served.get(&format!("{}-{}", super::server::SHARD, event.gid)).copied().unwrap_or(0);
            match *reported <= served {
                true => Ok(()),
                false => {
                    let text = format!("group {} has reported {reported} operations, and served {served}", event.gid);
                    Err(Violation::new(text))
                }
            }
        });
    }
}

/// The controller moves no more shards by load within a minute than it may.
#[derive(Default)]
pub struct MovesBounded {
    first: First,
    moved_ns: Vec<u64>,
}

/// A minute of the log's time takes at least as long: no scenario has clocks that run more than twice as fast.
const MINUTE_NS: u64 = 60_000_000_000 / 2;

impl Invariant for MovesBounded {
    const NAME: &'static str = "moves-bounded";

    fn subscribe(on: &mut On<Self>) {
        on.event::<LoadMoved>(|this, moment, event| {
            if !this.first.is_first(moment, event.index) {
                return Ok(());
            }
            this.moved_ns.retain(|at| moment.at_ns - at < MINUTE_NS);
            this.moved_ns.push(moment.at_ns);
            match this.moved_ns.len() as u64 <= event.most {
                true => Ok(()),
                false => {
                    let text = format!("moves {} shards by load within a minute", this.moved_ns.len());
                    Err(Violation::new(text))
                }
            }
        });
    }
}

/// Sessions may end late, and never early: none ends by its idle time before as much of the log's time has passed since its last
/// command, counted in the logs of all groups that its shard went through.
#[derive(Default)]
pub struct SessionsEndLate {
    first: First,
    /// When the last command of each session came, in the log's time of the group that has its shard; negative if that was before the
    /// beginning of this log.
    used_ns: BTreeMap<(ShardId, SessionId), i64>,
    /// Of a shard that arrives by a configuration: the log's time there when it had the first part, and that of the sender when it sent
    /// the last.
    arriving: BTreeMap<(u64, ShardId), (i64, i64)>,
    installed: BTreeSet<(u64, ShardId)>,
}

impl Invariant for SessionsEndLate {
    const NAME: &'static str = "sessions-end-late";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Served>(|this, moment, event| {
            if this.first.is_first(moment, event.index) {
                this.used_ns.insert((event.shard, event.session), event.now_ns as i64);
            }
        });
        on.fold::<ChunkInstalled>(|this, _, event| {
            let (now_ns, sent_ns) = (event.now_ns as i64, event.sent_ns as i64);
            let parts = this.arriving.entry((event.config, event.shard)).or_insert((now_ns, sent_ns));
            parts.1 = parts.1.max(sent_ns);
        });
        on.fold::<Installed>(|this, _, event| {
            // Not `First`: the first replica may have crashed between the two events of the entry.
            let by = (event.config, event.shard);
            let Some(&(now_ns, sent_ns)) = this.arriving.get(&by) else { return };
            if !this.installed.insert(by) {
                return;
            }
            for used_ns in this.used_ns.range_mut((event.shard, 0)..=(event.shard, u64::MAX)).map(|(_, used)| used) {
                *used_ns += now_ns - sent_ns;
            }
        });
        on.event::<SessionEnded>(|this, moment, event| {
            if !this.first.is_first(moment, event.index) {
                return Ok(());
            }
            let Some(used_ns) = this.used_ns.remove(&(event.shard, event.session)) else { return Ok(()) };
            let idle_ns = event.now_ns as i64 - used_ns;
            match idle_ns >= event.idle_ns as i64 {
                true => Ok(()),
                false => {
                    let text = format!("a session that was idle for {idle_ns} ns of {} ends", event.idle_ns);
                    Err(Violation::new(text))
                }
            }
        });
    }
}

/// When all has come to rest, each group holds the shards that it owns, and nothing else.
#[derive(Default)]
pub struct HeldOnce {
    owners: BTreeMap<u64, Vec<Gid>>,
}

impl Invariant for HeldOnce {
    const NAME: &'static str = "held-once";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Configured>(|this, _, event| {
            this.owners.insert(event.number, event.owners.clone());
        });
        on.event::<Settled>(|this, _, event| {
            let owners = this.owners.get(&event.config).map_or(&[][..], |owners| owners);
            let owned: Vec<ShardId> =
                (0..owners.len()).filter(|shard| owners[*shard] == event.gid).map(|shard| shard as ShardId).collect();
            match owned == event.held {
                true => Ok(()),
                false => {
                    let text = format!("group {} owns {owned:?}, and holds {:?}", event.gid, event.held);
                    Err(Violation::new(text))
                }
            }
        });
    }
}
