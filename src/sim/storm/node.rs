//! A replica with its disk, its log and snapshots, and its machine: the code that a server runs.

use super::act::{Micros, Tear};
use super::dice::Dice;
use super::mirror::Mirror;
use super::plan::{DRIFT_PERMILLE, Plan, TICK};
use crate::apply::kv::Kv;
use crate::apply::session::Sessions;
use crate::base::{KeyRange, Lsn, ReplicaId, SharedRecord};
use crate::disk::{SimDisk, State};
use crate::message::Envelope;
use crate::replica::{self, Replica};
use crate::sim::invariants::Shadow;
use crate::snapshot::{Parcel, Snapshot, SnapshotError};
use crate::store::{Draft, Home, Opened, Options, StoreError};
use crate::wal::{Identity, Recovered, WalError, WalOptions};
use bytes::Bytes;
use rustc_hash::FxHashMap;

/// Where memory is narrow, so many bytes of what is done stay in it.
pub(super) const LOG_BYTES_MAX: usize = 3_000;

pub(super) type Machine = Sessions<Kv>;

/// What came while a process stood still.
pub(super) enum Post {
    Message(Box<Envelope>),
    Parcel(Box<Parcel>),
}

/// A machine in the cluster: its disk outlives its processes.
pub(super) struct Node {
    pub(super) disk: SimDisk,
    /// Which process it is; what was meant for an earlier one is dropped.
    pub(super) life: u64,
    /// What it was asked so far in this life: each has a number, and numbers begin again with each.
    asked: u64,
    pub(super) alive: Option<Box<Alive>>,
    pub(super) mirror: Mirror,
    /// A tick of its clock.
    pub(super) tick: Micros,
    pub(super) paused_until: Micros,
    pub(super) inbox: Vec<Post>,
    pub(super) missed_ticks: u64,
    /// How long a sync takes, and until when.
    pub(super) slow: (Micros, Micros),
    /// Something on its disk may be gone or wrong, and peers have not given it back for certain.
    pub(super) damaged: bool,
    /// It was damaged once: what seemed harmless may be found later, and again.
    pub(super) suspect: bool,
    pub(super) failed_starts: u64,
}

/// A process.
pub(super) struct Alive {
    pub(super) replica: Replica,
    pub(super) home: Home<SimDisk>,
    pub(super) machine: Machine,
    pub(super) shadow: Shadow,
    /// Of its replica.
    pub(super) incarnation: u64,
    /// Something was written that no sync covers.
    pub(super) unsynced: bool,
    pub(super) syncing: bool,
    pub(super) full: bool,
    /// Out for execution.
    pub(super) applying: Vec<Applying>,
    pub(super) reads: FxHashMap<u64, Bytes>,
    /// It began in doubt.
    pub(super) doubted: bool,
    /// A snapshot that is being written.
    pub(super) draft: Option<(Draft<SimDisk>, Pairs)>,
    pub(super) wanted: bool,
    /// After so many more outputs the process ends.
    pub(super) fuse: Option<(u64, Tear, Micros)>,
}

pub(super) struct Applying {
    pub(super) record: SharedRecord,
    pub(super) proposal: Option<u64>,
    pub(super) after: Option<Lsn>,
}

/// Of a snapshot, in order.
pub(super) type Pairs = Vec<(Vec<u8>, Bytes)>;

/// All pairs of a state: those of the sessions, then the user's.
pub(super) fn pairs(machine: &Machine) -> Pairs {
    let named = |name: u8, key: &[u8]| [&[name], key].concat();
    let mut pairs: Pairs = machine.pairs().map(|(key, value)| (named(b's', &key), value)).collect();
    if let Some(frozen) = machine.inner().clone().freeze() {
        pairs.extend(frozen.pairs().map(|(key, value)| (named(b'u', key), value.clone())));
    }
    pairs
}

/// The machine of a snapshot.
pub(super) fn load(snapshot: &Snapshot<SimDisk>) -> Result<Machine, SnapshotError> {
    let all: Vec<(Vec<u8>, Bytes)> = snapshot
        .range(&KeyRange::ALL)
        .map(|pair| pair.map(|(key, value)| (key.to_vec(), Bytes::copy_from_slice(&value))))
        .collect::<Result<_, _>>()?;
    let of = |name: u8| {
        let mine = move |(key, value): &(Vec<u8>, Bytes)| {
            (key[0] == name).then(|| (Bytes::copy_from_slice(&key[1..]), value.clone()))
        };
        all.iter().filter_map(mine)
    };
    let machine = Sessions::from_pairs(of(b'u').collect(), of(b's'));
    machine.map_err(|_| SnapshotError::NotSnapshot)
}

impl Node {
    pub(super) fn new() -> Node {
        Node {
            disk: SimDisk::new(),
            life: 0,
            alive: None,
            mirror: Mirror::default(),
            tick: TICK,
            paused_until: 0,
            inbox: Vec::new(),
            missed_ticks: 0,
            slow: (0, 0),
            damaged: false,
            suspect: false,
            failed_starts: 0,
            asked: 0,
        }
    }

    /// A process begins on what is on the disk.
    pub(super) fn open(
        &mut self,
        at: usize,
        plan: &Plan,
        dice: &mut Dice,
        now: Micros,
    ) -> Result<Begun, StoreError> {
        let identity = Identity { cluster: 1, replica: ReplicaId(at as u64 + 1) };
        let mut options = Options::new(plan.initial.clone());
        // Incarnations rise with the time of the loss, above the segments of a run that lost none.
        let opened_at = 1_000 + now / 1_000;
        options.wal = WalOptions { segment_bytes: 8 << 10, opened_at };
        let opened = match Home::open(self.disk.clone(), identity, options.clone(), load) {
            // Emptied: whoever runs it says so, and when.
            Err(StoreError::Log(WalError::Empty)) if self.damaged => {
                Home::create_wiped(self.disk.clone(), identity, options.clone(), opened_at)?;
                Home::open(self.disk.clone(), identity, options, load)?
            }
            Err(StoreError::Log(WalError::Empty)) => {
                let home = Home::create(self.disk.clone(), identity, options)?;
                Opened { home, recovered: Recovered::default(), state: None, damaged: Vec::new() }
            }
            opened => opened?,
        };
        let Opened { home, recovered, state, .. } = opened;
        let options = replica_options(at, plan, dice);
        let replica = Replica::new(options, recovered.durable.clone());
        Ok(Begun { replica, home, recovered, machine: state.unwrap_or_default() })
    }

    /// A number for what it is asked.
    pub(super) fn number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// The process ends, and with it what was not synced.
    pub(super) fn stop(&mut self, tear: Tear, dice: &mut Dice) {
        self.alive = None;
        self.life += 1;
        self.asked = 0;
        self.inbox.clear();
        let state = self.disk.state();
        self.disk = SimDisk::of(state.crash(|_| match tear {
            Tear::Nothing => false,
            Tear::Everything => true,
            Tear::Some => dice.chance(500),
        }));
    }

    /// A bit of what is on the disk changes.
    pub(super) fn flip(&mut self, dice: &mut Dice) {
        let mut state: State = self.disk.state();
        let names: Vec<String> = state.names().map(str::to_string).collect();
        if names.is_empty() {
            return;
        }
        let name = &names[dice.below(names.len() as u64) as usize];
        let at = dice.any();
        state.spoil(name, |bytes| {
            if !bytes.is_empty() {
                let bit = at % (bytes.len() as u64 * 8);
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
        });
        self.disk = SimDisk::of(state);
    }
}

/// What a process begins with.
pub(super) struct Begun {
    pub(super) replica: Replica,
    pub(super) home: Home<SimDisk>,
    pub(super) recovered: Recovered,
    pub(super) machine: Machine,
}

impl Alive {
    pub(super) fn new(begun: Begun, shadow: Shadow) -> Alive {
        Alive {
            doubted: begun.replica.doubt().is_some(),
            replica: begun.replica,
            home: begun.home,
            machine: begun.machine,
            shadow,
            incarnation: begun.recovered.durable.incarnation,
            unsynced: false,
            syncing: false,
            full: false,
            applying: Vec::new(),
            reads: FxHashMap::default(),
            draft: None,
            wanted: false,
            fuse: None,
        }
    }
}

fn replica_options(at: usize, plan: &Plan, dice: &mut Dice) -> replica::Options {
    let mut options = replica::Options::new(ReplicaId(at as u64 + 1), plan.initial.clone());
    options.election_ticks = plan.election_ticks();
    (options.heartbeat_ticks, options.resend_ticks) = if plan.dense { (1, 2) } else { (3, 4) };
    options.behind_positions_max = dice.below(30);
    options.forwarding = plan.forwarding;
    options.overriding = plan.overriding;
    let lease = replica::Lease { ticks: plan.election_ticks(), drift_permille: DRIFT_PERMILLE };
    options.lease = plan.lease.then_some(lease);
    let [messages, flight, memory] = plan.narrow;
    if messages {
        (options.vote_bytes_max, options.message_bytes_max) = (300, 600);
        options.command_bytes_max = 600;
    }
    if flight {
        options.in_flight_bytes_max = 1_500;
    }
    if memory {
        options.log_bytes_max = LOG_BYTES_MAX;
    }
    options.seed = dice.any();
    options
}
