//! `dst corpus`, and `dst replay` of its entries

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tools::Exit;

use super::dst;

/// A corpus of one: the first failing run of `crash.toml`.
fn corpus() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let ended = dst("sweep tests/scenarios/crash.toml --seeds 100 --fail-fast --json").expect(Exit::BugFound);
    let seed = ended.last()["failures"][0]["seed"].as_u64().unwrap();
    let file = add(folder.path(), &format!("tests/scenarios/crash.toml {seed} --name bug --note it-forgets"));
    (folder, file)
}

/// Adds an entry, and returns its file.
#[track_caller]
fn add(folder: &Path, what: &str) -> String {
    let ended = dst(&format!("corpus add {what} --into {}", folder.display())).expect(Exit::Held);
    let (file, _) = ended.out.strip_prefix("added ").unwrap().split_once(": ").unwrap();
    file.to_owned()
}

fn edit(file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Changes a digest of an entry, as a change of the code would change the run's.
fn drift(file: &str, key: &str) {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    edit(file, &line, &format!("{key} = \"{}\"", "0123456789abcdef".repeat(2)));
}

#[test]
fn a_failure_that_the_scenario_declares_is_how_its_run_ends() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = dst("sweep tests/others/declared.toml --seeds 20 --planted forgetful.stale --json").expect(Exit::Held);
    let seed = &sweep.last()["planted"][0]["first"]["seed"];
    let one = add(folder.path(), &format!("tests/others/declared.toml {seed} --planted forgetful.stale --name one"));
    assert!(fs::read_to_string(&one).unwrap().contains("expect = \"linearizable\""));
    let ended = dst(&format!("corpus run {one} --json")).expect(Exit::Held);
    assert_eq!(status(&ended), ["held"]);
    dst(&format!("replay {one}")).expect(Exit::Held);
}

fn status(ended: &super::Ended) -> Vec<String> {
    let entries = ended.json().into_iter().filter(|line| line["type"] == "entry");
    entries.map(|line| line["status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_entry_says_which_run_it_is_and_how_it_ends() {
    let (folder, file) = corpus();
    let run = dst(&format!("replay {file} --json")).expect(Exit::Held).last();
    let text = fs::read_to_string(&file).unwrap();
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["note"].as_str(), Some("it-forgets"));
    assert_eq!(table["scenario"].as_str(), Some("tests/scenarios/crash.toml"));
    assert_eq!(table["expect"].as_str(), Some("linearizable"));
    for key in ["digest", "world"] {
        assert_eq!(table[key].as_str(), run[key].as_str(), "{key}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // The largest seed does not fit into TOML's own integers.
    let file = add(folder.path(), &format!("tests/scenarios/calm.toml {}", u64::MAX));
    assert!(file.ends_with(&format!("/forgetful-calm-{}.toml", u64::MAX)), "{file}");
    assert_eq!(dst(&format!("replay {file} --json")).expect(Exit::Held).last()["seed"], u64::MAX);
}

#[test]
fn an_entry_is_only_replaced_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("corpus add tests/scenarios/calm.toml 7 --into {}", folder.path().display());
    dst(&line).expect(Exit::Held);
    let file = folder.path().join("forgetful-calm-7.toml");
    fs::write(&file, "mine").unwrap();
    let ended = dst(&line).expect(Exit::BadInput);
    assert!(ended.err.contains("is there already"), "{}", ended.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    dst(&format!("{line} --force")).expect(Exit::Held);
    assert_ne!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn what_is_expected_holds_or_has_drifted_or_is_broken() {
    let (folder, file) = corpus();
    add(folder.path(), "tests/scenarios/calm.toml 3");
    let run = format!("corpus run {}", folder.path().display());
    let ended = dst(&run).expect(Exit::Held);
    assert!(ended.out.contains(&format!("held     {file}  linearizable\n")), "{}", ended.out);
    assert!(ended.out.ends_with("\n2 entries: 2 held, 0 drifted, 0 broken\n"), "{}", ended.out);

    drift(&file, "digest");
    let ended = dst(&run).expect(Exit::Held);
    assert!(ended.out.contains(&format!("DRIFTED  {file}  linearizable, but planned in another way")), "{}", ended.out);
    drift(&file, "world");
    let ended = dst(&run).expect(Exit::Held);
    assert!(ended.out.contains(&format!("DRIFTED  {file}  linearizable, but in another run: world")), "{}", ended.out);
    assert!(ended.out.contains("1 held, 1 drifted, 0 broken"), "{}", ended.out);
    dst(&format!("{run} --strict")).expect(Exit::BugFound);

    edit(&file, "expect = \"linearizable\"", "expect = \"pass\"");
    let ended = dst(&run).expect(Exit::BugFound);
    assert!(ended.out.contains(&format!("BROKEN   {file}  expected pass, found linearizable\n")), "{}", ended.out);
    assert!(ended.out.contains("kept because: it-forgets"), "{}", ended.out);
    assert!(ended.out.contains(&format!("cargo dst replay {file}\n")), "{}", ended.out);
    let ended = dst(&format!("{run} --json --jobs 4")).expect(Exit::BugFound);
    assert_eq!(status(&ended), ["broken", "held"]);
    let summary = ended.last();
    assert_eq!((&summary["type"], &summary["entries"], &summary["broken"]), (&"corpus".into(), &2.into(), &1.into()));
}

#[test]
fn the_replay_of_an_entry_is_judged_by_its_expectation() {
    let (_folder, file) = corpus();
    // The run fails, as it should.
    let ended = dst(&format!("replay {file}")).expect(Exit::Held);
    assert!(ended.out.contains("FAIL linearizable"), "{}", ended.out);
    assert!(ended.out.ends_with(&format!("\nheld {file}: linearizable\n")), "{}", ended.out);
    assert!(dst(&format!("replay {file} --trace --kind fault")).out.contains("crash server-0"));
    drift(&file, "world");
    let ended = dst(&format!("replay {file}")).expect(Exit::Held);
    assert!(ended.out.contains(&format!("DRIFTED {file}: linearizable, but in another run")), "{}", ended.out);
    assert_eq!(dst(&format!("replay {file} --json")).last()["status"], "drifted");
    edit(&file, "expect = \"linearizable\"", "expect = \"convergence\"");
    let ended = dst(&format!("replay {file}")).expect(Exit::BugFound);
    assert!(ended.out.contains("expected convergence, found linearizable"), "{}", ended.out);
    for flags in ["3", "--planted forgetful.stale"] {
        let ended = dst(&format!("replay {file} {flags}")).expect(Exit::BadInput);
        assert!(ended.err.contains("it takes no seed and no --planted"), "{}", ended.err);
    }
}

#[test]
fn what_drifted_is_refreshed_and_what_broke_is_not() {
    let (_folder, file) = corpus();
    fs::write(&file, fs::read_to_string(&file).unwrap() + "# my own words\n").unwrap();
    let original = fs::read_to_string(&file).unwrap();
    let refresh = format!("corpus add --refresh {file}");
    assert!(dst(&refresh).expect(Exit::Held).out.starts_with("unchanged"));
    drift(&file, "digest");
    drift(&file, "world");
    assert!(dst(&refresh).expect(Exit::Held).out.starts_with("refreshed"));
    assert_eq!(fs::read_to_string(&file).unwrap(), original);
    edit(&file, "expect = \"linearizable\"", "expect = \"pass\"");
    drift(&file, "digest");
    let broken = fs::read_to_string(&file).unwrap();
    assert!(dst(&refresh).expect(Exit::BugFound).out.starts_with("BROKEN"));
    assert_eq!(fs::read_to_string(&file).unwrap(), broken);
}

#[test]
fn what_says_nothing_any_more_is_pruned() {
    let (folder, bug) = corpus();
    let other = |seed| format!("tests/scenarios/calm.toml {seed}");
    let keeps = [add(folder.path(), &other(1)), add(folder.path(), &other(2))];
    let same_run = add(folder.path(), &format!("{} --name z", other(2)));
    let drifted = add(folder.path(), &other(3));
    drift(&drifted, "world");
    let gone = add(folder.path(), &other(4));
    edit(&gone, "calm.toml", "gone.toml");
    // The same bug once more, with another seed.
    let failing = dst("sweep tests/scenarios/crash.toml --seeds 100 --max-failures 2 --json");
    let seed = failing.json()[1]["seed"].as_u64().unwrap();
    let same_bug = add(folder.path(), &format!("tests/scenarios/crash.toml {seed} --name same-bug"));

    let prune = format!("corpus prune {}", folder.path().display());
    let ended = dst(&prune).expect(Exit::Held);
    for line in [
        format!("{same_run}  duplicate of {}\n", keeps[1]),
        format!("{same_bug}  duplicate of {bug}\n"),
        format!("{drifted}  drifted: pass, but in another run"),
        format!("{gone}  its scenario `tests/scenarios/gone.toml` is gone\n"),
        "4 entries to prune; to delete them: cargo dst corpus prune --yes\n".to_owned(),
    ] {
        assert!(ended.out.contains(&line), "{line}\n{}", ended.out);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 7, "nothing is deleted unasked");
    let ended = dst(&format!("{prune} --yes")).expect(Exit::Held);
    assert_eq!(ended.out.matches("deleted").count(), 4, "{}", ended.out);
    for file in keeps.iter().chain([&bug]) {
        assert!(Path::new(file).exists(), "{file}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    assert_eq!(dst(&prune).expect(Exit::Held).out, "0 entries to prune\n");
}

#[test]
fn a_duplicate_of_what_is_pruned_stays() {
    let folder = tempfile::tempdir().unwrap();
    let first = add(folder.path(), "tests/scenarios/calm.toml 2 --name a");
    add(folder.path(), "tests/scenarios/calm.toml 2 --name b");
    drift(&first, "world");
    let ended = dst(&format!("corpus prune {}", folder.path().display())).expect(Exit::Held);
    assert!(
        ended.out.contains(&format!("{first}  drifted")) && ended.out.contains("1 entry to prune"),
        "{}",
        ended.out
    );
}

#[test]
fn mistakes_in_an_entry_are_shown_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let valid = "scenario = \"tests/scenarios/calm.toml\"\nseed = 1\nplanted = []\nexpect = \"pass\"\n\
                 digest = \"00000000000000000000000000000000\"\nworld = \"00000000000000000000000000000000\"\n";
    let mistakes = [
        ("unknown-key", valid.replace("expect", "expects")),
        ("wrong-type", valid.replace("seed = 1", "seed = \"1\"")),
        ("missing-seed", valid.replace("seed = 1\n", "")),
        ("missing-expectation", valid.replace("expect = \"pass\"\n", "")),
        ("no-digest", valid.replacen("0000", "000x", 1)),
        ("no-toml", valid.replace("planted = []", "planted = [")),
        ("no-scenario", valid.replace("calm.toml", "clam.toml")),
        ("no-planted-bug", valid.replace("planted = []", "planted = [\"forgetful.stal\"]")),
        ("a-search", "scenario = \"tests/scenarios/calm.toml\"\nseed = 1\nplanted = [\"x\"]\nwithin = 3\n".to_owned()),
    ];
    let mut all = String::new();
    for (name, text) in mistakes {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let ended = dst(&format!("corpus run {}", file.display())).expect(Exit::BadInput);
        assert_eq!(ended.out, "");
        all += &ended.err.replace(&folder.path().display().to_string(), "[folder]");
        all += "\n";
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_is_no_corpus_is_bad_input() {
    for (line, says) in [
        ("corpus run tests/nowhere", "no such entry, folder or planted bug: `tests/nowhere`"),
        ("corpus run nowhere.toml", "no such entry or folder: `nowhere.toml`"),
        ("corpus run", "no such entry or folder: `seeds`"),
        ("corpus run src", "there is no entry here"),
        ("corpus run tests/scenarios/calm.toml", "unknown key `description`"),
        ("corpus add tests/scenarios/calm.toml", "<SEED>"),
        ("corpus run forgetful.stal", "did you mean `forgetful.stale`?"),
        ("corpus run forgetful.stale", "no scenario is declared to find the planted bug `forgetful.stale`"),
        ("corpus add tests/scenarios/calm.toml 1 --refresh x", "cannot be used with"),
        ("corpus add tests/scenarios/calm.toml 1 --name ../x", "is no name for an entry"),
        ("corpus add tests/scenarios/calm.toml 1 --into tests/nowhere", "there is no folder"),
        ("corpus add tests/scenarios/calm.toml 1 --planted forgetful.stal", "did you mean `forgetful.stale`?"),
        ("corpus add tests/scenarios/plain.toml 1 --planted forgetful.stale", "`plain` has no planted bug"),
        ("corpus add tests/nowhere.toml 1", "cannot read the scenario"),
    ] {
        let ended = dst(line).expect(Exit::BadInput);
        assert!(ended.err.contains(says), "{line}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn an_entry_whose_seed_draws_an_error_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = add(folder.path(), "tests/scenarios/plain.toml 1");
    edit(&file, "scenarios/plain.toml", "others/seldom-wrong.toml");
    let mut seed = 0;
    let bad = loop {
        let ended = dst(&format!("replay tests/others/seldom-wrong.toml {seed}"));
        if ended.exit == Exit::BadInput {
            break ended;
        }
        seed += 1;
    };
    edit(&file, "seed = 1", &format!("seed = {seed}"));
    // It does not hide the others.
    let good = add(folder.path(), "tests/scenarios/calm.toml 1");
    let ended = dst(&format!("corpus run {file} {good}")).expect(Exit::BadInput);
    assert_eq!(ended.err, bad.err);
    assert!(ended.out.contains("\n2 entries: 1 held, 0 drifted, 0 broken, 1 not checked\n"), "{}", ended.out);
    let ended = dst(&format!("corpus run {file} {good} --json")).expect(Exit::BadInput);
    assert_eq!(status(&ended), ["held", "error"]);
    assert_eq!(ended.last()["errors"], 1);
}

/// A line of JSON is one object, whatever is in an entry.
#[test]
fn a_note_may_have_any_letters() {
    let folder = tempfile::tempdir().unwrap();
    let file = add(folder.path(), "tests/scenarios/calm.toml 2");
    let note = "note = \"a \\\"quoted\\\"\\nword \\u001b[31m\"\n";
    fs::write(&file, format!("{note}{}", fs::read_to_string(&file).unwrap())).unwrap();
    let line: Value = dst(&format!("corpus run {file} --json")).expect(Exit::Held).json()[0].clone();
    assert_eq!(line["note"], "a \"quoted\"\nword \u{1b}[31m");
}
