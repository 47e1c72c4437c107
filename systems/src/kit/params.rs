//! Parameters of systems that are numbers within bounds, so that a scenario with another number is refused where it is read.

use std::fmt::Display;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Reads a number from `LEAST` to `MOST`.
///
/// ```
/// use systems::kit::params::between;
///
/// #[derive(serde::Deserialize)]
/// struct Params {
///     #[serde(deserialize_with = "between::<_, _, 1, 100>")]
///     servers: usize,
/// }
/// ```
///
/// # Errors
///
/// If the value is not a number of this type, or out of bounds: `expected 1 to 100, found 0`.
pub fn between<'de, D, N, const LEAST: u64, const MOST: u64>(from: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + Copy + Display + TryInto<u64>,
{
    let number = N::deserialize(from)?;
    match number.try_into() {
        Ok(value) if (LEAST..=MOST).contains(&value) => Ok(number),
        _ => Err(D::Error::custom(format!("expected {LEAST} to {MOST}, found {number}"))),
    }
}
