//! Scenario files: what to run, and what goes wrong.
//!
//! A file is parsed once ([`Scenario::parse`]) and planned for each seed ([`Scenario::plan`]): planning makes every draw
//! and gives a typed [`Plan`]. Errors carry file, line, column and caret.

mod action;
mod bounds;
mod budget;
mod check;
mod draw;
mod entries;
mod error;
mod examine;
pub(crate) mod freeze;
mod locate;
pub mod max_down;
mod parse;
mod paths;
pub mod plan;
mod read;
pub(crate) mod roster;
mod rules;
mod source;
pub mod target;
mod tolerant;
mod translate;
mod warnings;

pub use bounds::Bounds;
pub use check::check;
pub use error::{Diagnostic, Level, Place, ScenarioError, suggest};
pub use examine::{Examined, examine};
pub use freeze::freeze;
pub use parse::{Draft, Scenario};
pub use plan::Plan;
pub use read::read;
pub use source::Source;
pub use target::Targets;

#[cfg(test)]
mod tests;
