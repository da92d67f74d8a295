//! What was read lately, up to a size.

use super::parts::{Block, Index};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A part that is kept.
#[derive(Clone, Debug)]
pub(super) enum Page {
    Index(Arc<Index>),
    Block(Arc<Block>),
}

impl Page {
    fn memory(&self) -> usize {
        match self {
            Page::Index(index) => index.memory,
            Page::Block(block) => block.memory(),
        }
    }
}

/// Segment and block; the index comes after all blocks.
pub(super) type PageId = (u32, u32);

/// The number that stands for the index.
pub(super) const INDEX: u32 = u32::MAX;

#[derive(Debug)]
struct Slot {
    id: PageId,
    page: Page,
    used: bool,
}

/// Second chance: a hand goes round and drops what nobody asked for since it last came by. A hit
/// costs one look-up and one bit.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Vec<Slot>,
    places: FxHashMap<PageId, usize>,
    hand: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache { slots: Vec::new(), places: FxHashMap::default(), hand: 0, bytes: 0, bytes_max }
    }

    pub(super) fn get(&mut self, id: PageId) -> Option<&Page> {
        let slot = &mut self.slots[*self.places.get(&id)?];
        slot.used = true;
        Some(&slot.page)
    }

    pub(super) fn put(&mut self, id: PageId, page: Page) {
        if self.places.contains_key(&id) {
            return;
        }
        let size = page.memory();
        while !self.slots.is_empty() && self.bytes + size > self.bytes_max {
            self.drop_one();
        }
        // What is larger than the cache is not kept: it would be dropped next.
        if size <= self.bytes_max {
            self.bytes += size;
            self.places.insert(id, self.slots.len());
            self.slots.push(Slot { id, page, used: false });
        }
    }

    fn drop_one(&mut self) {
        loop {
            self.hand = if self.hand < self.slots.len() { self.hand } else { 0 };
            if !std::mem::replace(&mut self.slots[self.hand].used, false) {
                break;
            }
            self.hand += 1;
        }
        let gone = self.slots.swap_remove(self.hand);
        self.bytes -= gone.page.memory();
        self.places.remove(&gone.id);
        if let Some(moved) = self.slots.get(self.hand) {
            self.places.insert(moved.id, self.hand);
        }
    }
}
