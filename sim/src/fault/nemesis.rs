//! Nemeses: what a scenario asks for that comes to several faults, one after another or drawn as one.
//!
//! A nemesis is never applied itself. When its rule fires, its nodes are resolved once, and from then on it deals out
//! [`Fault`]s: those are counted, refused by the budget, undone and frozen like all others.

use serde::{Deserialize, Serialize};

use super::{Fault, InFlight};
use crate::base::seed::Draw;
use crate::base::{NodeId, Time};

/// A generator of faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Nemesis<N> {
    /// A partition of the nodes into two random halves. Others reach both.
    Halves(N),
    /// Two random halves of the nodes that do not reach each other, and one node that reaches both.
    Bridge(N),
    /// The nodes crash, come up, and crash again, for as long as it lasts.
    CrashLoop {
        /// Which nodes.
        nodes: N,
        /// How long they are up each time.
        up: Time,
        /// How long they are down each time.
        down: Time,
    },
    /// The nodes crash and come back one after another, as in an upgrade of the cluster.
    RollingRestart {
        /// Which nodes, in this order.
        nodes: N,
        /// How long each is down.
        down: Time,
        /// From the moment that one is up again to the crash of the next.
        pause: Time,
    },
    /// The nodes' links clog one after another in a random order, and are released one after another in another
    /// (FoundationDB calls it swizzle-clogging).
    Swizzle(N),
}

impl<N> Nemesis<N> {
    /// Its name: the key under `do`.
    pub fn name(&self) -> &'static str {
        match self {
            Nemesis::Halves(_) => "halves",
            Nemesis::Bridge(_) => "bridge",
            Nemesis::CrashLoop { .. } => "crash_loop",
            Nemesis::RollingRestart { .. } => "rolling_restart",
            Nemesis::Swizzle(_) => "swizzle",
        }
    }

    /// The names of all nemeses.
    pub const NAMES: [&'static str; 5] = ["halves", "bridge", "crash_loop", "rolling_restart", "swizzle"];

    /// Its nodes.
    pub fn nodes(&self) -> &N {
        match self {
            Nemesis::Halves(nodes) | Nemesis::Bridge(nodes) | Nemesis::Swizzle(nodes) => nodes,
            Nemesis::CrashLoop { nodes, .. } | Nemesis::RollingRestart { nodes, .. } => nodes,
        }
    }

    /// The same nemesis with its nodes named otherwise.
    pub fn map<M>(self, rename: impl FnOnce(N) -> M) -> Nemesis<M> {
        match self {
            Nemesis::Halves(nodes) => Nemesis::Halves(rename(nodes)),
            Nemesis::Bridge(nodes) => Nemesis::Bridge(rename(nodes)),
            Nemesis::CrashLoop { nodes, up, down } => Nemesis::CrashLoop { nodes: rename(nodes), up, down },
            Nemesis::RollingRestart { nodes, down, pause } => {
                Nemesis::RollingRestart { nodes: rename(nodes), down, pause }
            }
            Nemesis::Swizzle(nodes) => Nemesis::Swizzle(rename(nodes)),
        }
    }

    /// Whether `for` says how long it goes on. One that does not goes on until it is through.
    pub fn takes_time(&self) -> bool {
        !matches!(self, Nemesis::RollingRestart { .. })
    }

    /// The kind of fault that it deals out, for rules that ask what a scenario may do.
    pub fn deals(&self) -> &'static str {
        match self {
            Nemesis::Halves(_) | Nemesis::Bridge(_) => "partition",
            Nemesis::CrashLoop { .. } | Nemesis::RollingRestart { .. } => "crash",
            Nemesis::Swizzle(_) => "clog",
        }
    }
}

/// One fault that a nemesis deals out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub fault: Fault<Vec<NodeId>>,
    /// How long it lasts at most; nothing lasts longer than the nemesis.
    pub lasts: u64,
    /// How much later the next step follows; `None` after the last.
    pub then: Option<u64>,
}

/// A nemesis on its way: its nodes are known, and so is how far it is.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    nemesis: Nemesis<Vec<NodeId>>,
    /// What a swizzle has still to do, last first: when, whom, how long.
    clogs: Vec<(u64, Fault<Vec<NodeId>>, u64)>,
    step: usize,
}

impl Course {
    /// The course of a nemesis that lasts `span` nanoseconds. `all` is how many nodes there are; `draw` gives a new
    /// draw at each call. `None` if there are too few nodes for it.
    pub fn new(nemesis: Nemesis<Vec<NodeId>>, span: u64, all: usize, draw: &mut dyn FnMut() -> Draw) -> Option<Course> {
        let enough = match &nemesis {
            Nemesis::Halves(nodes) => nodes.len() >= 2,
            Nemesis::Bridge(nodes) => nodes.len() >= 3,
            other => !other.nodes().is_empty(),
        };
        if !enough {
            return None;
        }
        let mut clogs = Vec::new();
        let nemesis = match nemesis {
            Nemesis::Halves(nodes) => Nemesis::Halves(shuffled(nodes, draw)),
            Nemesis::Bridge(nodes) => Nemesis::Bridge(shuffled(nodes, draw)),
            Nemesis::Swizzle(nodes) => {
                for &node in &nodes {
                    // Clogged in the first half, released in the second: each in an order of its own.
                    let (from, until) = (draw().below(span / 2 + 1), span / 2 + draw().below(span / 2 + 1));
                    let others = || (0..all as u16).map(NodeId::new).filter(|other| *other != node).collect();
                    for fault in
                        [Fault::Clog { from: vec![node], to: others() }, Fault::Clog { from: others(), to: vec![node] }]
                    {
                        clogs.push((from, fault, until - from));
                    }
                }
                clogs.sort_by_key(|(from, ..)| std::cmp::Reverse(*from));
                Nemesis::Swizzle(nodes)
            }
            other => other,
        };
        Some(Course { nemesis, clogs, step: 0 })
    }

    /// Whether it comes to one fault, as long as the nemesis itself.
    pub fn is_one_fault(&self) -> bool {
        matches!(self.nemesis, Nemesis::Halves(_) | Nemesis::Bridge(_))
    }

    /// How long after the nemesis itself its first step follows.
    pub fn first(&self) -> u64 {
        self.clogs.last().map_or(0, |(from, ..)| *from)
    }

    /// The next step.
    pub fn next(&mut self) -> Step {
        self.step += 1;
        let in_flight = InFlight::Drop;
        match &self.nemesis {
            Nemesis::Halves(nodes) => {
                let (a, b) = nodes.split_at(nodes.len() / 2);
                Step { fault: partition(a, b, in_flight), lasts: u64::MAX, then: None }
            }
            Nemesis::Bridge(nodes) => {
                // The last of the shuffled ones is in neither half.
                let (a, b) = nodes[..nodes.len() - 1].split_at(nodes.len() / 2);
                Step { fault: partition(a, b, in_flight), lasts: u64::MAX, then: None }
            }
            Nemesis::CrashLoop { nodes, up, down } => Step {
                fault: Fault::Crash(nodes.clone()),
                lasts: down.nanos(),
                then: Some(down.nanos().saturating_add(up.nanos())),
            },
            Nemesis::RollingRestart { nodes, down, pause } => Step {
                fault: Fault::Crash(vec![nodes[self.step - 1]]),
                lasts: down.nanos(),
                then: (self.step < nodes.len()).then(|| down.nanos().saturating_add(pause.nanos())),
            },
            Nemesis::Swizzle(_) => {
                let (from, fault, lasts) = self.clogs.pop().expect("asked only while there is a next step");
                Step { fault, lasts, then: self.clogs.last().map(|(next, ..)| next - from) }
            }
        }
    }
}

fn partition(a: &[NodeId], b: &[NodeId], in_flight: InFlight) -> Fault<Vec<NodeId>> {
    let sorted = |side: &[NodeId]| {
        let mut side = side.to_vec();
        side.sort_unstable();
        side
    };
    Fault::Partition { groups: vec![sorted(a), sorted(b)], in_flight }
}

/// Fisher and Yates.
pub(crate) fn shuffled(mut nodes: Vec<NodeId>, draw: &mut dyn FnMut() -> Draw) -> Vec<NodeId> {
    for i in (1..nodes.len()).rev() {
        nodes.swap(i, draw().below(i as u64 + 1) as usize);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::{Purpose, Seed};

    fn nodes(n: u16) -> Vec<NodeId> {
        (0..n).map(NodeId::new).collect()
    }

    fn course(nemesis: Nemesis<Vec<NodeId>>, seed: u64) -> Option<Course> {
        let key = Seed(seed).key(Purpose::Nemesis, "test");
        let mut i = 0;
        Course::new(nemesis, 1_000, 9, &mut || {
            i += 1;
            key.draw(0, i)
        })
    }

    /// All steps, at most `most`: when, what, how long.
    fn steps(mut course: Course, most: usize) -> Vec<(u64, Fault<Vec<NodeId>>, u64)> {
        let (mut at, mut all) = (course.first(), Vec::new());
        while all.len() < most {
            let step = course.next();
            all.push((at, step.fault, step.lasts));
            match step.then {
                Some(then) => at += then,
                None => break,
            }
        }
        all
    }

    #[test]
    fn halves_are_drawn_and_have_everybody() {
        let halves = |seed| match &steps(course(Nemesis::Halves(nodes(5)), seed).unwrap(), 9)[..] {
            [(0, Fault::Partition { groups, .. }, u64::MAX)] => groups.clone(),
            other => panic!("{other:?}"),
        };
        let drawn: std::collections::BTreeSet<_> = (0..200).map(halves).collect();
        assert_eq!(drawn.len(), 10, "two of five");
        assert!(drawn.iter().all(|groups| groups[0].len() == 2 && groups[1].len() == 3));
        assert!(course(Nemesis::Halves(nodes(1)), 0).is_none());
    }

    #[test]
    fn a_bridge_leaves_one_node_out_of_two_equal_sides() {
        for (n, sides) in [(3, [1, 1]), (4, [2, 1]), (5, [2, 2])] {
            match &steps(course(Nemesis::Bridge(nodes(n)), 1).unwrap(), 9)[..] {
                [(0, Fault::Partition { groups, .. }, u64::MAX)] => {
                    assert_eq!([groups[0].len(), groups[1].len()], sides, "{n}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(course(Nemesis::Bridge(nodes(2)), 0).is_none());
    }

    #[test]
    fn a_crash_loop_goes_on_and_a_rolling_restart_takes_each_once() {
        let (up, down) = (Time::from_nanos(70), Time::from_nanos(30));
        let all = steps(course(Nemesis::CrashLoop { nodes: nodes(2), up, down }, 1).unwrap(), 4);
        assert_eq!(all.iter().map(|step| step.0).collect::<Vec<_>>(), [0, 100, 200, 300]);
        assert!(all.iter().all(|step| step.1 == Fault::Crash(nodes(2)) && step.2 == 30));

        let all = steps(course(Nemesis::RollingRestart { nodes: nodes(3), down, pause: up }, 1).unwrap(), 9);
        let expected = [0, 1, 2].map(|i| (u64::from(i) * 100, Fault::Crash(vec![NodeId::new(i)]), 30));
        assert_eq!(all, expected);
    }

    #[test]
    fn a_swizzle_clogs_each_node_both_ways_in_the_first_half_and_releases_it_in_the_second() {
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let all = steps(course(Nemesis::Swizzle(nodes(3)), seed).unwrap(), 99);
            assert_eq!(all.len(), 6);
            assert!(all.is_sorted_by_key(|step| step.0));
            let (mut clogged, mut released) = (Vec::new(), Vec::new());
            for (at, fault, lasts) in all {
                let end = at + lasts;
                assert!(at <= 500 && (500..=1_000).contains(&end), "{at} {end}");
                if let Fault::Clog { from, to } = &fault
                    && from.len() == 1
                {
                    assert_eq!(to.len(), 8);
                    clogged.push(from[0]);
                    released.push((end, from[0]));
                }
            }
            released.sort();
            orders.insert((clogged, released.into_iter().map(|(_, node)| node).collect::<Vec<_>>()));
        }
        assert!(orders.len() > 20, "{}", orders.len());
    }
}
