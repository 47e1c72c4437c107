//! What servers and view service say about themselves, and the invariants over it.

use std::collections::BTreeMap;

use sim::check::{Invariant, Violation};
use sim::event::{Crashed, On};
use sim::system::{Protect, Selector};
use sim::{NodeId, event, time};

use super::view::{DEAD, FRESH, View};

event! {
    /// The view service made up its mind about the next view, which is not durable yet and known to nobody.
    "pb.proposed" => pub struct Proposed {
        /// Its number.
        pub number: u64,
        /// Its primary.
        pub primary: NodeId,
        /// Which life of the primary.
        pub primary_life: u32,
    }

    /// The view service decided on a view: it is durable.
    "pb.view" => pub struct ViewDecided {
        /// Its number.
        pub number: u64,
        /// Its primary.
        pub primary: NodeId,
        /// Which life of the primary.
        pub primary_life: u32,
        /// Its backup.
        pub backup: Option<NodeId>,
        /// Which life of the backup.
        pub backup_life: u32,
    }

    /// The view service learned that the primary is in the view.
    "pb.acked" => pub struct Acked {
        /// The view.
        pub number: u64,
    }

    /// The view service learned that the backup has the whole state: from now on it may take over.
    "pb.ready" => pub struct Ready {
        /// The view.
        pub number: u64,
    }

    /// The view service heard from a server.
    "pb.heard" => pub struct Heard {
        /// The server.
        pub server: NodeId,
        /// Which life of it.
        pub life: u32,
        /// When it certainly was alive, on the view service's clock; 0 if the ping proved nothing.
        pub alive_ns: u64,
    }

    /// A server learned that it is primary.
    "pb.became_primary" => pub struct BecamePrimary {
        /// The view.
        pub view: u64,
        /// Whether it has the service's state.
        pub initialised: bool,
    }

    /// A backup received the whole state.
    "pb.synced" => pub struct Synced {
        /// The view.
        pub view: u64,
    }

    /// A server applied an operation.
    "pb.applied" => pub struct Applied {
        /// The view that it is in.
        pub view: u64,
        /// The how-manieth operation.
        pub index: u64,
        /// The hash of all operations up to it, in order.
        pub digest: u64,
        /// Whether it is confirmed: the primary applies it when the backup has it, the backup before that.
        pub confirmed: bool,
    }

    /// A server answered a client's new request.
    "pb.completed" => pub struct Completed {
        /// The view in which it did.
        pub view: u64,
    }
}

impl Proposed {
    /// The event for a view that has a primary.
    pub fn new(view: &View) -> Proposed {
        let primary = view.primary.expect("a proposed view has a primary");
        Proposed { number: view.number, primary: primary.node, primary_life: primary.life }
    }
}

impl ViewDecided {
    /// The event for a view that has a primary.
    pub fn new(view: &View) -> ViewDecided {
        let primary = view.primary.expect("a decided view has a primary");
        ViewDecided {
            number: view.number,
            primary: primary.node,
            primary_life: primary.life,
            backup: view.backup.map(|backup| backup.node),
            backup_life: view.backup.map_or(0, |backup| backup.life),
        }
    }
}

/// In each view at most one server, in one life, answers clients.
#[derive(Default)]
pub struct OneServerPerView(BTreeMap<u64, (NodeId, u32)>);

impl Invariant for OneServerPerView {
    const NAME: &'static str = "one-server-per-view";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Completed>(|this, moment, event| {
            let this_one = (moment.node, moment.incarnation);
            let first = *this.0.entry(event.view).or_insert(this_one);
            if first == this_one {
                return Ok(());
            }
            Err(Violation::new(format!(
                "answered a client in view {}, in which {} (life {}) already had",
                event.view,
                first.0.name(),
                first.1
            )))
        });
    }
}

/// Views follow each other as they must: numbers without gaps, each acknowledged before the next, and each primary
/// taken from the view before.
#[derive(Default)]
pub struct ViewOrder {
    last: Option<ViewDecided>,
    acked: u64,
}

impl Invariant for ViewOrder {
    const NAME: &'static str = "view-order";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Acked>(|this, _, event| {
            this.acked = this.acked.max(event.number);
            Ok(())
        });
        on.event::<ViewDecided>(|this, _, event| {
            let problem = match &this.last {
                None => None,
                // Said again after a restart.
                Some(last) if event == last => None,
                Some(last) if event.number != last.number + 1 => Some("does not follow"),
                Some(last) if this.acked < last.number => Some("came before the acknowledgement of"),
                Some(last) if event.primary != last.primary && Some(event.primary) != last.backup => {
                    Some("has a primary that had no role in")
                }
                Some(_) => None,
            };
            if let (Some(problem), Some(last)) = (problem, &this.last) {
                return Err(Violation::new(format!("view {} {problem} view {}", event.number, last.number)));
            }
            this.last = Some(event.clone());
            Ok(())
        });
    }
}

/// A server that becomes primary has the service's state.
#[derive(Default)]
pub struct PrimaryHasState;

impl Invariant for PrimaryHasState {
    const NAME: &'static str = "primary-has-state";

    fn subscribe(on: &mut On<Self>) {
        on.event::<BecamePrimary>(|_, _, event| match event.initialised {
            true => Ok(()),
            false => Err(Violation::new(format!("became primary of view {} without the state", event.view))),
        });
    }
}

/// Servers apply the same operations in the same order: in one view always, and for ever once the primary has applied one.
///
/// What only a backup has applied is not confirmed: if the backup dies before it says so and the primary is deposed before
/// another has it, nobody was ever answered, and the next primary may put something else in its place.
#[derive(Default)]
pub struct ReplicasAgree {
    confirmed: BTreeMap<u64, u64>,
    in_view: BTreeMap<(u64, u64), u64>,
}

impl Invariant for ReplicasAgree {
    const NAME: &'static str = "replicas-agree";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Applied>(|this, _, event| {
            let Applied { view, index, digest, confirmed } = *event;
            let here = *this.in_view.entry((view, index)).or_insert(digest);
            let ever = this.confirmed.get(&index).copied().unwrap_or(digest);
            if confirmed {
                this.confirmed.insert(index, digest);
            }
            if here == digest && ever == digest {
                return Ok(());
            }
            Err(Violation::new(format!("applied another operation {index} than was applied before")))
        });
    }
}

/// The primary of the latest view.
#[derive(Default)]
pub struct Primary(Option<NodeId>);

impl Selector for Primary {
    const NAME: &'static str = "primary";

    fn subscribe(on: &mut On<Self>) {
        on.event::<ViewDecided>(|this, _, event| {
            this.0 = Some(event.primary);
            Ok(())
        });
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.0.into_iter().collect()
    }
}

/// The backup of the latest view.
#[derive(Default)]
pub struct Backup(Option<NodeId>);

impl Selector for Backup {
    const NAME: &'static str = "backup";

    fn subscribe(on: &mut On<Self>) {
        on.event::<ViewDecided>(|this, _, event| {
            this.0 = event.backup;
            Ok(())
        });
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.0.into_iter().collect()
    }
}

/// What a fault must not destroy: the data's last copy. Primary and, once the view service knows that it is ready, backup
/// hold one each; and either may lose it only while the view service is sure of the other. Otherwise it could dismiss the
/// living one and, having heard of the dead one just before its death, wait for that one forever.
#[derive(Default)]
pub struct Holders {
    /// The last durable view, and whether it is durable that its backup is ready.
    view: Option<ViewDecided>,
    ready: bool,
    /// The view service's node, and the primary of the view that it is about to make durable.
    service: Option<NodeId>,
    proposed: Option<(NodeId, u32)>,
    /// The last lost life of each node.
    lost: BTreeMap<NodeId, u32>,
    alive_ns: BTreeMap<NodeId, u64>,
}

impl Protect for Holders {
    fn subscribe(on: &mut On<Self>) {
        on.event::<Proposed>(|this, moment, event| {
            this.service = Some(moment.node);
            this.proposed = Some((event.primary, event.primary_life));
            Ok(())
        });
        on.event::<ViewDecided>(|this, _, event| {
            this.view = Some(event.clone());
            this.ready = false;
            this.proposed = None;
            Ok(())
        });
        on.event::<Ready>(|this, _, event| {
            this.ready |= this.view.as_ref().is_some_and(|view| view.number == event.number);
            Ok(())
        });
        on.event::<Heard>(|this, moment, event| {
            this.service = Some(moment.node);
            let known = this.alive_ns.entry(event.server).or_default();
            *known = event.alive_ns.max(*known);
            Ok(())
        });
        on.event::<Crashed>(|this, moment, event| {
            this.lost.insert(moment.node, event.incarnation);
            if this.service == Some(moment.node) {
                // What was not durable is forgotten.
                this.proposed = None;
            }
            Ok(())
        });
    }

    fn groups(&self) -> Vec<Vec<NodeId>> {
        let keeps = |node: NodeId, life: u32| self.lost.get(&node).is_none_or(|&lost| lost < life);
        if let Some((node, life)) = self.proposed {
            return if keeps(node, life) { vec![vec![node]] } else { Vec::new() };
        }
        let Some(view) = &self.view else { return Vec::new() };
        let primary = Some(view.primary).filter(|&node| keeps(node, view.primary_life));
        let backup = view.backup.filter(|&node| self.ready && keeps(node, view.backup_life));
        let margin = (DEAD - FRESH).as_nanos() as u64;
        // By the clock that the view service judges by, which may be wrong.
        let Some(service) = self.service else { return Vec::new() };
        let now = time::shown_by(service).as_nanos();
        let sure_of = |node: NodeId| now - self.alive_ns.get(&node).copied().unwrap_or(0) <= margin;
        match (primary, backup) {
            (Some(primary), Some(backup)) => {
                let mut groups = vec![vec![primary, backup]];
                groups.extend(Some(vec![primary]).filter(|_| !sure_of(backup)));
                groups.extend(Some(vec![backup]).filter(|_| !sure_of(primary)));
                groups
            }
            (one, other) => one.or(other).into_iter().map(|last| vec![last]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a list of (view, index, digest, confirmed) to the invariant, in a world of its own.
    fn violations(events: &'static [(u64, u64, u64, bool)]) -> usize {
        let run = sim::simulate(1, move |sim| {
            sim.watch::<ReplicasAgree>();
            sim.node("a", move || async move {
                for &(view, index, digest, confirmed) in events {
                    sim::observe!(Applied { view, index, digest, confirmed });
                }
            });
            sim.run_for(std::time::Duration::from_millis(1));
        });
        run.expect("the world runs").failures.len()
    }

    #[test]
    fn what_was_confirmed_stands_for_ever() {
        assert_eq!(violations(&[(1, 1, 7, false), (1, 1, 7, true), (2, 1, 7, false)]), 0);
        assert_eq!(violations(&[(1, 1, 7, false), (1, 1, 7, true), (2, 1, 8, false)]), 1);
    }

    #[test]
    fn what_only_a_backup_applied_may_be_replaced_but_not_in_the_same_view() {
        assert_eq!(violations(&[(1, 1, 7, false), (2, 1, 8, false), (2, 1, 8, true)]), 0);
        assert_eq!(violations(&[(1, 1, 7, false), (1, 1, 8, true)]), 1);
    }

    #[test]
    fn a_view_event_names_both_roles() {
        let server = |index, life| super::super::view::Server { node: NodeId::new(index), life };
        let view = View { number: 3, primary: Some(server(1, 2)), backup: Some(server(2, 1)) };
        let event = ViewDecided::new(&view);
        assert_eq!((event.number, event.primary, event.backup), (3, NodeId::new(1), Some(NodeId::new(2))));
    }
}
