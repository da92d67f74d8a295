//! The Redis protocol, and the store that speaks it.

#![cfg(feature = "serve")]

#[cfg(all(feature = "compare", feature = "net", unix))]
mod config;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod deploy;
#[cfg(all(feature = "compare", unix))]
mod lost;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod operate;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod processes;
#[cfg(all(feature = "compare", unix))]
mod program;
mod resp;
mod smoke;
mod watched;
