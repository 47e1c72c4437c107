//! `dst corpus add`: entries are made from runs, never by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use owo_colors::OwoColorize;
use sim::Report;

use super::check::{self, Status};
use crate::cli::Limits;
use crate::cli::corpus::AddArgs;
use crate::console::Console;
use crate::exit::{BadInput, BadScenarios, Exit};
use crate::files::{Place, Written};
use crate::registry::Registry;
use crate::scenarios;
use crate::stop::Stop;
use crate::sweep::Target;
use crate::text;
use crate::worker::team::Team;
use crate::worker::{self, Run, Workers, death};

/// Makes the run, and writes down how it ended.
pub fn run(args: &AddArgs, registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    let (Some(scenario), Some(seed)) = (&args.scenario, args.seed) else {
        return Err(BadInput::error("no run given", "name a scenario and a seed"));
    };
    registry.check_planted(&args.planted)?;
    let scenario = from_here(scenario);
    let loaded = scenarios::load_one(&scenario, registry).map_err(BadScenarios::from)?;
    if loaded.frozen.is_some() {
        let title = format!("`{}` is one frozen run, which has no seeds", scenario.display());
        return Err(BadInput::error(title, "add the scenario that it was frozen from"));
    }
    loaded.entry.check_planted(&args.planted)?;
    let mut planted = args.planted.clone();
    planted.sort_unstable();
    planted.dedup();
    let name = match &args.name {
        Some(name) => plain(name)?,
        None => default_name(&loaded.entry.description.name, &scenario, seed, &planted),
    };
    let file = args.into.join(format!("{name}.toml"));
    if file.exists() && !args.force {
        return Err(taken(&file));
    }
    if args.into == Path::new(super::FOLDER) {
        fs::create_dir_all(&args.into).with_context(|| format!("cannot make the folder `{}`", super::FOLDER))?;
    }
    let place = Place::check(&file)?;
    let target = Target { loaded, planted };
    let (tasks, stop) = ([target.task()], Stop::default());
    let team = Team::new(workers, &tasks, &Limits::default(), console)?;
    let mut maker = team.maker(&stop);
    let path = file.display().to_string();
    let report = worker::report(&mut *maker, Run { scenario: 0, seed })?;
    let ending = check::ending(&report);
    if death::is_death(&report) {
        let title = format!("the run ends with {ending}, and has no digest to be known by");
        return Err(BadInput::error(title, "add it once it ends by itself"));
    }
    let text = write(args, &scenario, &target.planted, &report);
    if place.write(&text, args.force)? == Written::Taken {
        return Err(taken(&file));
    }
    let replay = format!("cargo dst replay {}", text::quoted(&path));
    console.print(&format!("added {path}: {ending}\n{}\n", replay.cyan()))?;
    Ok(Exit::Held)
}

/// Writes down the present digests of entries that have drifted.
pub fn refresh(files: &[PathBuf], registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    let mut exit = Exit::Held;
    for entry in super::load(&super::find(files)?)? {
        let target = entry.ready(registry).map_err(|unready| BadScenarios::from(unready.into_error()))?;
        let (tasks, stop) = ([target.task()], Stop::default());
        let team = Team::new(workers, &tasks, &Limits::default(), console)?;
        let checked = check::run(&entry, 0, &mut *team.maker(&stop))?;
        let word = match (checked.status, &checked.report) {
            (Status::Drifted, Some(report)) => {
                // Only the digests: what somebody wrote around them stays as it is. The later place first.
                let mut text = entry.source().to_owned();
                let mut places = [(entry.digest.span(), &report.digest), (entry.world.span(), &report.world)];
                places.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
                for (span, value) in places {
                    text.replace_range(span, &quoted(value));
                }
                Place::check(Path::new(&entry.path))?.write(&text, true)?;
                "refreshed".yellow().bold().to_string()
            }
            (Status::Broken, _) => {
                exit = Exit::BugFound;
                "BROKEN".red().bold().to_string()
            }
            _ => "unchanged".to_owned(),
        };
        console.print(&format!("{word}  {}  {}\n", entry.path, checked.what))?;
    }
    Ok(exit)
}

/// The path as it is seen from the current folder: entries are read on other machines, too.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(&here).unwrap_or(path);
    path.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path).to_owned()
}

fn taken(file: &Path) -> anyhow::Error {
    BadInput::error(
        format!("`{}` is there already", file.display()),
        "choose another --name, or replace it with --force",
    )
}

/// A name of a file in the folder, and not of one elsewhere.
fn plain(name: &str) -> Result<String> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
        return Err(BadInput::error(format!("`{name}` is no name for an entry"), "give a name such as lost-write"));
    }
    Ok(name.to_owned())
}

/// What the entry is about, in letters, digits and dashes.
fn default_name(system: &str, scenario: &Path, seed: u64, planted: &[String]) -> String {
    let stem = scenario.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!("{system}-{stem}-{seed}");
    planted.iter().for_each(|bug| name += &format!("-{bug}"));
    name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// The text of an entry.
fn write(args: &AddArgs, scenario: &Path, planted: &[String], report: &Report) -> String {
    let mut text = String::new();
    let mut row = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    if let Some(note) = &args.note {
        row("note", &quoted(note));
    }
    row("scenario", &quoted(&scenario.display().to_string()));
    // By hand, because a serializer of TOML refuses seeds that do not fit into 63 bits.
    row("seed", &report.seed.to_string());
    let names: Vec<String> = planted.iter().map(|name| quoted(name)).collect();
    row("planted", &format!("[{}]", names.join(", ")));
    row("expect", &quoted(check::ending(report)));
    row("digest", &quoted(&report.digest));
    row("world", &quoted(&report.world));
    text
}

/// A string as TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_the_entry_is_about() {
        let planted = ["kv.stale-read".to_owned()];
        let path = Path::new("scenarios/kv/crash.toml");
        assert_eq!(default_name("my_kv", path, 17, &[]), "my-kv-crash-17");
        assert_eq!(default_name("my_kv", path, 17, &planted), "my-kv-crash-17-kv-stale-read");
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(plain("lost-write").unwrap(), "lost-write");
        assert_eq!(plain("lost-write.toml").unwrap(), "lost-write");
        for name in ["", "../x", "a/b", ".hidden", "/etc/x"] {
            assert!(plain(name).is_err(), "{name}");
        }
    }
}
