//! What is on a simulated disk: what is visible, what is durable, and what lies between.

use crate::disk::SECTOR;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A change of a disk. A run is a list of them: replayed in part, it gives the disk at any moment.
/// Files are known by a number, so that names can change under them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is named after the call that makes it")]
pub enum Op {
    Create { name: String, file: u64 },
    Write { file: u64, offset: u64, bytes: Arc<[u8]> },
    Len { file: u64, len: u64 },
    Sync { file: u64 },
    FailedSync { file: u64 },
    Rename { from: String, to: String, file: u64 },
    Remove { name: String },
    SyncDir,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// Writes and changes of length since the last sync, in order.
    pending: Vec<Op>,
}

/// A simulated disk at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<Op>,
    next: u64,
}

impl State {
    /// The number that the next file gets.
    pub(super) fn next_file(&self) -> u64 {
        self.next
    }

    /// The number of the file of this name.
    pub(super) fn file(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// The names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// What a reader sees in the file.
    pub fn contents(&self, name: &str) -> Option<&[u8]> {
        let inode = self.inodes.get(self.names.get(name)?)?;
        Some(&inode.visible)
    }

    /// The bytes of all files.
    pub fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|file| self.inodes.get(file))
            .map(|i| i.visible.len())
            .sum::<usize>() as u64
    }

    /// Carries a change out.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { name, file } => {
                self.next = self.next.max(file + 1);
                self.inodes.insert(*file, Inode::default());
                self.names.insert(name.clone(), *file);
                self.pending_names.push(op.clone());
            }
            Op::Rename { .. } | Op::Remove { .. } => {
                rename(&mut self.names, op);
                self.pending_names.push(op.clone());
            }
            Op::SyncDir => {
                self.durable_names = self.names.clone();
                self.pending_names.clear();
                let named: Vec<u64> = self.names.values().copied().collect();
                self.inodes.retain(|file, _| named.contains(file));
            }
            Op::Write { file, .. } | Op::Len { file, .. } => {
                if let Some(inode) = self.inodes.get_mut(file) {
                    change(&mut inode.visible, op, |_| true);
                    inode.pending.push(op.clone());
                }
            }
            Op::Sync { file } => {
                if let Some(inode) = self.inodes.get_mut(file) {
                    for op in std::mem::take(&mut inode.pending) {
                        change(&mut inode.durable, &op, |_| true);
                    }
                }
            }
            // The system forgets that it still had to write, and goes on showing what it did not.
            Op::FailedSync { file } => {
                if let Some(inode) = self.inodes.get_mut(file) {
                    inode.pending.clear();
                }
            }
        }
    }

    /// How many things a crash may keep or lose: sectors, lengths and names not synced.
    pub fn unsynced(&self) -> usize {
        let inner = self.inodes.values().flat_map(|inode| &inode.pending).map(parts);
        inner.sum::<usize>() + self.pending_names.len()
    }

    /// The disk after a crash that kept, of the things not synced, those of which `keep` says so by
    /// their number, in the order of files and of time within a file; names come last.
    #[must_use]
    pub fn crash(&self, mut keep: impl FnMut(usize) -> bool) -> State {
        let mut after = State { next: self.next, ..State::default() };
        let mut at = 0;
        for (file, inode) in &self.inodes {
            let mut durable = inode.durable.clone();
            for op in &inode.pending {
                let first = at;
                at += parts(op);
                change(&mut durable, op, |part| keep(first + part));
            }
            let visible = durable.clone();
            after.inodes.insert(*file, Inode { visible, durable, pending: Vec::new() });
        }
        let mut names = self.durable_names.clone();
        for op in &self.pending_names {
            if keep(at) {
                rename(&mut names, op);
            }
            at += 1;
        }
        let named: Vec<u64> = names.values().copied().collect();
        after.inodes.retain(|file, _| named.contains(file));
        after.names.clone_from(&names);
        after.durable_names = names;
        after
    }

    /// Changes what is on the disk behind everybody's back: this is how it goes bad at rest.
    /// `f` gets the contents of the file; what it leaves is durable.
    pub fn spoil(&mut self, name: &str, f: impl FnOnce(&mut [u8])) {
        let inode = self.names.get(name).and_then(|file| self.inodes.get_mut(file));
        if let Some(inode) = inode {
            f(&mut inode.visible);
            inode.durable.clone_from(&inode.visible);
            inode.pending.clear();
        }
    }

    /// Takes a file away behind everybody's back.
    pub fn remove(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
    }

    /// A number that tells disks with different visible contents apart, all but certainly.
    pub fn digest(&self) -> u64 {
        let mut hasher = rustc_hash::FxHasher::default();
        for (name, file) in &self.names {
            name.hash(&mut hasher);
            self.inodes.get(file).map(|inode| &inode.visible).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Of how many parts that a crash may tear apart an operation consists.
fn parts(op: &Op) -> usize {
    match op {
        Op::Write { offset, bytes, .. } => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            // The growth, which is a matter of its own, and each sector.
            1 + to.div_ceil(SECTOR) - from / SECTOR
        }
        _ => 1,
    }
}

/// Carries out of a write or a change of length the parts that `keep` wants.
fn change(contents: &mut Vec<u8>, op: &Op, mut keep: impl FnMut(usize) -> bool) {
    match op {
        Op::Len { len, .. } if keep(0) => contents.resize(*len as usize, 0),
        Op::Write { offset, bytes, .. } => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            if keep(0) && to > contents.len() {
                contents.resize(to, 0);
            }
            for (nth, sector) in (from / SECTOR..to.div_ceil(SECTOR)).enumerate() {
                let start = from.max(sector * SECTOR);
                let end = to.min((sector + 1) * SECTOR).min(contents.len());
                if keep(1 + nth) && start < end {
                    contents[start..end].copy_from_slice(&bytes[start - from..end - from]);
                }
            }
        }
        _ => {}
    }
}

fn rename(names: &mut BTreeMap<String, u64>, op: &Op) {
    match op {
        Op::Create { name, file } => {
            names.insert(name.clone(), *file);
        }
        Op::Rename { from, to, file } => {
            if names.get(from) == Some(file) {
                names.remove(from);
            }
            names.insert(to.clone(), *file);
        }
        Op::Remove { name } => {
            names.remove(name);
        }
        _ => {}
    }
}
