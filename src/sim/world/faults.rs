//! What happens to the cluster from outside.

use super::super::disk::Disk;
use super::super::sides::Input;
use super::super::workers::Workers;
use super::super::{Act, ChangeStep};
use super::transfer::Transfers;
use super::{Event, Replica, World};

impl<R: Replica> World<'_, R> {
    pub(super) fn act(&mut self) {
        let (_, act) = self.spec.script[self.acts];
        self.acts += 1;
        match act {
            Act::Crash(replica) => self.crash(replica),
            Act::Restart(replica) => self.restart(replica),
            Act::Cut(from, to) => self.links.cut(from, to, true),
            Act::Heal(from, to) => self.links.cut(from, to, false),
            Act::Isolate(replica) => self.isolate(replica, true),
            Act::Rejoin(replica) => self.isolate(replica, false),
            Act::Campaign(replica) => self.give(replica, Input::Campaign),
            Act::Change(to) => self.ask_for(to),
        }
        if let Some((at, _)) = self.spec.script.get(self.acts) {
            self.queue.put(self.origin + *at, Event::Act);
        }
    }

    /// An operator asks everybody, and whoever leads takes it on.
    fn ask_for(&mut self, to: usize) {
        self.asked = to;
        (0..self.nodes.len()).for_each(|replica| self.give(replica, Input::Change { to }));
    }

    /// A change has come so far. Once it is complete the operator stops whoever left.
    pub(super) fn changed(&mut self, step: ChangeStep) {
        self.outcome.changes.push((self.now.since(self.origin), step));
        if step == ChangeStep::Complete {
            let left = |r: &usize| !self.spec.memberships[self.asked].contains(r);
            let left: Vec<usize> = self.spec.memberships[0].iter().copied().filter(left).collect();
            left.into_iter().for_each(|replica| self.crash(replica));
        }
    }

    pub(super) fn isolate(&mut self, replica: usize, cut: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != replica) {
            self.links.cut(replica, other, cut);
            self.links.cut(other, replica, cut);
        }
    }

    pub(super) fn crash(&mut self, replica: usize) {
        let workers = Workers::new(R::workers(self.spec));
        let node = &mut self.nodes[replica];
        if let Some(alive) = node.replica.take() {
            node.left = Some(alive.crash());
            node.life += 1;
            node.machine = self.spec.machine.map(|new| new());
            node.disk = Disk::default();
            node.workers = workers;
            node.readers = R::readers(self.spec).map(Workers::new);
            node.busy_until = self.now;
            node.inbox.clear();
            node.transfers = Transfers::default();
            self.dirty.remove(&replica);
            self.links.crash(replica, self.now);
        }
    }

    pub(super) fn restart(&mut self, replica: usize) {
        let node = &mut self.nodes[replica];
        if let Some(disk) = node.left.take() {
            node.replica = Some(R::start(self.spec, replica, disk, &mut self.audit));
            self.dirty.insert(replica);
            self.retry(replica);
        }
    }
}
