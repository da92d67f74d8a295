//! The Redis protocol, and the store that speaks it.

#![cfg(feature = "serve")]

mod client;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod config;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod deploy;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod join;
mod large;
#[cfg(all(feature = "compare", unix))]
mod lost;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod operate;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod processes;
#[cfg(all(feature = "compare", unix))]
mod program;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod reload;
mod resp;
mod smoke;
#[cfg(all(feature = "compare", unix))]
mod tools;
#[cfg(all(feature = "compare", feature = "net", unix))]
mod trail;
mod watched;
