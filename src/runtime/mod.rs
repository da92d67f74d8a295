//! Replicas in real time: threads, clocks and channels live here and nowhere else.
//!
//! ```text
//!   Local        a thread for each replica, channels between them      (threads, clock)
//!     Engine     what such a thread owns
//!       Node     Replica + store::Home + machine                       (neither)
//! ```
//!
//! Enough for replicas that share a process: what is checked by killing it (`traft check kill`) and
//! what is measured on a real disk (`traft compare --durable`). There is no network here.

mod engine;
mod local;
mod node;

pub use engine::{Effect, Engine, Event, NodeError, Refusal};
pub use local::{Local, Reply};
pub use node::{Node, NodeOptions, Post, SnapshotWork, Status};
