//! The algorithm: a pure replica. Inputs go in, outputs come out as values; no clock, no thread,
//! no disk, no randomness of its own.

mod io;

pub use io::{Durable, Input, Output, ReadError, Rejection, RoleName, Write};
