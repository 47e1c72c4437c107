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
    /// In the largest unit that shows it exactly, so that what is printed can be read back. With `#`, for a reader: what
    /// is no whole number of microseconds is in seconds, `1.891249949s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && !self.0.is_multiple_of(1_000) {
            return write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        }
        for (unit, size) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
            if self.0 != 0 && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}ns", self.0)
    }
}

const EXPECTED: &str = "expected a duration such as \"200us\", \"50ms\", \"5s\" or \"1m 30s\"";

/// The units that durations are written in.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

/// Not humantime's parser: that takes `M` for a month and panics at some sums.
fn parse(text: &str) -> Result<Time, String> {
    let wrong = |why: &str| format!("{EXPECTED}, found {text:?}: {why}");
    let mut nanos = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong("nothing"));
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(wrong("a number must stand before each unit"));
        }
        let after = after.trim_start();
        let letters = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let names = UNITS.map(|(name, _)| name).join(", ");
            return Err(wrong(&match unit {
                "" => format!("`{number}` has no unit: {names}"),
                _ => format!("`{unit}` is none of the units {names}"),
            }));
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*size));
        nanos = part.and_then(|part| nanos.checked_add(part)).ok_or_else(|| wrong("more than 584 years"))?;
        rest = after.trim_start();
    }
    Ok(Time(nanos))
}

impl std::str::FromStr for Time {
    type Err = String;

    /// As in a scenario: `"200us"`, `"1m 30s"`.
    fn from_str(text: &str) -> Result<Time, String> {
        parse(text)
    }
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

    /// Whether it is none.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
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

/// An amount of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Size {
        Size(bytes)
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// How much data goes through in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// As much as there is.
    pub const UNLIMITED: Rate = Rate(u64::MAX);

    /// From bytes a second.
    pub const fn from_bytes_per_second(bytes: u64) -> Rate {
        Rate(bytes)
    }

    /// How many nanoseconds so many bytes take.
    pub fn time_for(self, bytes: u64) -> u64 {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.0.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// How many bytes go through in so many nanoseconds.
    pub fn bytes_in(self, nanos: u64) -> u64 {
        u64::try_from(u128::from(nanos) * u128::from(self.0) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

/// How much fits somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capacity(u64);

impl Capacity {
    /// As much as there is.
    pub const UNLIMITED: Capacity = Capacity(u64::MAX);

    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Capacity {
        Capacity(bytes)
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// How many operations a disk serves in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Iops(u64);

impl Iops {
    /// As many as there are.
    pub const UNLIMITED: Iops = Iops(u64::MAX);

    /// From operations a second; at least one.
    pub fn per_second(operations: u64) -> Iops {
        Iops(operations.max(1))
    }

    /// How many nanoseconds it is from one to the next.
    pub fn interval(self) -> u64 {
        1_000_000_000 / self.0
    }
}

/// Units of data, largest first: what is printed is the largest that shows it exactly.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of data a second that count bits.
const BITS: [(&str, u64); 3] = [("Gbit/s", 125_000_000), ("Mbit/s", 125_000), ("kbit/s", 125)];

const EXPECTED_SIZE: &str =
    "an amount of data is a number and a unit (B, kB, KiB, MB, MiB, GB, GiB), such as \"64KiB\"";
const EXPECTED_RATE: &str = "a bandwidth is a number and a unit (kbit/s, Mbit/s, Gbit/s, B/s, kB/s, KiB/s, MB/s, MiB/s), \
                             such as \"10Mbit/s\", or \"unlimited\"";

const EXPECTED_CAPACITY: &str = "a capacity is a number and a unit (B, kB, KiB, MB, MiB, GB, GiB), such as \"64KiB\", or \"unlimited\"; \
                                 a disk that is full is the fault `disk_full`";
const EXPECTED_IOPS: &str = "the operations in a second are a whole number, such as 200, or \"unlimited\"; \
                             a disk that serves none is the fault `disk_stall`";

fn parse_capacity(text: &str) -> Option<u64> {
    if text.trim() == "unlimited" {
        return Some(u64::MAX);
    }
    amount(text, &SIZES).filter(|bytes| *bytes > 0)
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, size) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

fn parse_rate(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "unlimited" {
        return Some(u64::MAX);
    }
    let rate = amount(text, &BITS).or_else(|| amount(text.strip_suffix("/s")?, &SIZES));
    rate.filter(|rate| *rate > 0)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES.iter().find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size));
        let (unit, size) = exact.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Rate::UNLIMITED { f.write_str("unlimited") } else { write!(f, "{}/s", Size(self.0)) }
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Capacity::UNLIMITED { f.write_str("unlimited") } else { Size(self.0).fmt(f) }
    }
}

impl Serialize for Capacity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Iops {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Iops::UNLIMITED { serializer.serialize_str("unlimited") } else { serializer.serialize_u64(self.0) }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Data {
                what: "not an amount of data",
                help: EXPECTED_SIZE,
                read: |text| amount(text, &SIZES),
            })
            .map(Size)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Data { what: "not a bandwidth", help: EXPECTED_RATE, read: parse_rate }).map(Rate)
    }
}

impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Data { what: "not a capacity", help: EXPECTED_CAPACITY, read: parse_capacity })
            .map(Capacity)
    }
}

impl<'de> Deserialize<'de> for Iops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Iops;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or \"unlimited\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Iops, E> {
                if text == "unlimited" { Ok(Iops::UNLIMITED) } else { Err(wrong_iops(&format_args!("{text:?}"))) }
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Iops, E> {
                match u64::try_from(number) {
                    Ok(number) if number > 0 => Ok(Iops(number)),
                    _ => Err(wrong_iops(&number)),
                }
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Iops, E> {
                Err(wrong_iops(&number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn wrong_iops<E: Error>(found: &dyn fmt::Display) -> E {
    E::custom(format!("not a number of operations in a second\nlabel: found {found}\nhelp: {EXPECTED_IOPS}"))
}

/// Reads a text with a unit. Any other value, such as a number without a unit, gives an error that names the expected form.
struct Data {
    what: &'static str,
    help: &'static str,
    read: fn(&str) -> Option<u64>,
}

impl Data {
    fn error<E: Error>(&self, found: &dyn fmt::Display) -> E {
        E::custom(format!("{}\nlabel: found {found}\nhelp: {}", self.what, self.help))
    }
}

impl serde::de::Visitor<'_> for Data {
    type Value = u64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        (self.read)(text).ok_or_else(|| self.error(&format_args!("{text:?}")))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        Err(self.error(&format_args!("{number} without a unit")))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
        Err(self.error(&format_args!("{number} without a unit")))
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
        assert_eq!(format!("{:#} {:#}", Time(1_891_249_949), Time(1_500_000)), "1.891249949s 1500us");
        assert_eq!(Offset(-50_000_000).to_string(), "-50ms");
    }

    #[test]
    fn a_duration_is_numbers_with_units() {
        for (text, nanos) in [("1m 30s", 90_000_000_000), ("1m30s", 90_000_000_000), (" 5 us ", 5_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Time(nanos)), "{text}");
        }
        for (text, why) in [
            ("", "nothing"),
            ("5", "`5` has no unit: ns, us, ms, s, m, h"),
            ("s", "a number must stand before each unit"),
            ("-5s", "a number must stand before each unit"),
            ("1.5s", "`.` is none of the units"),
            ("1M", "`M` is none of the units"),
            ("1sec", "`sec` is none of the units"),
            ("1y", "`y` is none of the units"),
            ("99999999999999999999s", "more than 584 years"),
            ("18446744073709551615s 1000000000ns", "more than 584 years"),
            ("18446744073s 999999999ns", "more than 584 years"),
        ] {
            let error = text.parse::<Time>().unwrap_err();
            assert!(error.starts_with("expected a duration such as") && error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn amounts_of_data_have_units() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1 MB", 1_000_000), ("2GiB", 2 << 30), ("0B", 0)] {
            assert_eq!(amount(text, &SIZES), Some(bytes), "{text}");
        }
        for text in ["", "12", "B", "1.5MB", "-1B", "1mb", "99999999999GiB"] {
            assert_eq!(amount(text, &SIZES), None, "{text:?}");
        }
        for (text, rate) in [("10Mbit/s", 1_250_000), ("1MB/s", 1_000_000), ("unlimited", u64::MAX), ("8kbit/s", 1_000)]
        {
            assert_eq!(parse_rate(text), Some(rate), "{text}");
        }
        for text in ["10", "10Mbit", "0B/s", "fast"] {
            assert_eq!(parse_rate(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn reads_back_data_as_it_prints_it(bytes in any::<u64>(), zeros in 0u32..50) {
            let bytes = bytes >> zeros << (zeros / 2);
            prop_assert_eq!(amount(&Size(bytes).to_string(), &SIZES), Some(bytes));
            prop_assume!(bytes > 0);
            prop_assert_eq!(parse_rate(&Rate(bytes).to_string()), Some(bytes));
        }

        #[test]
        fn reads_back_what_it_prints(nanos in any::<u64>()) {
            prop_assert_eq!(parse(&Time(nanos).to_string()), Ok(Time(nanos)));
        }
    }
}
