//! # traft: generalized Raft
//!
//! Raft commits and applies one prefix of its log. traft commits and applies a *set*: records that
//! do not interfere go in any order, greater leader ids win inside a term, and membership moves
//! between any two quorum systems. The algorithm is in `design/algorithm.md`; [`replica`] is the
//! same text as code.
//!
//! Reading order: [`base`] (values), [`quorum`], [`message`], [`replica`], then [`sim`], the
//! deterministic world that drives the same replica through loss, delay and crashes.

pub mod apply;
pub mod base;
pub mod check;
pub mod disk;
pub mod message;
pub mod quorum;
pub mod replica;
pub mod runtime;
pub mod sim;
pub mod snapshot;
pub mod store;
pub mod wal;
pub mod wire;

#[cfg(feature = "compare")]
pub mod compare;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "serve")]
pub mod resp;
#[cfg(feature = "serve")]
pub mod serve;
