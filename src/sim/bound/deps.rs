//! Which command must be settled and executed before which, in the model.

use crate::base::Footprint;

/// What a command has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It will never be undone.
    Settled(usize),
    /// It can be executed, or the read be served.
    Ready(usize),
}

/// The commands on their way, each with what it waits for. Operations are known by their numbers.
#[derive(Debug)]
pub(super) struct Deps {
    nodes: Vec<Node>,
    /// Commands that are placed and not executed, in order. The footprint decides on interference.
    open: Vec<(usize, Footprint)>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    depends: Vec<usize>,
    /// Blind writes that this one writes over.
    victims: Vec<usize>,
    /// Who depends on it.
    dependents: Vec<usize>,
    placed: bool,
    /// A majority holds it; of a read: it is confirmed.
    held: bool,
    settled: bool,
    ready: bool,
    done: bool,
    is_read: bool,
}

impl Deps {
    pub(super) fn new(ops: usize) -> Deps {
        Deps { nodes: vec![Node::default(); ops], open: Vec::new() }
    }

    pub(super) fn is_settled(&self, op: usize) -> bool {
        self.nodes[op].settled
    }

    /// A command takes its place after all that were placed before it.
    pub(super) fn place(&mut self, op: usize, footprint: &Footprint) {
        self.open.retain(|(other, _)| !self.nodes[*other].done);
        let mut victims: Vec<usize> = Vec::new();
        let mut depends: Vec<usize> = Vec::new();
        let mut kept: Vec<&Footprint> = Vec::new();
        // What lies between a victim and this command and interferes with the victim interferes
        // with this command too, since this one writes all that the victim writes.
        for (other, theirs) in self.open.iter().rev() {
            if !theirs.interferes(footprint) {
                continue;
            }
            let covered = footprint.is_blind()
                && theirs.is_blind()
                && footprint.writes.covers(&theirs.writes)
                && !kept.iter().any(|between| between.interferes(theirs));
            if covered {
                victims.push(*other);
            } else {
                depends.push(*other);
                kept.push(theirs);
            }
        }
        for victim in &victims {
            let inherited = self.nodes[*victim].depends.iter();
            depends.extend(inherited.filter(|other| !victims.contains(other)));
        }
        self.node(op, depends, victims);
        self.open.push((op, footprint.clone()));
    }

    /// A read waits for the interfering commands on their way.
    pub(super) fn read(&mut self, op: usize, footprint: &Footprint) {
        self.open.retain(|(other, _)| !self.nodes[*other].done);
        let waits =
            self.open.iter().filter(|(_, theirs)| theirs.writes.intersects(&footprint.reads));
        let depends = waits.map(|(other, _)| *other).collect();
        self.node(op, depends, Vec::new());
        self.nodes[op].is_read = true;
    }

    fn node(&mut self, op: usize, mut depends: Vec<usize>, victims: Vec<usize>) {
        depends.retain(|other| !self.nodes[*other].done);
        for other in &depends {
            self.nodes[*other].dependents.push(op);
        }
        let node = &mut self.nodes[op];
        node.depends = depends;
        node.victims = victims;
        node.placed = true;
    }

    /// A majority holds the command, or the read is confirmed.
    pub(super) fn held(&mut self, op: usize) -> Vec<Step> {
        self.nodes[op].held = true;
        let mut steps = Vec::new();
        self.look_at(op, &mut steps);
        steps
    }

    /// The command has been executed.
    pub(super) fn executed(&mut self, op: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        self.done(op, &mut steps);
        steps
    }

    /// Takes every step that `op` can take now, and those that follow for others.
    fn look_at(&mut self, op: usize, steps: &mut Vec<Step>) {
        let node = &self.nodes[op];
        let settles = |other: &usize| self.nodes[*other].settled || node.is_read;
        if node.held && !node.settled && node.depends.iter().all(settles) {
            self.settle(op, steps);
        }
        let node = &self.nodes[op];
        let done = |other: &usize| self.nodes[*other].done;
        if node.settled && !node.ready && !node.done && node.depends.iter().all(done) {
            self.nodes[op].ready = true;
            steps.push(Step::Ready(op));
        }
    }

    fn settle(&mut self, op: usize, steps: &mut Vec<Step>) {
        if std::mem::replace(&mut self.nodes[op].settled, true) {
            return;
        }
        steps.push(Step::Settled(op));
        for victim in self.nodes[op].victims.clone() {
            self.settle(victim, steps);
        }
        for dependent in self.nodes[op].dependents.clone() {
            self.look_at(dependent, steps);
        }
    }

    /// `op` is executed, or what writes over it is.
    fn done(&mut self, op: usize, steps: &mut Vec<Step>) {
        if std::mem::replace(&mut self.nodes[op].done, true) {
            return;
        }
        for victim in std::mem::take(&mut self.nodes[op].victims) {
            self.done(victim, steps);
        }
        for dependent in std::mem::take(&mut self.nodes[op].dependents) {
            self.look_at(dependent, steps);
        }
    }
}
