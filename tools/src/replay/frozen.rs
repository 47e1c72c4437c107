//! Frozen runs: where they are written, and how they are compared when they are replayed.

use std::path::Path;

use anyhow::Result;
use sim::Report;
use sim::scenario::plan::Frozen;

use crate::exit::BadInput;
use crate::files::Place;

/// Refuses to replace a file, before anything runs.
pub fn check_free(file: &Path, force: bool) -> Result<Place> {
    let place = Place::check(file)?;
    if file.exists() && !force { Err(taken(file)) } else { Ok(place) }
}

/// Nobody ever sees half of it, and what came there since is not replaced without force.
pub fn write(place: &Place, file: &Path, text: &str, force: bool) -> Result<()> {
    if force {
        return place.write(text);
    }
    if place.write_new(text)? { Ok(()) } else { Err(taken(file)) }
}

/// What to say if the replay is not the run that was frozen.
pub fn drift(frozen: &Frozen, report: &Report) -> Option<String> {
    (frozen.world != report.world).then(|| {
        format!(
            "this is not the run that was frozen: its world digest was {}, and is now {}; the system, the simulator or \
             the file has changed since",
            frozen.world, report.world
        )
    })
}

fn taken(file: &Path) -> anyhow::Error {
    BadInput::error(format!("`{}` is there already", file.display()), "choose another name, or replace it with --force")
}
