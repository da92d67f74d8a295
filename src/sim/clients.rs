//! Clients: they issue operations, hand in again what was refused, and note when they are done.

use super::{Load, OpResult, Spec, Time};
use bytes::Bytes;

/// All clients of a run.
#[derive(Debug)]
pub(super) struct Clients {
    /// One per operation that was looked at so far; `None`: not issued.
    results: Vec<Option<OpResult>>,
    issued: usize,
    /// With a loop at each site: what is left to issue there, the next one last, and how many are
    /// out.
    sites: Vec<(Vec<usize>, usize)>,
    /// What each was answered, as far as it was executed for its client.
    pub(super) answers: Vec<Option<Bytes>>,
    unfinished: usize,
    /// Per site: operations that were refused, or came while the replica was down.
    parked: Vec<Vec<usize>>,
}

impl Clients {
    pub(super) fn new(spec: &Spec) -> Clients {
        let mut sites = Vec::new();
        if let Load::Sites { ops, .. } = &spec.load {
            sites.resize(spec.replicas, (Vec::new(), 0));
            ops.iter().enumerate().rev().for_each(|(op, of)| sites[of.site].0.push(op));
        }
        Clients {
            results: Vec::with_capacity(spec.load.len()),
            issued: 0,
            sites,
            answers: if spec.machine.is_some() { vec![None; spec.load.len()] } else { Vec::new() },
            unfinished: 0,
            parked: vec![Vec::new(); spec.replicas],
        }
    }

    /// When the next operation of an open load is due.
    pub(super) fn next_at(&self, load: &Load) -> Option<Time> {
        match load {
            Load::Open { ops } => ops.get(self.issued).map(|(at, _)| *at),
            Load::Closed { .. } | Load::Sites { .. } => None,
        }
    }

    /// The next operation to issue at `now`, if one is due.
    pub(super) fn issue(&mut self, load: &Load, now: Time) -> Option<usize> {
        let next = self.issued;
        let index = match load {
            Load::Open { ops } => ops.get(next).filter(|(at, _)| *at <= now).map(|_| next),
            Load::Closed { depth, ops } => {
                (next < ops.len() && self.unfinished < *depth).then_some(next)
            }
            Load::Sites { depth, .. } => self.next_of_a_site(*depth),
        }?;
        let op = load.op(index);
        let result = OpResult { issued: now, finished: None, class: op.class, kind: op.kind };
        if self.results.len() <= index {
            self.results.resize(index + 1, None);
        }
        self.results[index] = Some(result);
        self.issued += 1;
        self.unfinished += 1;
        Some(index)
    }

    /// The next operation of the first site that has fewer than `depth` out.
    fn next_of_a_site(&mut self, depth: usize) -> Option<usize> {
        let free = |(left, out): &&mut (Vec<usize>, usize)| !left.is_empty() && *out < depth;
        let (left, out) = self.sites.iter_mut().find(free)?;
        *out += 1;
        left.pop()
    }

    /// `op`, of a client at `site`, is done, if it was not before.
    pub(super) fn finish(&mut self, op: usize, site: usize, now: Time) {
        let Some(result) = &mut self.results[op] else { return };
        if result.finished.is_none() {
            result.finished = Some(now);
            self.unfinished -= 1;
            if let Some((_, out)) = self.sites.get_mut(site) {
                *out -= 1;
            }
        }
    }

    /// What came of the operations that were issued, in the order of the load, and what they were
    /// answered.
    pub(super) fn into_outcome(self) -> (Vec<OpResult>, Vec<Option<Bytes>>) {
        (self.results.into_iter().flatten().collect(), self.answers)
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
        self.unfinished == 0 && self.issued == load.len()
    }
}
