//! A node of the ordered map that has nodes below it.

use super::super::border::Border;
use super::fan::{Fan, WIDTH};

/// Handles of nodes, and what keys are under each: what is below the first fence, from each fence
/// to the next one, and at and above the last. So there is one node more than there are fences.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    pub(super) first: u32,
    fan: Fan,
    /// By their places in `fan`.
    fences: Vec<Border>,
}

impl Inner {
    /// Two nodes, `fence` between them.
    pub(super) fn new(first: u32, fence: Border, second: u32) -> Inner {
        let mut inner = Inner { first, ..Inner::default() };
        inner.insert(0, fence, second);
        inner
    }

    pub(super) fn is_full(&self) -> bool {
        self.fan.is_full()
    }

    /// Where its last node is. Places count from 0.
    pub(super) fn last(&self) -> usize {
        self.fan.len()
    }

    /// Where the node is that `key` is under.
    #[inline]
    pub(super) fn place(&self, key: &Border) -> usize {
        match self.fan.find(key, |fence, _| &self.fences[fence]) {
            Ok(fence) => fence + 1,
            Err(fence) => fence,
        }
    }

    /// The node at a place.
    #[inline]
    pub(super) fn child(&self, place: usize) -> u32 {
        place.checked_sub(1).map_or(self.first, |fence| self.fan.handles()[fence])
    }

    /// Puts a node after the one at `place`, with the keys of that one from `fence` on. There is
    /// room.
    pub(super) fn insert(&mut self, place: usize, fence: Border, child: u32) {
        let Inner { fan, fences, .. } = self;
        fan.insert(place, &fence, child, |fence, _| &fences[fence]);
        fences.insert(place, fence);
    }

    /// The same where there is no room: gives away the upper half, and says where that begins.
    /// What comes after all others goes into a node of its own: so rising keys leave full nodes.
    pub(super) fn split(
        &mut self,
        place: usize,
        fence: Border,
        child: u32,
        rising: bool,
    ) -> (Border, Inner) {
        if rising {
            return (fence, Inner { first: child, ..Inner::default() });
        }
        let middle = WIDTH / 2;
        let (fan, mut fences) = (self.fan.split_off(middle + 1), self.fences.split_off(middle));
        let between = fences.remove(0);
        let mut upper = Inner { first: self.fan.remove(middle), fan, fences };
        if place <= middle {
            self.insert(place, fence, child);
        } else {
            upper.insert(place - middle - 1, fence, child);
        }
        for half in [self, &mut upper] {
            half.fan.refine(|fence, _| &half.fences[fence]);
        }
        (between, upper)
    }

    /// Takes out the node at a place; its keys fall to a neighbour. Says whether there was another.
    pub(super) fn remove(&mut self, place: usize) -> bool {
        if self.fences.is_empty() {
            return false;
        }
        let fence = place.saturating_sub(1);
        let child = self.fan.remove(fence);
        self.fences.remove(fence);
        if place == 0 {
            self.first = child;
        }
        true
    }

    #[cfg(test)]
    pub(super) fn fences(&self) -> &[Border] {
        &self.fences
    }
}
