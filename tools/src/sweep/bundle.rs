//! `--out DIR`: a folder for each distinct failure, with everything about the run that shows it best.
//!
//! That run is made once more, with a recorder, by a worker like all others. Each folder is made beside its place and renamed, and replaces an older one
//! of the same failure as a whole: its name depends on the system and the signature alone, and on the scenario if only a whole sweep shows it.
//! Folders that an earlier sweep made bear its mark, and are removed at the end; nothing else is.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sim::Report;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use super::Target;
use super::summary::{Failure, Summary};
use crate::exit::BadInput;
use crate::text;
use crate::worker::keep::{DETAILS, PICTURE};
use crate::worker::{Maker, Run};

/// How the signatures of runs begin that ended their process: here they would end this one.
const PROCESS: &str = "process:";

/// The most letters of a signature that go into a folder's name.
const LONGEST_SLUG: usize = 60;

/// What is written down of a run.
const FILES: [&str; 4] = ["trace.txt", "history.jsonl", "frozen.toml", "report.json"];

/// How often a folder is put in its place when other sweeps put theirs there.
const ATTEMPTS: u32 = 100;

/// The file that tells a bundle from a folder of somebody else's.
const MARK: &str = ".dst-bundle";

/// The mark of one bundle: the number of its file, and when that was made.
type Mark = (u64, i64, i64);

/// Where the bundles go.
pub struct Out {
    folder: PathBuf,
    /// The bundles that were there before, and their marks.
    earlier: Vec<(PathBuf, Mark)>,
}

impl Out {
    /// Makes sure that folders can be made in it, before anything runs. It is made itself if need be.
    ///
    /// # Errors
    ///
    /// If they cannot.
    pub fn check(folder: &Path) -> Result<Out> {
        let name = folder.display();
        let made = fs::create_dir_all(folder).and_then(|()| beside(folder));
        match made {
            Ok(_) => Ok(Out { folder: folder.to_owned(), earlier: marked(folder) }),
            Err(error) => {
                let help = "name a folder, or a place where one can be made";
                Err(BadInput::error(format!("cannot make folders in `{name}`: {error}"), help))
            }
        }
    }

    /// Writes a bundle for each failure, its run made in a fresh process, and notes in the summary where it is. Those of earlier
    /// sweeps are removed, unless this one is a shard or was interrupted. Returns what did not come out the same again, one line each.
    ///
    /// # Errors
    ///
    /// If a bundle cannot be written.
    pub fn write<'a>(
        &self,
        summary: &mut Summary,
        targets: &[Target<'_>],
        fresh: impl Fn() -> Box<dyn Maker + 'a>,
    ) -> Result<Vec<String>> {
        let mut differing = Vec::new();
        for failure in &mut summary.failures {
            let is_its = |target: &Target<'_>| target.loaded.scenario.path() == failure.scenario;
            let Some(index) = targets.iter().position(is_its) else { continue };
            let place = self.folder.join(name(failure));
            let note = bundle(&self.folder, &place, failure, &targets[index], index, &mut *fresh())
                .with_context(|| format!("cannot write the bundle `{}`", place.display()))?;
            if let Some(note) = note {
                differing.push(format!("{}: {note}", place.display()));
            }
            failure.bundle = Some(place.display().to_string());
        }
        // A shard, or half a sweep, does not replace a whole one.
        if summary.shard.is_none() && !summary.interrupted {
            self.remove_earlier()?;
        }
        Ok(differing)
    }

    /// What was replaced since, by this sweep or by another one, has another mark.
    fn remove_earlier(&self) -> Result<()> {
        for (place, _) in self.earlier.iter().filter(|(place, mark)| mark_of(place).as_ref() == Some(mark)) {
            // It is out of the way at once, and whole until then.
            let aside = beside(&self.folder)?;
            match fs::rename(place, aside.path().join("old")) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove `{}`", place.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The bundles in a folder.
fn marked(folder: &Path) -> Vec<(PathBuf, Mark)> {
    let places = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    places.filter_map(|place| mark_of(&place).map(|mark| (place, mark))).collect()
}

/// The mark of a bundle.
fn mark_of(place: &Path) -> Option<Mark> {
    let file = fs::metadata(place.join(MARK)).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec()))
}

/// The name of a failure's folder: readable, and different for different failures.
fn name(failure: &Failure) -> String {
    let Failure { system, signature, scenario, seed, .. } = failure;
    // What only a whole sweep shows is another failure in each scenario.
    let whole = if seed.is_none() { format!("\0{scenario}") } else { String::new() };
    let words = signature.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join("-").to_lowercase().chars().take(LONGEST_SLUG).collect();
    let hash = xxh3_64(format!("{system}\0{signature}{whole}").as_bytes()) >> 32;
    let slug = if slug.is_empty() { "failure" } else { slug.trim_end_matches('-') };
    format!("{slug}-{hash:08x}")
}

/// Writes one. Returns how the run was another one the second time.
fn bundle(
    out: &Path,
    place: &Path,
    failure: &Failure,
    target: &Target<'_>,
    index: usize,
    maker: &mut dyn Maker,
) -> Result<Option<String>> {
    let new = beside(out)?;
    let folder = new.path();
    fs::write(folder.join(MARK), "`dst sweep --out` made this folder, and the next one removes it.\n")?;
    fs::write(folder.join("scenario.toml"), target.loaded.scenario.source())?;
    // Half of a run's files would be none: they are put beside the others once all are there.
    let run = beside(folder)?;
    let (note, has_run) = match failure.seed {
        None => (Some("Only the sweep as a whole shows it: there is no run to keep.".to_owned()), false),
        Some(_) if failure.signature.starts_with(PROCESS) => {
            let note = "The run ends or stops its process, so it was not made again here: there is no trace, no history \
                        and no frozen run.";
            (Some(note.to_owned()), false)
        }
        Some(seed) => match maker.keep(Run { scenario: index, seed }, run.path()) {
            Err(error) => (Some(format!("The run could not be made again: {error}")), false),
            Ok(report) => {
                for file in FILES {
                    fs::rename(run.path().join(file), folder.join(file))?;
                }
                for file in [DETAILS, PICTURE].map(|file| (run.path().join(file), folder.join(file))) {
                    if file.0.exists() {
                        fs::rename(file.0, file.1)?;
                    }
                }
                (difference(failure, &report), true)
            }
        },
    };
    drop(run);
    let has_picture = folder.join(PICTURE).exists();
    fs::write(folder.join("README.md"), readme(failure, place, note.as_deref(), has_run, has_picture))?;
    replace(new, place, out)?;
    let is_expected = failure.seed.is_none() || failure.signature.starts_with(PROCESS);
    Ok(note.filter(|_| !is_expected))
}

fn difference(failure: &Failure, report: &Report) -> Option<String> {
    let again = report.failure.as_ref();
    let what = if again.map(|again| &again.signature) != Some(&failure.signature) {
        match again {
            None => "the run did not fail".to_owned(),
            Some(again) => format!("the run failed with `{}`", again.signature),
        }
    } else if (again.map(|again| again.at_ns), Some(report.events)) != (failure.at_ns, failure.events) {
        "the run failed in the same way, but not at the same time".to_owned()
    } else {
        return None;
    };
    Some(format!(
        "In the sweep this was `{}`, but when it was made again {what}: it depends on more than its seed.",
        failure.signature
    ))
}

fn readme(failure: &Failure, place: &Path, note: Option<&str>, has_run: bool, has_picture: bool) -> String {
    let Failure { signature, system, scenario, explanation, replay, .. } = failure;
    let seed = failure.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
    let mut text = format!("# {signature}\n\nSystem {system}, scenario `{scenario}`{seed}. To see it again:\n\n");
    text += &format!("    {replay}\n\n");
    if let Some(note) = note {
        text += &format!("{note}\n\n");
    }
    text += "| file | what |\n|---|---|\n| `scenario.toml` | the scenario as it was run |\n";
    if has_run {
        let frozen = text::quoted(&place.join("frozen.toml").display().to_string());
        text += &format!("| `frozen.toml` | the run alone, nothing random: `cargo dst replay {frozen}` |\n");
        text += "| `trace.txt` | every event, one line each: time, node, kind |\n";
        text += "| `history.jsonl` | what clients invoked and were answered, one operation a line |\n";
        text += "| `report.json` | verdict, digests, faults and dose |\n";
    }
    if has_picture {
        text += &format!("| `{PICTURE}` | a picture of what is not linearizable, for a browser |\n");
        text += &format!("| `{DETAILS}` | the same as data |\n");
    }
    text += "\nWhat the check says:\n\n";
    text + &explanation.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect::<String>()
}

/// An empty folder in `out`, gone when dropped.
fn beside(out: &Path) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dst-").suffix(".tmp");
    // A temporary folder is for its owner's eyes; what it becomes is a folder like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(out)
}

/// Puts the new folder where the old one was. A folder cannot be renamed over another, so the old one steps aside first.
fn replace(new: TempDir, place: &Path, out: &Path) -> io::Result<()> {
    for attempt in 1.. {
        let aside = beside(out)?;
        let old = aside.path().join("old");
        // Another sweep may write to the same folder: what it takes away or puts there meanwhile is no error.
        let had_old = match fs::rename(place, &old) {
            Ok(()) if mark_of(&old).is_none() => {
                fs::rename(&old, place)?;
                let why = format!("`{}` is there already, and no sweep made it", place.display());
                return Err(io::Error::new(ErrorKind::AlreadyExists, why));
            }
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        match fs::rename(new.path(), place) {
            Ok(()) => break,
            Err(error) if is_taken(&error) && attempt < ATTEMPTS => {}
            Err(error) => {
                if had_old {
                    fs::rename(&old, place)?;
                }
                return Err(error);
            }
        }
    }
    // It is not where it would be deleted any more.
    let _ = new.keep();
    Ok(())
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_readable_and_its_own() {
        let of = |system: &str, signature: &str, scenario: &str, seed| {
            let failure = failure(signature, seed);
            super::name(&Failure { system: system.to_owned(), scenario: scenario.to_owned(), ..failure })
        };
        let name = |system, signature| of(system, signature, "a.toml", Some(1));
        let one =
            name("kv", "panic:src/server.rs:index out of bounds: the len is # but the index is #, which is too much");
        assert!(one.starts_with("panic-src-server-rs-index-out-of-bounds-"), "{one}");
        assert!(one.len() <= LONGEST_SLUG + 9, "{one}");
        assert_ne!(name("kv", "linearizable"), name("kw", "linearizable"));
        assert_eq!(name("kv", "linearizable"), name("kv", "linearizable"));
        assert!(name("kv", "../..").starts_with("failure-"));
        assert_eq!(name("kv", "dose:crash"), of("kv", "dose:crash", "b.toml", Some(2)));
        assert_ne!(of("kv", "dose:crash", "a.toml", None), of("kv", "dose:crash", "b.toml", None));
    }

    fn failure(signature: &str, seed: Option<u64>) -> Failure {
        let replay = "cargo dst replay x.toml 3".to_owned();
        let (signature, explanation) = (signature.to_owned(), "stderr:\nlast words".to_owned());
        Failure { signature, seed, explanation, replay, at_ns: Some(0), ..Failure::default() }
    }

    #[test]
    fn a_run_that_ends_its_process_is_not_made_again() {
        let systems = systems::all();
        let registry = crate::registry::Registry::new(&systems);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/primary_backup/swarm.toml");
        let loaded = crate::scenarios::load_one(&path, &registry).unwrap();
        let target = Target { loaded, planted: Vec::new() };
        let out = tempfile::tempdir().unwrap();
        let place = out.path().join("hang");
        let note = {
            let tasks = [target.task()];
            let mut here = crate::worker::here::Here::new(&tasks);
            bundle(out.path(), &place, &failure("process:hang", Some(3)), &target, 0, &mut here).unwrap()
        };
        assert_eq!(note, None, "that it is not made again is as it should be");
        let mut files: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, [MARK, "README.md", "scenario.toml"]);
        let readme = fs::read_to_string(place.join("README.md")).unwrap();
        for text in ["cargo dst replay x.toml 3", "it was not made again here", "last words"] {
            assert!(readme.contains(text), "{readme}");
        }
    }

    #[test]
    fn sweeps_that_write_the_same_bundle_do_not_disturb_each_other() {
        let out = tempfile::tempdir().unwrap();
        let place = out.path().join("bug");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (out, place) = (out.path(), &place);
                scope.spawn(move || {
                    for _ in 0..100 {
                        let new = beside(out).unwrap();
                        fs::write(new.path().join("file"), [writer]).unwrap();
                        fs::write(new.path().join(MARK), "").unwrap();
                        replace(new, place, out).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read(place.join("file")).unwrap().len(), 1);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn an_older_folder_is_replaced_as_a_whole() {
        let out = tempfile::tempdir().unwrap();
        let place = out.path().join("bug");
        for file in ["first", "second"] {
            let new = beside(out.path()).unwrap();
            fs::write(new.path().join(file), file).unwrap();
            fs::write(new.path().join(MARK), "").unwrap();
            replace(new, &place, out.path()).unwrap();
            let mut files: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            files.sort();
            assert_eq!(files, [MARK, file]);
        }
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
