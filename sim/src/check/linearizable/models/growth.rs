//! How values grow by appends.

/// What a value may begin with, and what may be appended: whether that can make a wanted value.
///
/// That each append can be used once, and not in every order, is not looked at: `may_reach` says `true` too often, and
/// `false` only where it is certain.
#[derive(Clone, Default)]
pub(super) struct Growth<'a> {
    /// Of how many bytes of the wanted value the beginnings are.
    begun: Few<usize>,
    appends: Few<&'a str>,
    /// There were more than it remembers.
    is_full: bool,
}

impl<'a> Growth<'a> {
    /// The value may begin with this.
    pub fn begin(&mut self, value: &str, wanted: &str) {
        if wanted.starts_with(value) {
            self.is_full |= !self.begun.add(value.len());
        }
    }

    /// This may be appended.
    pub fn append(&mut self, value: &'a str, wanted: &str) {
        if wanted.contains(value) {
            self.is_full |= !self.appends.add(value);
        }
    }

    /// Whether the wanted value begins with any of them. Without a beginning it makes no difference what is appended.
    pub fn has_begun(&self) -> bool {
        !self.begun.all().is_empty()
    }

    /// Whether a beginning and appends may make the wanted value, which no beginning alone does.
    pub fn may_reach(mut self, wanted: &str) -> bool {
        if !self.has_begun() {
            return false;
        }
        let mut at = 0;
        while !self.is_full
            && let Some(&begun) = self.begun.all().get(at)
        {
            at += 1;
            for end in self.appends.all().iter().filter(|end| wanted[begun..].starts_with(**end)) {
                let reached = begun + end.len();
                if reached == wanted.len() {
                    return true;
                }
                self.is_full |= !self.begun.add(reached);
            }
        }
        self.is_full
    }
}

/// So many are a few; in tests, which have few of anything, fewer.
const FEW: usize = if cfg!(test) { 4 } else { 32 };

/// A set of a few things, in the order in which they came, that needs no memory of its own.
#[derive(Clone)]
struct Few<T> {
    things: [T; FEW],
    len: usize,
}

impl<T: Default + Copy> Default for Few<T> {
    fn default() -> Self {
        Few { things: [T::default(); FEW], len: 0 }
    }
}

impl<T: Copy + PartialEq> Few<T> {
    /// Adds it, if it is not there. False if there is no room.
    fn add(&mut self, thing: T) -> bool {
        if self.all().contains(&thing) {
            return true;
        }
        let has_room = self.len < self.things.len();
        if has_room {
            self.things[self.len] = thing;
            self.len += 1;
        }
        has_room
    }

    fn all(&self) -> &[T] {
        &self.things[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_reach(begins: &[&str], appends: &[&str], wanted: &str) -> bool {
        let mut growth = Growth::default();
        begins.iter().for_each(|begin| growth.begin(begin, wanted));
        appends.iter().for_each(|value| growth.append(value, wanted));
        growth.may_reach(wanted)
    }

    #[test]
    fn a_value_is_made_of_a_beginning_and_appends() {
        assert!(may_reach(&["a"], &["b", "c"], "abc"));
        assert!(may_reach(&["x", ""], &["ab", "abc"], "abc"));
        assert!(!may_reach(&["a"], &["b"], "abc"));
        assert!(!may_reach(&["x"], &["a", "b", "c"], "abc"));
        assert!(!may_reach(&["a"], &["c", "bb"], "abc"));
    }

    #[test]
    fn of_too_many_nothing_is_certain() {
        let many: Vec<String> = (0..FEW + 8).map(|i| format!("{i};")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let never = many.concat() + "never";
        assert!(may_reach(&[""], &many, &never));
        assert!(!may_reach(&[""], &many[..FEW / 2], &never));
        assert!(!may_reach(&["x"], &many, &never));
        assert!(!may_reach(&[""], &many, "never"), "none of them is in it");
    }
}
