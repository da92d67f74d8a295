//! What a user's state machine is, three machines, and a kit that tests one.
//!
//! The replica decides which records may run now and hands them out (`replica`); whoever drives it
//! has a [`Machine`] execute them. [`kv`] is a machine of keys and values, [`redis`] one of strings
//! with deadlines, [`block`] one of disk sectors, [`session`] makes a command of any take effect
//! exactly once, and [`laws`] searches a machine for what would make replicas diverge.

pub mod block;
mod bottom;
mod code;
mod digest;
pub mod kv;
pub mod laws;
mod machine;
pub mod redis;
pub mod session;

pub use bottom::Bottom;
pub use digest::Digest;
pub use machine::{Machine, Request, Stateful};
