//! Panics: caught, attributed, and never lost.

use std::any::Any;
use std::sync::Once;

use super::tasks::Current;
use super::{boundary, with};
use crate::base::{Failure, NodeId};
use crate::trace::record::Kind;
use crate::world::world;

/// Where a panic was.
pub(crate) struct Place {
    file: String,
    line: u32,
    column: u32,
}

/// From now on panics inside of runs are captured with their location instead of printed.
pub(crate) fn capture() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !world(|world| world.entered.get()) {
                return previous(info);
            }
            if info.location().is_some_and(|at| at.file().contains("madsim") && at.file().ends_with("system_time.rs")) {
                boundary::aborts_for_a_clock(info.payload_as_str().unwrap_or_default());
            }
            let place =
                info.location().map(|at| Place { file: at.file().to_owned(), line: at.line(), column: at.column() });
            world(|world| world.panicked_at.set(place));
        }));
    });
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic with a payload that is not text".to_owned())
}

/// What a panic said, and where.
pub(crate) fn located(payload: &(dyn Any + Send)) -> String {
    let text = message(payload);
    match world(|world| world.panicked_at.take()) {
        Some(place) => format!("{text} (at {}:{}:{})", place.file, place.line, place.column),
        None => text,
    }
}

/// The failure that a panic is: its signature holds file and normalised message, never a line, a key or a value, so
/// that one bug has one signature over all seeds.
pub(crate) fn failure(prefix: &str, now: u64, whose: &str, payload: &(dyn Any + Send)) -> Failure {
    let text = message(payload);
    let place = world(|world| world.panicked_at.take());
    let (file, at) = match &place {
        Some(place) => (short(&place.file), format!("{}:{}:{}", place.file, place.line, place.column)),
        None => ("?", "an unknown place".to_owned()),
    };
    Failure::new(format!("{prefix}:{file}:{}", normalise(&text)), now, format!("{whose} panicked at {at}: {text}"))
}

/// A task panicked while it was being polled. Its node crashes, as a process would.
pub(super) fn in_task(payload: Box<dyn Any + Send>) {
    with(|state| {
        let current = std::mem::replace(&mut state.current, Current::HOST);
        if current.node == NodeId::HOST {
            let failure = failure("panic", state.now, "the simulator", payload.as_ref());
            state.fail(failure);
            return;
        }
        let spawned_at = state.tasks.remove(current.task).map(|task| task.spawned_at.to_string());
        let name = state.nodes[current.node.index()].name.clone();
        let whose = format!("{name}, in the task spawned at {}", spawned_at.as_deref().unwrap_or("?"));
        if current.alive {
            let failure = failure("panic", state.now, &whose, payload.as_ref());
            state.record(current.node, Kind::Panic, |_| failure.explanation.clone());
            state.fail(failure);
            state.kill(current.node);
        } else {
            posthumous(state, current, payload.as_ref());
        }
    });
}

/// A destructor panicked. On a live node that is a panic like any other; on a dead one it is an artefact, since a
/// crashed machine runs no destructors: it is counted and shown in the trace, and harms nothing.
pub(super) fn in_destructor(current: Current, payload: Box<dyn Any + Send>) {
    with(|state| {
        if current.alive {
            let name = state.nodes[current.node.index()].name.clone();
            let failure = failure("panic", state.now, &format!("{name}, in a destructor,"), payload.as_ref());
            state.record(current.node, Kind::Panic, |_| failure.explanation.clone());
            state.fail(failure);
            state.kill(current.node);
        } else {
            posthumous(state, current, payload.as_ref());
        }
    });
}

fn posthumous(state: &mut super::State, current: Current, payload: &(dyn Any + Send)) {
    world(|world| world.panicked_at.take());
    state.effects.panics_on_dead_nodes += 1;
    state.record(current.node, Kind::Panic, |_| format!("after its death: {}", message(payload)));
}

/// Drops the path above the crate, which differs between machines.
pub(super) fn short(file: &str) -> &str {
    let folders = ["/src/", "/tests/", "/examples/", "/benches/"];
    match folders.iter().filter_map(|folder| file.rfind(folder)).max() {
        Some(at) => file[..at].rfind('/').map_or(file, |cut| &file[cut + 1..]),
        None => file,
    }
}

/// Replaces quoted text and numbers, keeps the words, and cuts the rest: the part of a message that is the same for
/// the same bug.
fn normalise(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.lines().next().unwrap_or("").chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '`' => {
                for inner in chars.by_ref() {
                    if inner == c {
                        break;
                    }
                }
                out.push('_');
            }
            '0'..='9' => {
                while chars.peek().is_some_and(|c| c.is_ascii_alphanumeric()) {
                    chars.next();
                }
                out.push('#');
            }
            _ => out.push(c),
        }
        if out.len() >= 100 {
            break;
        }
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_neither_numbers_nor_values() {
        assert_eq!(normalise("index out of bounds: the len is 3 but the index is 12"), {
            "index out of bounds: the len is # but the index is #"
        });
        assert_eq!(normalise("no key \"x17\" in view 0xff\nsecond line"), "no key _ in view #");
    }

    #[test]
    fn paths_start_at_the_crate() {
        assert_eq!(short("/home/me/work/systems/src/kv/server.rs"), "systems/src/kv/server.rs");
        assert_eq!(short("systems/src/kv/server.rs"), "systems/src/kv/server.rs");
        assert_eq!(short("/home/me/src/work/sim/tests/it/net.rs"), "sim/tests/it/net.rs");
    }
}
