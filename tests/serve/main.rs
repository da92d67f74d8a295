//! The Redis protocol, and the store that speaks it.

#![cfg(feature = "serve")]

#[cfg(all(feature = "compare", unix))]
mod lost;
#[cfg(all(feature = "compare", unix))]
mod program;
mod resp;
mod smoke;
mod watched;
