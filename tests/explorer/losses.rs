//! Disks that lose what they had.

use crate::world::{Node, World, mix};
use traft::base::Lsn;

impl World {
    /// The disk loses something, unless another has and is not repaired: with two of them, the rest
    /// may be too few to elect anybody.
    pub(crate) fn lose(&mut self, at: usize) {
        let whole = |node: &Node| node.disk.durable.doubt.is_none();
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != at);
        if !self.plan.losses || !others.map(|(_, node)| node).all(whole) || self.draw(3) == 0 {
            return;
        }
        let kept = self.draw(4);
        let (mut random, loses) = (self.draw(u64::MAX), self.draw(16));
        let keep = |_: &Lsn| {
            random = mix(random.wrapping_add(1));
            random % 4 < kept
        };
        self.nodes[at].disk.lose(keep, loses);
        let durable = self.nodes[at].disk.durable();
        self.checks.lost(at, &durable);
    }
}
