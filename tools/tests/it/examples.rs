//! Every command line that help texts, READMEs and docs show is one that works: it is run, over copies of this repository's
//! scenarios and corpus, with a seed or a few in place of thousands.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory, Parser};
use tools::cli::{self, Cli};

/// What stands for something of the reader's, and an example of that.
const PLACEHOLDERS: [(&str, &str); 8] = [
    ("seeds/NAME.toml", ENTRY),
    ("SCENARIO", "scenarios/kv/crash.toml"),
    ("SEED", "17"),
    ("FILE", "scenarios/kv/crash.toml"),
    ("SYSTEM", "kv"),
    ("NAME", "my-own"),
    ("slice:I/N", "slice:1/2"),
    ("N", "2"),
];

const ENTRY: &str = "seeds/primary-backup-new-backup-776.toml";

/// The shortest sweep that is one.
const SCENARIO: &str = "scenarios/kv/crash.toml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn of_help_texts() {
    let mut texts = Vec::new();
    help_texts(&Cli::command(), &mut texts);
    assert!(texts.len() >= 10, "{}", texts.len());
    let commands: usize = texts.iter().map(|text| run_all(text, text.lines().filter_map(command_line))).sum();
    assert!(commands > 40, "{commands}");
}

fn help_texts(command: &clap::Command, texts: &mut Vec<String>) {
    texts.extend(command.get_after_help().map(|help| help.to_string()));
    command.get_subcommands().for_each(|command| help_texts(command, texts));
}

#[test]
fn of_readmes() {
    for (readme, least) in [("README.md", 10), ("seeds/README.md", 7), ("scenarios/README.md", 6)] {
        let text = fs::read_to_string(root().join(readme)).unwrap();
        let commands = run_all(&text, text.lines().flat_map(in_markdown));
        assert!(commands >= least, "{readme}: {commands}");
    }
}

#[test]
fn of_docs() {
    let mut files = Vec::new();
    for folder in ["sim/src", "systems/src", "tools/src"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut commands = 0;
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let docs = text.lines().filter_map(|line| {
            let line = line.trim_start();
            line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
        });
        commands += run_all(&text, docs.flat_map(in_markdown));
    }
    assert!(commands >= 3, "{commands}");
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The command that a line of a help text or of a console consists of. What comes two spaces after it explains it.
fn command_line(line: &str) -> Option<String> {
    let line = line.trim_start().trim_start_matches("$ ");
    let words = line.strip_prefix("cargo dst")?;
    Some(words.split("  ").next().unwrap_or_default().trim().to_owned())
}

/// The commands in a line of Markdown: the line itself, or what is between backticks.
fn in_markdown(line: &str) -> Vec<String> {
    match command_line(line) {
        Some(command) => vec![command],
        None => line.split('`').skip(1).step_by(2).filter_map(command_line).collect(),
    }
}

/// Runs the commands of a text one after the other, in a folder of their own. Returns how many there were.
fn run_all(text: &str, commands: impl Iterator<Item = String>) -> usize {
    let commands: Vec<String> = commands.filter(|command| !command.contains(['{', '<'])).collect();
    if commands.is_empty() {
        return 0;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["scenarios", "seeds"] {
        copy(&root().join(name), &folder.path().join(name));
    }
    let mut done = BTreeSet::new();
    let mut replayed = None;
    for command in &commands {
        let example = Example::parse(command);
        let Example { args, .. } = &example;
        // The text says elsewhere how the file is made.
        if let [replay, file] = &args[..]
            && replay == "replay"
            && !folder.path().join(file).exists()
            && text.contains(&format!("--freeze {file}"))
        {
            let last: &Vec<String> = replayed.as_ref().expect("a run to freeze");
            run(folder.path(), &[&last[..], &["--freeze".to_owned(), file.clone()]].concat(), command);
        }
        // Once is enough for what leaves nothing behind.
        if done.insert(args.clone()) {
            example.run(folder.path(), command);
        }
        if args.first().is_some_and(|first| first == "replay") {
            replayed = Some(args.clone());
        }
    }
    commands.len()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A command as it is shown, as far as it is `dst`'s.
struct Example {
    args: Vec<String>,
    /// Where its output goes.
    into: Option<String>,
}

impl Example {
    fn parse(command: &str) -> Example {
        let (mut args, into) = words(command);
        for arg in &mut args {
            let place = PLACEHOLDERS.iter().find(|(name, _)| arg.trim_end_matches("...") == *name);
            *arg = place.map_or(arg.clone(), |(_, example)| (*example).to_owned());
        }
        if args.starts_with(&["new", "system"].map(str::to_owned)) {
            // The name of a crate has no hyphen here, and what is beside this workspace is inside of the folder.
            args.iter_mut().for_each(|arg| *arg = arg.replace('-', "_").replace("__", "--").replace("../", "beside/"));
        }
        // What a new system can do is shown by the example that it is made from.
        if args.iter().any(|arg| arg.starts_with("my_lock.")) {
            args.iter_mut().for_each(|arg| *arg = arg.replace("my_lock", "first_lock"));
            return Example { args, into };
        }
        let mut names = Cli::command();
        let is_name_alone = args.iter().all(|arg| match names.find_subcommand(arg).cloned() {
            Some(found) => {
                names = found;
                true
            }
            None => false,
        });
        // In prose a command is often named without what it takes.
        if is_name_alone && Cli::try_parse_from(full(&args)).is_err() {
            args.push("--help".to_owned());
        }
        Example { args: cheaper(args), into }
    }

    fn run(&self, folder: &Path, shown: &str) {
        let out = run(folder, &self.args, shown);
        let Some(into) = &self.into else { return };
        fs::write(folder.join(into), out).unwrap();
        // The other machines.
        if let Some(at) = self.args.iter().position(|arg| arg.starts_with("slice:")) {
            let parts: usize = self.args[at].rsplit('/').next().unwrap().parse().unwrap();
            for part in 1..=parts {
                let mut args = self.args.clone();
                args[at] = format!("slice:{part}/{parts}");
                let file = folder.join(format!("{part}.json"));
                if !file.exists() {
                    fs::write(file, run(folder, &args, shown)).unwrap();
                }
            }
        }
    }
}

fn full(args: &[String]) -> Vec<String> {
    [&["dst".to_owned()], args].concat()
}

/// The same command about less: few seeds, one scenario or entry if none is named.
fn cheaper(mut args: Vec<String>) -> Vec<String> {
    // A mistake in it is shown when it is run.
    let Ok(cli) = Cli::try_parse_from(full(&args)) else { return args };
    match cli.command {
        cli::Command::Sweep(sweep) => {
            for flag in ["--seeds", "--for"] {
                if let Some(at) = args.iter().position(|arg| arg == flag) {
                    args.drain(at..at + 2);
                }
            }
            // One for each shard.
            args.extend(["--seeds", if sweep.shard.is_some() { "4" } else { "1" }].map(str::to_owned));
            if sweep.scenarios.is_empty() || sweep.scenarios.iter().any(|path| path.extension().is_none()) {
                args.retain(|arg| sweep.scenarios.iter().all(|path| path.as_os_str() != arg.as_str()));
                args.push(SCENARIO.to_owned());
            }
        }
        cli::Command::Corpus(cli::corpus::Command::Run(run)) if run.entries.is_empty() => args.push(ENTRY.to_owned()),
        _ => {}
    }
    args
}

/// Runs it, and returns what it printed. It may find a bug where that is what it is for, and nothing else may be wrong.
fn run(folder: &Path, args: &[String], shown: &str) -> Vec<u8> {
    let dst = Path::new(env!("CARGO_BIN_EXE_dst"));
    let (program, folder) = match args.iter().any(|arg| arg.starts_with("first_lock.")) {
        true => (dst.with_file_name("examples/first_lock"), root().join("tools/examples/first_lock")),
        false => (dst.to_owned(), folder.to_owned()),
    };
    let output = Command::new(program).current_dir(folder).args(args).output().unwrap();
    let may_fail = ["sweep", "replay", "merge"].contains(&args.first().map_or("", String::as_str));
    let code = output.status.code();
    assert!(
        code == Some(0) || (may_fail && code == Some(1)),
        "cargo dst {shown}\nrun as: {args:?}, ended with {code:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The words of a command as a shell reads them, up to a pipe or a comment; and the file that its output goes to.
fn words(command: &str) -> (Vec<String>, Option<String>) {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for c in command.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|') => break,
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    let into = words.iter().position(|word| word == ">").map(|at| words.drain(at..).nth(1).expect("a file"));
    (words, into)
}

#[test]
fn a_command_line_is_read_as_a_shell_does() {
    let (words, into) = words("x 'a b' \"c|d\" > out.json # why");
    assert_eq!((words, into), (vec!["x".to_owned(), "a b".to_owned(), "c|d".to_owned()], Some("out.json".to_owned())));
    assert_eq!(command_line("$ cargo dst list --json | jq").as_deref(), Some("list --json | jq"));
    assert_eq!(command_line("  cargo dst list      what there is").as_deref(), Some("list"));
    assert_eq!(in_markdown("so `cargo dst check` and `x`"), ["check"]);
}

/// The test above can fail: a command about what does not exist does.
#[test]
#[should_panic(expected = "unknown planted bug")]
fn an_example_about_a_bug_that_does_not_exist_is_noticed() {
    run_all("", ["sweep --planted kv.stale-read --fail-fast".to_owned()].into_iter());
}
