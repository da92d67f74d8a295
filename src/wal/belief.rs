//! What a start believes of what it finds. It changes nothing: whoever only looks stops here.

use super::recover::{Evidence, What};
use super::replay::{Found, Replay};
use super::store::{Doubt, Flaw, Recovered};
use super::survey::Survey;
use super::{Hard, Identity, WalError, doubtful};
use crate::base::Record;
use crate::disk::Disk;
use crate::replica::Durable;
use std::sync::Arc;

/// What lies in the directory, and what it leads to.
#[derive(Debug)]
pub(super) struct Belief {
    pub(super) survey: Survey,
    pub(super) replay: Replay,
    /// The records that are held, in order of position.
    pub(super) held: Vec<Found>,
    pub(super) doubt: Option<Doubt>,
}

impl Belief {
    /// Reads everything and decides what to make of it.
    pub(super) fn read<D: Disk + Sync>(disk: &D, identity: Identity) -> Result<Belief, WalError> {
        Belief::of(Survey::read(disk, identity)?)
    }

    /// The same of what was read already.
    pub(super) fn of(mut survey: Survey) -> Result<Belief, WalError> {
        if survey.is_empty() {
            return Err(WalError::Empty);
        }
        let mut replay = Replay::run(&mut survey);
        let (held, strays) = held(&mut replay);
        let doubt = doubt(&replay, strays);
        Ok(Belief { survey, replay, held, doubt })
    }

    /// The greatest number that a segment has or had; a start goes on with the next.
    pub(super) fn newest(&self) -> u64 {
        self.survey.mark.map_or(0, |mark| mark.segment).max(self.survey.greatest)
    }

    /// The number of the segment that the life which starts now begins. In doubt it becomes the
    /// incarnation, so it is not below the moment: greater than that of each earlier loss,
    /// wherever (Doubt 1).
    pub(super) fn life(&self, opened_at: u64) -> u64 {
        let next = self.newest() + 1;
        if self.doubt.is_some() { next.max(opened_at) } else { next }
    }

    /// That of the life which starts now. In doubt it is the number of the segment that it begins:
    /// no earlier life has had that.
    pub(super) fn incarnation(&self, opened_at: u64) -> u64 {
        if self.doubt.is_some() { self.life(opened_at) } else { self.replay.incarnation }
    }

    /// What a replica starts from.
    pub(super) fn into_recovered(self, opened_at: u64) -> Recovered {
        let (incarnation, life) = (self.incarnation(opened_at), self.life(opened_at));
        let Belief { replay, held, doubt, .. } = self;
        let records = replay.batches.gather(&held);
        let Hard { voted, lineage, membership, purged } = replay.hard;
        let durable = Durable {
            voted,
            lineage,
            records,
            membership,
            snapshot: None,
            incarnation,
            life,
            doubt: doubt.as_ref().map(Doubt::kind),
        };
        Recovered { durable, purged, doubt, flaws: replay.flaws }
    }
}

/// The records that are held, in order of position, and those of another lineage.
fn held(replay: &mut Replay) -> (Vec<Found>, Vec<Arc<Record>>) {
    replay.index.drop_below(replay.hard.purged);
    let mut held = std::mem::take(&mut replay.records);
    // Most logs are in order.
    if !held.is_sorted_by_key(|found| found.entry.lsn) {
        held.sort_by_key(|found| found.entry.lsn);
    }
    let mut places = replay.index.places().peekable();
    held.retain(|Found { entry, place }| {
        while places.next_if(|(lsn, _)| *lsn < entry.lsn).is_some() {}
        places.peek() == Some(&(entry.lsn, *place))
    });
    drop(places);
    let lineage = &replay.hard.lineage;
    let stray = |found: &mut Found| found.entry.author != lineage.author(found.entry.lsn);
    let strays: Vec<Found> = held.extract_if(.., stray).collect();
    if let Some(Found { place, .. }) = strays.first() {
        replay.index.adopt(lineage);
        if !replay.is_doubtful() {
            let at = (place.sector, place.sector + 1);
            replay.found(What::Garbled, Evidence::Followed, place.segment, at);
        }
    }
    let strays = strays.iter().map(|found| Arc::new(replay.batches.get(found).clone()));
    (held, strays.collect())
}

fn doubt(replay: &Replay, strays: Vec<Arc<Record>>) -> Option<Doubt> {
    if !replay.is_doubtful() {
        return None;
    }
    let inherited = replay.inherited;
    let lost = |flaw: &Flaw| flaw.loses_promise();
    let committer = replay.end.map(|end| end.committer);
    let promise = replay.flaws.iter().any(lost) || inherited & doubtful::PROMISE != 0;
    Some(Doubt {
        promise,
        lineage: promise
            || committer != Some(replay.hard.lineage.leader())
            || inherited & doubtful::LINEAGE != 0,
        inherited: inherited != 0,
        strays,
    })
}
