//! Folds over events: one for the whole system, or one for each group of nodes.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Event, Moment, subscribe};
use crate::base::Violation;

/// What one fold is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole system.
    System,
    /// Each group of nodes: a fold is made at the first event of its group.
    Group,
}

/// The states of a fold: one, or one for each group.
pub(crate) struct Folds<T> {
    pub scope: Scope,
    /// By the group's number; of the whole system the only one.
    states: Rc<RefCell<Vec<Option<T>>>>,
}

impl<T> Clone for Folds<T> {
    fn clone(&self) -> Self {
        Folds { scope: self.scope, states: self.states.clone() }
    }
}

impl<T: Default> Folds<T> {
    pub fn new(scope: Scope) -> Folds<T> {
        let first = (scope == Scope::System).then(T::default);
        Folds { scope, states: Rc::new(RefCell::new(first.into_iter().map(Some).collect())) }
    }

    /// Lets the fold that the moment belongs to do something.
    pub fn at<R>(&self, moment: &Moment, step: impl FnOnce(&mut T) -> R) -> R {
        let index = match self.scope {
            Scope::System => 0,
            Scope::Group => moment.group.index(),
        };
        let states = &mut *self.states.borrow_mut();
        if index >= states.len() {
            states.resize_with(index + 1, || None);
        }
        step(states[index].get_or_insert_default())
    }

    /// What each state says, in the order of the groups.
    pub fn each<R>(&self, say: impl FnMut(&T) -> R) -> Vec<R> {
        self.states.borrow().iter().flatten().map(say).collect()
    }
}

/// Subscribes a fold over events: an invariant or a selector. Its state is `T`.
pub struct On<T> {
    folds: Folds<T>,
    owner: &'static str,
}

impl<T: Default + 'static> On<T> {
    pub(crate) fn new(folds: Folds<T>, owner: &'static str) -> On<T> {
        On { folds, owner }
    }

    /// Calls `step` at each event of type `E`. It may object.
    pub fn event<E: Event>(&mut self, step: fn(&mut T, &Moment, &E) -> Result<(), Violation>) -> &mut Self {
        let folds = self.folds.clone();
        subscribe(E::kind(), self.owner, folds.scope, move |moment, event| match event.as_any().downcast_ref::<E>() {
            Some(event) => folds.at(moment, |state| step(state, moment, event)),
            None => Ok(()),
        });
        self
    }

    /// As [`On::event`], where `step` only takes note and has nothing to object to.
    pub fn fold<E: Event>(&mut self, step: fn(&mut T, &Moment, &E)) -> &mut Self {
        let folds = self.folds.clone();
        subscribe(E::kind(), self.owner, folds.scope, move |moment, event| {
            if let Some(event) = event.as_any().downcast_ref::<E>() {
                folds.at(moment, |state| step(state, moment, event));
            }
            Ok(())
        });
        self
    }
}
