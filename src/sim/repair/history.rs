//! A short life of the cluster, and what is owed afterwards.

use super::cluster::{Cluster, REPLICAS};
use crate::apply::Machine as _;
use crate::apply::kv::Op;
use crate::base::{Membership, ReplicaId};
use crate::disk::{SimDisk, State};
use crate::replica::Input;
use crate::wal::Recovered;
use std::collections::BTreeMap;

/// What was done, and the disks as a crash without a fault leaves them.
pub(super) struct History {
    pub(super) seed: u64,
    pub(super) disks: Vec<State>,
    /// What each replica finds on its disk when nothing went bad.
    whole: Vec<Recovered>,
    /// What clients were told is there.
    sets: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many increments were answered, and how many there were.
    increments: (i64, i64),
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

struct Player {
    cluster: Cluster,
    /// Proposals that are not answered yet, with the key and value they set.
    open: BTreeMap<u64, Option<Pair>>,
    sets: BTreeMap<Vec<u8>, Vec<u8>>,
    increments: (i64, i64),
    count: u64,
    seed: u64,
}

impl History {
    /// Commands with snapshots at some replicas, a change of membership, a change of leader, one
    /// replica away for a while, and a few commands that not everybody has heard of at the end.
    pub(super) fn play(seed: u64) -> Result<History, String> {
        let disks: Vec<SimDisk> = (0..REPLICAS).map(|_| SimDisk::new()).collect();
        let cluster = Cluster::open(&disks, seed, true)?;
        let (open, sets) = Default::default();
        let mut player = Player { cluster, open, sets, increments: (0, 0), count: 0, seed };
        player.settle()?;
        player.write(10)?;
        player.settle()?;
        (0..REPLICAS).for_each(|at| player.cluster.snapshot(at));
        player.write(6)?;
        player.change()?;
        player.write(3)?;
        player.settle()?;
        let leader = player.cluster.leader().ok_or("nobody leads")?;
        player.cluster.set_up(leader, false);
        player.settle()?;
        player.write(4)?;
        player.settle()?;
        // It has purged what the one that is away has not done.
        player.cluster.snapshot((leader + 1) % REPLICAS);
        player.cluster.set_up(leader, true);
        player.settle()?;
        let away = (player.cluster.leader().ok_or("nobody leads")? + 1) % REPLICAS;
        player.cluster.set_up(away, false);
        player.write(5)?;
        player.gather();
        let Player { cluster, sets, increments, .. } = player;
        drop(cluster);
        let disks: Vec<State> = disks.iter().map(|disk| disk.state().crash(|_| true)).collect();
        let again: Vec<SimDisk> = disks.iter().map(|disk| SimDisk::of(disk.clone())).collect();
        let cluster = Cluster::open(&again, seed, true)?;
        let whole = (0..REPLICAS).map(|at| cluster.recovered(at).clone()).collect();
        Ok(History { seed, disks, whole, sets, increments })
    }

    /// Whether a replica has found what is there without any fault. Wrong sectors that do not
    /// matter any more may have been noticed.
    pub(super) fn is_all(&self, at: usize, found: &Recovered) -> bool {
        let whole = &self.whole[at];
        (&found.durable, found.purged) == (&whole.durable, whole.purged)
    }

    /// Everything acknowledged is there, and the states are equal.
    pub(super) fn holds(&self, cluster: &Cluster) -> Result<(), String> {
        for at in 0..REPLICAS {
            let machine = cluster.machine(at);
            if machine.digest() != cluster.machine(0).digest() {
                return Err(format!("the states of n1 and n{} differ", at + 1));
            }
            for (key, value) in &self.sets {
                if machine.get(key).is_none_or(|found| found != value) {
                    let key = crate::snapshot::text(key);
                    return Err(format!("n{} has lost the acknowledged {key}", at + 1));
                }
            }
            let counter =
                machine.get(b"counter").and_then(|n| str::from_utf8(n).ok()?.parse().ok());
            let (least, most) = self.increments;
            if !counter.is_some_and(|n: i64| (least..=most).contains(&n)) {
                return Err(format!("n{} counts {counter:?}, not {least} to {most}", at + 1));
            }
        }
        Ok(())
    }
}

impl Player {
    fn settle(&mut self) -> Result<(), String> {
        self.cluster.settle().map_err(|(_, what)| what)?;
        self.gather();
        Ok(())
    }

    /// What was answered is owed.
    fn gather(&mut self) {
        let answered = &self.cluster.answered;
        let (done, open) =
            std::mem::take(&mut self.open).into_iter().partition(|(n, _)| answered.contains(n));
        self.open = open;
        let done: BTreeMap<u64, _> = done;
        for set in done.into_values() {
            match set {
                Some((key, value)) => drop(self.sets.insert(key, value)),
                None => self.increments.0 += 1,
            }
        }
    }

    /// Some commands: values of all lengths, and a counter.
    fn write(&mut self, count: u64) -> Result<(), String> {
        for _ in 0..count {
            self.count += 1;
            let n = self.count.wrapping_add(self.seed);
            let (proposal, set) = if n.is_multiple_of(3) {
                self.increments.1 += 1;
                (self.cluster.propose(&Op::Increment { key: b"counter", by: 1 }), None)
            } else {
                let key = format!("key {:02}", self.count).into_bytes();
                let length = [3, 40, 300, 700, 1_500][(n % 5) as usize];
                let value = vec![n as u8 | 1; length];
                (self.cluster.propose(&Op::Set { key: &key, value: &value }), Some((key, value)))
            };
            self.open.insert(proposal.ok_or("nobody leads")?, set);
        }
        Ok(())
    }

    /// The same replicas, with other quorums.
    fn change(&mut self) -> Result<(), String> {
        let voters = (1..=REPLICAS as u64).map(ReplicaId);
        let membership = Membership::flexible(voters, 2, 2);
        let change = |proposal| Input::Change { proposal, request: 1, membership, force: false };
        self.cluster.ask(change).ok_or("nobody leads")?;
        Ok(())
    }
}
