//! The threads beside the one that owns a replica: one for each [`Lane`], for as long as that one
//! lives.

use super::engine::{Engine, Lane, NodeError};
use super::sync::{Bug, JoinHandle, Sender, bounded, has, thread};
use super::thread::Letter;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One lane's thread.
struct Worker<J> {
    jobs: Sender<J>,
    thread: JoinHandle<()>,
}

/// All lanes of a node. A lane that was never needed has no thread.
pub(super) struct Lanes<E: Engine> {
    name: String,
    inbox: Sender<Letter<E>>,
    workers: BTreeMap<Lane, Worker<E::Job>>,
}

impl<E: Engine> Lanes<E> {
    pub(super) fn new(name: String, inbox: Sender<Letter<E>>) -> Lanes<E> {
        Lanes { name, inbox, workers: BTreeMap::new() }
    }

    /// Has a job done; what comes of it comes to the inbox. Never waits: an engine gives a lane one
    /// job at a time.
    pub(super) fn give(&mut self, job: E::Job) -> Result<(), NodeError> {
        let lane = E::lane(&job);
        let Lanes { name, inbox, workers } = self;
        let new = || start(format!("{name}-{lane}"), inbox.clone());
        let worker = workers.entry(lane).or_insert_with(new);
        worker.jobs.try_send(job).map_err(|_| NodeError::Panicked)
    }

    /// Lets each end what it is doing, and waits for that. What comes of it is lost, so the inbox
    /// must be gone: else a lane could wait for room in it.
    pub(super) fn close(self) {
        let workers = self.workers.into_values();
        let threads: Vec<JoinHandle<()>> = workers.map(|worker| worker.thread).collect();
        for thread in threads {
            // One that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn start<E: Engine>(name: String, inbox: Sender<Letter<E>>) -> Worker<E::Job> {
    let (jobs, receiver) = bounded(1);
    let thread = move || {
        for job in receiver {
            // What it was working on is lost with it, and nothing else was touched.
            let letter = match catch_unwind(AssertUnwindSafe(|| E::run(job))) {
                Ok(done) => Letter::Done(done),
                Err(_) if has(Bug::SilentPanic) => break,
                Err(_) => Letter::Panicked,
            };
            let has_panicked = matches!(letter, Letter::Panicked);
            if inbox.send(letter).is_err() || has_panicked {
                break;
            }
        }
    };
    // A system that has no thread to give has none for anything.
    let thread = thread::Builder::new().name(name).spawn(thread);
    Worker { jobs, thread: thread.expect("the system gives a thread") }
}
