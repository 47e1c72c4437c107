//! Who made a call: the innermost code that is neither this module's nor the standard library's.
//!
//! Code is known by its file. With the debug information that release builds have, many functions have no full name.

use std::fmt::{self, Display, Formatter};

use crate::kernel::panics::short;

/// A place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Site {
    file: String,
    line: u32,
}

/// The code that made a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// Where the call is, if the program has debug information.
    call: Option<Site>,
    /// Where the project's own code called the library that made the call.
    from: Option<Site>,
    /// Whether the call is made to print a backtrace or a panic.
    pub reports: bool,
}

/// Finds the caller of this module.
pub(super) fn caller() -> Caller {
    find("sim/src/kernel/boundary/")
}

/// Finds the caller of a function of madsim's, in this file.
pub(super) fn caller_of(file: &str) -> Caller {
    find(file)
}

/// Finds the code that called what is in this file.
fn find(below: &str) -> Caller {
    let mut caller = Caller::default();
    let (mut is_below, mut is_done) = (false, false);
    backtrace::trace(|frame| {
        backtrace::resolve_frame(frame, |symbol| {
            let file = symbol.filename().map(|file| file.display().to_string()).unwrap_or_default();
            if file.contains(below) {
                is_below = true;
            } else if is_below && !is_done {
                let name = symbol.name().map(|name| name.to_string()).unwrap_or_default();
                is_done = caller.add(&name, file, symbol.lineno());
            }
        });
        !is_done
    });
    caller
}

impl Caller {
    /// Looks at the next function outwards. Returns whether the caller is known.
    fn add(&mut self, name: &str, file: String, line: Option<u32>) -> bool {
        // The kernel polls and drops: what is inside of that is the run's.
        if file.contains("sim/src/kernel/") {
            return true;
        }
        self.reports |= is_report(name, &file);
        let Some(line) = line.filter(|_| !is_between(&file)) else { return false };
        let is_library = ["/registry/src/", "/git/checkouts/", "/vendor/"].iter().any(|folder| file.contains(folder));
        let site = Site { file, line };
        if self.call.is_none() {
            self.call = Some(site);
        } else if !is_library {
            self.from = Some(site);
        }
        !is_library
    }

    /// Whether the program has no debug information of it.
    pub fn is_unknown(&self) -> bool {
        self.call.is_none()
    }

    /// The file that a failure is named after: the project's own if there is one.
    pub fn file(&self) -> &str {
        self.from.as_ref().or(self.call.as_ref()).map_or("?", |site| short(&site.file))
    }
}

/// Whether a function prints a backtrace or a panic, or says that memory is exhausted. It reads the program's own files for that.
fn is_report(name: &str, file: &str) -> bool {
    let catches = ["catch_unwind", "do_call", "try"].iter().any(|end| name.contains(end));
    let is_of = |part: &str| file.contains(part);
    is_of("/src/panicking.rs") && !catches
        || is_of("/std/src/alloc.rs")
        || is_of("/std/src/backtrace.rs")
        || is_of("/library/backtrace/")
        || is_of("/std/src/../../backtrace/")
        || is_of("/backtrace-0.")
}

/// Whether a file is of the way from the project's code to the call: the standard library's, the C library's, or the cell of
/// a run's world.
fn is_between(file: &str) -> bool {
    let is_std = file.starts_with("/rustc/") || file.contains("/rustlib/src/");
    is_std || !file.ends_with(".rs") || file.ends_with("sim/src/world.rs")
}

impl Display for Caller {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(call) = &self.call else { return write!(f, "at an unknown place") };
        write!(f, "at {call}")?;
        match &self.from {
            Some(from) => write!(f, ", called at {from}"),
            None => Ok(()),
        }
    }
}

impl Display for Site {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", short(&self.file), self.line)
    }
}
