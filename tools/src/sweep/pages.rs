//! What other programs show of a sweep: a JUnit report and a Markdown page.

use anyhow::Result;

use super::summary::Summary;
use super::{junit, markdown};
use crate::cli;
use crate::files::Place;

/// Where the pages go that were asked for.
pub struct Pages {
    junit: Option<Place>,
    markdown: Option<Place>,
}

impl Pages {
    /// Makes sure that each can be written, before anything runs.
    ///
    /// # Errors
    ///
    /// If one cannot.
    pub fn check(args: &cli::Pages) -> Result<Pages> {
        let place = |file: &Option<std::path::PathBuf>| file.as_deref().map(Place::check).transpose();
        Ok(Pages { junit: place(&args.junit)?, markdown: place(&args.markdown)? })
    }

    /// Writes them.
    ///
    /// # Errors
    ///
    /// If one cannot be written any more.
    pub fn write(&self, summary: &Summary) -> Result<()> {
        if let Some(place) = &self.junit {
            place.write(&junit::report(summary)?, true)?;
        }
        if let Some(place) = &self.markdown {
            place.write(&markdown::page(summary), true)?;
        }
        Ok(())
    }
}
