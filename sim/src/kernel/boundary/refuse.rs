//! What becomes of a call that a run must not make.

use crate::base::{Failure, NodeId};
use crate::kernel::State;
use crate::kernel::tasks::Current;
use crate::trace::record::Kind as Line;
use crate::world::world;

use super::caller::{Caller, caller, caller_of};

/// What a call is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Files,
    Sockets,
    Threads,
    Processes,
    Sleeps,
    Clocks,
}

impl Kind {
    /// Why it is refused, and what to call instead.
    fn help(self) -> &'static str {
        match self {
            Kind::Files => "the machine's own files are no part of a run: use `sim::fs`",
            Kind::Sockets => "the machine's own sockets and pipes are no part of a run: use `sim::net` or `sim::rpc`",
            Kind::Threads => "a run is one thread: use `sim::task::spawn`",
            Kind::Processes => "a run has no other processes: add a node, whose code is a role of the system",
            Kind::Sleeps => "it blocks the simulator in real time, and no virtual time passes: use `sim::time::sleep`",
            Kind::Clocks => {
                "this clock shows the machine's time: use `sim::time::Instant::now` or `sim::time::SystemTime::now`"
            }
        }
    }
}

/// Whether this thread is in a run, and its calls are the run's own.
pub(super) fn is_inside() -> bool {
    world(|world| world.entered.get() && !world.passing.get())
}

/// Lets all calls of this thread pass until it is dropped.
struct Passing;

impl Passing {
    fn begin() -> Passing {
        world(|world| world.passing.set(true));
        Passing
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        world(|world| world.passing.set(false));
    }
}

/// Whether a call is refused, which fails the run. It passes if the host program makes it, unless it is a thread, and if it
/// is made to print a backtrace.
#[cold]
pub(super) fn is_refused(kind: Kind, call: &str, about: Option<&str>) -> bool {
    let _passing = Passing::begin();
    let ask = |state: &mut State| {
        if state.current.node == NodeId::HOST && kind != Kind::Threads {
            return false;
        }
        // The first says it all.
        if state.halted {
            state.refused += 1;
            return true;
        }
        let caller = caller();
        if caller.reports {
            return false;
        }
        let whose = whose(state, state.current);
        let about = about.map(|about| format!("{about:?}")).unwrap_or_default();
        let text = format!("{whose} called {call}({about}) {caller}: {}", kind.help());
        state.record(state.current.node, Line::Failure, |_| text.clone());
        state.fail(Failure::new(signature(call, &caller), state.now, text));
        true
    };
    // The kernel itself makes no such call; if it did, there would be nobody to blame.
    let is_refused = with_state(ask).unwrap_or(false);
    if let Some(failure) = with_state(|state| (state.refused > PATIENCE).then(|| state.failures[0].clone())).flatten() {
        last_words(&failure.signature, &format!("{}; it was tried again and again", failure.explanation));
        super::intercept::leave(1);
    }
    is_refused
}

/// So many refusals after the failure, and the code waits for a success that never comes: the process ends.
const PATIENCE: u32 = 10_000;

fn signature(call: &str, caller: &Caller) -> String {
    format!("boundary:{}:{}", call.replace(' ', "-"), caller.file())
}

fn with_state<R>(ask: impl FnOnce(&mut State) -> R) -> Option<R> {
    world(|world| world.state.try_borrow_mut().ok()?.as_mut().map(|state| ask(state)))
}

/// Who is running.
fn whose(state: &State, current: Current) -> String {
    if current.node == NodeId::HOST {
        return "the host program".to_owned();
    }
    let name = &state.nodes[current.node.index()].name;
    match state.tasks.get(current.task) {
        Some(task) => format!("{name}, in the task spawned at {},", task.spawned_at),
        None => format!("{name}, in a destructor,"),
    }
}

/// The start of the line with which a run says on stderr why its process ends. The line goes on with the rest of the
/// signature, `]` and an explanation.
pub const LAST_WORDS: &str = "fatal[process:";

/// Says why the process ends, on stderr, in one line: nobody will be left who could.
fn last_words(signature: &str, text: &str) {
    // What was printed before may be half a line, and end with anything.
    super::intercept::say(&format!(" \n{LAST_WORDS}{signature}] {}\n", text.replace('\n', " ")));
}

/// How a run ends its process.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Exit(i32),
    Abort,
}

/// The run ends its process, by a call that does not return. An exit ends it with code 1, whatever was asked for: no run that
/// ended so has passed.
#[cold]
pub(super) fn ends(how: End) {
    world(|world| world.passing.set(true));
    let caller = caller();
    // Two panics at once and exhausted memory end the process, too, and say so themselves.
    if caller.reports || caller.is_unknown() && matches!(how, End::Abort) {
        return;
    }
    let (name, call) = match how {
        End::Exit(code) => (format!("exit-{code}"), format!("exit({code})")),
        End::Abort => ("abort".to_owned(), "abort()".to_owned()),
    };
    let help = "this ends the process of the run: a role that is done returns, one that cannot go on panics";
    last_words(&name, &format!("{} called {call} {caller}: {help}", whose_now()));
    if let End::Exit(_) = how {
        super::intercept::leave(1);
    }
}

/// The run asked for a clock that the boundary cannot refuse: it aborts the process.
#[cold]
pub(crate) fn aborts_for_a_clock(text: &str) {
    let _passing = Passing::begin();
    let caller = caller_of("/time/system_time.rs");
    let text = format!("{} called clock_gettime {caller}: {text}: {}", whose_now(), Kind::Clocks.help());
    last_words(&signature("clock_gettime", &caller), &text);
}

/// The run does not return to the simulator. Ends the process.
pub(super) fn hangs() {
    world(|world| world.passing.set(true));
    let caller = caller();
    last_words("hang", &format!("{} does not return to the simulator: it is {caller}", whose_now()));
    super::intercept::leave(1);
}

fn whose_now() -> String {
    with_state(|state| whose(state, state.current)).unwrap_or_else(|| "the run".to_owned())
}
