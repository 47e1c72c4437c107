//! Other TOML files than scenarios, with the errors of scenarios: place, caret and remedy.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, Deserializer};

use super::error::ScenarioError;
use super::source::Source;
use super::translate;

/// Reads the text `source` of the file `path`.
///
/// # Errors
///
/// If it is not TOML, or not a `T`.
pub fn read<T: DeserializeOwned>(path: &str, source: &str) -> Result<T, ScenarioError> {
    let wrong = |problem| ScenarioError::new(Source::new(path, source), vec![problem]);
    let tree = DeTable::parse(source).map_err(|error| wrong(translate::syntax(&error)))?;
    T::deserialize(Deserializer::from(tree)).map_err(|error| wrong(translate::shape(&error)))
}
