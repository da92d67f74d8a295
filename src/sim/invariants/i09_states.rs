//! I-9: replicas that have done the same set have the same state, and no command returns two
//! results.

use super::Check;
use crate::base::{LeaderId, Record, TailBitmap};
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;
use std::hash::BuildHasher;

/// The states and results met so far, as digests.
#[derive(Debug, Default)]
pub(super) struct States {
    /// By the hash of the done set: of the sets themselves there would be too many to keep.
    by_done: FxHashMap<u64, (usize, u64)>,
    /// By position: author, replica, digest.
    results: Vec<SmallVec<[(LeaderId, usize, u64); 1]>>,
}

impl States {
    /// A replica has done `done`, and its state has this digest.
    pub(super) fn state(&mut self, replica: usize, done: &TailBitmap, digest: u64) -> Check {
        let name = FxBuildHasher.hash_one(done);
        let (other, first) = *self.by_done.entry(name).or_insert((replica, digest));
        if first == digest {
            return Ok(());
        }
        Err(format!(
            "I-9 replicas {other} and {replica} have done {done} and are in different states"
        ))
    }

    /// A replica has executed `record`, with a result of this digest.
    pub(super) fn result(&mut self, replica: usize, record: &Record, digest: u64) -> Check {
        let at = record.lsn.0 as usize;
        if at >= self.results.len() {
            self.results.resize_with(at + 1, SmallVec::new);
        }
        match self.results[at].iter().find(|(author, ..)| *author == record.author) {
            None => self.results[at].push((record.author, replica, digest)),
            Some((_, _, first)) if *first == digest => {}
            Some((_, other, _)) => {
                return Err(format!(
                    "I-9 {record} returned two results, at replicas {other} and {replica}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, set, write};
    use super::*;

    #[test]
    fn different_states_and_results_are_found() {
        let mut states = States::default();
        assert_eq!(states.state(0, &set(&[0, 2]), 7), Ok(()));
        assert_eq!(states.state(1, &set(&[0, 2]), 7), Ok(()));
        assert_eq!(states.state(1, &set(&[0, 1]), 8), Ok(()));
        fails(states.state(2, &set(&[0, 1]), 7), "I-9");
        let record = write(0, id(1, 1), "a", &[]);
        assert_eq!(states.result(0, &record, 1), Ok(()));
        fails(states.result(1, &record, 2), "I-9");
    }
}
