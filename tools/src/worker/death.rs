//! What the death of a worker says about the run that it made: a failure, under a signature that tells how.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use sim::boundary::LAST_WORDS;
use sim::scenario::plan::DECLARED;
use sim::{Failure, Outcome, Report};

use super::one::Task;

/// What the signatures of all such failures begin with.
pub const PREFIX: &str = "process:";

/// The messages of Rust's runtime for a stack overflow and for exhausted memory.
const OVERFLOW: &str = "has overflowed its stack";
const NO_MEMORY: &str = "memory allocation of";

/// Whether a line of output explains the death of its process.
pub fn is_telling(line: &str) -> bool {
    line.contains(OVERFLOW) || line.contains(NO_MEMORY) || line.starts_with(LAST_WORDS)
}

/// The end of a worker process.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// The process exited, or was killed from outside.
    Ended(ExitStatus),
    /// The parent killed the process because the run did not end within this time.
    Hung(Duration),
}

/// The failure that a death is. `output` is what the run printed last: the messages of Rust's runtime are in it.
pub fn failure(death: Death, output: &[String]) -> Failure {
    let says = |text: &str| output.iter().any(|line| line.contains(text));
    let (mut how, mut text) = match death {
        Death::Hung(limit) => {
            let limit = humantime::format_duration(limit);
            let help = "it loops without an await, blocks, or is slow: --timeout sets the limit";
            ("hang".to_owned(), format!("the run did not end within {limit} of real time; {help}"))
        }
        Death::Ended(status) => match status.signal().map(|number| (number, Signal::try_from(number))) {
            None => {
                let code = status.code().unwrap_or_default();
                (format!("exit-{code}"), format!("the run ended its process with exit code {code}"))
            }
            Some(_) if says(OVERFLOW) => ("stack-overflow".to_owned(), "the run overflowed its stack".to_owned()),
            Some((_, Ok(Signal::SIGABRT))) if says(NO_MEMORY) => {
                let help = "--memory sets the limit";
                ("out-of-memory".to_owned(), format!("the run took more memory than it may; {help}"))
            }
            Some((_, Ok(Signal::SIGABRT))) => ("abort".to_owned(), "the run aborted its process".to_owned()),
            Some((number, signal)) => {
                let name = signal.map_or_else(|_| number.to_string(), |signal| format!("{number}, {signal}"));
                (format!("signal-{number}"), format!("the process of the run was ended by signal {name}"))
            }
        },
    };
    // The run itself knows best why it ends its process, and where it hangs.
    if let Some((signature, explanation)) = output.iter().rev().find_map(|line| last_words(line)) {
        if matches!(death, Death::Ended(_)) && !says(OVERFLOW) && !says(NO_MEMORY) {
            (how, text) = (signature.to_owned(), String::new());
        }
        text = format!("{text}{}{explanation}", if text.is_empty() { "" } else { "\n" });
    }
    let output: Vec<&String> =
        output.iter().filter(|line| !line.trim().is_empty() && last_words(line).is_none()).collect();
    if !output.is_empty() {
        text += "\nits last output:";
        for line in output {
            text += &format!("\n  {}", without_thread_id(line));
        }
    }
    Failure::new(format!("{PREFIX}{how}"), 0, text)
}

/// What a run said about the end of its process: the signature and the explanation.
fn last_words(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix(LAST_WORDS)?.split_once("] ")
}

/// Rust's messages name a thread as `thread 'seed 3' (4711)`: the number is another one each time.
fn without_thread_id(line: &str) -> String {
    let parts = line.split_once("' (").and_then(|(name, rest)| Some((name, rest.split_once(')')?)));
    match parts {
        Some((name, (id, rest))) if name.starts_with("thread '") && id.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{name}'{rest}")
        }
        _ => line.to_owned(),
    }
}

/// The report of a run whose worker died. It has no digest, because the progress of the run is unknown. The run has passed if
/// the scenario declares this failure.
pub fn report(task: &Task<'_>, seed: u64, failure: Failure) -> Report {
    let fails = task.scenario.plan(seed).map(|plan| plan.expect.fails).unwrap_or_default();
    let is_declared = fails.iter().any(|declared| failure.is_of(declared));
    let mut report = Report::new(task.scenario.path(), task.scenario.system(), seed);
    if is_declared {
        report.declared = Some(failure);
        report.dose.insert(DECLARED.to_owned(), 1);
    } else {
        report.verdict = Outcome::Fail;
        report.failure = Some(failure);
    }
    report
}

/// Whether a report is of that kind.
pub fn is_death(report: &Report) -> bool {
    report.violations().any(|failure| failure.signature.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_die_has_its_signature() {
        let signature =
            |raw: i32, output: &str| failure(Death::Ended(ExitStatus::from_raw(raw)), &[output.to_owned()]).signature;
        assert_eq!(signature(6, "thread 'seed 1' has overflowed its stack"), "process:stack-overflow");
        assert_eq!(signature(6, "memory allocation of 64 bytes failed"), "process:out-of-memory");
        assert_eq!(signature(6, "whatever"), "process:abort");
        assert_eq!(signature(9, "memory allocation of 64 bytes failed"), "process:signal-9");
        assert_eq!(signature(7 << 8, ""), "process:exit-7");
        assert_eq!(signature(0, ""), "process:exit-0");
        let hung = failure(Death::Hung(Duration::from_secs(60)), &[]);
        assert_eq!(hung.signature, "process:hang");
        assert!(hung.explanation.contains("within 1m"), "{}", hung.explanation);
    }

    #[test]
    fn the_last_words_of_a_run_say_how_it_ended() {
        let words = |how: &str| ["printed".to_owned(), format!("fatal[process:{how}] server-1 called it at x.rs:1")];
        let exited = failure(Death::Ended(ExitStatus::from_raw(1 << 8)), &words("exit-7"));
        assert_eq!(exited.signature, "process:exit-7");
        assert_eq!(exited.explanation, "server-1 called it at x.rs:1\nits last output:\n  printed");
        let hung = failure(Death::Hung(Duration::from_secs(60)), &words("hang"));
        assert_eq!(hung.signature, "process:hang");
        assert!(hung.explanation.contains("within 1m") && hung.explanation.contains("\nserver-1 called it"));
    }

    #[test]
    fn the_explanation_is_the_same_each_time() {
        assert_eq!(without_thread_id("thread 'seed 3' (4711) has overflowed"), "thread 'seed 3' has overflowed");
        assert_eq!(without_thread_id("it's 'seed 3' (4711) again"), "it's 'seed 3' (4711) again");
    }

    #[test]
    fn the_explanation_ends_with_what_was_printed() {
        let output = ["one".to_owned(), "two".to_owned()];
        let failure = failure(Death::Ended(ExitStatus::from_raw(6)), &output);
        assert!(failure.explanation.ends_with("its last output:\n  one\n  two"), "{}", failure.explanation);
    }
}
