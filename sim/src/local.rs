//! Per-node state: what a `static` or a `thread_local!` is to a process.

use std::rc::Rc;

use crate::kernel;

/// A variable with one value per incarnation of each node, made by [`crate::node_local!`]. The value is created when it
/// is first used and dropped when the incarnation ends, as memory of a process is.
pub struct NodeLocal<T: 'static> {
    #[doc(hidden)]
    pub init: fn() -> T,
}

impl<T: 'static> NodeLocal<T> {
    /// Runs `f` on the value of the calling node. On a crashed node, for example in a destructor, `f` gets a fresh value that is
    /// dropped afterwards.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        // The address only finds the variable; order never depends on it.
        let key = std::ptr::from_ref(self).addr();
        let found = kernel::with(|state| {
            let here = state.here();
            state.node(here).locals.iter().find(|(other, _)| *other == key).map(|(_, value)| value.clone())
        });
        let value = match found {
            Some(value) => value.downcast::<T>().expect("a node-local keeps its type"),
            None => {
                let value = Rc::new((self.init)());
                kernel::with(|state| {
                    if state.current.alive {
                        let here = state.here();
                        state.node(here).locals.push((key, value.clone()));
                    }
                });
                value
            }
        };
        f(&value)
    }
}

/// Declares per-node state, like `thread_local!` does per-thread state.
///
/// ```
/// use std::cell::Cell;
/// sim::node_local! {
///     /// Requests served by this incarnation.
///     static SERVED: Cell<u64> = Cell::new(0);
/// }
/// # let _ = &SERVED;
/// ```
#[macro_export]
macro_rules! node_local {
    ($($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $init:expr;)+) => {
        $($(#[$meta])* $vis static $name: $crate::local::NodeLocal<$type> =
            $crate::local::NodeLocal { init: || $init };)+
    };
}
