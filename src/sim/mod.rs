//! A deterministic world: virtual time, simulated links, crashes, and clients with a workload.
//!
//! [`run`] takes a [`Spec`] and gives an [`Outcome`]; both are values, and one spec gives one
//! outcome, byte for byte. [`bound`] says what no protocol can beat on the same weather.
//!
//! A state that a replica lacks goes in pieces of 16 KiB beside all else that its sender has to
//! send ([`Spec::preload`]): in the pauses, but at least a quarter of the time. That is the same
//! for every side.
//!
//! What is *not* simulated: CPU time (zero unless [`Spec::cpu`] says otherwise), the client's own
//! link (it stands beside a replica), and disks that lie. A crash keeps exactly what was durable.

mod bound;
mod clients;
mod disk;
mod invariants;
mod net;
mod network;
mod outcome;
mod preload;
mod queue;
pub mod repair;
mod sides;
mod spec;
pub mod storm;
mod time;
mod weather;
mod workers;
mod world;

pub use network::Network;
pub use outcome::{ChangeStep, LeaderChange, OpResult, Outcome, ReplicaEnd};
pub use preload::Preload;
pub use spec::{Act, Finish, Kind, LinkKind, Load, Op, Routing, Side, Slow, Spec, SpecError};
pub use time::Time;

#[cfg(feature = "compare")]
pub(crate) use sides::omnipaxos::log as paxos_log;

/// Runs `spec` to its end. The outcome depends on nothing but the spec.
///
/// # Errors
/// What is wrong with the spec, see [`SpecError`]. A violated invariant is not an error: it ends
/// the run early and stands in [`Outcome::violations`].
pub fn run(spec: &Spec) -> Result<Outcome, SpecError> {
    spec.check()?;
    match spec.side {
        #[cfg(feature = "compare")]
        Side::Raft | Side::RaftParallel => Ok(world::run::<sides::raft::RaftReplica>(spec)),
        #[cfg(feature = "compare")]
        Side::OmniPaxos => Ok(world::run::<sides::omnipaxos::PaxosReplica>(spec)),
        Side::Traft | Side::TraftSerial => Ok(world::run::<sides::traft::TraftReplica>(spec)),
        #[cfg(not(feature = "compare"))]
        side @ (Side::Raft | Side::RaftParallel | Side::OmniPaxos) => {
            Err(SpecError::NoSuchSide(side))
        }
    }
}

/// The least latency that any protocol could give each operation of `spec` on the same weather,
/// links being of kind `link`; `None` for an operation that is not finished at [`Spec::until`].
///
/// # Errors
/// What is wrong with the spec, see [`SpecError`].
pub fn bound(spec: &Spec, link: LinkKind) -> Result<Vec<Option<Time>>, SpecError> {
    spec.check()?;
    Ok(bound::bound(spec, link))
}
