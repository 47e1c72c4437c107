//! The crate that `dst new system` writes: a small system, outside of this workspace, that builds and sweeps as it is.
//!
//! Its source is the example `first_lock` of this crate, so that it is compiled with it.

/// The name of the system in the example.
const NAME: &str = "first_lock";
/// Where the crates of the harness are, in `Cargo.toml`.
const SOURCE: &str = "SOURCE";

/// The files, by their place in the new folder.
const FILES: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("../../examples/first_lock/Cargo.toml.in")),
    (".cargo/config.toml", include_str!("../../examples/first_lock/config.toml.in")),
    ("clippy.toml", include_str!("../../../systems/clippy.toml")),
    (".gitignore", "target/\n"),
    ("README.md", include_str!("../../examples/first_lock/README.md")),
    ("src/main.rs", include_str!("../../examples/first_lock/main.rs")),
    ("scenarios/first_lock/crashes.toml", include_str!("../../examples/first_lock/scenarios/first_lock/crashes.toml")),
    ("scenarios/first_lock/swarm.toml", include_str!("../../examples/first_lock/scenarios/first_lock/swarm.toml")),
];

/// Whether it can name a crate and a system.
pub fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_plain) && !TAKEN.contains(&name)
}

/// Words that Rust, cargo or the harness have already.
const TAKEN: [&str; 46] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "pub", "ref", "return", "self", "static", "struct", "super", "test", "trait", "true", "try", "type",
    "unsafe", "use", "where", "sim", "tools",
];

/// Places and texts of the files of a system of this name, whose harness is in the folder `source`.
pub fn files(name: &str, source: &str) -> impl Iterator<Item = (String, String)> {
    let named = |text: &str| text.replace(NAME, name).replace(&type_name(NAME), &type_name(name));
    FILES.iter().map(move |(place, text)| {
        let text = if *place == "Cargo.toml" { text.replace(SOURCE, source) } else { (*text).to_owned() };
        (named(place), named(&text))
    })
}

/// `first_lock` as a type is called: `FirstLock`.
fn type_name(name: &str) -> String {
    let words = name.split('_').filter_map(|word| Some((word.get(..1)?, &word[1..])));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        assert!(is_name("my_lock") && is_name("kv2"));
        for name in ["", "My", "2kv", "a-b", "self", "sim", "a/b", "..", "été"] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(type_name("my_own_lock"), "MyOwnLock");
    }
}
