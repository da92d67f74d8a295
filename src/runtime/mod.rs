//! Replicas in real time: threads, clocks and channels live here and nowhere else.
//!
//! ```text
//!   Node, Cluster      what an embedder holds: handles, watches, shutdown     (threads, clock)
//!   Local              what a benchmark holds: any engine, one client         (threads, clock)
//!     Thread           owns an engine; lanes write the log, execute, write snapshots
//!       Engine         what such a thread drives
//!         Host         Replica + store::Home + machine                        (neither)
//!   Transport          takes messages from one thread to another: Loopback, or a network
//! ```
//!
//! docs/architecture.md draws the threads, docs/embedding.md shows how to use a [`Node`].

mod bottom;
mod cluster;
mod crew;
mod engine;
mod execute;
#[cfg(all(test, feature = "explore"))]
mod explore;
mod front;
mod handle;
mod host;
mod lanes;
mod local;
mod node;
mod order;
mod parts;
mod stages;
mod survey;
mod sync;
mod thread;
mod trail;
mod transport;
mod watch;

pub use cluster::Cluster;
pub use engine::{Busy, Effect, Engine, Event, Lane, NodeError, Refusal};
pub use execute::{Batch, Executed};
pub use front::{Front, Raw};
pub use handle::{Answered, Failure, Pending};
pub use host::Host;
pub use local::Local;
pub use node::{Node, SharedDisk};
pub use order::{Denied, Order};
pub use parts::{Done, Job, NodeOptions, Post, Recorder, Start, Status, Unread};
pub use stages::{STAGE_ENDS_US, Stage, StageTimes, Stages};
pub use survey::{Other, Survey};
pub use thread::{Limits, Reply};
pub use transport::{Inbox, Loopback, Network, Transport};
pub use watch::{View, Watch};
