//! The manifest: what a system says that it has.

use std::future::Future;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::description::{Description, EventInfo, Suggested};
use super::planted::{Planted, PlantedInfo};
use super::{Client, OPERATOR, Protect, Protected, Selector, System};
use crate::base::{NodeId, Phase};
use crate::check::{Check, Finished, Invariant, Verdict};
use crate::event::{EVENTS, Event, EventKind, Folds, On, Scope};
use crate::history::Op;
use crate::kernel::BoxFuture;
use crate::metric::{self, Consistency, Outcomes};

pub(super) type Boot<P> = Rc<dyn Fn(Rc<P>) -> BoxFuture>;
pub(super) type Start<P> = Rc<dyn Fn(Client<P>, toml::Table) -> Result<BoxFuture, toml::de::Error>>;
pub(super) type Accept = Rc<dyn Fn(toml::Table) -> Result<(), toml::de::Error>>;
/// What a scenario can ask for by name, with arguments: how to start it, and whether it could.
pub(super) type Offer<P> = (String, Start<P>, Accept);
pub(super) type Judge = (&'static str, Rc<dyn Fn(&Finished) -> Result<Verdict, String>>);
pub(super) type Find = Rc<dyn Fn() -> Vec<NodeId>>;
pub(super) type Protections = Rc<dyn Fn() -> Protected>;
/// Subscribes an oracle or a selector to the run that is about to begin.
pub(super) type Install<T> = Rc<dyn Fn() -> T>;

/// Collects what a system has.
pub struct Manifest<S: System> {
    pub(super) description: Description,
    pub(super) boots: Vec<(String, Boot<S::Params>)>,
    pub(super) client_role: Option<String>,
    pub(super) workloads: Vec<Offer<S::Params>>,
    pub(super) actions: Vec<Offer<S::Params>>,
    pub(super) checks: Vec<Judge>,
    pub(super) selectors: Vec<(&'static str, Install<Find>)>,
    pub(super) protected: Vec<Install<Protections>>,
    pub(super) invariants: Vec<Install<()>>,
    pub(super) consistencies: Vec<Install<Outcomes>>,
    pub(super) recoveries: Vec<(&'static str, Install<Outcomes>)>,
    pub(super) work: Vec<&'static EventKind>,
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
            consistencies: Vec::new(),
            recoveries: Vec::new(),
            work: Vec::new(),
        };
        manifest.event::<crate::event::Booted>().event::<crate::event::Crashed>();
        S::describe(&mut manifest);
        let Description { suggested, workloads, .. } = &mut manifest.description;
        if suggested.iter().all(|suggested| suggested.phase != Phase::Main) {
            let first = workloads.first().cloned();
            suggested.extend(first.map(|workload| Suggested { phase: Phase::Main, workload, on: None }));
        }
        suggested.sort_by_key(|suggested| suggested.phase);
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
        self.event_kind(E::kind())
    }

    /// That event and all others that are declared in the same module, by name: a module's events are one vocabulary, which a
    /// system speaks as a whole. An event that only some of the systems report that share a vocabulary is declared in a module of
    /// its own, so that no system has an event which none of its lines reports.
    pub fn events_beside<E: Event>(&mut self) -> &mut Self {
        let module = E::kind().module;
        // Where the linker has put them must not show.
        let mut beside: Vec<&EventKind> = EVENTS.iter().filter(|kind| kind.module == module).collect();
        beside.sort_unstable_by_key(|kind| kind.name);
        beside.into_iter().fold(self, Self::event_kind)
    }

    fn event_kind(&mut self, kind: &EventKind) -> &mut Self {
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
        self.add_selector::<T>(Scope::System);
        self
    }

    /// What a fault must not destroy.
    pub fn protected<T: Protect>(&mut self) -> &mut Self {
        self.add_protected::<T>(Scope::System);
        self
    }

    /// Declares folds that are kept for each group of nodes: see [`PerGroup`].
    pub fn per_group(&mut self) -> PerGroup<'_, S> {
        PerGroup(self)
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

    /// The workload that runs in that phase where a scenario says nothing of it, with its own arguments, on all clients. Where
    /// the system says nothing either, the first workload runs in the main phase, and none in the others.
    pub fn suggest(&mut self, phase: Phase, workload: &str) -> &mut Self {
        self.description.suggested.push(Suggested { phase, workload: workload.to_owned(), on: None });
        self
    }

    /// As [`Manifest::suggest`], on the clients that `on` names as in a scenario, such as `client-0`.
    pub fn suggest_on(&mut self, phase: Phase, workload: &str, on: &str) -> &mut Self {
        self.description.suggested.push(Suggested { phase, workload: workload.to_owned(), on: Some(on.to_owned()) });
        self
    }

    /// Something that an operator can do in the middle of a run, when a scenario says so: add a server, move a shard. It
    /// runs on a node of its own, `operator-0`, which a system with actions has besides its others; [`Cluster::operators`](super::Cluster::operators) makes
    /// more of them. The arguments are the scenario's `args`.
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
        self.add_invariant::<I>(Scope::System);
        self
    }

    /// When operations are visible everywhere they must be: see [`metric`]. Nothing is measured without it.
    pub fn consistency<C: Consistency>(&mut self) -> &mut Self {
        self.add_consistency::<C>(Scope::System);
        self
    }

    /// Spans in which something is out of service, of a kind that the system knows: how long a shard that moves is not served. They count
    /// as fault recovery times of that kind. See [`metric`].
    pub fn recovery<C: Consistency>(&mut self, kind: &'static str) -> &mut Self {
        self.recoveries.push((kind, Rc::new(|| metric::install::<C>(Scope::System))));
        self
    }

    /// Events that are the work of which the load balance is computed, each of the same weight: see [`metric`]. Without it,
    /// work is the datagrams that reach a node.
    pub fn work<E: Event>(&mut self) -> &mut Self {
        self.work.push(E::kind());
        self
    }

    /// A known bug: everything about it but its site, which is [`planted!`](crate::planted!) of the same name. See [`Planted`].
    ///
    /// A bug of a library is declared by the system that shows it, with that system's scenarios. Another one may declare it too.
    pub fn planted(&mut self, name: &str) -> Planted<'_> {
        let bugs = &mut self.description.planted;
        bugs.push(PlantedInfo { name: name.to_owned(), ..PlantedInfo::default() });
        Planted::new(bugs.last_mut().expect("one was just added"))
    }
}

impl<S: System> Manifest<S> {
    fn add_selector<T: Selector>(&mut self, scope: Scope) {
        self.description.selectors.push(T::NAME.to_owned());
        self.selectors.push((
            T::NAME,
            Rc::new(move || {
                let folds = Folds::<T>::new(scope);
                T::subscribe(&mut On::new(folds.clone(), T::NAME));
                Rc::new(move || {
                    let mut nodes: Vec<NodeId> = Vec::new();
                    for node in folds.each(T::nodes).into_iter().flatten() {
                        if !nodes.contains(&node) {
                            nodes.push(node);
                        }
                    }
                    nodes
                })
            }),
        ));
    }

    fn add_protected<T: Protect>(&mut self, scope: Scope) {
        self.protected.push(Rc::new(move || {
            let folds = Folds::<T>::new(scope);
            T::subscribe(&mut On::new(folds.clone(), "protected"));
            Rc::new(move || {
                let flat = |of: fn(&T) -> Vec<Vec<NodeId>>| folds.each(of).into_iter().flatten().collect();
                Protected { memories: flat(T::memories), disks: flat(T::disks) }
            })
        }));
    }

    fn add_invariant<I: Invariant>(&mut self, scope: Scope) {
        self.description.checks.push(I::NAME.to_owned());
        self.invariants.push(Rc::new(move || I::subscribe(&mut On::new(Folds::new(scope), I::NAME))));
    }

    fn add_consistency<C: Consistency>(&mut self, scope: Scope) {
        self.consistencies.push(Rc::new(move || metric::install::<C>(scope)));
    }
}

/// Declares folds of which each [group](mod@crate::group) of nodes has its own, made at the first event of the group: an invariant that
/// knows one Raft cluster is so right for many.
///
/// A fold sees the events of its group: those that the nodes of the group observe, unless they name another, and those that other nodes
/// observe for it. What the simulator announces ([`Booted`](crate::event::Booted), [`Crashed`](crate::event::Crashed)) reaches the folds
/// of all groups in which the node has been seen, its home group among them. A violation names the group; its signature does not.
pub struct PerGroup<'m, S: System>(&'m mut Manifest<S>);

impl<S: System> PerGroup<'_, S> {
    /// As [`Manifest::selector`]. It stands for the nodes that it finds in each group.
    pub fn selector<T: Selector>(&mut self) -> &mut Self {
        self.0.add_selector::<T>(Scope::Group);
        self
    }

    /// As [`Manifest::protected`].
    pub fn protected<T: Protect>(&mut self) -> &mut Self {
        self.0.add_protected::<T>(Scope::Group);
        self
    }

    /// As [`Manifest::invariant`].
    pub fn invariant<I: Invariant>(&mut self) -> &mut Self {
        self.0.add_invariant::<I>(Scope::Group);
        self
    }

    /// As [`Manifest::consistency`]. A key of an operation needs to be known in its group only. A client has a group of its own: it says
    /// with [`metric::note_of`] which group its command is for.
    pub fn consistency<C: Consistency>(&mut self) -> &mut Self {
        self.0.add_consistency::<C>(Scope::Group);
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
