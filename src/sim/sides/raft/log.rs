//! A lean log for the crate: what `raft::Storage` asks for, and nothing copied but what is given.

use crate::sim::{Preload, Spec};
use raft::eraftpb::{ConfState, Entry, HardState, Message, MessageType, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::collections::VecDeque;

/// The log of one replica. A preloaded history is not copied; all of it was written in term 1.
///
/// The crate reads what it wrote before that is durable, so the log knows how much is: a crash
/// goes back to that.
#[derive(Clone)]
pub(crate) struct Log {
    /// Indices `1 ..= preloaded` are the history, or a snapshot of it.
    preloaded: u64,
    /// The term of the last of them.
    preloaded_term: u64,
    /// The first index that there is an entry for.
    first: u64,
    history: Option<Preload>,
    /// Indices from `preloaded + 1` on.
    tail: Vec<Entry>,
    pub(super) hard_state: HardState,
    /// The configuration as of what is applied.
    pub(super) voters: ConfState,
    /// How much of the log is applied: what a snapshot has.
    pub(super) applied: u64,
    /// Bytes of the bodies applied since the history: a state has them as well.
    pub(super) applied_bytes: u64,
    /// What a crash leaves: how much of the tail, and which hard state.
    durable: (usize, HardState),
    /// Writes under way: their number, and what is durable once they are.
    under_way: VecDeque<(u64, usize, HardState)>,
}

impl Log {
    /// The log of replica `id` before its first life.
    pub(super) fn new(spec: &Spec, id: usize) -> Log {
        let mut voters = ConfState::default();
        // Whoever is asked in later learns from the leader who counts.
        let initial = spec.voters();
        if initial.contains(&id) {
            voters.set_voters(initial.iter().map(|r| *r as u64 + 1).collect());
        }
        let mut hard_state = HardState::default();
        let mut log = Log {
            preloaded: 0,
            preloaded_term: 1,
            first: 1,
            history: None,
            tail: Vec::new(),
            hard_state: hard_state.clone(),
            voters,
            applied: 0,
            applied_bytes: 0,
            durable: (0, HardState::default()),
            under_way: VecDeque::new(),
        };
        if let Some(preload) = &spec.preload {
            log.preloaded = preload.held(id);
            log.history = Some(preload.clone());
            if preload.is_new(id) {
                return log;
            }
            log.applied = log.preloaded;
            if preload.is_snapshot(id) {
                log.first = log.preloaded + 1;
            }
            hard_state.term = 1;
            hard_state.commit = log.preloaded;
            log.hard_state = hard_state.clone();
            log.durable = (0, hard_state);
        }
        log
    }

    /// How much is applied before the first life, or by a snapshot.
    pub(super) fn preloaded(&self) -> u64 {
        self.preloaded
    }

    /// A snapshot takes the place of everything, if there is one.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        let index = snapshot.get_metadata().index;
        if snapshot.get_metadata().term == 0 || index <= self.preloaded {
            return;
        }
        (self.preloaded, self.first) = (index, index + 1);
        self.voters = snapshot.get_metadata().get_conf_state().clone();
        self.applied = index;
        self.preloaded_term = snapshot.get_metadata().term;
        self.tail.clear();
        self.durable.0 = 0;
        self.hard_state.commit = self.hard_state.commit.max(index);
    }

    /// How many bytes the state that goes with a message takes: the bodies of all commands that it
    /// has done. `None`: no state goes with it.
    pub(super) fn beside(&self, message: &Message) -> Option<u64> {
        let history = self.history.as_ref().map_or(0, Preload::state_bytes);
        let bytes = history + self.applied_bytes;
        (message.get_msg_type() == MessageType::MsgSnapshot).then_some(bytes)
    }

    /// Writes entries, replacing those from the first of them on.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let at = first.index.saturating_sub(self.preloaded + 1) as usize;
        self.tail.truncate(at);
        self.durable.0 = self.durable.0.min(at);
        for (_, kept, _) in &mut self.under_way {
            *kept = (*kept).min(at);
        }
        self.tail.extend_from_slice(entries);
    }

    /// All that was written so far becomes durable by the write of this number.
    pub(super) fn write(&mut self, number: u64) {
        self.under_way.push_back((number, self.tail.len(), self.hard_state.clone()));
    }

    /// The writes up to this number are durable.
    pub(super) fn persisted(&mut self, number: u64) {
        while let Some((_, kept, hard_state)) = self.under_way.pop_front_if(|w| w.0 <= number) {
            self.durable = (kept, hard_state);
        }
    }

    /// Back to what is durable.
    pub(super) fn crash(mut self) -> Log {
        self.under_way.clear();
        self.tail.truncate(self.durable.0);
        self.hard_state = self.durable.1.clone();
        self.hard_state.commit = self.hard_state.commit.min(self.last());
        self
    }

    fn last(&self) -> u64 {
        self.preloaded + self.tail.len() as u64
    }

    fn entry(&self, index: u64) -> Option<Entry> {
        if index > self.preloaded {
            return self.tail.get((index - self.preloaded - 1) as usize).cloned();
        }
        let record = self.history.as_ref()?.records().get(index as usize - 1)?.as_ref()?;
        let data = record.command()?.body.clone();
        Some(Entry { term: 1, index, data, ..Entry::default() })
    }
}

impl Storage for Log {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.voters.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let mut entries = Vec::new();
        let mut size = 0;
        if low < self.first {
            return Err(Error::Store(StorageError::Compacted));
        }
        for index in low..high {
            let entry = self.entry(index).ok_or(Error::Store(StorageError::Unavailable))?;
            size += u64::from(protobuf::Message::compute_size(&entry));
            if size > max_size && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        match index {
            0 => Ok(0),
            _ if index + 1 < self.first => Err(Error::Store(StorageError::Compacted)),
            _ if index == self.preloaded => Ok(self.preloaded_term),
            _ if index < self.preloaded => Ok(1),
            _ => {
                let entry = self.tail.get((index - self.preloaded - 1) as usize);
                entry.map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
            }
        }
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.first)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> Result<Snapshot> {
        if self.first == 1 {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let about = snapshot.mut_metadata();
        (about.index, about.term) = (self.applied, self.term(self.applied)?);
        about.set_conf_state(self.voters.clone());
        Ok(snapshot)
    }
}
