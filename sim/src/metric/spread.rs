//! The two usual ways in which something becomes visible everywhere: each node has it, or each node has come so far in the
//! one order of all operations.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use super::{Consistency, Spans, Watch};
use crate::base::NodeId;
use crate::event::{Event, Moment};
use crate::node;

/// An event about one operation.
pub trait Keyed: Event {
    /// Which operation: the same number in all events about it, another one in those about others.
    fn key(&self) -> u64;
}

/// The usual [`Consistency`]: a client observes `B` when it begins an operation, and that is visible when each node of a role
/// has observed `S` for it. The role is the one whose nodes observe `S`. A node that was down when others had it must have
/// it too; one that had it and lost it is not asked again.
pub struct OnEach<B, S> {
    /// The nodes that must have it.
    must: Vec<NodeId>,
    has: BTreeMap<u64, BTreeSet<NodeId>>,
    events: PhantomData<fn(B, S)>,
}

impl<B, S> Default for OnEach<B, S> {
    fn default() -> Self {
        OnEach { must: Vec::new(), has: BTreeMap::new(), events: PhantomData }
    }
}

impl<B: Keyed, S: Keyed> Consistency for OnEach<B, S> {
    fn subscribe(on: &mut Watch<Self>) {
        on.event::<B>(|_, spans, moment, event| spans.begin(moment, event.key()));
        on.event::<S>(|this, spans, moment, event| {
            let key = event.key();
            if !spans.is_open(key) {
                return;
            }
            if this.must.is_empty() {
                this.must = node::peers_of(moment.node);
            }
            let has = this.has.entry(key).or_default();
            has.insert(moment.node);
            if this.must.iter().all(|node| has.contains(node)) {
                this.has.remove(&key);
                spans.end(moment, key);
            }
        });
    }
}

/// A part of a [`Consistency`] for systems that bring all operations into one order, such as a replicated log: an operation
/// has a position, and is visible when each node that must have it has come that far, in whichever way.
#[derive(Default)]
pub struct InOrder {
    must: Vec<NodeId>,
    /// How far each node has come, by node index.
    reached: Vec<u64>,
    /// The position of each operation that is not visible yet.
    positions: BTreeMap<u64, u64>,
    waiting: BTreeSet<(u64, u64)>,
}

impl InOrder {
    /// From now on these nodes must have everything, and others need not.
    pub fn must(&mut self, spans: &mut Spans, moment: &Moment, nodes: impl IntoIterator<Item = NodeId>) {
        self.must = nodes.into_iter().collect();
        self.settle(spans, moment);
    }

    /// An operation has this position. If a retried operation has several positions, the first counts.
    pub fn placed(&mut self, spans: &Spans, key: u64, position: u64) {
        if spans.is_open(key) && !self.positions.contains_key(&key) {
            self.positions.insert(key, position);
            self.waiting.insert((position, key));
        }
    }

    /// A node has everything up to a position.
    pub fn reached(&mut self, spans: &mut Spans, moment: &Moment, position: u64) {
        let at = moment.node.index();
        if self.reached.len() <= at {
            self.reached.resize(at + 1, 0);
        }
        if position > self.reached[at] {
            self.reached[at] = position;
            self.settle(spans, moment);
        }
    }

    /// A node has lost what it had.
    pub fn lost(&mut self, node: NodeId) {
        if let Some(reached) = self.reached.get_mut(node.index()) {
            *reached = 0;
        }
    }

    fn settle(&mut self, spans: &mut Spans, moment: &Moment) {
        let reached = |node: &NodeId| self.reached.get(node.index()).copied().unwrap_or(0);
        let Some(all) = self.must.iter().map(reached).min() else { return };
        while let Some(&(position, key)) = self.waiting.first()
            && position <= all
        {
            self.waiting.pop_first();
            self.positions.remove(&key);
            spans.end(moment, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::GroupId;
    use crate::history::History;

    fn moment(node: u16, at_ns: u64) -> Moment {
        Moment { at_ns, node: NodeId(node), group: GroupId(0), incarnation: 1, poll: 0, observation: 0 }
    }

    /// Which of these operations are not visible.
    fn open(spans: &Spans, keys: &[u64]) -> Vec<u64> {
        keys.iter().copied().filter(|key| spans.is_open(*key)).collect()
    }

    #[test]
    fn what_is_in_order_is_visible_when_the_last_one_has_come_so_far() {
        let (mut log, mut spans) = (InOrder::default(), Spans::default());
        for key in [7, 8, 9] {
            spans.begin(&moment(3, 100), key);
        }
        log.must(&mut spans, &moment(0, 100), [NodeId(0), NodeId(1)]);
        log.placed(&spans, 7, 1);
        log.placed(&spans, 8, 2);
        log.reached(&mut spans, &moment(0, 110), 2);
        assert_eq!(open(&spans, &[7, 8, 9]), [7, 8, 9]);
        log.reached(&mut spans, &moment(1, 150), 1);
        assert_eq!(open(&spans, &[7, 8, 9]), [8, 9]);
        // A snapshot takes it to the end at once.
        log.reached(&mut spans, &moment(1, 300), 5);
        assert_eq!(open(&spans, &[7, 8, 9]), [9]);
        let outcome = spans.outcome(&History::default());
        assert_eq!((outcome.latency_ns.count(), outcome.never), (2, 1));
        assert_eq!((outcome.latency_ns.percentile(50), outcome.latency_ns.max()), (Some(50), Some(200)));
    }

    #[test]
    fn who_must_have_it_may_change() {
        let (mut log, mut spans) = (InOrder::default(), Spans::default());
        spans.begin(&moment(3, 0), 7);
        log.placed(&spans, 7, 1);
        log.reached(&mut spans, &moment(0, 10), 1);
        assert!(spans.is_open(7), "the nodes that must have it are not known yet");
        log.must(&mut spans, &moment(0, 20), [NodeId(0), NodeId(1), NodeId(2)]);
        log.reached(&mut spans, &moment(1, 30), 1);
        assert!(spans.is_open(7));
        log.must(&mut spans, &moment(0, 40), [NodeId(0), NodeId(1)]);
        assert_eq!(spans.outcome(&History::default()).latency_ns.max(), Some(40));
    }

    #[test]
    fn who_has_lost_it_does_not_have_it() {
        let (mut log, mut spans) = (InOrder::default(), Spans::default());
        spans.begin(&moment(3, 0), 7);
        log.must(&mut spans, &moment(0, 0), [NodeId(0), NodeId(1)]);
        log.placed(&spans, 7, 1);
        log.reached(&mut spans, &moment(0, 10), 1);
        log.lost(NodeId(0));
        log.reached(&mut spans, &moment(1, 20), 1);
        assert!(spans.is_open(7));
        log.reached(&mut spans, &moment(0, 90), 1);
        assert_eq!(spans.outcome(&History::default()).latency_ns.max(), Some(90));
    }

    #[test]
    fn what_is_sent_again_has_its_first_position() {
        let (mut log, mut spans) = (InOrder::default(), Spans::default());
        spans.begin(&moment(3, 0), 7);
        log.must(&mut spans, &moment(0, 0), [NodeId(0)]);
        log.placed(&spans, 7, 1);
        log.placed(&spans, 7, 5);
        log.reached(&mut spans, &moment(0, 10), 1);
        assert!(!spans.is_open(7));
        // Late news of it changes nothing.
        log.placed(&spans, 7, 9);
        log.reached(&mut spans, &moment(0, 99), 9);
        let outcome = spans.outcome(&History::default());
        assert_eq!((outcome.latency_ns.count(), outcome.latency_ns.max(), outcome.never), (1, Some(10), 0));
    }
}
