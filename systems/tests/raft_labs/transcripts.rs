//! Four short runs, told line by line.
