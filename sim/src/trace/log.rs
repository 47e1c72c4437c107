//! The systems' `tracing` output, put into the trace at its place: with virtual time and node.

use std::fmt::Write;

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::record::Kind;
use crate::kernel;

/// Forwards log events of the running thread to its recorder.
struct LogLayer;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value}"),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

impl<S: tracing::Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line(format!("{:<5} ", event.metadata().level()));
        event.record(&mut line);
        kernel::with_running(|state| {
            let node = state.current.node;
            state.record(node, Kind::Log, |_| line.0.clone());
        });
    }
}

/// A subscriber for the thread of a recorded run.
pub(crate) fn subscriber() -> tracing::Dispatch {
    tracing::Dispatch::new(tracing_subscriber::registry().with(LogLayer))
}
