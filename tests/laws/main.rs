//! The laws of TinyKV's Raft tests that hold for generalized Raft, by the names of those tests:
//! the 42 of parts 2AA, 2AB and 2AC. Those that are restated say how in one sentence. The ones
//! that do not carry over, and why, are in `docs/tinykv-laws.md`.

mod commit;
mod elect;
mod network;
mod raw;
mod replicate;
mod roles;
