//! The model of a file's bytes: all states since the last sync, and which mixtures of them a crash may leave.

use std::fmt;
use std::ops::Range;

use sim::fs::Lengths;

const SECTOR: usize = 512;

/// What a crash may do.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub lengths: Lengths,
    pub atomic: usize,
}

/// A state of the file, and how the state came about.
#[derive(Clone)]
struct State {
    bytes: Vec<u8>,
    /// None: by a `set_len`.
    written: Option<Range<usize>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} bytes by {:?}", self.bytes.len(), self.written)
    }
}

impl State {
    fn has(&self, at: usize) -> bool {
        at < self.bytes.len()
    }

    /// Some of its bytes; zeros beyond the end.
    fn part(&self, range: Range<usize>) -> Vec<u8> {
        range.map(|at| self.bytes.get(at).copied().unwrap_or(0)).collect()
    }
}

/// What a file may be after a crash.
#[derive(Clone, Debug)]
pub struct Bytes {
    /// The durable state first, the cached one last.
    states: Vec<State>,
}

impl Bytes {
    pub fn durable(bytes: &[u8]) -> Bytes {
        Bytes { states: vec![State { bytes: bytes.to_vec(), written: None }] }
    }

    fn cached(&self) -> &State {
        self.states.last().expect("there is always one")
    }

    pub fn write(&mut self, at: usize, data: &[u8]) {
        let mut bytes = self.cached().bytes.clone();
        bytes.resize(bytes.len().max(at + data.len()), 0);
        bytes[at..at + data.len()].copy_from_slice(data);
        self.states.push(State { bytes, written: Some(at..at + data.len()) });
    }

    pub fn set_len(&mut self, len: usize) {
        let mut bytes = self.cached().bytes.clone();
        if len != bytes.len() {
            bytes.resize(len, 0);
            self.states.push(State { bytes, written: None });
        }
    }

    pub fn sync(&mut self) {
        self.states.drain(..self.states.len() - 1);
    }

    fn len(&self, state: usize) -> usize {
        self.states[state].bytes.len()
    }

    /// By how much a state's length is another than the one before.
    fn change(&self, state: usize) -> (usize, usize) {
        (self.len(state.saturating_sub(1)), self.len(state))
    }

    /// What is wrong with these bytes after a crash, or which kinds of outcomes they show.
    pub fn judge(&self, found: &[u8], rules: Rules) -> Result<Vec<&'static str>, String> {
        let last = self.states.len() - 1;
        let mut why = format!("{} bytes, of {:?}", found.len(), (0..=last).map(|i| self.len(i)).collect::<Vec<_>>());
        for moment in (0..=last).rev() {
            let (from, to) = self.change(moment);
            let is_piecemeal = rules.lengths == Lengths::Any || self.states[moment].written.is_some() && from < to;
            let is_boundary = found.len().is_multiple_of(SECTOR);
            let is_within = is_piecemeal && is_boundary && (from.min(to) + 1..from.max(to)).contains(&found.len());
            if found.len() != to && !is_within {
                continue;
            }
            match self.judge_at(moment, found, rules) {
                Ok(mut kinds) => {
                    kinds.extend(match () {
                        () if is_within => Some("the length is between"),
                        () if last == 0 || self.len(0) == self.len(last) && found.len() == self.len(0) => None,
                        () if moment == last || found.len() == self.len(last) => Some("the length is kept"),
                        () if moment == 0 || found.len() == self.len(0) => Some("the length is lost"),
                        () => Some("the length is from the middle"),
                    });
                    return Ok(kinds);
                }
                Err(wrong) => why = wrong,
            }
        }
        Err(why)
    }

    /// The length is of that moment.
    fn judge_at(&self, moment: usize, found: &[u8], rules: Rules) -> Result<Vec<&'static str>, String> {
        let mut kinds = Vec::new();
        for unit in (0..found.len()).step_by(rules.atomic) {
            let range = unit..(unit + rules.atomic).min(found.len());
            let Some(kind) = self.judge_unit(moment, &range, found, rules) else {
                return Err(format!(
                    "{range:?} is none of its versions, if the length is that of state {moment}, {rules:?}"
                ));
            };
            kinds.extend(kind);
        }
        Ok(kinds)
    }

    /// Nothing: the unit is none of its versions.
    fn judge_unit(
        &self,
        moment: usize,
        range: &Range<usize>,
        found: &[u8],
        rules: Rules,
    ) -> Option<Option<&'static str>> {
        let last = self.states.len() - 1;
        let is_written =
            (1..=last).any(|i| self.states[i].part(range.clone()) != self.states[i - 1].part(range.clone()));
        for state in (0..=last).rev() {
            let sectors = (range.start / SECTOR * SECTOR..range.end).step_by(SECTOR);
            let mut is_void = false;
            let fits = sectors.into_iter().all(|start| {
                let sector = start.max(range.start)..(start + SECTOR).min(range.end);
                let end = start + SECTOR.max(rules.atomic);
                if self.version(state, moment, &sector, end, rules).is_some_and(|bytes| bytes == found[sector.clone()])
                {
                    return true;
                }
                let may_be_void = state == 0 && self.may_be_void(moment, start, rules);
                is_void |= may_be_void;
                may_be_void
            });
            if fits {
                return Some(match state {
                    _ if is_void && found[range.clone()].iter().all(|&byte| byte == 0) => Some("zeros"),
                    _ if is_void => Some("garbage"),
                    _ if !is_written => None,
                    _ if state == last => Some("a sector is kept"),
                    0 => Some("a sector is lost"),
                    _ => Some("a sector from the middle"),
                });
            }
        }
        None
    }

    /// What a part of a sector, which ends there, holds in some state; none if that state's version cannot be there.
    fn version(&self, state: usize, moment: usize, part: &Range<usize>, end: usize, rules: Rules) -> Option<Vec<u8>> {
        let mut bytes = self.states[state].part(part.clone());
        let is_cut = |i: usize| rules.lengths == Lengths::Whole && self.change(i).1 < self.change(i).0;
        // A cut that did not happen: nothing written after it is there.
        let undone = (moment + 1..=state).any(|i| is_cut(i) && self.len(i) < end);
        // A cut that did: nothing from before is behind it.
        let done = (state + 1..=moment).filter(|&i| is_cut(i)).map(|i| self.len(i)).min();
        if let Some(cut) = done {
            bytes.iter_mut().zip(part.clone()).filter(|(_, at)| *at >= cut).for_each(|(byte, _)| *byte = 0);
        }
        // Where the state has no such sector, it is void, not zeros, unless nothing was ever written there.
        let start = part.start / SECTOR * SECTOR;
        let is_there = self.states[state].has(start) || !self.is_ever_written(start);
        let is_zeros = done.is_some() || self.is_extended(moment, start, rules);
        (!undone && (is_there || is_zeros)).then_some(bytes)
    }

    /// Whether a `set_len` brought that sector.
    fn is_extended(&self, moment: usize, start: usize, rules: Rules) -> bool {
        let brings = |i: usize| {
            let (from, to) = self.change(i);
            self.states[i].written.is_none() && from <= start && start < to
        };
        rules.lengths == Lengths::Whole && (1..=moment).any(brings)
    }

    fn is_ever_written(&self, at: usize) -> bool {
        let sector = at / SECTOR * SECTOR..at / SECTOR * SECTOR + SECTOR;
        let hits = |range: &Range<usize>| range.start < sector.end && sector.start < range.end;
        self.states.iter().filter_map(|state| state.written.as_ref()).any(hits)
    }

    /// Whether a sector that was never durable may hold anything: one that was appended and not extended by `set_len`.
    fn may_be_void(&self, moment: usize, start: usize, rules: Rules) -> bool {
        !self.states[0].has(start) && self.is_ever_written(start) && !self.is_extended(moment, start, rules)
    }
}
