//! What a crash draws: one mode for the disk, and one draw for each sector, length and name.

use crate::base::seed::{Draw, Key, Probability, SPREAD, fold};

/// An independent draw for the n-th thing that one draw decides about.
pub(super) fn split(draw: Draw, n: u64) -> Draw {
    Draw(fold(draw.0 ^ n.wrapping_mul(SPREAD), 0xA076_1D64_78BD_642F)).again()
}

/// What a crash leaves of what is not durable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// What was written up to that moment (a sequence number of the disk).
    Until(u64),
    /// Each sector and each change of a name with this probability, whatever the others do.
    Each(Probability),
}

/// What a draw is about.
#[derive(Clone, Copy)]
pub(super) enum About {
    Mode = 1,
    Sector,
    Void,
    Length,
    Name,
    Page,
}

/// What a crash may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether any change of a length is piecemeal, and nothing else follows from it.
    pub pieces: bool,
    /// The bytes that are never torn.
    pub atomic: usize,
}

/// The draws of one crash of one disk.
pub(super) struct Dice {
    /// None: nothing is drawn, and what was never written reads as zeros.
    key: Option<Key>,
    crash: u64,
    pub mode: Mode,
    pub rules: Rules,
}

impl Dice {
    /// Those of the n-th crash of the disk with that key, of which `span` are the first and the last sequence number that are
    /// not durable.
    pub fn drawn(key: Key, crash: u64, span: (u64, u64), rules: Rules) -> Dice {
        let mut dice = Dice { key: Some(key), crash, mode: Mode::Nothing, rules };
        let draw = dice.draw(About::Mode, 0, 0);
        dice.mode = match draw.below(16) {
            0..3 => Mode::Nothing,
            3..5 => Mode::Everything,
            5..9 => Mode::Until(draw.again().between(span.0.saturating_sub(1).min(span.1), span.1)),
            // Not as good as all or nothing: those have had their turn.
            _ => Mode::Each(Probability::new(0.1 + 0.8 * draw.again().unit())),
        };
        dice
    }

    /// Those of a crash of that mode.
    pub fn fixed(mode: Mode, rules: Rules) -> Dice {
        Dice { key: None, crash: 0, mode, rules }
    }

    /// The draw about something, such as a sector of an inode.
    pub fn draw(&self, about: About, which: u64, part: u64) -> Draw {
        match self.key {
            Some(key) => {
                let entity = fold(which ^ 0xD6E8_FEB8_6659_FD93, part ^ 0x8EBC_6AF0_9C88_C6E3);
                key.draw(entity, (about as u64) << 56 ^ self.crash)
            }
            None => Draw(0),
        }
    }

    /// Whether anything is left to chance.
    pub fn is_drawn(&self) -> bool {
        self.key.is_some()
    }

    /// Whether something with that sequence number is kept.
    pub fn keeps(&self, seq: u64, draw: Draw) -> bool {
        match self.mode {
            Mode::Nothing => false,
            Mode::Everything => true,
            Mode::Until(last) => seq <= last,
            Mode::Each(p) => draw.chance(p),
        }
    }
}
