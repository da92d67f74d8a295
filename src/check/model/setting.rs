//! What a search is about.

use crate::base::{Command, Footprint, Key, KeySet, Membership, ReplicaId};

/// A cluster of three, clients' commands, and what may go wrong how often. Any message may be lost,
/// late, doubled and out of order, in all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What is in it.
    pub about: &'static str,
    /// The membership that the cluster starts with.
    pub initial: Membership,
    /// Whether n1 has been elected and everybody has heard of it when it begins.
    pub led: bool,
    /// How many campaigns there are after that, and so leader ids at most.
    pub campaigns: u8,
    /// The commands, each asked of some leader once at most, in any order: keys read, keys written.
    pub commands: &'static [(&'static str, &'static str)],
    /// How often a replica may lose its memory.
    pub crashes: u8,
    /// A membership that a leader may be told to change to, once.
    pub change: Option<Membership>,
    /// How often a replica may take a snapshot and purge what it has done.
    pub snapshots: u8,
    /// Writes become durable at any later moment, not in the step that asks for them.
    pub slow_disks: bool,
    /// A leader tells at once what has settled; else with the next record, or never.
    pub talkative: bool,
}

/// A blind write of x; one that writes x again and so overrides it; one of y.
const COMMANDS: &[(&str, &str)] = &[("", "x"), ("", "x"), ("", "y")];
/// An update of x and y, which depends on both, instead of the one that overrides.
const UPDATE: &[(&str, &str)] = &[("", "x"), ("", "y"), ("xy", "xy")];

fn three() -> Membership {
    Membership::majority([1, 2, 3].map(ReplicaId))
}

impl Setting {
    /// All settings, the smallest first.
    pub fn all() -> Vec<Setting> {
        let plain = Setting {
            name: "one-leader",
            about: "one leader id, two commands that interfere; to the end",
            initial: three(),
            led: false,
            campaigns: 1,
            commands: &COMMANDS[..2],
            crashes: 0,
            change: None,
            snapshots: 0,
            slow_disks: false,
            talkative: false,
        };
        vec![
            plain.clone(),
            Setting {
                name: "two-leaders",
                about: "two leader ids, no command; to the end",
                campaigns: 2,
                commands: &[],
                ..plain.clone()
            },
            Setting {
                name: "one-write",
                about: "two leader ids, one command",
                campaigns: 2,
                commands: &COMMANDS[..1],
                ..plain.clone()
            },
            Setting {
                name: "writes",
                about: "three leader ids, three blind writes, two of the same key",
                led: true,
                campaigns: 2,
                commands: COMMANDS,
                talkative: true,
                ..plain.clone()
            },
            Setting {
                name: "updates",
                about: "three leader ids, two writes and one that reads what both wrote",
                led: true,
                campaigns: 2,
                commands: UPDATE,
                talkative: true,
                ..plain.clone()
            },
            Setting {
                name: "crash",
                about: "two leader ids, three commands, slow disks, one crash",
                led: true,
                commands: COMMANDS,
                crashes: 1,
                slow_disks: true,
                ..plain.clone()
            },
            Setting {
                name: "membership",
                about: "three leader ids, two commands, a change from {1 2} to {2 3}",
                initial: Membership::majority([1, 2].map(ReplicaId)),
                led: true,
                campaigns: 2,
                commands: &COMMANDS[..2],
                change: Some(Membership::majority([2, 3].map(ReplicaId))),
                talkative: true,
                ..plain.clone()
            },
            Setting {
                name: "snapshot",
                about: "two leader ids, three commands, a snapshot that is purged behind and sent",
                led: true,
                commands: COMMANDS,
                snapshots: 1,
                talkative: true,
                ..plain
            },
        ]
    }

    /// How many replicas there are.
    pub const REPLICAS: usize = 3;

    /// Whether quorums are majorities of all replicas throughout, so that they can be counted.
    pub(super) fn counts(&self) -> bool {
        self.change.is_none() && self.initial == three()
    }

    /// A command of the list.
    pub(super) fn command(&self, nth: usize) -> Command {
        let set =
            |keys: &str| KeySet::from_parts(keys.chars().map(|key| Key::from(key.to_string())), []);
        let (reads, writes) = self.commands[nth];
        Command {
            footprint: Footprint { reads: set(reads), writes: set(writes) },
            body: Key::new(),
        }
    }
}
