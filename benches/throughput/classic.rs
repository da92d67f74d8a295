//! The `raft` crate 0.7, tuned: no limit on message size or on messages in flight, entries batched,
//! a storage that clones nothing but what is sent, no message for a mere commit.

use crate::Item;
use crate::kv::{BODIES, Kv};
use crate::peer::Peer;
use raft::eraftpb::{ConfState, Entry, HardState, Message, Snapshot};
use raft::{Config, Error, GetEntriesContext, RaftState, RawNode, Storage, StorageError};
use slog::{Logger, o};

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    first: u64,
    hard_state: HardState,
}

impl Log {
    fn at(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.first)? as usize)
    }

    fn append(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first() else { return };
        self.entries.truncate((first.index - self.first) as usize);
        self.entries.extend(entries);
    }
}

struct Store(std::cell::RefCell<Log>);

impl Storage for Store {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let mut voters = ConfState::default();
        voters.set_voters(vec![1, 2, 3]);
        Ok(RaftState::new(self.0.borrow().hard_state.clone(), voters))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        _max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let log = self.0.borrow();
        let (low, high) = ((low - log.first) as usize, (high - log.first) as usize);
        Ok(log.entries[low..high].to_vec())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let log = self.0.borrow();
        match index {
            0 => Ok(0),
            _ => log.at(index).map(|e| e.term).ok_or(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.0.borrow().first)
    }

    fn last_index(&self) -> raft::Result<u64> {
        let log = self.0.borrow();
        Ok(log.first + log.entries.len() as u64 - 1)
    }

    fn snapshot(&self, _: u64, _: u64) -> raft::Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

struct Node {
    raft: RawNode<Store>,
    machine: Kv,
    inbox: Vec<Message>,
}

pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// How many commands were executed: they are in the order of their numbers.
    answered: u64,
}

impl Peer for Cluster {
    const NAME: &'static str = "raft";

    fn new() -> Cluster {
        let nodes = (1..=3)
            .map(|id| {
                let config = Config {
                    id,
                    max_size_per_msg: u64::MAX,
                    max_inflight_msgs: 4096,
                    batch_append: true,
                    skip_bcast_commit: true,
                    max_committed_size_per_ready: u64::MAX,
                    ..Config::default()
                };
                let store = Store(Log { first: 1, ..Log::default() }.into());
                let logger = Logger::root(slog::Discard, o!());
                let raft = RawNode::new(&config, store, &logger).expect("valid");
                Node { raft, machine: Kv::default(), inbox: Vec::new() }
            })
            .collect();
        let mut cluster = Cluster { nodes, answered: 0 };
        cluster.nodes[0].raft.campaign().expect("may campaign");
        while cluster.round() {}
        cluster
    }

    fn propose(&mut self, _: u64, item: Item) {
        let entry = Entry { data: BODIES.of(item), ..Entry::default() };
        let mut propose = Message { from: 1, ..Message::default() };
        propose.set_msg_type(raft::eraftpb::MessageType::MsgPropose);
        propose.mut_entries().push(entry);
        self.nodes[0].raft.step(propose).expect("leads");
    }

    fn step(&mut self, answered: &mut Vec<u64>) {
        let before = self.answered;
        self.round();
        answered.extend(before + 1..=self.answered);
    }

    fn settle(&mut self) {
        while self.round() {}
        self.forget();
    }
}

impl Cluster {
    /// The logs need not grow without end; traft's do not either.
    fn forget(&mut self) {
        for node in &mut self.nodes {
            let applied = node.raft.raft.raft_log.applied;
            let log = &mut *node.raft.mut_store().0.borrow_mut();
            let gone = applied.saturating_sub(1).saturating_sub(log.first);
            log.entries.drain(..gone as usize);
            log.first += gone;
        }
    }

    fn round(&mut self) -> bool {
        let mut busy = false;
        for at in 0..3 {
            let inbox = std::mem::take(&mut self.nodes[at].inbox);
            for message in inbox {
                busy = true;
                self.nodes[at].raft.step(message).expect("steps");
            }
            busy |= self.ready(at);
        }
        busy
    }

    fn ready(&mut self, at: usize) -> bool {
        let mut busy = false;
        while self.nodes[at].raft.has_ready() {
            busy = true;
            let node = &mut self.nodes[at];
            let mut ready = node.raft.ready();
            let messages = ready.take_messages();
            self.send(messages);
            let committed = ready.take_committed_entries();
            self.apply(at, committed);
            let node = &mut self.nodes[at];
            {
                let mut log = node.raft.mut_store().0.borrow_mut();
                log.append(ready.take_entries());
                if let Some(hard_state) = ready.hs() {
                    log.hard_state = hard_state.clone();
                }
            }
            let persisted = ready.take_persisted_messages();
            let mut light = node.raft.advance(ready);
            let messages = light.take_messages();
            let committed = light.take_committed_entries();
            self.send(persisted);
            self.send(messages);
            self.apply(at, committed);
            self.nodes[at].raft.advance_apply();
        }
        busy
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.nodes[message.to as usize - 1].inbox.push(message);
        }
    }

    fn apply(&mut self, at: usize, entries: Vec<Entry>) {
        for entry in entries.into_iter().filter(|entry| !entry.data.is_empty()) {
            std::hint::black_box(self.nodes[at].machine.apply(&entry.data));
            self.answered += u64::from(at == 0);
        }
    }
}
