//! What belongs to one run: all of it begins when the run is entered, and ends with it.
//!
//! Each part has a cell of its own, because it is entered while another is borrowed: listeners look at the kernel, the
//! kernel looks at the history. What is asked all the time is a plain [`Cell`]. A [`World`] has no destructor of its own, so
//! that reaching it is nothing but an address; [`Entered`] empties it.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

use crate::event::Hub;
use crate::history::Log;
use crate::kernel::State;
use crate::kernel::panics::Place;
use crate::metric::Notes;

/// One run's world, as the code in it finds it.
pub(crate) struct World {
    /// Whether there is a run on this thread.
    pub entered: Cell<bool>,
    /// Whether calls to the machine pass that are otherwise refused in a run.
    pub passing: Cell<bool>,
    pub state: RefCell<Option<Box<State>>>,
    /// Listeners to events.
    pub hub: RefCell<Hub>,
    /// The history of operations, and listeners to it.
    pub log: RefCell<Log>,
    /// Listeners to notes.
    pub notes: RefCell<Notes>,
    /// Whether the run has any known bug switched on: most never do, and every site of one asks.
    pub any_planted: Cell<bool>,
    /// Where the last panic was, until somebody asks.
    pub panicked_at: Cell<Option<Place>>,
}

thread_local! {
    static WORLD: ManuallyDrop<World> = const { ManuallyDrop::new(World::empty()) };
}

/// Calls `f` with the world of this thread, which is empty outside of a run.
#[inline]
pub(crate) fn world<R>(f: impl FnOnce(&World) -> R) -> R {
    WORLD.with(|world| f(world))
}

/// A run. Dropping it leaves nothing of it on this thread.
pub(crate) struct Entered {
    _private: (),
}

/// Begins a run.
pub(crate) fn enter(state: State) -> Entered {
    world(|world| {
        debug_assert!(!world.entered.get(), "one run at a time on a thread");
        world.entered.set(true);
        *world.state.borrow_mut() = Some(Box::new(state));
    });
    Entered { _private: () }
}

/// Drops what listens and what was recorded: the parts of a world that hold values of the user's. Their destructors find the
/// world in place, and nothing borrowed.
pub(crate) fn forget_listeners() {
    world(|World { entered: _, passing: _, state: _, hub, log, notes, any_planted: _, panicked_at: _ }| {
        drop(hub.take());
        drop(notes.take());
        drop(log.take());
    });
}

impl Drop for Entered {
    fn drop(&mut self) {
        forget_listeners();
        // All parts are named, so that none is forgotten.
        world(|World { entered, passing, state, hub: _, log: _, notes: _, any_planted, panicked_at }| {
            drop(state.take());
            any_planted.set(false);
            panicked_at.set(None);
            entered.set(false);
            passing.set(false);
        });
    }
}

impl World {
    const fn empty() -> World {
        World {
            entered: Cell::new(false),
            passing: Cell::new(false),
            state: RefCell::new(None),
            hub: RefCell::new(Hub::EMPTY),
            log: RefCell::new(Log::EMPTY),
            notes: RefCell::new(None),
            any_planted: Cell::new(false),
            panicked_at: Cell::new(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::*;
    use crate::base::NodeId;
    use crate::base::seed::Seed;
    use crate::event::{self, Booted, Event, Scope};
    use crate::{history, kernel, metric};

    /// Whether each part is empty, in the order of the fields.
    fn emptiness() -> [bool; 8] {
        world(|World { entered, passing, state, hub, log, notes, any_planted, panicked_at }| {
            [
                !entered.get(),
                !passing.get(),
                state.borrow().is_none(),
                hub.borrow().is_empty(),
                log.borrow().is_empty(),
                notes.borrow().is_none(),
                !any_planted.get(),
                panicked_at.take().is_none(),
            ]
        })
    }

    struct Tells(Rc<Cell<bool>>);

    impl Drop for Tells {
        fn drop(&mut self) {
            // The user's destructors may come back into the world.
            assert_eq!(kernel::with_running(|state| state.nodes.len()), Some(1));
            self.0.set(true);
        }
    }

    #[derive(Default)]
    struct Hears;

    impl metric::Consistency for Hears {
        fn subscribe(on: &mut metric::Watch<Self>) {
            on.note::<u8>(|_, _, _, _| {});
        }
    }

    /// Puts something into every part, and returns what is set when the listener is dropped.
    fn fill() -> Rc<Cell<bool>> {
        let dropped = Rc::new(Cell::new(false));
        kernel::with(|state| state.add_node("a", "a", "a"));
        let tells = Tells(dropped.clone());
        event::subscribe(Booted::kind(), "test", Scope::System, move |_, _| {
            let _ = &tells;
            Ok(())
        });
        history::on_invoke(|_, _| {});
        metric::install::<Hears>(Scope::System);
        world(|world| world.any_planted.set(true));
        world(|world| world.passing.set(true));
        assert!(catch_unwind(AssertUnwindSafe(|| panic!("captured, and not asked about"))).is_err());
        dropped
    }

    #[test]
    fn nothing_of_a_run_is_left_for_the_next() {
        std::thread::spawn(|| {
            let runtime = madsim::runtime::Runtime::with_seed_and_config(7, madsim::Config::default());
            kernel::panics::capture();
            runtime.block_on(async {
                for run in 0..2 {
                    assert_eq!(emptiness(), [true; 8]);
                    let entered = enter(State::new(Seed(7), run));
                    assert_eq!(kernel::with(|state| state.find_node("a")), None::<NodeId>);
                    let dropped = fill();
                    drop(entered);
                    assert!(dropped.get());
                    assert_eq!(emptiness(), [true; 8]);

                    // It is no vacuous test: each part was filled.
                    let entered = enter(State::new(Seed(7), run));
                    fill();
                    assert_eq!(emptiness(), [false; 8]);
                    drop(entered);
                }
            });
        })
        .join()
        .unwrap();
    }
}
