//! What a system under test implements.
//!
//! [`System::describe`] lists what there is: roles, workloads, events, selectors, oracles, known bugs. It needs no
//! parameters, so listing, checking a scenario and completion work from it alone. [`System::build`] says which nodes a
//! cluster of given parameters has. Everything else is the system's own code on its nodes, talking to the world through
//! `sim::{time, task, net, rpc, fs, rand}`.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::check::{Check, Finished, Invariant, Verdict};
use crate::event::{Event, On};
use crate::history::{self, Call, Op};
use crate::kernel::BoxFuture;
use crate::node::NodeId;
use crate::run::failure::is_of;
use crate::scenario::plan::Phase;

/// A system under test.
pub trait System: Send + Sync + Sized + 'static {
    /// Its parameters: the keys of a scenario's `[system]` table.
    type Params: Serialize + DeserializeOwned + Clone + 'static;

    /// Lists roles, workloads, events, selectors, oracles and known bugs.
    fn describe(manifest: &mut Manifest<Self>);

    /// Says which nodes there are.
    fn build(&self, params: &Self::Params, cluster: &mut Cluster);
}

/// The nodes of a cluster, in order.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    nodes: Vec<(String, String)>,
}

impl Cluster {
    /// Adds `count` nodes of a role, named `role-0`, `role-1` and so on.
    pub fn nodes(&mut self, role: &str, count: usize) -> &mut Self {
        let first = self.nodes.iter().filter(|(_, of)| of == role).count();
        self.nodes.extend((first..first + count).map(|i| (format!("{role}-{i}"), role.to_owned())));
        self
    }

    /// All nodes: name and role.
    pub fn list(&self) -> &[(String, String)] {
        &self.nodes
    }
}

/// Finds nodes by what is known of them at a moment: the leader, the primary. A fold over events.
///
/// A frozen run does not ask it, so it must leave no trace: no `sim::rand`, no `HashMap` (std gives each map made on a
/// thread other keys).
pub trait Selector: Default + 'static {
    /// Its name in scenario files.
    const NAME: &'static str;

    /// Says which events it folds over.
    fn subscribe(on: &mut On<Self>);

    /// The nodes, in a deterministic order. Empty if there is none at present.
    fn nodes(&self) -> Vec<NodeId>;
}

/// Knows what a fault must not destroy, because it would be lost for good and by no bug. A fold over events.
pub trait Protect: Default + 'static {
    /// Says which events it folds over.
    fn subscribe(on: &mut On<Self>);

    /// Groups of nodes: of each, at least one must keep its memory. A fault that would leave a group without does not
    /// happen.
    fn groups(&self) -> Vec<Vec<NodeId>>;
}

/// What there is to know about a system without running it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Description {
    /// Its name in scenario files.
    pub name: String,
    /// One sentence.
    pub doc: String,
    /// The roles of its nodes.
    pub roles: Vec<String>,
    /// Its selectors.
    pub selectors: Vec<String>,
    /// Its workloads.
    pub workloads: Vec<String>,
    /// What an operator can do to it in the middle of a run.
    pub actions: Vec<String>,
    /// Which of them a new scenario should begin with, phase by phase.
    pub suggested: Vec<Suggested>,
    /// The kinds of its client operations.
    pub ops: Vec<String>,
    /// Its events.
    pub events: Vec<EventInfo>,
    /// Its checks and invariants.
    pub checks: Vec<String>,
    /// Its known bugs.
    pub planted: Vec<PlantedInfo>,
}

/// A workload that suits a phase.
#[derive(Clone, Debug, Serialize)]
pub struct Suggested {
    /// The phase.
    pub phase: Phase,
    /// The workload.
    pub workload: String,
}

/// An event type.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventInfo {
    /// As in `raft.became_leader`.
    pub name: String,
    /// The names of its fields.
    pub fields: Vec<String>,
    /// Their types, as they are written in Rust.
    pub types: Vec<String>,
}

/// A known bug.
#[derive(Clone, Debug, Serialize)]
pub struct PlantedInfo {
    /// As in `raft.forget-vote`.
    pub name: String,
    /// The oracles that may report it: a sweep that finds something else has not found it.
    pub breaks: Vec<String>,
}

impl PlantedInfo {
    /// Whether a failure of that signature is this bug's doing.
    pub fn is_broken_by(&self, signature: &str) -> bool {
        self.breaks.iter().any(|oracle| is_of(signature, oracle))
    }
}

type Boot<P> = Rc<dyn Fn(Rc<P>) -> BoxFuture>;
type Start<P> = Rc<dyn Fn(Client<P>, toml::Table) -> Result<BoxFuture, toml::de::Error>>;
type Accept = Rc<dyn Fn(toml::Table) -> Result<(), toml::de::Error>>;
/// What a scenario can ask for by name, with arguments: how to start it, and whether it could.
type Offer<P> = (String, Start<P>, Accept);
type Judge = (&'static str, Rc<dyn Fn(&Finished) -> Result<Verdict, String>>);
type Find = Rc<dyn Fn() -> Vec<NodeId>>;
type Groups = Rc<dyn Fn() -> Vec<Vec<NodeId>>>;
/// Subscribes an oracle or a selector to the run that is about to begin.
type Install<T> = Rc<dyn Fn() -> T>;

/// Collects what a system has.
pub struct Manifest<S: System> {
    description: Description,
    boots: Vec<(String, Boot<S::Params>)>,
    client_role: Option<String>,
    workloads: Vec<Offer<S::Params>>,
    actions: Vec<Offer<S::Params>>,
    checks: Vec<Judge>,
    selectors: Vec<(&'static str, Install<Find>)>,
    protected: Vec<Install<Groups>>,
    invariants: Vec<Install<()>>,
}

impl<S: System> Manifest<S> {
    pub(crate) fn of() -> Manifest<S> {
        let mut manifest = Manifest {
            description: Description::default(),
            boots: Vec::new(),
            client_role: None,
            workloads: Vec::new(),
            actions: Vec::new(),
            checks: Vec::new(),
            selectors: Vec::new(),
            protected: Vec::new(),
            invariants: Vec::new(),
        };
        manifest.event::<crate::event::Booted>().event::<crate::event::Crashed>();
        S::describe(&mut manifest);
        manifest
    }

    /// Its name in scenario files, and one sentence about it.
    pub fn name(&mut self, name: &str, doc: &str) -> &mut Self {
        self.description.name = name.to_owned();
        self.description.doc = doc.to_owned();
        self
    }

    /// A role, and the code that its nodes run from each boot on.
    pub fn role<F, Fut>(&mut self, name: &str, boot: F) -> &mut Self
    where
        F: Fn(Rc<S::Params>) -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.description.roles.push(name.to_owned());
        self.boots.push((name.to_owned(), Rc::new(move |params| Box::pin(boot(params)))));
        self
    }

    /// The role of the nodes on which workloads run.
    pub fn client_role(&mut self, name: &str) -> &mut Self {
        self.description.roles.push(name.to_owned());
        self.client_role = Some(name.to_owned());
        self
    }

    /// An event that scenarios may be triggered by.
    pub fn event<E: Event>(&mut self) -> &mut Self {
        let kind = E::kind();
        self.description.events.push(EventInfo {
            name: kind.name.to_owned(),
            fields: kind.fields.iter().map(|&field| field.to_owned()).collect(),
            types: kind.types.iter().map(|&name| name.to_owned()).collect(),
        });
        self
    }

    /// The client operations, by kind.
    pub fn ops<O: Op>(&mut self) -> &mut Self {
        self.description.ops.extend(O::KINDS.iter().map(|&kind| kind.to_owned()));
        self
    }

    /// A way to name nodes in scenarios.
    pub fn selector<T: Selector>(&mut self) -> &mut Self {
        self.description.selectors.push(T::NAME.to_owned());
        self.selectors.push((
            T::NAME,
            Rc::new(|| {
                let state = Rc::new(RefCell::new(T::default()));
                T::subscribe(&mut On::new(state.clone(), T::NAME));
                Rc::new(move || state.borrow().nodes())
            }),
        ));
        self
    }

    /// What a fault must not destroy.
    pub fn protected<T: Protect>(&mut self) -> &mut Self {
        self.protected.push(Rc::new(|| {
            let state = Rc::new(RefCell::new(T::default()));
            T::subscribe(&mut On::new(state.clone(), "protected"));
            Rc::new(move || state.borrow().groups())
        }));
        self
    }

    /// What clients can be told to do. The arguments are the scenario's `args`.
    pub fn workload<A, F, Fut>(&mut self, name: &str, start: F) -> &mut Self
    where
        A: DeserializeOwned + 'static,
        F: Fn(Client<S::Params>, A) -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.description.workloads.push(name.to_owned());
        self.workloads.push(offer(name, start));
        self
    }

    /// The workload that a new scenario should have in that phase. Without a word, it has the first one, in the main phase.
    pub fn suggest(&mut self, phase: Phase, workload: &str) -> &mut Self {
        self.description.suggested.push(Suggested { phase, workload: workload.to_owned() });
        self
    }

    /// Something that an operator can do in the middle of a run, when a scenario says so: add a server, move a shard. It
    /// runs on a node of its own, `operator-0`, which a system with actions has besides its others. The arguments are the
    /// scenario's `args`.
    pub fn action<A, F, Fut>(&mut self, name: &str, start: F) -> &mut Self
    where
        A: DeserializeOwned + 'static,
        F: Fn(Client<S::Params>, A) -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        if self.actions.is_empty() {
            self.description.roles.push(OPERATOR.to_owned());
        }
        self.description.actions.push(name.to_owned());
        self.actions.push(offer(name, start));
        self
    }

    /// An oracle on finished runs.
    pub fn check<C: Check>(&mut self) -> &mut Self {
        self.description.checks.push(C::NAME.to_owned());
        self.checks.push((C::NAME, Rc::new(C::check)));
        self
    }

    /// An oracle on events.
    pub fn invariant<I: Invariant>(&mut self) -> &mut Self {
        self.description.checks.push(I::NAME.to_owned());
        self.invariants.push(Rc::new(|| {
            I::subscribe(&mut On::new(Rc::new(RefCell::new(I::default())), I::NAME));
        }));
        self
    }

    /// A known bug, and the oracles that may report it.
    pub fn planted<const N: usize>(&mut self, name: &str, breaks: [&str; N]) -> &mut Self {
        self.description.planted.push(PlantedInfo {
            name: name.to_owned(),
            breaks: breaks.iter().map(|&oracle| oracle.to_owned()).collect(),
        });
        self
    }
}

fn offer<P, A, F, Fut>(name: &str, start: F) -> Offer<P>
where
    A: DeserializeOwned + 'static,
    F: Fn(Client<P>, A) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let accept: Accept = Rc::new(|args| args.try_into::<A>().map(drop));
    (name.to_owned(), Rc::new(move |client, args| Ok(Box::pin(start(client, args.try_into::<A>()?)))), accept)
}

/// The role of the node that actions run on.
pub(crate) const OPERATOR: &str = "operator";

/// The client that a workload runs on, or the operator that acts.
pub struct Client<P> {
    /// The system's parameters.
    pub params: Rc<P>,
    /// Which client this is, from 0, and how many there are.
    pub index: usize,
    /// How many clients run the workload.
    pub count: usize,
    pub(crate) stop: Rc<std::cell::Cell<bool>>,
}

impl<P> Client<P> {
    /// Whether to go on: false once the workload's phase is over and nothing more is asked of it.
    pub fn running(&self) -> bool {
        !self.stop.get()
    }

    /// Begins an operation.
    pub fn invoke<O: Op>(&self, op: O) -> Call<O> {
        history::invoke(op)
    }
}

/// A system whose parameter type is not known: what the tools hold. Implemented for every [`System`].
pub trait DynSystem: Send + Sync {
    /// What there is to know about it.
    fn description(&self) -> Description;

    /// Reads parameters and builds the cluster.
    fn instantiate(&self, params: toml::Table) -> Result<Box<dyn Instance>, toml::de::Error>;
}

/// A system with its parameters, in one run.
pub trait Instance {
    /// The nodes: name and role.
    fn nodes(&self) -> Vec<(String, String)>;
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
    fn install_protected(&self) -> Vec<Groups>;
    #[doc(hidden)]
    fn install_invariants(&self);
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
            cluster.nodes(OPERATOR, 1);
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
    fn nodes(&self) -> Vec<(String, String)> {
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
                table.extend(with.clone());
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

    fn install_protected(&self) -> Vec<Groups> {
        self.manifest.protected.iter().map(|install| install()).collect()
    }

    fn install_invariants(&self) {
        self.manifest.invariants.iter().for_each(|install| install());
    }

    fn checks(&self) -> Vec<Judge> {
        self.manifest.checks.clone()
    }
}

fn could_start<P>(offers: &[Offer<P>], name: &str, args: toml::Table) -> Result<(), toml::de::Error> {
    match offers.iter().find(|(known, ..)| known == name) {
        None => Ok(()),
        Some((_, _, accept)) => accept(args),
    }
}
