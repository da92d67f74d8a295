//! The laws of TinyKV's Raft tests that hold for generalized Raft, by the names of those tests:
//! those of parts 2AA, 2AB, 2AC and 2C. Those that are restated say how in one sentence. The ones
//! that do not carry over, and why, are in `docs/tinykv-laws.md`.

mod commit;
mod elect;
mod network;
mod raw;
mod replicate;
mod roles;
mod snapshot;
