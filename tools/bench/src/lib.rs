//! Nothing but benches, in `benches/`: each says what it measures, and beside what.
