//! A queue.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::wrong_type;
use crate::history::Op;

/// A first-in-first-out queue of integers, initially empty.
///
/// Unknown outcomes: an enqueue may have taken effect, or may yet, or never. So may a dequeue, which then takes the first
/// value away, whichever that is, if there is one.
pub struct Queue;

/// An operation on a [`Queue`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum QueueOp {
    /// Adds a value at the end: [`QueueRet::Done`].
    Enqueue {
        /// The value.
        value: i64,
    },
    /// Takes the first value away: [`QueueRet::Value`].
    Dequeue,
}

/// What a [`QueueOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum QueueRet {
    /// An enqueue.
    Done,
    /// A dequeue: the value, `None` if the queue was empty.
    Value(Option<i64>),
}

impl Model for Queue {
    type Op = QueueOp;
    type Ret = QueueRet;
    type State = VecDeque<i64>;
    type Key = &'static str;
    const NAME: &'static str = "queue";

    fn keys(_: &QueueOp, _: Option<&QueueRet>) -> Keys<&'static str> {
        Keys::One("queue")
    }

    fn part(_: &[&'static str]) -> String {
        "the queue".to_owned()
    }

    fn init() -> VecDeque<i64> {
        VecDeque::new()
    }

    fn step(state: &VecDeque<i64>, op: &QueueOp, ret: Option<&QueueRet>) -> Option<VecDeque<i64>> {
        match (op, ret) {
            (QueueOp::Enqueue { value }, None | Some(QueueRet::Done)) => {
                Some(state.iter().chain([value]).copied().collect())
            }
            (QueueOp::Dequeue, None) => Some(state.iter().skip(1).copied().collect()),
            (QueueOp::Dequeue, Some(QueueRet::Value(value))) => {
                (state.front() == value.as_ref()).then(|| state.iter().skip(1).copied().collect())
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &QueueOp, ret: Option<&QueueRet>) -> String {
        let call = match op {
            QueueOp::Enqueue { value } => format!("enqueue({value})"),
            QueueOp::Dequeue => "dequeue()".to_owned(),
        };
        match ret {
            None | Some(QueueRet::Done) => call,
            Some(QueueRet::Value(Some(value))) => format!("{call} -> {value}"),
            Some(QueueRet::Value(None)) => format!("{call} -> empty"),
        }
    }

    fn needs(_: &QueueOp, ret: &QueueRet) -> Option<String> {
        match ret {
            QueueRet::Done => None,
            QueueRet::Value(Some(value)) => Some(format!("{value} must be first in the queue")),
            QueueRet::Value(None) => Some("the queue must be empty".to_owned()),
        }
    }
}

impl Op for QueueOp {
    type Ret = QueueRet;
    const KINDS: &'static [&'static str] = &["enqueue", "dequeue"];

    fn kind(&self) -> &'static str {
        match self {
            QueueOp::Enqueue { .. } => "enqueue",
            QueueOp::Dequeue => "dequeue",
        }
    }
}
