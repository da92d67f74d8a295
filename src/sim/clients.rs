//! Clients: they issue operations, hand in again what was refused, and note when they are done.

use super::{Load, OpResult, Spec, Time};
use bytes::Bytes;

/// All clients of a run.
#[derive(Debug)]
pub(super) struct Clients {
    /// One per operation issued so far.
    pub(super) results: Vec<OpResult>,
    /// What each was answered, as far as it was executed for its client.
    pub(super) answers: Vec<Option<Bytes>>,
    unfinished: usize,
    /// Per site: operations that were refused, or came while the replica was down.
    parked: Vec<Vec<usize>>,
}

impl Clients {
    pub(super) fn new(spec: &Spec) -> Clients {
        Clients {
            results: Vec::with_capacity(spec.load.len()),
            answers: if spec.machine.is_some() { vec![None; spec.load.len()] } else { Vec::new() },
            unfinished: 0,
            parked: vec![Vec::new(); spec.replicas],
        }
    }

    /// When the next operation of an open load is due.
    pub(super) fn next_at(&self, load: &Load) -> Option<Time> {
        match load {
            Load::Open { ops } => ops.get(self.results.len()).map(|(at, _)| *at),
            Load::Closed { .. } => None,
        }
    }

    /// The next operation to issue at `now`, if one is due.
    pub(super) fn issue(&mut self, load: &Load, now: Time) -> Option<usize> {
        let index = self.results.len();
        let due = match load {
            Load::Open { ops } => ops.get(index).is_some_and(|(at, _)| *at <= now),
            Load::Closed { depth, ops } => index < ops.len() && self.unfinished < *depth,
        };
        if !due {
            return None;
        }
        let op = load.op(index);
        self.results.push(OpResult { issued: now, finished: None, class: op.class, kind: op.kind });
        self.unfinished += 1;
        Some(index)
    }

    /// `op` is done, if it was not before.
    pub(super) fn finish(&mut self, op: usize, now: Time) {
        let result = &mut self.results[op];
        if result.finished.is_none() {
            result.finished = Some(now);
            self.unfinished -= 1;
        }
    }

    /// `op` has this result.
    pub(super) fn note(&mut self, op: usize, result: Bytes) {
        self.answers[op] = Some(result);
    }

    /// Keeps `op` until its site is worth another try.
    pub(super) fn park(&mut self, site: usize, op: usize) {
        self.parked[site].push(op);
    }

    /// What is worth another try at `site`.
    pub(super) fn parked(&mut self, site: usize) -> Vec<usize> {
        std::mem::take(&mut self.parked[site])
    }

    /// Whether every operation of the load was issued and is finished.
    pub(super) fn are_done(&self, load: &Load) -> bool {
        self.unfinished == 0 && self.results.len() == load.len()
    }
}
