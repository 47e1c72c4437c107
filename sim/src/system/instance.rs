//! A system whose parameter type is not known, and one with its parameters, in a run.

use std::rc::Rc;

use serde::de::Error as _;

use super::manifest::{Find, Judge, Manifest, Offer, Protections};
use super::{Client, Cluster, Description, NodeSpec, OPERATOR, System, names};
use crate::kernel::BoxFuture;
use crate::metric::Measures;

/// A system whose parameter type is not known: what the tools hold. Implemented for every [`System`], and by nobody else.
pub trait DynSystem: sealed::Sealed + Send + Sync {
    /// What there is to know about it.
    fn description(&self) -> Description;

    /// Reads parameters and builds the cluster.
    fn instantiate(&self, params: toml::Table) -> Result<Box<dyn Instance>, toml::de::Error>;
}

mod sealed {
    pub trait Sealed {}
    impl<S: super::System> Sealed for S {}
}

/// A system with its parameters, in one run.
pub trait Instance {
    /// The nodes, in order.
    fn nodes(&self) -> Vec<NodeSpec>;
    /// All parameters, with their defaults. Empty if they cannot be written as TOML.
    fn params(&self) -> toml::Table;
    /// The role of the client nodes.
    fn client_role(&self) -> Option<String>;
    /// The code of a role, with the instance's parameters or with some of them replaced.
    #[doc(hidden)]
    fn boot(&self, role: &str, with: Option<&toml::Table>) -> Result<Option<RoleMain>, toml::de::Error>;
    #[doc(hidden)]
    fn workload(&self, name: &str, client: ClientSlot, args: toml::Table)
    -> Result<Option<BoxFuture>, toml::de::Error>;
    /// `None` if there is no such action.
    #[doc(hidden)]
    fn action(&self, name: &str, args: toml::Table) -> Result<Option<BoxFuture>, toml::de::Error>;
    /// Reads the arguments of a workload, without starting it.
    ///
    /// # Errors
    ///
    /// If the workload could not start with them.
    fn check_args(&self, name: &str, args: toml::Table) -> Result<(), toml::de::Error>;
    /// As [`Instance::check_args`], for an action.
    fn check_action(&self, name: &str, args: toml::Table) -> Result<(), toml::de::Error>;
    #[doc(hidden)]
    fn install_selectors(&self) -> Vec<(&'static str, Find)>;
    #[doc(hidden)]
    fn install_protected(&self) -> Vec<Protections>;
    #[doc(hidden)]
    fn install_invariants(&self);
    #[doc(hidden)]
    fn install_measures(&self) -> Measures;
    #[doc(hidden)]
    fn checks(&self) -> Vec<Judge>;
}

/// Makes the main future of a node, once for each boot.
pub type RoleMain = Rc<dyn Fn() -> BoxFuture>;

/// Which client a workload runs on.
#[doc(hidden)]
pub struct ClientSlot {
    pub(crate) index: usize,
    pub(crate) count: usize,
    pub(crate) stop: Rc<std::cell::Cell<bool>>,
}

impl<S: System> DynSystem for S {
    fn description(&self) -> Description {
        Manifest::<S>::of().description
    }

    fn instantiate(&self, params: toml::Table) -> Result<Box<dyn Instance>, toml::de::Error> {
        let typed: S::Params = params.clone().try_into()?;
        let mut cluster = Cluster::default();
        self.build(&typed, &mut cluster);
        let manifest = Manifest::of();
        if !manifest.actions.is_empty() {
            cluster.nodes(OPERATOR, cluster.operators.unwrap_or(1));
        }
        if let Some(problem) = names::problem(&cluster, &manifest.description) {
            return Err(toml::de::Error::custom(problem));
        }
        Ok(Box::new(Typed::<S> { manifest, params, typed: Rc::new(typed), cluster }))
    }
}

struct Typed<S: System> {
    manifest: Manifest<S>,
    params: toml::Table,
    typed: Rc<S::Params>,
    cluster: Cluster,
}

impl<S: System> Instance for Typed<S> {
    fn nodes(&self) -> Vec<NodeSpec> {
        self.cluster.nodes.clone()
    }

    fn params(&self) -> toml::Table {
        toml::Table::try_from(&*self.typed).unwrap_or_default()
    }

    fn client_role(&self) -> Option<String> {
        self.manifest.client_role.clone()
    }

    fn boot(&self, role: &str, with: Option<&toml::Table>) -> Result<Option<RoleMain>, toml::de::Error> {
        let params = match with {
            None => self.typed.clone(),
            Some(with) => {
                let mut table = self.params.clone();
                overlay(&mut table, with);
                Rc::new(table.try_into()?)
            }
        };
        Ok(self.manifest.boots.iter().find(|(name, _)| name == role).map(|(_, boot)| {
            let boot = boot.clone();
            Rc::new(move || boot(params.clone())) as RoleMain
        }))
    }

    fn workload(
        &self,
        name: &str,
        client: ClientSlot,
        args: toml::Table,
    ) -> Result<Option<BoxFuture>, toml::de::Error> {
        let ClientSlot { index, count, stop } = client;
        match self.manifest.workloads.iter().find(|(known, ..)| known == name) {
            None => Ok(None),
            Some((_, start, _)) => start(Client { params: self.typed.clone(), index, count, stop }, args).map(Some),
        }
    }

    fn check_args(&self, name: &str, args: toml::Table) -> Result<(), toml::de::Error> {
        could_start(&self.manifest.workloads, name, args)
    }

    fn check_action(&self, name: &str, args: toml::Table) -> Result<(), toml::de::Error> {
        could_start(&self.manifest.actions, name, args)
    }

    fn action(&self, name: &str, args: toml::Table) -> Result<Option<BoxFuture>, toml::de::Error> {
        let client = || Client { params: self.typed.clone(), index: 0, count: 1, stop: Rc::default() };
        match self.manifest.actions.iter().find(|(known, ..)| known == name) {
            None => Ok(None),
            Some((_, start, _)) => start(client(), args).map(Some),
        }
    }

    fn install_selectors(&self) -> Vec<(&'static str, Find)> {
        self.manifest.selectors.iter().map(|(name, install)| (*name, install())).collect()
    }

    fn install_protected(&self) -> Vec<Protections> {
        self.manifest.protected.iter().map(|install| install()).collect()
    }

    fn install_invariants(&self) {
        self.manifest.invariants.iter().for_each(|install| install());
    }

    fn install_measures(&self) -> Measures {
        let spans = self.manifest.consistencies.iter().map(|install| install()).collect();
        let recoveries = self.manifest.recoveries.iter().map(|(kind, install)| (*kind, install())).collect();
        Measures::new(spans, recoveries, &self.manifest.work)
    }

    fn checks(&self) -> Vec<Judge> {
        self.manifest.checks.clone()
    }
}

/// Puts other values into a table; in tables within it as well, so that what is not named stays.
fn overlay(table: &mut toml::Table, with: &toml::Table) {
    for (key, value) in with {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(with)) => overlay(inner, with),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

fn could_start<P>(offers: &[Offer<P>], name: &str, args: toml::Table) -> Result<(), toml::de::Error> {
    match offers.iter().find(|(known, ..)| known == name) {
        None => Ok(()),
        Some((_, _, accept)) => accept(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_changes_what_it_names_and_no_more() {
        let read = |text: &str| text.parse::<toml::Table>().expect("it is TOML");
        let mut table = read("a = 1\nlist = [1, 2]\n[raft]\ntick_ms = 20\npre_vote = true\n");
        overlay(&mut table, &read("b = 2\nlist = [3]\n[raft]\npre_vote = false\n"));
        assert_eq!(table, read("a = 1\nb = 2\nlist = [3]\n[raft]\ntick_ms = 20\npre_vote = false\n"));
        overlay(&mut table, &read("raft = 5\n"));
        assert_eq!(table["raft"].as_integer(), Some(5), "what is no table is replaced as a whole");
    }
}
