//! Going on without a majority that is lost for ever. **Unsafe**: it can undo what clients were
//! told (docs/membership.md, When a majority is lost).
//!
//! Nothing here is needed as long as a quorum can be brought back, whatever state its disks are in:
//! a replica that lost a part of its disk is given it back by the others.

use super::{Home, Options, StoreError};
use crate::base::{LeaderId, Lsn, Membership, ReplicaId, Tail, TailBitmap};
use crate::disk::Disk;
use crate::replica::Write;
use crate::wal::{Identity, Inspection, Recovered, WalError};
use std::fmt;

/// How far the promises of the survivors rise, in terms: no leader of before is heard any more.
const TERMS_PASSED: u64 = 1 << 32;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// No directory was named.
    #[error("name the directory of at least one survivor")]
    Nobody,
    /// The log of a survivor cannot be read, or is open in a process: stop it.
    #[error("survivor {at}: {error}")]
    Log {
        /// Which, counted from 1.
        at: usize,
        /// What is wrong.
        error: StoreError,
    },
    /// Two directories are of different clusters.
    #[error("survivor {at} is of cluster {found}, and the first one of cluster {cluster}")]
    Cluster {
        /// Which, counted from 1.
        at: usize,
        /// Its cluster.
        found: u64,
        /// That of the first.
        cluster: u64,
    },
    /// Two directories are of the same replica. The newer one has to be chosen.
    #[error("two of the directories are of {0}")]
    Twice(ReplicaId),
    /// The survivors can elect a leader and commit: nothing is lost. Start them.
    #[error("{0} can elect a leader and commit: nothing is lost, start them")]
    Needless(String),
    /// The survivors hold nothing at all. Begin a new cluster.
    #[error("the survivors hold nothing; begin a new cluster")]
    Nothing,
    /// Nobody has accepted what may be lost. Nothing was changed.
    #[error("nothing was changed: what may be lost has to be accepted")]
    NotAccepted,
}

/// Said by whoever has read what may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossAccepted;

/// One who is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Who.
    pub identity: Identity,
    /// Its promise.
    pub voted: LeaderId,
    /// Whose lineage it took last.
    pub committer: LeaderId,
    /// What it holds, or has in a snapshot.
    pub held: TailBitmap,
    /// It may itself have lost something that it acknowledged.
    pub doubtful: bool,
}

/// What would come of it, told before anything is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// Who is left, in the order given.
    pub survivors: Vec<Survivor>,
    /// The newest membership that a survivor knows committed.
    pub before: Membership,
    /// Voters of that which are given up. **They must never start again.**
    pub lost: Vec<ReplicaId>,
    /// What is in force then: all survivors are needed to elect, so that whatever one of them holds
    /// comes into the log of the next leader; most of them commit.
    pub after: Membership,
    /// Everything below is settled and here.
    pub certain: Lsn,
    /// The first position above all that a survivor holds. What was acknowledged above is lost.
    pub end: Lsn,
    /// Positions from `certain` to `end` that no survivor holds: what was acknowledged there is
    /// lost, with what was acknowledged and depends on it.
    pub missing: Tail,
    /// Whether the lost ones alone were enough to acknowledge a write. If not, every acknowledged
    /// write is held by a survivor (unless one of them is doubtful).
    pub could_acknowledge: bool,
}

/// Looks at the directories of the survivors, which are all stopped; changes nothing. `initial` is
/// the membership that the cluster started with.
///
/// # Errors
///
/// See [`RecoverError`]; above all [`RecoverError::Needless`].
pub fn prospect<D: Disk + Sync>(
    disks: &[D],
    initial: &Membership,
) -> Result<Prospect, RecoverError> {
    let read = |(n, disk): (usize, &D)| {
        let log = |error: WalError| RecoverError::Log { at: n + 1, error: error.into() };
        Inspection::read(disk, false).map_err(log)
    };
    let found = disks.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let first = found.first().ok_or(RecoverError::Nobody)?.identity.cluster;
    let mut ids: Vec<ReplicaId> = Vec::new();
    for (n, Inspection { identity, .. }) in found.iter().enumerate() {
        if identity.cluster != first {
            let (at, found) = (n + 1, identity.cluster);
            return Err(RecoverError::Cluster { at, found, cluster: first });
        }
        if ids.contains(&identity.replica) {
            return Err(RecoverError::Twice(identity.replica));
        }
        ids.push(identity.replica);
    }
    let known = found.iter().filter_map(|one| one.recovered.durable.membership.as_ref());
    let before = known.max_by_key(|(lsn, _)| *lsn).map_or(initial, |(_, membership)| membership);
    let before = Membership { change: None, ..before.clone() };
    let survivors: Vec<Survivor> =
        found.iter().map(|one| survivor(one.identity, &one.recovered)).collect();
    let here = |id: ReplicaId| ids.contains(&id);
    if before.read.is_quorum(&here) && before.write.is_quorum(&here) {
        return Err(RecoverError::Needless(names(&ids)));
    }
    let mut held = TailBitmap::new();
    survivors.iter().for_each(|one| held.union_with(&one.held));
    let end = held.end();
    if end == Lsn::ZERO {
        return Err(RecoverError::Nothing);
    }
    let floors = found.iter().flat_map(|one| one.recovered.durable.records.iter());
    let floor = floors.map(|record| record.floor).max().unwrap_or_default();
    let purged = found.iter().map(|one| one.recovered.purged).max().unwrap_or_default();
    // Below a floor everything is settled; it is here as far as somebody holds it.
    let certain = floor.max(purged).min(held.offset());
    Ok(Prospect {
        lost: before.voters().into_iter().filter(|id| !ids.contains(id)).collect(),
        after: Membership::flexible(ids.iter().copied(), ids.len(), ids.len() / 2 + 1),
        certain,
        end,
        missing: held.holes(end).collect(),
        could_acknowledge: before.write.is_quorum(&|id| !here(id)),
        survivors,
        before,
    })
}

fn survivor(identity: Identity, recovered: &Recovered) -> Survivor {
    let durable = &recovered.durable;
    let mut held = TailBitmap::below(recovered.purged);
    durable.records.iter().for_each(|record| {
        held.insert(record.lsn);
    });
    let doubtful = recovered.doubt.is_some();
    let committer = durable.lineage.leader();
    Survivor { identity, voted: durable.voted, committer, held, doubtful }
}

/// Makes the survivors a cluster of their own, for good: the membership of the [`Prospect`] is
/// written to each of their logs as committed, and their promises rise above every leader of
/// before. They are then started as always.
///
/// # Errors
///
/// [`RecoverError::NotAccepted`] without `accepted`, and everything that [`prospect`] refuses.
pub fn recover<D: Disk + Clone + Sync>(
    disks: &[D],
    options: &Options,
    accepted: Option<LossAccepted>,
) -> Result<Prospect, RecoverError> {
    let prospect = prospect(disks, &options.initial)?;
    accepted.ok_or(RecoverError::NotAccepted)?;
    let promise = prospect.survivors.iter().map(|one| one.voted.term).max().unwrap_or_default();
    let write = Write {
        number: 1,
        voted: Some(LeaderId::new(promise.saturating_add(TERMS_PASSED), 0)),
        // At the last position held: whatever is placed comes later.
        membership: Some((Lsn(prospect.end.0 - 1), prospect.after.clone())),
        repaired: true,
        ..Write::default()
    };
    for (n, (disk, one)) in disks.iter().zip(&prospect.survivors).enumerate() {
        let at = n + 1;
        let failed = |error| RecoverError::Log { at, error };
        let opened = Home::open(disk.clone(), one.identity, options.clone(), |_| Ok(()));
        let mut home = opened.map_err(failed)?.home;
        home.append(&write).and_then(|()| home.sync()).map_err(failed)?;
    }
    Ok(prospect)
}

fn names(ids: &[ReplicaId]) -> String {
    ids.iter().map(ReplicaId::to_string).collect::<Vec<_>>().join(" ")
}

/// What a person must read before.
impl fmt::Display for Prospect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prospect { certain, end, missing, .. } = self;
        writeln!(f, "membership   {}", self.before)?;
        for one in &self.survivors {
            let (id, held) = (one.identity.replica, &one.held);
            let doubt = if one.doubtful { "; ITS DISK HAS LOST SOMETHING ITSELF" } else { "" };
            let (voted, committer) = (one.voted, one.committer);
            writeln!(
                f,
                "survivor     {id}: promise {voted}, lineage of {committer}, {held}{doubt}"
            )?;
        }
        writeln!(f, "given up     {}; they must never start again", names(&self.lost))?;
        writeln!(f, "from then on {}", self.after)?;
        writeln!(f, "certain      everything below {certain}")?;
        let open = end.0 - certain.0 - missing.len() as u64;
        writeln!(f, "kept         {open} records from {certain} to {end}, acknowledged or not")?;
        let doubtful = self.survivors.iter().any(|one| one.doubtful);
        if self.could_acknowledge || doubtful {
            writeln!(
                f,
                "MAY BE LOST  every acknowledged write at {} positions below {end}, at every one \
                 from {end} on, and what depends on those",
                missing.len()
            )
        } else {
            writeln!(f, "lost         nothing that was acknowledged: those given up were too few")
        }
    }
}
