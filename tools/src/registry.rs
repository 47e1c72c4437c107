//! The systems, by name.

use sim::DynSystem;
use sim::scenario::suggest;
use sim::system::{Description, PlantedInfo};

use crate::exit::BadInput;

/// All systems that there are, each with its description.
pub struct Registry<'a> {
    entries: Vec<Entry<'a>>,
}

/// One system.
pub struct Entry<'a> {
    /// The system.
    pub system: &'a dyn DynSystem,
    /// The system's roles, workloads, events and so on.
    pub description: Description,
}

impl<'a> Registry<'a> {
    /// Asks each system for its description once.
    pub fn new(systems: &'a [Box<dyn DynSystem>]) -> Registry<'a> {
        let entries = systems.iter().map(|system| Entry { system: &**system, description: system.description() });
        Registry { entries: entries.collect() }
    }

    /// All, in the order in which they were given.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The system of that name.
    pub fn get(&self, name: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.description.name == name)
    }

    /// The names of all systems.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.description.name.as_str())
    }

    /// Refuses names of known bugs that no system has.
    ///
    /// # Errors
    ///
    /// The first such name, with what may have been meant. Or the first that nothing can switch on or report: the declaration is
    /// wrong.
    pub fn check_planted(&self, names: &[String]) -> anyhow::Result<()> {
        let known = || self.entries.iter().flat_map(|entry| &entry.description.planted);
        match names.iter().find(|name| known().all(|planted| planted.name != **name)) {
            None => self.entries.iter().try_for_each(|entry| entry.check_declared(names)),
            Some(name) => Err(BadInput::error(
                format!("unknown planted bug `{name}`"),
                suggest(name, "planted bugs", known().map(|planted| planted.name.as_str())),
            )),
        }
    }
}

impl Entry<'_> {
    /// Those of the names that are known bugs of this system.
    pub fn planted(&self, names: &[String]) -> Vec<String> {
        names.iter().filter(|name| self.planted_info(name).is_some()).cloned().collect()
    }

    /// Refuses names that are no known bugs of this system.
    ///
    /// # Errors
    ///
    /// The first such name, with what may have been meant.
    pub fn check_planted(&self, names: &[String]) -> anyhow::Result<()> {
        let description = &self.description;
        match names.iter().find(|name| self.planted_info(name).is_none()) {
            None => Ok(()),
            Some(name) => {
                let own = description.planted.iter().map(|planted| planted.name.as_str());
                let title = format!("`{}` has no planted bug `{name}`", description.name);
                Err(BadInput::error(title, suggest(name, "its planted bugs", own)))
            }
        }
    }

    fn check_declared(&self, names: &[String]) -> anyhow::Result<()> {
        let infos = names.iter().filter_map(|name| self.planted_info(name));
        let mut mistakes = infos.flat_map(|info| info.mistakes(&self.description.checks));
        mistakes.next().map_or(Ok(()), |mistake| {
            Err(BadInput::error(mistake, format!("see how `{}` declares it", self.description.name)))
        })
    }

    /// The known bug of that name.
    pub fn planted_info(&self, name: &str) -> Option<&PlantedInfo> {
        self.description.planted.iter().find(|planted| planted.name == name)
    }
}
