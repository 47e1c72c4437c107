//! The events of the servers and the view service, and the invariants, selectors and protections built on them.

use std::collections::BTreeMap;

use sim::check::{Invariant, Violation};
use sim::event::{Crashed, On};
use sim::system::{Protect, Selector};
use sim::{NodeId, event, time};

use super::view::{ALIVE_WINDOW, FAILURE_TIMEOUT, View};

event! {
    /// The view service chose the next view, which is neither durable nor announced yet.
    "pb.proposed" => pub struct Proposed {
        /// The number of the view.
        pub number: u64,
        /// The primary of the view.
        pub primary: NodeId,
        /// The incarnation of the primary.
        pub primary_incarnation: u32,
    }

    /// The view service decided on a view, which is now durable. A restarted view service reports its last decision again.
    "pb.view" => pub struct ViewDecided {
        /// The number of the view.
        pub number: u64,
        /// The primary of the view.
        pub primary: NodeId,
        /// The incarnation of the primary.
        pub primary_incarnation: u32,
        /// The backup of the view.
        pub backup: Option<NodeId>,
        /// The incarnation of the backup; 0 without a backup.
        pub backup_incarnation: u32,
    }

    /// The primary acknowledged a view to the view service.
    "pb.acked" => pub struct Acked {
        /// The number of the view.
        pub number: u64,
    }

    /// The view service learned that the backup has the whole state: the backup may take over from now on.
    "pb.ready" => pub struct Ready {
        /// The number of the view.
        pub number: u64,
    }

    /// The view service received a ping.
    "pb.heard" => pub struct Heard {
        /// The sender's node.
        pub server: NodeId,
        /// The sender's incarnation.
        pub incarnation: u32,
        /// The time at which the sender surely was alive, on the view service's clock; 0 if the ping proves nothing.
        pub alive_ns: u64,
    }

    /// A server learned that it is primary.
    "pb.became_primary" => pub struct BecamePrimary {
        /// The number of the view.
        pub view: u64,
        /// Whether the server has the service's state.
        pub initialised: bool,
    }

    /// A backup received the whole state.
    "pb.synced" => pub struct Synced {
        /// The number of the view.
        pub view: u64,
    }

    /// A server applied an operation.
    "pb.applied" => pub struct Applied {
        /// The number of the server's view.
        pub view: u64,
        /// The index of the operation, from 1.
        pub index: u64,
        /// The hash of all operations up to this one, in order.
        pub digest: u64,
        /// Whether the operation is confirmed: true on the primary, which applies after the backup; false on the backup.
        pub confirmed: bool,
    }

    /// A primary executed a client's new request.
    "pb.completed" => pub struct Completed {
        /// The number of the primary's view.
        pub view: u64,
    }
}

impl Proposed {
    /// The event for a view that has a primary.
    pub fn new(view: &View) -> Proposed {
        let primary = view.primary.expect("a proposed view has a primary");
        Proposed { number: view.number, primary: primary.node, primary_incarnation: primary.incarnation }
    }
}

impl ViewDecided {
    /// The event for a view that has a primary.
    pub fn new(view: &View) -> ViewDecided {
        let primary = view.primary.expect("a decided view has a primary");
        ViewDecided {
            number: view.number,
            primary: primary.node,
            primary_incarnation: primary.incarnation,
            backup: view.backup.map(|backup| backup.node),
            backup_incarnation: view.backup.map_or(0, |backup| backup.incarnation),
        }
    }
}

/// In each view at most one incarnation of one server answers clients.
#[derive(Default)]
pub struct OneServerPerView(BTreeMap<u64, (NodeId, u32)>);

impl Invariant for OneServerPerView {
    const NAME: &'static str = "one-server-per-view";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Completed>(|this, moment, event| {
            let server = (moment.node, moment.incarnation);
            let first = *this.0.entry(event.view).or_insert(server);
            if first == server {
                return Ok(());
            }
            Err(Violation::new(format!(
                "answered a client in view {}, in which {} (incarnation {}) had already answered",
                event.view,
                first.0.name(),
                first.1
            )))
        });
    }
}

/// View numbers have no gaps, each view is acknowledged before the next, and each primary had a role in the view before.
#[derive(Default)]
pub struct ViewOrder {
    last: Option<ViewDecided>,
    acked: u64,
}

impl Invariant for ViewOrder {
    const NAME: &'static str = "view-order";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Acked>(|this, _, event| {
            this.acked = this.acked.max(event.number);
        });
        on.event::<ViewDecided>(|this, _, event| {
            let problem = match &this.last {
                None => None,
                // A restarted view service reports its last view again.
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

/// Servers apply the same operations in the same order: within a view always, and across views once the primary has applied
/// an operation.
///
/// An operation that only a backup has applied is unconfirmed: no client has an answer. If the backup crashes and the primary
/// is deposed, the next primary may put another operation at that index.
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
            Err(Violation::new(format!("applied another operation {index} than another server did")))
        });
    }
}

/// The primary of the latest view.
#[derive(Default)]
pub struct Primary(Option<NodeId>);

impl Selector for Primary {
    const NAME: &'static str = "primary";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<ViewDecided>(|this, _, event| {
            this.0 = Some(event.primary);
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
        on.fold::<ViewDecided>(|this, _, event| {
            this.0 = event.backup;
        });
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.0.into_iter().collect()
    }
}

/// Protects the last copy of the data from faults. The primary has a copy, and so has the backup once the view service knows
/// that it is ready. A fault may destroy one copy only while the view service is sure that the other server is alive.
/// Otherwise the view service could replace the live server and wait forever for the crashed one.
#[derive(Default)]
pub struct Holders {
    /// The last durable view.
    view: Option<ViewDecided>,
    /// Whether the backup of that view is durably known to be ready.
    ready: bool,
    /// The view service's node.
    service: Option<NodeId>,
    /// The primary of the proposed view, which is not durable yet.
    proposed: Option<(NodeId, u32)>,
    /// The last crashed incarnation of each node.
    lost: BTreeMap<NodeId, u32>,
    alive_ns: BTreeMap<NodeId, u64>,
}

impl Protect for Holders {
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Proposed>(|this, moment, event| {
            this.service = Some(moment.node);
            this.proposed = Some((event.primary, event.primary_incarnation));
        });
        on.fold::<ViewDecided>(|this, _, event| {
            this.view = Some(event.clone());
            this.ready = false;
            this.proposed = None;
        });
        on.fold::<Ready>(|this, _, event| {
            this.ready |= this.view.as_ref().is_some_and(|view| view.number == event.number);
        });
        on.fold::<Heard>(|this, moment, event| {
            this.service = Some(moment.node);
            let known = this.alive_ns.entry(event.server).or_default();
            *known = event.alive_ns.max(*known);
        });
        on.fold::<Crashed>(|this, moment, event| {
            this.lost.insert(moment.node, event.incarnation);
            if this.service == Some(moment.node) {
                // The proposed view was not durable.
                this.proposed = None;
            }
        });
    }

    fn memories(&self) -> Vec<Vec<NodeId>> {
        let keeps = |node: NodeId, incarnation: u32| self.lost.get(&node).is_none_or(|&lost| lost < incarnation);
        if let Some((node, incarnation)) = self.proposed {
            return if keeps(node, incarnation) { vec![vec![node]] } else { Vec::new() };
        }
        let Some(view) = &self.view else { return Vec::new() };
        let primary = Some(view.primary).filter(|&node| keeps(node, view.primary_incarnation));
        let backup = view.backup.filter(|&node| self.ready && keeps(node, view.backup_incarnation));
        let margin = (FAILURE_TIMEOUT - ALIVE_WINDOW).as_nanos() as u64;
        // The view service judges by its own clock, which may be wrong.
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

    /// The number of violations that the invariant finds in events of (view, index, digest, confirmed).
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
    fn a_confirmed_operation_is_never_replaced() {
        assert_eq!(violations(&[(1, 1, 7, false), (1, 1, 7, true), (2, 1, 7, false)]), 0);
        assert_eq!(violations(&[(1, 1, 7, false), (1, 1, 7, true), (2, 1, 8, false)]), 1);
    }

    #[test]
    fn an_unconfirmed_operation_may_be_replaced_only_in_a_later_view() {
        assert_eq!(violations(&[(1, 1, 7, false), (2, 1, 8, false), (2, 1, 8, true)]), 0);
        assert_eq!(violations(&[(1, 1, 7, false), (1, 1, 8, true)]), 1);
    }

    #[test]
    fn a_view_event_names_both_roles() {
        let server = |index, incarnation| super::super::view::Server { node: NodeId::new(index), incarnation };
        let view = View { number: 3, primary: Some(server(1, 2)), backup: Some(server(2, 1)) };
        let event = ViewDecided::new(&view);
        assert_eq!((event.number, event.primary, event.backup), (3, NodeId::new(1), Some(NodeId::new(2))));
    }
}
