//! Operations: from their clients to execution, and back.

use super::super::sides::Input;
use super::super::{Kind, Routing, Time};
use super::{Event, Job, Replica, World};

impl<R: Replica> World<'_, R> {
    /// A client at `replica` has its answer, and takes it home.
    pub(super) fn answer(&mut self, replica: usize, op: usize) {
        let site = self.spec.load.op(op).site;
        if site == replica {
            self.done(op);
        } else {
            let home = self.now + self.spec.network.one_way[replica][site];
            self.queue.put(home, Event::Back { op: op as u32 });
        }
    }

    /// A client was sent away by `replica`.
    pub(super) fn refused(&mut self, replica: usize, op: usize, hint: Option<usize>) {
        let site = self.spec.load.op(op).site;
        match hint.filter(|hint| *hint != replica && self.spec.routing != Routing::Wait) {
            Some(hint) => {
                let there = self.now + self.spec.network.one_way[replica][hint];
                self.queue.put(there, Event::HandIn { op: op as u32, replica: hint as u32 });
            }
            None => self.clients.park(site, op),
        }
    }

    /// An operation is done; in a closed loop the next one is issued.
    pub(super) fn done(&mut self, op: usize) {
        let site = self.spec.load.op(op).site;
        self.clients.finish(op, site, self.now - self.origin);
        if self.clients.next_at(&self.spec.load).is_none() {
            self.issue();
        }
    }

    /// The load starts, or an operation of an open load is due.
    pub(super) fn begin_load(&mut self) {
        if self.now == self.origin {
            self.links.bytes = 0;
        }
        self.issue();
        if let Some(at) = self.clients.next_at(&self.spec.load) {
            self.queue.put(self.origin + at, Event::Issue);
        }
    }

    pub(super) fn issue(&mut self) {
        while let Some(op) = self.clients.issue(&self.spec.load, self.now - self.origin) {
            self.hand_in(op, self.spec.load.op(op).site);
        }
    }

    pub(super) fn hand_in(&mut self, op: usize, replica: usize) {
        let issued = self.spec.load.op(op);
        if self.nodes[replica].replica.is_none() {
            self.clients.park(issued.site, op);
            return;
        }
        match issued.kind {
            Kind::Write => self.give(replica, Input::Propose { op }),
            Kind::Read => self.give(replica, Input::Read { op }),
        }
    }

    /// Clients of a site hand in again what was refused.
    pub(super) fn retry(&mut self, site: usize) {
        for op in self.clients.parked(site) {
            self.hand_in(op, site);
        }
    }

    /// A replica has something to execute that costs this at a machine that is not slow.
    pub(super) fn take_on(&mut self, replica: usize, cost: Time, job: Job) {
        let cost = self.spec.paced(replica, cost);
        self.nodes[replica].pool(&job).give(cost, job);
        self.execute(replica);
    }

    /// Lets the workers and the readers of a replica begin what they can.
    pub(super) fn execute(&mut self, replica: usize) {
        while let Some((cost, job)) = self.nodes[replica].begin() {
            if cost > Time::ZERO {
                let life = self.nodes[replica].life;
                let (replica, job) = (replica as u32, Box::new(job));
                self.queue.put(self.now + cost, Event::Executed { replica, life, job });
            } else {
                self.executed(replica, job);
            }
        }
    }

    pub(super) fn executed(&mut self, replica: usize, job: Job) {
        if let Some(machine) = &mut self.nodes[replica].machine {
            let result = match job.number {
                Some(_) => machine.apply(&job.body),
                None => machine.read(&job.body),
            };
            if let Some(op) = job.op {
                self.clients.note(op, result);
            }
        }
        if let Some(op) = job.op {
            self.answer(replica, op);
        }
        if let Some(number) = job.number {
            self.outcome.records_applied += u64::from(self.now >= self.origin);
            self.give(replica, Input::Applied(number));
        }
    }
}
