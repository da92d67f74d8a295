//! Soundness: whether every read quorum meets every write quorum (design/quorum.md).
//!
//! A membership is unsound exactly if the replicas can be split so that one side is a read quorum
//! and the other a write quorum: both families are closed upward, so disjoint quorums can be grown
//! until everybody is on a side. Such a split is searched
//!
//! - among all of them, up to [`EXACT_VOTERS_MAX`] voters;
//! - beyond that along the structure: a listed set is held against everything else; where both
//!   systems count the same things, voters or groups that share no voter with each other, it is a
//!   knapsack of what each thing can add to the two sides.

use super::Compiled;
use crate::base::{Membership, QuorumSystem, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};

/// The most voters for which all sets are looked at.
pub const EXACT_VOTERS_MAX: usize = 20;

/// How many steps a decision may take, a step being 64 sets, a voter or a cell of a table.
const STEPS_MAX: usize = 1 << 22;

/// How large a table of a knapsack may get, in cells.
const CELLS_MAX: u64 = 1 << 20;

/// Why a membership may not be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// These do not meet: what one of them commits, a leader that the other elects may not know.
    /// Neither has a smaller quorum in it.
    #[error("the read quorum ({}) does not meet the write quorum ({})", names(read), names(write))]
    Disjoint {
        /// A read quorum.
        read: Vec<ReplicaId>,
        /// A write quorum.
        write: Vec<ReplicaId>,
    },
    /// There are too many voters to look at all sets, and the systems do not count the same voters
    /// or groups. Use fewer voters, or one system for both.
    #[error(
        "it is undecided whether every read quorum of these {voters} voters meets every write \
         quorum; use at most {EXACT_VOTERS_MAX} voters, or the same groups for both"
    )]
    Undecided {
        /// How many voters there are.
        voters: usize,
    },
}

fn names(ids: &[ReplicaId]) -> String {
    ids.iter().map(ReplicaId::to_string).collect::<Vec<_>>().join(" ")
}

/// Whether every read quorum of `membership` meets every write quorum.
///
/// One membership at a time is enough: any two steps of a change have a membership in force in
/// common, and a quorum of several memberships contains one of each (design/quorum.md, Memberships
/// in the log).
///
/// # Errors
///
/// Two quorums that do not meet, or that it is undecided.
pub fn soundness(membership: &Membership) -> Result<(), Unsound> {
    soundness_within(membership, EXACT_VOTERS_MAX)
}

/// [`soundness`], looking at all sets only up to `exact` voters, which is at most
/// [`EXACT_VOTERS_MAX`]. A smaller number shows what the structure alone decides.
///
/// # Errors
///
/// As [`soundness`].
pub fn soundness_within(membership: &Membership, exact: usize) -> Result<(), Unsound> {
    let (read, write) = (&membership.read, &membership.write);
    let voters = membership.voters();
    let mut search = Search { exact: exact.min(EXACT_VOTERS_MAX), steps: STEPS_MAX };
    match search.split(read, write) {
        Ok(None) => Ok(()),
        Ok(Some(side)) => {
            let (inside, outside) = voters.into_iter().partition(|id| side.contains(id));
            Err(Unsound::Disjoint { read: shrunk(read, inside), write: shrunk(write, outside) })
        }
        Err(Undecided) => Err(Unsound::Undecided { voters: voters.len() }),
    }
}

/// The quorum without whatever it can do without.
fn shrunk(system: &QuorumSystem, mut quorum: Vec<ReplicaId>) -> Vec<ReplicaId> {
    for at in (0..quorum.len()).rev() {
        let id = quorum.remove(at);
        if !is_quorum(system, &quorum) {
            quorum.insert(at, id);
        }
    }
    quorum
}

fn is_quorum(system: &QuorumSystem, sorted: &[ReplicaId]) -> bool {
    system.is_quorum(&|id| sorted.binary_search(&id).is_ok())
}

/// The search ended without an answer.
struct Undecided;

/// The side of the readers, everybody else being on that of the writers; `None` if no split has a
/// quorum on both.
type Split = Result<Option<BTreeSet<ReplicaId>>, Undecided>;

/// Something that a system counts: a voter or a group.
struct Item<'a> {
    gain: u64,
    counts: Counts<'a>,
}

#[derive(Clone, Copy)]
enum Counts<'a> {
    Voter(ReplicaId),
    Group(&'a QuorumSystem),
}

/// What a part of the voters can add to each side, and who of it reads then.
struct Choice {
    read: u64,
    write: u64,
    side: Vec<ReplicaId>,
}

struct Search {
    exact: usize,
    steps: usize,
}

impl Search {
    fn spend(&mut self, steps: usize) -> Result<(), Undecided> {
        self.steps = self.steps.checked_sub(steps).ok_or(Undecided)?;
        Ok(())
    }

    fn split(&mut self, read: &QuorumSystem, write: &QuorumSystem) -> Split {
        let voters = Membership::of(read.clone(), write.clone()).voters();
        self.spend(voters.len() + 1)?;
        if voters.len() <= self.exact {
            self.spend((1 << voters.len()) / 64)?;
            return Ok(among_all(read, write, &voters));
        }
        if let Some(split) = listed(read, write, &voters) {
            return Ok(split);
        }
        match self.counted(read, write) {
            Err(Undecided) => self.joint(read, write),
            decided => decided,
        }
    }

    /// A quorum of all parts is one of each part: meeting the quorums of one part is enough.
    fn joint(&mut self, read: &QuorumSystem, write: &QuorumSystem) -> Split {
        if let QuorumSystem::All(parts) = read
            && parts.iter().any(|part| matches!(self.split(part, write), Ok(None)))
        {
            return Ok(None);
        }
        if let QuorumSystem::All(parts) = write
            && parts.iter().any(|part| matches!(self.split(read, part), Ok(None)))
        {
            return Ok(None);
        }
        Err(Undecided)
    }

    /// Both systems count: how much can the sides get together?
    fn counted(&mut self, read: &QuorumSystem, write: &QuorumSystem) -> Split {
        let ((reads, need_read), (writes, need_write)) = (items(read), items(write));
        let mut parts = Vec::new();
        for (r, w) in matched(&reads, &writes)? {
            parts.push(self.choices(r.map(|at| &reads[at]), w.map(|at| &writes[at]))?);
        }
        let most = |of: fn(&Choice) -> u128| -> u128 {
            parts.iter().map(|choices| choices.iter().map(of).max().unwrap_or(0)).sum()
        };
        let (read, write) = (u128::from(need_read), u128::from(need_write));
        let too_much = most(|c| c.read.into()) < read
            || most(|c| c.write.into()) < write
            || most(|c| u128::from(c.read) + u128::from(c.write)) < read + write;
        if too_much {
            return Ok(None);
        }
        if need_read.saturating_add(1).saturating_mul(parts.len() as u64) > CELLS_MAX {
            return Err(Undecided);
        }
        self.spend(parts.len() * (need_read as usize + 1))?;
        Ok(knapsack(&parts, need_read as usize, need_write))
    }

    /// What the voters of an item of the one system and an item of the other can do.
    fn choices(&mut self, r: Option<&Item>, w: Option<&Item>) -> Result<Vec<Choice>, Undecided> {
        let gain = |item: Option<&Item>| item.filter(|i| i.is_possible()).map_or(0, |i| i.gain);
        let all = [r, w].into_iter().flatten().flat_map(Item::voters).collect();
        let apart = |all: Vec<ReplicaId>| {
            vec![
                Choice { read: gain(r), write: 0, side: all },
                Choice { read: 0, write: gain(w), side: Vec::new() },
            ]
        };
        let (Some(read), Some(write)) = (r, w) else { return Ok(apart(all)) };
        if let (Counts::Voter(_), Counts::Voter(_)) = (read.counts, write.counts) {
            return Ok(apart(all));
        }
        Ok(match self.split(&read.system(), &write.system())? {
            Some(side) => {
                let side = side.into_iter().collect();
                vec![Choice { read: read.gain, write: write.gain, side }]
            }
            None => apart(all),
        })
    }
}

impl Item<'_> {
    fn voters(&self) -> Vec<ReplicaId> {
        self.system().voters()
    }

    fn system(&self) -> QuorumSystem {
        match self.counts {
            Counts::Voter(id) => QuorumSystem::Threshold { voters: vec![id], need: 1 },
            Counts::Group(system) => system.clone(),
        }
    }

    /// Whether anything is a quorum of it.
    fn is_possible(&self) -> bool {
        match self.counts {
            Counts::Voter(_) => true,
            Counts::Group(system) => system.is_quorum(&|_| true),
        }
    }
}

fn groups(parts: &[QuorumSystem]) -> Vec<Item<'_>> {
    parts.iter().map(|part| Item { gain: 1, counts: Counts::Group(part) }).collect()
}

/// What a system counts, and how much of it is enough.
fn items(system: &QuorumSystem) -> (Vec<Item<'_>>, u64) {
    let voter = |id: &ReplicaId, gain| Item { gain, counts: Counts::Voter(*id) };
    match system {
        QuorumSystem::Threshold { voters, need } => {
            (voters.iter().map(|id| voter(id, 1)).collect(), *need as u64)
        }
        QuorumSystem::Weighted { voters, need } => {
            (voters.iter().map(|(id, weight)| voter(id, *weight)).collect(), *need)
        }
        QuorumSystem::All(parts) => (groups(parts), parts.len() as u64),
        QuorumSystem::Groups { parts, need } => (groups(parts), *need as u64),
        QuorumSystem::Explicit(_) => (vec![Item { gain: 1, counts: Counts::Group(system) }], 1),
    }
}

/// Which item of the one system shares voters with which of the other. Undecided if items of one
/// system share voters with each other or with several of the other.
type Pairs = Vec<(Option<usize>, Option<usize>)>;

fn matched(reads: &[Item], writes: &[Item]) -> Result<Pairs, Undecided> {
    let mut owner: BTreeMap<ReplicaId, usize> = BTreeMap::new();
    for (at, item) in reads.iter().enumerate() {
        for id in item.voters() {
            if owner.insert(id, at).is_some() {
                return Err(Undecided);
            }
        }
    }
    let mut partner: Vec<Option<usize>> = vec![None; reads.len()];
    let mut seen = BTreeSet::new();
    let mut alone = Vec::new();
    for (at, item) in writes.iter().enumerate() {
        let voters = item.voters();
        if !voters.iter().all(|id| seen.insert(*id)) {
            return Err(Undecided);
        }
        let shares: BTreeSet<usize> =
            voters.iter().filter_map(|id| owner.get(id).copied()).collect();
        match (shares.len(), shares.first()) {
            (0, _) => alone.push((None, Some(at))),
            (1, Some(read)) if partner[*read].is_none() => partner[*read] = Some(at),
            _ => return Err(Undecided),
        }
    }
    let paired = partner.into_iter().enumerate().map(|(read, write)| (Some(read), write));
    Ok(paired.chain(alone).collect())
}

/// A listed set is a quorum by itself, so the rest may as well be on the other side.
fn listed(
    read: &QuorumSystem,
    write: &QuorumSystem,
    voters: &[ReplicaId],
) -> Option<Option<BTreeSet<ReplicaId>>> {
    let others = |set: &Vec<ReplicaId>| -> Vec<ReplicaId> {
        voters.iter().copied().filter(|id| !set.contains(id)).collect()
    };
    if let QuorumSystem::Explicit(sets) = read {
        let found = sets.iter().find(|set| is_quorum(write, &others(set)));
        return Some(found.map(|set| set.iter().copied().collect()));
    }
    let QuorumSystem::Explicit(sets) = write else { return None };
    let found = sets.iter().map(others).find(|others| is_quorum(read, others));
    Some(found.map(|others| others.into_iter().collect()))
}

/// One choice of each part so that the readers get `need_read` and the writers `need_write`: for
/// each amount that the readers can have got, up to what they need, the most that the writers can.
fn knapsack(
    parts: &[Vec<Choice>],
    need_read: usize,
    need_write: u64,
) -> Option<BTreeSet<ReplicaId>> {
    let mut best: Vec<Option<u64>> = vec![None; need_read + 1];
    best[0] = Some(0);
    // How each cell came about: from which cell, by which choice.
    let mut traces = Vec::new();
    for choices in parts {
        let mut next = vec![None; need_read + 1];
        let mut trace = vec![(0, 0); need_read + 1];
        for (from, so_far) in best.iter().enumerate() {
            let Some(so_far) = so_far else { continue };
            for (at, choice) in choices.iter().enumerate() {
                let gain = usize::try_from(choice.read).unwrap_or(usize::MAX);
                let to = from.saturating_add(gain).min(need_read);
                let write = Some(so_far.saturating_add(choice.write));
                if next[to] < write {
                    next[to] = write;
                    trace[to] = (from, at);
                }
            }
        }
        best = next;
        traces.push(trace);
    }
    best[need_read].filter(|write| *write >= need_write)?;
    let mut side = BTreeSet::new();
    let mut cell = need_read;
    for (choices, trace) in parts.iter().zip(&traces).rev() {
        let (from, at) = trace[cell];
        side.extend(choices[at].side.iter().copied());
        cell = from;
    }
    Some(side)
}

/// Looks at every set of voters, 64 at a time: position `p` of word `b` is the set of number
/// `64 b + p`, whose bit `i` says whether the voter `i` is in it.
fn among_all(
    read: &QuorumSystem,
    write: &QuorumSystem,
    voters: &[ReplicaId],
) -> Option<BTreeSet<ReplicaId>> {
    const LOW: [u64; 6] = [
        0xaaaa_aaaa_aaaa_aaaa,
        0xcccc_cccc_cccc_cccc,
        0xf0f0_f0f0_f0f0_f0f0,
        0xff00_ff00_ff00_ff00,
        0xffff_0000_ffff_0000,
        0xffff_ffff_0000_0000,
    ];
    let bit = |id: ReplicaId| voters.binary_search(&id).map_or(0, |at| 1 << at);
    let (read, write) = (Compiled::new(read, &bit), Compiled::new(write, &bit));
    let sets = 1_u64 << voters.len();
    for block in 0..sets.div_ceil(64) {
        let high = |at: usize| if block >> (at - 6) & 1 == 1 { !0 } else { 0 };
        let word = |at: usize| LOW.get(at).copied().unwrap_or_else(|| high(at));
        let inside: Vec<u64> = (0..voters.len()).map(word).collect();
        let outside: Vec<u64> = inside.iter().map(|word| !word).collect();
        let mut both = read.held(&inside) & write.held(&outside);
        if sets < 64 {
            both &= (1 << sets) - 1;
        }
        if both != 0 {
            let set = 64 * block + u64::from(both.trailing_zeros());
            let side = voters.iter().zip(0..).filter(|(_, at)| set >> at & 1 == 1);
            return Some(side.map(|(id, _)| *id).collect());
        }
    }
    None
}
