//! Names with wildcards.

/// Whether `name` is `pattern`, in which each `*` stands for any characters, or none.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // Taking each middle part where it first occurs leaves the most for the parts that follow.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_has_only_stars() {
        for (pattern, name) in
            [("*", ""), ("server-*", "server-12"), ("*-0", "server-0"), ("s*r-*0", "server-10"), ("a*a", "aa")]
        {
            assert!(glob_matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("server-*", "client-0"), ("a*a", "a"), ("a*b*c", "acb"), ("server-?", "server-0"), ("abc", "abcd")]
        {
            assert!(!glob_matches(pattern, name), "{pattern} {name}");
        }
    }
}
