//! The progress of a sweep: a bar on a terminal, or a line now and then in a log.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plan::Plan;
use super::tally::Counts;
use crate::console::Console;

/// How often a line is written to a log.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// After how long without a result the run that is waited for is named.
const SLOW: Duration = Duration::from_secs(2);

/// Takes the bar from the screen when dropped.
pub struct Progress<'a> {
    console: &'a Console,
    plan: &'a Plan,
    bar: Option<ProgressBar>,
    last_line: Instant,
    /// How many runs there were when their number last changed, and when that was.
    moved: (u64, Instant),
}

impl<'a> Progress<'a> {
    /// Begins.
    pub fn new(console: &'a Console, plan: &'a Plan) -> Progress<'a> {
        let bar = console.is_live().then(|| {
            // A sweep that time limits is as far as its time is.
            let length = plan.budget().map_or(plan.total(), |budget| budget.as_millis() as u64);
            let style = ProgressStyle::with_template("{bar:30.green} {wide_msg}").expect("a valid template");
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(5)).with_style(style)
        });
        console.show(bar.clone());
        Progress { console, plan, bar, last_line: Instant::now(), moved: (0, Instant::now()) }
    }

    /// Shows the progress. `waited_for` names the next run to be counted; a slow run delays the counting of later runs.
    pub fn show(&mut self, counts: Counts, waited_for: impl FnOnce() -> Option<String>) {
        if self.moved.0 != counts.runs {
            self.moved = (counts.runs, Instant::now());
        }
        let is_slow = self.moved.1.elapsed() > SLOW;
        let waited_for = if is_slow { waited_for() } else { None };
        let slow = waited_for.map_or(String::new(), |run| format!("; waiting for {run}"));
        let elapsed = self.plan.elapsed();
        if let Some(bar) = &self.bar {
            match self.plan.budget() {
                Some(budget) => {
                    bar.set_position((elapsed.as_millis() as u64).min(budget.as_millis() as u64));
                    bar.set_message(format!(
                        "{}s of {}s: {}{slow}",
                        elapsed.as_secs(),
                        budget.as_secs(),
                        counts.line()
                    ));
                }
                None => {
                    bar.set_position(counts.runs);
                    bar.set_message(format!("{} of {}{slow}", counts.line(), self.plan.total()));
                }
            }
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.console.say(&format!("{:>4}s  {}{slow}\n", elapsed.as_secs(), counts.line()));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.console.show(None);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
