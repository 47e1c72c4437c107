//! What happened: the digest that stands for all of it, the recorder that shows it, and the log layer.

pub(crate) mod digest;
pub(crate) mod log;
pub mod record;
