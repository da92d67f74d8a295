//! The specifications of `design` as Rust, action by action, so that they and the code cannot drift
//! apart: the number of states that each has is compared with what a checker of TLA+ counts, and a
//! rule can be switched off to see what breaks ([`ablate()`]).
//!
//! What a specification calls replica `r1` is `n1` here; positions and leaders are counted from 1,
//! as there. Sets are bits.

mod ablate;
mod diagram;
mod membership;
mod overrides;
mod reads;
mod replication;

pub use ablate::{Ablation, ablate, rules};
pub use diagram::{Diagram, Row};
pub use membership::Membership;
pub use overrides::Overrides;
pub use reads::Reads;
pub use replication::{Replication, Rule};

use super::search::{Report, Space, Step, one_by_one, search};
use crate::apply::Digest;
use std::hash::{Hash, Hasher};

/// How many replicas the specifications have.
const R: usize = 3;

/// An action, with the leader, the replica and the position that it is about; a set of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A leader is elected by these.
    Elect(u8, u8),
    /// A leader places a command.
    Place(u8, u8),
    /// A replica accepts what a leader has at a position.
    Accept(u8, usize, u8),
    /// A replica drops a position.
    Purge(usize, u8),
    /// The snapshot of the second takes the place of what the first has done.
    Install(usize, usize),
    /// A disk loses something.
    Lose(usize),
    /// A leader hears of a loss.
    Hear(u8, usize),
    /// A leader has given everything back.
    Repair(u8, usize),
    /// A replica hears that a membership is committed.
    Learn(usize),
}

/// What stands at a position of a leader's log.
#[derive(Clone, Debug)]
pub struct Place {
    what: String,
    author: u8,
}

/// A specification.
pub trait Spec: Sync {
    /// The values of its variables.
    type State: Clone + Hash + Send + Sync;

    /// `Init`.
    fn first(&self) -> Self::State;

    /// `Next`: every state that can follow.
    fn next(&self, state: &Self::State, take: &mut dyn FnMut(Self::State, Action));

    /// The invariant that does not hold, if one does not.
    fn wrong(&self, state: &Self::State) -> Option<String>;

    /// The state with replicas renamed, if they may be: then the two count as one.
    fn permuted(&self, state: &Self::State, order: &[usize; R]) -> Option<Self::State>;

    /// What a leader has at a position.
    fn place(&self, state: &Self::State, leader: u8, lsn: u8) -> Place;

    /// What a leader has at each position.
    fn log_of(&self, state: &Self::State, leader: u8) -> Vec<String>;

    /// What is committed, with its positions.
    fn committed(&self, state: &Self::State) -> Vec<(u8, String)>;

    /// What a replica has no more.
    fn lost(&self, before: &Self::State, after: &Self::State, replica: usize) -> String;
}

/// All orders of three.
const ORDERS: [[usize; R]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// A specification to be searched.
struct Searched<'a, S>(&'a S);

impl<S: Spec> Searched<'_, S> {
    fn fingerprint(&self, state: &S::State) -> u64 {
        let renamed = ORDERS[1..].iter().filter_map(|order| self.0.permuted(state, order));
        renamed.map(|state| digest(&state)).fold(digest(state), u64::min)
    }
}

impl<S: Spec> Space for Searched<'_, S> {
    type State = S::State;

    fn first(&self) -> (u64, S::State) {
        let first = self.0.first();
        (self.fingerprint(&first), first)
    }

    fn steps(&self, state: &S::State, take: &mut dyn FnMut(Step<'_, S::State>)) {
        self.0.next(state, &mut |next, _| {
            let (fingerprint, wrong) = (self.fingerprint(&next), self.0.wrong(&next));
            take(Step { fingerprint, shows: 0, wrong, state: &|| next.clone() });
        });
    }
}

/// Counts the states of a specification, up to so many, and looks for one that is wrong.
pub fn count<S: Spec>(spec: &S, states_max: u64) -> Report {
    search(&Searched(spec), states_max, &one_by_one, &|_| {})
}

/// Folds what is hashed into a fingerprint, eight bytes at a time.
struct Fold {
    digest: Digest,
    word: u64,
    bytes: u32,
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.word = self.word << 8 | u64::from(*byte);
            self.bytes += 1;
            if self.bytes.is_multiple_of(8) {
                self.digest = self.digest.word(self.word);
            }
        }
    }

    fn finish(&self) -> u64 {
        self.digest.word(self.word).word(u64::from(self.bytes)).value()
    }
}

fn digest(state: &impl Hash) -> u64 {
    let mut fold = Fold { digest: Digest::new(), word: 0, bytes: 0 };
    state.hash(&mut fold);
    fold.finish()
}

/// The numbers of the bits of a set, from 0.
fn bits(set: u8) -> impl Iterator<Item = usize> + Clone {
    (0..8).filter(move |at| has(set, *at))
}

fn has(set: u8, at: usize) -> bool {
    set & 1 << at != 0
}

/// The bit of a leader or position, which are counted from 1.
fn bit(nth: u8) -> u8 {
    1 << (nth - 1)
}

/// The greatest position of a set; 0 if it is empty.
fn top(set: u8) -> u8 {
    8 - set.leading_zeros() as u8
}

/// A majority of all replicas.
fn is_quorum(set: u8) -> bool {
    2 * set.count_ones() as usize > R
}

/// `@1 @3`.
fn list(positions: u8) -> String {
    let all: Vec<String> = bits(positions).map(|l| format!("@{}", l + 1)).collect();
    all.join(" ")
}
