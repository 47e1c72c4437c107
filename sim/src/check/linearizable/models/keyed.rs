//! Many objects of one kind, each under a key of its own.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use crate::history::Op;

/// Any number of objects that the model `M` is of: a lock for each name, a queue for each topic. They are independent of
/// each other, and checked apart.
pub struct Keyed<M>(PhantomData<M>);

/// An operation on one object of a [`Keyed`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct At<O> {
    /// Which object.
    pub key: String,
    /// The operation on it.
    pub op: O,
}

impl<M: Model> Model for Keyed<M> {
    type Op = At<M::Op>;
    type Ret = M::Ret;
    type State = M::State;
    type Key = String;
    const NAME: &'static str = M::NAME;

    fn keys(at: &At<M::Op>, _: Option<&M::Ret>) -> Keys<String> {
        Keys::One(at.key.clone())
    }

    fn init() -> M::State {
        M::init()
    }

    fn step(state: &M::State, at: &At<M::Op>, ret: Option<&M::Ret>) -> Option<M::State> {
        M::step(state, &at.op, ret)
    }

    fn describe(at: &At<M::Op>, ret: Option<&M::Ret>) -> String {
        format!("{}.{}", at.key, M::describe(&at.op, ret))
    }

    fn needs(at: &At<M::Op>, ret: &M::Ret) -> Option<String> {
        M::needs(&at.op, ret)
    }

    fn describe_state(state: &M::State) -> String {
        M::describe_state(state)
    }

    fn is_read(at: &At<M::Op>) -> bool {
        M::is_read(&at.op)
    }

    fn keeps(at: &At<M::Op>, ret: Option<&M::Ret>) -> bool {
        M::keeps(&at.op, ret)
    }

    fn concerns(at: &At<M::Op>, read: &At<M::Op>) -> bool {
        at.key == read.key && M::concerns(&at.op, &read.op)
    }

    fn may_return<'a>(
        state: &M::State,
        placed: &At<M::Op>,
        (read, ret): (&At<M::Op>, &M::Ret),
        others: impl Iterator<Item = &'a At<M::Op>>,
    ) -> bool {
        M::may_return(state, &placed.op, (&read.op, ret), others.map(|other| &other.op))
    }

    fn matters<'a>(
        before: &M::State,
        placed: &At<M::Op>,
        after: &M::State,
        others: impl Iterator<Item = (&'a At<M::Op>, Option<&'a M::Ret>)> + Clone,
    ) -> bool {
        M::matters(before, &placed.op, after, others.map(|(at, ret)| (&at.op, ret)))
    }
}

impl<O: Op> Op for At<O> {
    type Ret = O::Ret;
    const KINDS: &'static [&'static str] = O::KINDS;

    fn kind(&self) -> &'static str {
        self.op.kind()
    }
}
