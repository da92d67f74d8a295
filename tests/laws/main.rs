//! The laws of TinyKV's Raft tests that hold for generalized Raft, by the names of those tests:
//! those of parts 2AA, 2AB, 2AC, 2C and 3A. Those that are restated say how in one sentence. The
//! ones that do not carry over, and why, are in `docs/tinykv-laws.md`.

mod change;
mod commit;
mod elect;
mod lease;
mod network;
mod raw;
mod replicate;
mod roles;
mod snapshot;
mod transfer;
mod walk;
