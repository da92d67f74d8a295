//! The `openraft` crate 0.9, tuned: on a runtime of this thread, without a clock that could start
//! an election; messages passed by value; as many entries in a message as there are; a log that
//! gives out slices of what it holds; a responder that counts instead of a channel for each
//! command; the commands of a step handed in one after the other, and then the runtime runs until
//! the leader answers.

use crate::Item;
use crate::kv::{BODIES, Kv};
use crate::peer::Peer;
use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::responder::Responder;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, ClientWriteResult, InstallSnapshotRequest,
    InstallSnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    Config, EntryPayload, LogId, LogState, OptionalSend, Raft, RaftLogReader, RaftSnapshotBuilder,
    Snapshot, SnapshotMeta, SnapshotPolicy, StorageError, StoredMembership, Vote,
};
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::poll_fn;
use std::io::Cursor;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Poll, Waker};
use tokio::runtime::{Builder, Runtime};

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Bytes,
        R = usize,
        NodeId = u64,
        Node = (),
        Responder = Counter,
);

type Entry = openraft::Entry<Types>;
type Stored<T> = Result<T, StorageError<u64>>;
type Called<T, E = openraft::error::Infallible> = Result<T, RPCError<u64, (), RaftError<u64, E>>>;

thread_local! {
    /// How many commands were answered on this thread, and who waits for the next one.
    static ANSWERED: Cell<u64> = const { Cell::new(0) };
    static WAITS: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Commands are answered in the order of their numbers, so that it is enough to count.
pub(crate) struct Counter;

impl Responder<Types> for Counter {
    type Receiver = ();

    fn from_app_data(body: Bytes) -> (Bytes, Counter, ()) {
        (body, Counter, ())
    }

    fn send(self, result: ClientWriteResult<Types>) {
        result.expect("leads");
        ANSWERED.set(ANSWERED.get() + 1);
        if let Some(waker) = WAITS.take() {
            waker.wake();
        }
    }
}

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    /// The index of the first one.
    first: u64,
    vote: Option<Vote<u64>>,
}

#[derive(Clone, Default)]
struct Store(Arc<Mutex<Log>>);

impl Store {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().expect("nobody panics")
    }
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry>> {
        let log = self.log();
        let at = |index: u64| (index.saturating_sub(log.first) as usize).min(log.entries.len());
        let from = match range.start_bound() {
            Bound::Included(index) => at(*index),
            Bound::Excluded(index) => at(index + 1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => at(index + 1),
            Bound::Excluded(index) => at(*index),
            Bound::Unbounded => log.entries.len(),
        };
        Ok(log.entries[from..to].to_vec())
    }
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Store;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        let last_log_id = self.log().entries.last().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: None, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Store {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Stored<()> {
        self.log().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<u64>>> {
        Ok(self.log().vote)
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.log().entries.extend(entries);
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, id: LogId<u64>) -> Stored<()> {
        let mut log = self.log();
        let kept = id.index - log.first;
        log.entries.truncate(kept as usize);
        Ok(())
    }

    async fn purge(&mut self, _: LogId<u64>) -> Stored<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Machine {
    kv: Kv,
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, ()>,
    executed: Arc<AtomicU64>,
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Unused;

    async fn applied_state(&mut self) -> Stored<(Option<LogId<u64>>, StoredMembership<u64, ()>)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<usize>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut executed = 0;
        let mut apply = |entry: Entry| {
            self.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => 0,
                EntryPayload::Normal(body) => {
                    executed += 1;
                    self.kv.apply(&body)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    0
                }
            }
        };
        let results = entries.into_iter().map(&mut apply).collect();
        self.executed.fetch_add(executed, Ordering::Relaxed);
        Ok(results)
    }

    async fn get_snapshot_builder(&mut self) -> Unused {
        Unused
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        unreachable!("no snapshots")
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta<u64, ()>,
        _: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        unreachable!("no snapshots")
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        Ok(None)
    }
}

/// Takes no snapshots.
struct Unused;

impl RaftSnapshotBuilder<Types> for Unused {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        unreachable!("no snapshots")
    }
}

type Nodes = Arc<[OnceLock<Raft<Types>>; 3]>;

/// The way to all replicas, and to one of them.
#[derive(Clone)]
struct Net(Nodes, u64);

impl Net {
    fn node(&self) -> &Raft<Types> {
        self.0[self.1 as usize - 1].get().expect("all have started")
    }
}

impl RaftNetworkFactory<Types> for Net {
    type Network = Net;

    async fn new_client(&mut self, target: u64, (): &()) -> Net {
        Net(self.0.clone(), target)
    }
}

impl RaftNetwork<Types> for Net {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Called<AppendEntriesResponse<u64>> {
        let answer = self.node().append_entries(rpc).await;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.1, error)))
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Called<InstallSnapshotResponse<u64>, InstallSnapshotError> {
        unreachable!("no snapshots")
    }

    async fn vote(&mut self, rpc: VoteRequest<u64>, _: RPCOption) -> Called<VoteResponse<u64>> {
        let answer = self.node().vote(rpc).await;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.1, error)))
    }
}

pub(crate) struct Cluster {
    runtime: Runtime,
    nodes: Nodes,
    logs: Vec<Store>,
    executed: Vec<Arc<AtomicU64>>,
    /// Handed in, and not given to the leader so far.
    bodies: Vec<Bytes>,
    proposed: u64,
    answered: u64,
}

impl Peer for Cluster {
    const NAME: &'static str = "openraft";

    fn new() -> Cluster {
        let config = Config {
            enable_tick: false,
            heartbeat_interval: 10_000,
            election_timeout_min: 20_000,
            election_timeout_max: 30_000,
            max_payload_entries: 4_096,
            snapshot_policy: SnapshotPolicy::Never,
            ..Config::default()
        };
        let config = Arc::new(config.validate().expect("valid"));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let nodes: Nodes = Arc::default();
        let (mut logs, mut executed) = (Vec::new(), Vec::new());
        runtime.block_on(async {
            for id in 1..=3 {
                let (log, machine) = (Store::default(), Machine::default());
                logs.push(log.clone());
                executed.push(machine.executed.clone());
                let net = Net(nodes.clone(), id);
                let raft = Raft::new(id, config.clone(), net, log, machine).await.expect("starts");
                assert!(nodes[id as usize - 1].set(raft).is_ok());
            }
            let first = nodes[0].get().expect("set");
            let members = std::collections::BTreeMap::from([(1, ()), (2, ()), (3, ())]);
            first.initialize(members).await.expect("empty");
            first.wait(None).state(openraft::ServerState::Leader, "elected").await.expect("leads");
        });
        Cluster { runtime, nodes, logs, executed, bodies: Vec::new(), proposed: 0, answered: 0 }
    }

    fn propose(&mut self, _: u64, item: Item) {
        self.bodies.push(BODIES.of(item));
    }

    fn step(&mut self, answered: &mut Vec<u64>) {
        let Cluster { runtime, nodes, bodies, proposed, .. } = self;
        let leader = nodes[0].get().expect("set");
        runtime.block_on(async {
            for body in bodies.drain(..) {
                leader.client_write_ff(body).await.expect("runs");
                *proposed += 1;
            }
            poll_fn(|context| {
                if ANSWERED.get() > 0 {
                    return Poll::Ready(());
                }
                WAITS.set(Some(context.waker().clone()));
                Poll::Pending
            })
            .await;
        });
        let before = self.answered;
        self.answered += ANSWERED.take();
        answered.extend(before + 1..=self.answered);
    }

    fn settle(&mut self) {
        let proposed = self.proposed;
        let all = |executed: &Vec<Arc<AtomicU64>>| {
            executed.iter().all(|number| number.load(Ordering::Relaxed) == proposed)
        };
        self.runtime.block_on(async {
            while !all(&self.executed) {
                tokio::task::yield_now().await;
            }
        });
        for log in &self.logs {
            let mut log = log.log();
            // The newest one stays, for it tells what comes next.
            let gone = log.entries.len() - 1;
            log.entries.drain(..gone);
            log.first += gone as u64;
        }
    }
}
