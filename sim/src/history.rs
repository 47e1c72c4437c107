//! The history: what clients invoked, and what they were answered.
//!
//! An operation begins with [`invoke`] and ends with one of [`Call::ok`], [`Call::fail`] (it certainly did not happen) and
//! [`Call::unknown`] (it may have, or may yet). A call that is dropped is unknown. A process (in the sense of
//! linearizability: one operation at a time) whose operation ended unknown is retired, and its node goes on as a new one.

use std::any::Any;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::base::NodeId;
use crate::check::linearizable::{Operation, Outcome};
use crate::event::{self, Moment};
use crate::kernel;
use crate::trace::digest::{Tag, ValueHasher};
use crate::trace::record::Kind;
use crate::world::world;

/// A client operation.
pub trait Op: Clone + Debug + Hash + Serialize + 'static {
    /// What it returns.
    type Ret: Clone + Debug + Hash + 'static;
    /// All kinds, for `when = { op = .. }` and reports.
    const KINDS: &'static [&'static str];
    /// Which of [`Op::KINDS`] it is.
    fn kind(&self) -> &'static str;
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With a result.
    Ok,
    /// Without effect.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// Why an operation has no result. See [`Client::record`](crate::Client::record).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// It certainly had no effect, and never will.
    #[error("failed, without effect")]
    Failed,
    /// It may have had an effect, or may yet.
    #[error("outcome unknown")]
    Unknown,
}

/// One operation of the history, whatever its type.
#[derive(Clone)]
pub struct Entry {
    /// The process that invoked it.
    pub process: u32,
    /// The node that the process ran on.
    pub node: NodeId,
    /// Which kind of operation.
    pub kind: &'static str,
    /// When it was invoked, in virtual nanoseconds.
    pub invoked: u64,
    /// When and how it ended; `None` if it never did.
    pub ended: Option<(u64, Ended)>,
    op: Rc<dyn Value>,
    ret: Option<Rc<dyn Value>>,
}

/// An operation or a result, whatever its type.
trait Value: Any + Debug {}

impl<T: Any + Debug> Value for T {}

/// One operation as text, for those who do not know its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The process that invoked it.
    pub process: u32,
    /// The name of the node that the process ran on.
    pub node: String,
    /// Which kind of operation.
    pub kind: String,
    /// The operation, as `Debug` shows it.
    pub input: String,
    /// How it ended; none if it never did.
    pub outcome: Option<Ended>,
    /// What it returned, as `Debug` shows it; only if it ended well.
    pub output: Option<String>,
    /// When it was invoked, in virtual nanoseconds.
    pub invoked_ns: u64,
    /// When it ended, in virtual nanoseconds.
    pub ended_ns: Option<u64>,
}

impl Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} {} @{} -> {:?}", self.process, self.kind, self.invoked, self.ended)
    }
}

/// All operations of a run, in the order of invocation.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    /// The process that each node is at present, by node index; 0 is none yet.
    processes: Vec<u32>,
    next_process: u32,
}

type OpListener = Rc<dyn Fn(&Moment, &'static str)>;

#[derive(Default)]
pub(crate) struct Log {
    history: History,
    listeners: Vec<OpListener>,
}

impl Log {
    pub const EMPTY: Log =
        Log { history: History { entries: Vec::new(), processes: Vec::new(), next_process: 0 }, listeners: Vec::new() };

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.history.entries.is_empty() && self.listeners.is_empty()
    }
}

/// Ends the recording and takes what was recorded.
pub(crate) fn take() -> History {
    world(|world| world.log.take()).history
}

/// Calls `listener` when an operation is invoked.
pub(crate) fn on_invoke(listener: impl Fn(&Moment, &'static str) + 'static) {
    world(|world| world.log.borrow_mut().listeners.push(Rc::new(listener)));
}

/// Looks at the history while it is being made.
pub(crate) fn peek<R>(f: impl FnOnce(&History) -> R) -> R {
    world(|world| f(&world.log.borrow().history))
}

/// An operation under way.
#[derive(Debug)]
pub struct Call<O: Op> {
    index: Option<usize>,
    op: PhantomData<O>,
}

/// Begins an operation of the client whose code is running.
pub fn invoke<O: Op>(op: O) -> Call<O> {
    // `Hash` and `Debug` are the user's code: they run before the kernel is entered.
    let (hash, text) = (ValueHasher::hash(&op), format_if_recording(&op));
    let moment = kernel::with(|state| {
        let node = state.here();
        if !state.current.alive {
            return None;
        }
        state.observations += 1;
        state.digest.event(Tag::Invoke, u64::from(node.0), hash, state.now);
        state.record(node, Kind::Op, |_| format!("invoke {text}"));
        let due = state.strike == Some((state.polls, state.observations));
        let (poll, observation) = (state.polls, state.observations);
        let (group, incarnation) = (state.node(node).home(), state.current.incarnation);
        Some((Moment { at_ns: state.now, node, group, incarnation, poll, observation }, due))
    });
    let Some((moment, due)) = moment else { return Call { index: None, op: PhantomData } };
    let kind = op.kind();
    let (index, listeners) = world(|world| {
        let log = &mut *world.log.borrow_mut();
        let history = &mut log.history;
        let process = history.process_of(moment.node);
        history.entries.push(Entry {
            process,
            node: moment.node,
            kind,
            invoked: moment.at_ns,
            ended: None,
            op: Rc::new(op),
            ret: None,
        });
        (history.entries.len() - 1, log.listeners.clone())
    });
    for listener in listeners {
        listener(&moment, kind);
    }
    if due {
        event::strike(&moment);
    }
    Call { index: Some(index), op: PhantomData }
}

impl<O: Op> Call<O> {
    /// It returned `ret`.
    pub fn ok(mut self, ret: O::Ret) {
        let what = ValueHasher::hash(&ret);
        let text = format_if_recording(&ret);
        self.end(Ended::Ok, what, text, Some(Rc::new(ret)));
    }

    /// It had no effect, and never will.
    pub fn fail(mut self) {
        self.end(Ended::Failed, 0, String::new(), None);
    }

    /// Nobody knows whether it had an effect.
    pub fn unknown(mut self) {
        self.end(Ended::Unknown, 0, String::new(), None);
    }

    /// It ended so.
    pub fn end_with(self, outcome: Result<O::Ret, OpError>) {
        match outcome {
            Ok(ret) => self.ok(ret),
            Err(OpError::Failed) => self.fail(),
            Err(OpError::Unknown) => self.unknown(),
        }
    }

    fn end(&mut self, how: Ended, what: u64, text: String, ret: Option<Rc<dyn Value>>) {
        let Some(index) = self.index.take() else { return };
        let ended = kernel::with_running(|state| {
            // What the dead say is not heard: nobody knows how it ended.
            let how = if state.current.alive { how } else { Ended::Unknown };
            let node = state.current.node;
            // The host waits for progress, and looks again.
            state.halted |= state.host_waits && how == Ended::Ok;
            state.digest.event(Tag::Complete, how as u64, what ^ index as u64, state.now);
            state.record(node, Kind::Op, |_| format!("{} {text}", name_of(how)).trim_end().to_owned());
            (state.now, how)
        });
        let Some((now, how)) = ended else { return };
        world(|world| {
            let history = &mut world.log.borrow_mut().history;
            let Some(entry) = history.entries.get_mut(index) else { return };
            entry.ended = Some((now, how));
            entry.ret = ret.filter(|_| how == Ended::Ok);
            if how == Ended::Unknown {
                let node = entry.node;
                history.processes[node.index()] = 0;
            }
        });
    }
}

impl<O: Op> Drop for Call<O> {
    fn drop(&mut self) {
        self.end(Ended::Unknown, 0, String::new(), None);
    }
}

fn name_of(how: Ended) -> &'static str {
    match how {
        Ended::Ok => "ok",
        Ended::Failed => "failed",
        Ended::Unknown => "unknown",
    }
}

/// The text of an operation or a result, if a recorder will show it.
fn format_if_recording(ret: &impl Debug) -> String {
    let wanted = kernel::with(|state| state.shows(Kind::Op));
    if wanted { format!("{ret:?}") } else { String::new() }
}

impl History {
    fn process_of(&mut self, node: NodeId) -> u32 {
        if self.processes.len() <= node.index() {
            self.processes.resize(node.index() + 1, 0);
        }
        let process = &mut self.processes[node.index()];
        if *process == 0 {
            self.next_process += 1;
            *process = self.next_process;
        }
        *process
    }

    /// All operations.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All operations as text. `name_of` knows the nodes.
    pub fn lines(&self, name_of: impl Fn(NodeId) -> String) -> Vec<Line> {
        let line = |entry: &Entry| Line {
            process: entry.process,
            node: name_of(entry.node),
            kind: entry.kind.to_owned(),
            input: format!("{:?}", entry.op),
            outcome: entry.ended.map(|(_, how)| how),
            output: entry.ret.as_ref().map(|ret| format!("{ret:?}")),
            invoked_ns: entry.invoked,
            ended_ns: entry.ended.map(|(at, _)| at),
        };
        self.entries.iter().map(line).collect()
    }

    /// How many operations ended with a result.
    pub fn ok_count(&self) -> u64 {
        self.entries.iter().filter(|entry| matches!(entry.ended, Some((_, Ended::Ok)))).count() as u64
    }

    /// How many operations of nodes have begun and not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        // The open ones are among the last of each process; a scan from the end stops early enough in practice, but
        // crashes are rare and this is exact.
        self.entries.iter().filter(|entry| entry.ended.is_none()).count() as u64
    }

    /// The operation that the node has invoked last, if it has not ended: its place among the entries, and when it was invoked.
    pub(crate) fn under_way(&self, node: NodeId) -> Option<(usize, u64)> {
        let last = self.entries.iter().rposition(|entry| entry.node == node)?;
        let entry = &self.entries[last];
        entry.ended.is_none().then_some((last, entry.invoked))
    }

    /// Whether the node has an operation with a result that was invoked at or after `since`.
    pub(crate) fn has_ok_since(&self, node: NodeId, since: u64) -> bool {
        self.entries
            .iter()
            .rev()
            .take_while(|entry| entry.invoked >= since)
            .any(|entry| entry.node == node && matches!(entry.ended, Some((_, Ended::Ok))))
    }

    /// The operations of one type, as the linearizability checker takes them.
    pub fn of<O: Op>(&self) -> Vec<Operation<O, O::Ret>> {
        self.entries
            .iter()
            .filter_map(|entry| {
                let op = (&*entry.op as &dyn Any).downcast_ref::<O>()?.clone();
                let ret = entry.ret.as_deref().and_then(|ret| (ret as &dyn Any).downcast_ref::<O::Ret>()).cloned();
                let outcome = match (entry.ended, ret) {
                    (Some((at, Ended::Ok)), Some(ret)) => Outcome::Ok { at, ret },
                    (Some((at, Ended::Failed)), _) => Outcome::Failed { at },
                    _ => Outcome::Unknown,
                };
                Some(Operation { process: entry.process, op, invoked: entry.invoked, outcome })
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An operation of a node, whatever it is.
    pub fn entry(node: u16, invoked: u64, ended: Option<(u64, Ended)>) -> Entry {
        Entry { process: 1, node: NodeId(node), kind: "op", invoked, ended, op: Rc::new(()), ret: None }
    }

    #[test]
    fn what_a_node_has_under_way_is_the_last_that_it_invoked() {
        let entries = vec![entry(0, 10, None), entry(1, 20, Some((30, Ended::Ok))), entry(0, 40, None)];
        let history = History { entries, ..History::default() };
        assert_eq!(history.under_way(NodeId(0)), Some((2, 40)));
        assert_eq!((history.under_way(NodeId(1)), history.under_way(NodeId(2))), (None, None));
    }
}
