//! Values only, no policy: identities, positions, sets of positions, records.
//!
//! Nothing here knows of replicas, messages or time. Every type has one short printed form, which
//! logs, traces and text scenarios share: `n2` a replica, `3#2` a leader, `17` a position,
//! `{..5 7 9}` a set of positions, `<3#2 @17 w:x>` a record. [`notation`] is that of memberships.

mod checksum;
mod footprint;
mod id;
mod lineage;
mod membership;
mod mutants;
pub mod notation;
mod record;
mod records;
mod tail;
mod tail_bitmap;
mod words;

pub use checksum::crc32c;
pub use footprint::{Footprint, Key, KeyRange, KeySet};
pub use id::{LeaderId, Lsn, ReplicaId, Term};
pub use lineage::{Lineage, Run};
pub use membership::{
    Change, Malformed, Membership, QuorumSystem, REQUESTS_MAX, SYSTEM_DEPTH_MAX, SYSTEM_NAMES_MAX,
    WEIGHT_MAX,
};
#[cfg(feature = "mutants")]
pub use mutants::{Mutant, switch_mutant};
pub(crate) use mutants::{mutant, mutant_on};
pub use notation::{Fault, NotationError};
pub use record::{Command, Payload, Record};
pub(crate) use records::{BATCH_MAX, Batch, Brief};
pub use records::{Records, SharedRecord};
pub use tail::Tail;
pub use tail_bitmap::TailBitmap;
pub(crate) use words::{mask, ones};
