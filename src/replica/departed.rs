//! What a replica still knows of records that have left its memory: whom they override, as far as
//! it has no record of those.

use crate::base::{Lsn, Tail, TailBitmap};
use std::collections::BTreeMap;

/// By position of the record that overrides, the victims that were not held when it left memory.
///
/// A leader counts such a victim as covered wherever the record is held (Membership 2): nobody will
/// ever send it there, because a hole of the leader's own log is empty. Of victims that are held it
/// need not know: they are sent to whoever lacks them, from the disk. So this takes a few words for
/// each hole, and nothing where there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Departed {
    overrides: BTreeMap<Lsn, Tail>,
}

impl Departed {
    /// The record at `lsn`, with these victims, leaves memory; what is `accepted` is held.
    pub(super) fn note(&mut self, lsn: Lsn, mut victims: Tail, accepted: &TailBitmap) {
        victims.remove_below(accepted.offset());
        victims.difference_with(accepted.tail());
        if !victims.is_empty() {
            self.overrides.insert(lsn, victims);
        }
    }

    /// Everything below is purged, and so accepted everywhere that counts.
    pub(super) fn drop_below(&mut self, below: Lsn) {
        self.overrides.retain(|_, victims| victims.last() >= Some(below));
    }

    pub(super) fn overrides(&self, lsn: Lsn) -> Option<&Tail> {
        self.overrides.get(&lsn)
    }

    /// Which of the positions `64 * index ..` it knows victims of.
    #[inline]
    pub(super) fn word(&self, index: u64) -> u64 {
        if self.overrides.is_empty() { 0 } else { self.word_of_some(index) }
    }

    fn word_of_some(&self, index: u64) -> u64 {
        let here = self.overrides.range(Lsn(64 * index)..Lsn(64 * index + 64));
        here.fold(0, |word, (lsn, _)| word | 1 << (lsn.0 % 64))
    }
}
