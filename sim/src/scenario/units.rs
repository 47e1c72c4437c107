//! Units as people write them: `"200us"`, `"1m 30s"`, `"-50ms"`.

use std::fmt;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// Saturates at 584 years.
    pub fn new(duration: Duration) -> Time {
        Time(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    /// From nanoseconds.
    pub fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// In nanoseconds.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// As std has it.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl fmt::Display for Time {
    /// In the largest unit that shows it exactly, so that what is printed can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
            if self.0 != 0 && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}ns", self.0)
    }
}

const EXPECTED: &str = "expected a duration such as \"200us\", \"50ms\", \"5s\" or \"1m 30s\"";

fn parse(text: &str) -> Result<Time, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{EXPECTED}, found {text:?}: {error}"))?;
    u64::try_from(duration.as_nanos()).map(Time).map_err(|_| format!("{EXPECTED}, found {text:?}: more than 584 years"))
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&EXPECTED["expected ".len()..])
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A signed span, for clock offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset(i64);

impl Offset {
    /// In nanoseconds; positive is ahead of true time.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// From nanoseconds.
    pub fn from_nanos(nanos: i64) -> Offset {
        Offset(nanos)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "+" };
        write!(f, "{sign}{}", Time(self.0.unsigned_abs()))
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(&text)),
        };
        let time = parse(rest.trim()).map_err(D::Error::custom)?;
        let nanos = i64::try_from(time.0).map_err(|_| D::Error::custom(format!("{text:?} is more than 292 years")))?;
        Ok(Offset(sign * nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_the_largest_exact_unit() {
        for (nanos, text) in
            [(0, "0ns"), (1, "1ns"), (1_500, "1500ns"), (2_000, "2us"), (1_500_000, "1500us"), (3_000_000_000, "3s")]
        {
            assert_eq!(Time(nanos).to_string(), text);
        }
        assert_eq!(Offset(-50_000_000).to_string(), "-50ms");
    }

    proptest! {
        #[test]
        fn reads_back_what_it_prints(nanos in any::<u64>()) {
            prop_assert_eq!(parse(&Time(nanos).to_string()), Ok(Time(nanos)));
        }
    }
}
