//! What the keys of a map hold, as a model's state.
//!
//! A search makes thousands of states, each of which differs from another one in one key. So they share their texts, and
//! carry a hash that follows each change, so that none is ever hashed as a whole.

use std::fmt::{self, Debug};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Keys with their values, in order of the keys. A key without a value is not there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// Of the values together.
    hash: u64,
    values: Vec<(Rc<str>, Rc<str>)>,
}

impl Hash for Values {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

impl Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (key, value)) in self.values.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{key}: {value:?}")?;
        }
        f.write_str("}")
    }
}

impl Values {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.place(key).ok().map(|place| &*self.values[place].1)
    }

    /// Keys from `from` to before `to`, with their values.
    pub fn range(&self, from: &str, to: &str) -> impl Iterator<Item = (&str, &str)> {
        let first = self.values.partition_point(|(key, _)| **key < *from);
        let pairs = self.values[first..].iter().map(|(key, value)| (&**key, &**value));
        pairs.take_while(move |(key, _)| *key < to)
    }

    /// The same with another value of `key`, or none.
    pub fn with(&self, key: &str, value: Option<&str>) -> Values {
        let mut values = self.values.clone();
        let place = self.place(key);
        let before = place.ok().map_or(0, |place| hash_of(key, &values[place].1));
        let after = value.map_or(0, |value| hash_of(key, value));
        match (place, value) {
            (Ok(place), Some(value)) => values[place].1 = value.into(),
            (Ok(place), None) => drop(values.remove(place)),
            (Err(place), Some(value)) => values.insert(place, (key.into(), value.into())),
            (Err(_), None) => {}
        }
        Values { hash: self.hash ^ before ^ after, values }
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.values.binary_search_by(|(other, _)| (**other).cmp(key))
    }
}

fn hash_of(key: &str, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), xxh3_64(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_are_equal_however_they_came_about() {
        let one = Values::default().with("b", Some("2")).with("a", Some("1")).with("c", Some("3")).with("c", None);
        let other = Values::default().with("a", Some("")).with("a", Some("1")).with("d", None).with("b", Some("2"));
        assert_eq!((one.hash, &one), (other.hash, &other));
        assert_eq!(format!("{one:?}"), r#"{a: "1", b: "2"}"#);
        let swapped = Values::default().with("a", Some("2")).with("b", Some("1"));
        assert!(one.hash != swapped.hash && one != swapped);
        assert_eq!(one.with("a", None).with("b", None), Values::default());
    }

    #[test]
    fn a_range_has_its_first_key_and_not_its_last() {
        let values = ["a", "b", "c"].iter().fold(Values::default(), |values, key| values.with(key, Some(key)));
        assert_eq!(values.range("a", "c").collect::<Vec<_>>(), [("a", "a"), ("b", "b")]);
        assert_eq!(values.range("aa", "z").count(), 2);
        assert_eq!(values.range("c", "a").count(), 0);
    }
}
