//! Event histories for the tests of the checks.

use std::rc::Rc;
use std::time::Duration;

use sim::check::Invariant;
use sim::{observe, time};

use super::super::events::{Appended, Committed};

/// A sequence of events, each with the index of its server.
pub type History = Vec<(usize, Box<dyn Fn() + Send>)>;

/// The next event of a history, on that server.
pub fn at(server: usize, what: impl Fn() + Send + 'static) -> (usize, Box<dyn Fn() + Send>) {
    (server, Box::new(what))
}

/// The signatures of the violations that an invariant finds in a history.
pub fn violations_of<I: Invariant>(history: History) -> Vec<String> {
    let run = sim::simulate(1, move |sim| {
        sim.watch::<I>();
        let servers = history.iter().map(|(server, _)| *server).max().unwrap_or(0);
        let history = Rc::new(history);
        for server in 0..=servers {
            let history = history.clone();
            sim.node(&format!("server-{server}"), move || {
                let history = history.clone();
                async move {
                    for (who, what) in history.iter() {
                        time::sleep(Duration::from_millis(10)).await;
                        if *who == server {
                            what();
                        }
                    }
                }
            });
        }
        sim.run_for(Duration::from_secs(10));
    });
    run.expect("the world runs").failures.into_iter().map(|failure| failure.signature).collect()
}

/// The leader of `term` commits up to `index`, whose entry is of the same term.
pub fn committed(index: u64, term: u64) -> impl Fn() + Send + 'static {
    move || observe!(Committed { index, term, leads: term, snapshot: 0, applied: index, last: index })
}

/// A server appends an entry with the content `hash`, after an entry of `prev_term`.
pub fn appended(index: u64, (prev_term, term): (u64, u64), hash: u64, leads: u64) -> impl Fn() + Send + 'static {
    move || observe!(Appended { index, term, prev_term, hash, leads })
}
