//! How often something must happen: the values of `[expect.run]` and `[expect.sweep]`.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often something must happen: at least so many times, and perhaps at most so many. A number alone is the least.
///
/// ```
/// use sim::scenario::Bounds;
///
/// #[derive(serde::Deserialize)]
/// struct Run {
///     ops_ok: Bounds,
///     elections: Bounds,
/// }
///
/// let run: Run = toml::from_str("ops_ok = 10\nelections = { least = 1, most = 3 }").unwrap();
/// assert_eq!(run.ops_ok, Bounds { least: 10, most: None });
/// assert!(run.elections.hold(3) && !run.elections.hold(4));
/// assert_eq!(run.elections.to_string(), "1 to 3 times");
/// ```
///
/// # Errors
///
/// If it is neither a number nor a table, or `least` is more than `most`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// At least so often.
    pub least: u64,
    /// At most so often, if there is such a bound.
    pub most: Option<u64>,
}

impl Bounds {
    /// At least so often.
    pub fn at_least(least: u64) -> Bounds {
        Bounds { least, most: None }
    }

    /// Whether so often is often enough, and not too often.
    pub fn hold(&self, found: u64) -> bool {
        found >= self.least && !self.is_exceeded(found)
    }

    /// Whether so often is too often. More of the same does not mend it.
    pub fn is_exceeded(&self, found: u64) -> bool {
        self.most.is_some_and(|most| found > most)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Bounds { least, most: None } => write!(f, "at least {least} times"),
            Bounds { most: Some(0), .. } => f.write_str("never"),
            Bounds { least, most: Some(most) } if least == most => write!(f, "exactly {most} times"),
            Bounds { least: 0, most: Some(most) } => write!(f, "at most {most} times"),
            Bounds { least, most: Some(most) } => write!(f, "{least} to {most} times"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(skip_serializing_if = "Option::is_none")]
    least: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<u64>,
}

impl Serialize for Bounds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (to.is_human_readable(), self.most) {
            (false, most) => (self.least, most).serialize(to),
            (true, None) => self.least.serialize(to),
            (true, most) => Table { least: (self.least > 0).then_some(self.least), most }.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Bounds, D::Error> {
        if from.is_human_readable() {
            return from.deserialize_any(Written);
        }
        let (least, most) = Deserialize::deserialize(from)?;
        Ok(Bounds { least, most })
    }
}

/// Bounds as a person writes them.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Bounds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, zero or more, or a table with `least`, `most` or both")
    }

    fn visit_u64<E: serde::de::Error>(self, least: u64) -> Result<Bounds, E> {
        Ok(Bounds::at_least(least))
    }

    fn visit_i64<E: serde::de::Error>(self, least: i64) -> Result<Bounds, E> {
        let least = u64::try_from(least).map_err(|_| E::invalid_value(Unexpected::Signed(least), &self))?;
        Ok(Bounds::at_least(least))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bounds, A::Error> {
        let Table { least, most } = Table::deserialize(MapAccessDeserializer::new(map))?;
        let least = least.unwrap_or(0);
        match most {
            Some(most) if least > most => {
                Err(A::Error::custom(format!("expected `least` up to `most`, found {least} and {most}")))
            }
            most => Ok(Bounds { least, most }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Expect {
        x: Bounds,
    }

    #[test]
    fn they_come_back_as_they_were_written() {
        for (least, most, written, words) in [
            (3, None, "x = 3\n", "at least 3 times"),
            (0, None, "x = 0\n", "at least 0 times"),
            (0, Some(0), "[x]\nmost = 0\n", "never"),
            (0, Some(7), "[x]\nmost = 7\n", "at most 7 times"),
            (2, Some(2), "[x]\nleast = 2\nmost = 2\n", "exactly 2 times"),
            (1, Some(2), "[x]\nleast = 1\nmost = 2\n", "1 to 2 times"),
        ] {
            let expect = Expect { x: Bounds { least, most } };
            assert_eq!(toml::to_string(&expect).unwrap(), written);
            assert_eq!(toml::from_str::<Expect>(written).unwrap(), expect);
            assert_eq!(crate::codec::decode::<Expect>(&crate::codec::encode(&expect).unwrap()).unwrap(), expect);
            assert_eq!(expect.x.to_string(), words);
        }
    }

    #[test]
    fn both_ends_belong_to_them() {
        let bounds = Bounds { least: 1, most: Some(2) };
        assert_eq!([0, 1, 2, 3].map(|found| bounds.hold(found)), [false, true, true, false]);
        assert_eq!([0, 1, 2, 3].map(|found| bounds.is_exceeded(found)), [false, false, false, true]);
        assert!(Bounds::at_least(1).hold(u64::MAX));
    }
}
