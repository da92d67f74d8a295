//! What operators ask of a replica.

use super::super::engine::Refusal;
use super::super::order::{Denied, Order, Word, altered};
use super::super::survey::Survey;
use super::Host;
use crate::apply::Stateful;
use crate::base::{Lsn, Membership, ReplicaId};
use crate::disk::Disk;
use crate::replica::Input;

impl<D: Disk + Clone, M: Stateful> Host<D, M> {
    /// What it is and what it knows of the others.
    pub(in super::super) fn survey(&self) -> Survey {
        Survey::of(&self.replica, self.full, (self.taken, self.installed))
    }

    pub(super) fn order(&mut self, number: u64, order: Order) {
        match order {
            Order::Change { request, membership, force } => {
                self.change(number, request, membership, force);
            }
            Order::Add { request, id } => self.alter(number, request, id, true),
            Order::Remove { request, id } => self.alter(number, request, id, false),
            Order::Cancel { request } => {
                self.orders.change(number);
                self.replica.handle(Input::CancelChange { proposal: number, request });
            }
            Order::Transfer { to } if self.replica.leading().is_some() => {
                self.orders.transfer(number);
                self.replica.handle(Input::Transfer { to });
                if to == Some(self.replica.id()) {
                    self.orders.transferred(Ok(()));
                }
            }
            Order::Transfer { .. } => {
                let hint = self.replica.leader();
                self.orders.say(number, Word::Refused(Refusal::NotHere { hint }));
            }
            Order::Snapshot => {
                self.orders.snapshot(number);
                self.wanted = true;
            }
            Order::Send { to } => self.offer(number, to),
        }
    }

    fn offer(&mut self, number: u64, to: ReplicaId) {
        let is_other = to != self.replica.id();
        let word = match self.home.offer(to, Lsn(1)).filter(|_| is_other) {
            Some(offer) => {
                self.parcels.push(offer);
                Ok(())
            }
            None if is_other => Err(Denied("there is no snapshot here; have one taken".into())),
            None => Err(Denied(format!("{to} is the one that is asked"))),
        };
        self.orders.say(number, Word::Said(word));
    }

    fn change(&mut self, number: u64, request: u64, membership: Membership, force: bool) {
        self.orders.change(number);
        let proposal = number;
        self.replica.handle(Input::Change { proposal, request, membership, force });
    }

    /// From the newest membership, and what is to follow it.
    fn alter(&mut self, number: u64, request: u64, id: ReplicaId, adds: bool) {
        if self.replica.leading().is_none() {
            let hint = self.replica.leader();
            return self.orders.say(number, Word::Refused(Refusal::NotHere { hint }));
        }
        let memberships = self.replica.memberships();
        let Some(newest) = memberships.last() else { return };
        // Asked again: whatever was made of it the first time.
        let again = newest.request() == Some(request);
        let now = newest.goal().unwrap_or(newest);
        match altered(now, id, adds) {
            Ok(membership) => self.change(number, request, membership, false),
            Err(_) if again => self.change(number, request, now.clone(), false),
            Err(denied) => self.orders.say(number, Word::Said(Err(denied))),
        }
    }
}
