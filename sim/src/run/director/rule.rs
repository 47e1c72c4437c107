//! One `[[fault]]` of the scenario in a run: its draws, and what became of it.
//!
//! What a rule draws depends on the seed, on its name and on how often it has come up, and on nothing else that happens:
//! so a plan can say beforehand when an `every` will fire.

use std::collections::BTreeMap;

use crate::base::seed::{Draw, Key, Purpose, Seed};
use crate::scenario::plan::{Action, Every, FaultRule, What};

/// Which draw of a rule's stream is for what; targets and nemeses use the slots from `TARGETS` on.
pub(super) mod slot {
    pub const EVERY: u64 = 0;
    pub const LASTS: u64 = 1;
    pub const ACTION: u64 = 2;
    pub const TARGETS: u64 = 3;
}

pub(crate) struct Rule {
    pub name: String,
    pub rule: FaultRule,
    pub key: Key,
    /// How often its trigger matched, its time came, and how many delayed ones are still to come.
    pub matched: u64,
    pub came: u64,
    pub scheduled: u64,
    /// How often it was tried, how often that led to something, and how many faults that came to.
    pub tried: u64,
    pub fired: u64,
    pub happened: u64,
    /// How often it came up while the fault that it wants to be in force was not.
    pub outside: u64,
    /// How often what happened had no effect that could be counted, and what that means.
    pub idle: u64,
    pub idle_means: &'static str,
    /// Why it did not happen although it came up, and how often.
    pub prevented: BTreeMap<String, u64>,
}

impl Rule {
    /// The rules of a plan. Planning has given each a name.
    pub fn all(rules: &[FaultRule], seed: Seed) -> Vec<Rule> {
        let one = |(i, rule): (usize, &FaultRule)| {
            let name = rule.name.as_ref().map_or_else(|| format!("fault-{}", i + 1), |name| name.get_ref().clone());
            Rule {
                key: seed.key(Purpose::Nemesis, &name),
                name,
                rule: rule.clone(),
                matched: 0,
                came: 0,
                scheduled: 0,
                tried: 0,
                fired: 0,
                happened: 0,
                outside: 0,
                idle: 0,
                idle_means: "",
                prevented: BTreeMap::new(),
            }
        };
        rules.iter().enumerate().map(one).collect()
    }

    pub fn draw(&self, slot: u64, i: u64) -> Draw {
        self.key.draw(slot, i)
    }

    fn span(&self, every: &Every, slot: u64, i: u64) -> u64 {
        match every {
            Every::Fixed(time) => time.nanos(),
            Every::Drawn { draw: (low, high) } => self.draw(slot, i).between(low.nanos(), high.nanos()),
        }
    }

    /// How long after the beginning of the main phase it comes up for the first time, if a clock says so.
    pub fn first(&self) -> Option<u64> {
        let delay = self.rule.delay.nanos();
        if let Some(at) = &self.rule.at {
            Some(at.get_ref().nanos().saturating_add(delay))
        } else {
            let every = self.rule.every.as_ref()?;
            Some(self.span(every.get_ref(), slot::EVERY, 0).saturating_add(delay))
        }
    }

    /// How much later an `every` comes up again after its i-th time.
    pub fn again(&self, i: u64) -> Option<u64> {
        self.rule.every.as_ref().map(|every| self.span(every.get_ref(), slot::EVERY, i).max(1))
    }

    /// How long its i-th fault lasts; to the end of the main phase if not said.
    pub fn lasts(&self, i: u64) -> Option<u64> {
        self.rule.lasts.as_ref().map(|lasts| self.span(lasts, slot::LASTS, i))
    }

    /// What it does the i-th time.
    pub fn what(&self, i: u64) -> &What {
        match self.rule.what.get_ref() {
            Action::Always(what) => what,
            Action::OneOf(choices) => {
                let total = choices.iter().map(|choice| choice.weight).sum();
                let mut at = self.draw(slot::ACTION, i).below(total);
                for choice in choices {
                    if at < choice.weight {
                        return &choice.what;
                    }
                    at -= choice.weight;
                }
                unreachable!("the draw is below the sum of the weights")
            }
        }
    }

    /// How often the fault may happen. A fault that the budget refuses or that matches no node does not count.
    pub fn times(&self) -> u64 {
        self.rule.times.unwrap_or(if self.rule.every.is_some() { u64::MAX } else { 1 })
    }

    /// Notes why it did not happen.
    pub fn prevent(&mut self, why: String) {
        *self.prevented.entry(why).or_default() += 1;
    }
}
