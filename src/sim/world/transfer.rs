//! States on their way: in pieces, beside everything else.

use super::super::Time;
use super::{Arrived, Event, Replica, World};
use std::collections::VecDeque;

/// How much of a state goes at a time: what comes after a piece waits as long as it takes to send.
const PIECE_BYTES: u64 = 16 << 10;

/// A piece goes when there is nothing else to send, but at least every fourth part of the time: in
/// one that is never idle a state would never arrive.
const SHARE: u64 = 4;

/// What one replica sends of states.
#[derive(Debug)]
pub(super) struct Transfers<M> {
    /// Those that are not sent yet, taking turns.
    open: VecDeque<Transfer<M>>,
    /// All of it is on its way, or has arrived so lately that the sender cannot know.
    sent: Vec<(usize, Option<M>, Time)>,
    /// When the next piece goes at the latest.
    deadline: Time,
}

#[derive(Debug)]
struct Transfer<M> {
    to: usize,
    message: M,
    left: u64,
}

impl<M> Default for Transfers<M> {
    fn default() -> Transfers<M> {
        Transfers { open: VecDeque::new(), sent: Vec::new(), deadline: Time::ZERO }
    }
}

impl<R: Replica> World<'_, R> {
    /// Begins to send a state, unless one is on its way to the same replica.
    pub(super) fn send_state(
        &mut self,
        (from, to): (usize, usize),
        message: R::Message,
        bytes: u64,
    ) {
        let life = self.nodes[from].life;
        let Transfers { open, sent, deadline } = &mut self.nodes[from].transfers;
        sent.retain(|(_, message, until)| message.is_some() || *until > self.now);
        if open.iter().any(|t| t.to == to) || sent.iter().any(|(other, ..)| *other == to) {
            return;
        }
        open.push_back(Transfer { to, message, left: bytes.max(1) });
        if open.len() == 1 {
            *deadline = self.now;
            self.queue.put(self.now, Event::Piece { replica: from as u32, life });
        }
        self.outcome.messages += u64::from(self.now >= self.origin);
    }

    /// Sends a piece, if it is time for one.
    pub(super) fn piece(&mut self, from: usize, life: u32) {
        let again = Event::Piece { replica: from as u32, life };
        let free = self.links.egress_free(from);
        let node = &mut self.nodes[from];
        if node.life != life {
            return;
        }
        let Transfers { open, sent, deadline } = &mut node.transfers;
        if free > self.now && *deadline > self.now {
            return self.queue.put(free.min(*deadline), again);
        }
        let Some(mut transfer) = open.pop_front() else { return };
        let size = transfer.left.min(PIECE_BYTES);
        let to = transfer.to;
        let arrives = self.links.piece(self.now, from, to, size);
        let takes = size * 8_000_000_000 / self.spec.network.egress_bits_per_s;
        *deadline = self.now + Time(takes * SHARE);
        match arrives {
            Some(at) if transfer.left == size => {
                // Until its receiver has said so, and as long again.
                let known = at + self.spec.network.one_way[to][from].scaled(4.0);
                sent.push((to, Some(transfer.message), known));
                self.queue.put(at, Event::State { from: from as u32, to: to as u32, life });
            }
            Some(_) => {
                transfer.left -= size;
                open.push_back(transfer);
            }
            None => {
                *deadline = self.now + self.spec.network.rto;
                open.push_back(transfer);
            }
        }
        if !open.is_empty() {
            let next = match arrives {
                Some(_) => self.links.egress_free(from).min(*deadline),
                None => *deadline,
            };
            self.queue.put(next, again);
        }
    }

    /// All of a state has arrived.
    pub(super) fn state(&mut self, from: usize, to: usize, life: u32) {
        let node = &mut self.nodes[from];
        if node.life != life {
            return;
        }
        let mut sent = node.transfers.sent.iter_mut();
        let message = sent.find(|(other, ..)| *other == to).and_then(|(_, m, _)| m.take());
        if let Some(message) = message {
            self.receive(Arrived { to, message });
        }
    }
}
