//! Memory that is named by small numbers.

/// So many bytes are kept although nothing is in them.
const KEPT: usize = 1 << 16;

/// Values by handle. What is taken out leaves its slot to the next one that is put in, and a
/// default value there until then.
#[derive(Clone, Debug)]
pub(super) struct Arena<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Arena<T> {
    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many slots there are, one above the greatest handle.
    pub(super) fn width(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn get(&self, handle: u32) -> &T {
        &self.slots[handle as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, handle: u32) -> &mut T {
        &mut self.slots[handle as usize]
    }

    pub(super) fn put(&mut self, value: T) -> u32 {
        if let Some(handle) = self.free.pop() {
            self.slots[handle as usize] = value;
            return handle;
        }
        let handle = u32::try_from(self.slots.len()).expect("2^32 entries do not fit into memory");
        self.slots.push(value);
        handle
    }

    pub(super) fn take(&mut self, handle: u32) -> T {
        self.free.push(handle);
        std::mem::take(&mut self.slots[handle as usize])
    }

    /// The handles of nothing, and of what `keep` does not want, which may change what it is asked
    /// about. Goes from one end of the memory to the other.
    pub(super) fn unwanted(&mut self, mut keep: impl FnMut(&mut T) -> bool) -> Handles {
        let mut unused = Handles::none(self.width());
        self.free.iter().for_each(|handle| unused.insert(*handle));
        let mut unwanted = unused.clone();
        for (value, handle) in self.slots.iter_mut().zip(0..) {
            if !unused.contains(handle) && !keep(value) {
                unwanted.insert(handle);
            }
        }
        unwanted
    }

    /// Takes out what `unwanted` has found. The lowest slot is then used first, so that what comes
    /// next lies side by side.
    pub(super) fn remove(&mut self, unwanted: &Handles) {
        self.free.clear();
        for handle in (0..self.slots.len() as u32).rev().filter(|handle| unwanted.contains(*handle))
        {
            self.take(handle);
        }
    }

    /// All slots, with a default value in those that are not in use.
    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut()
    }

    /// Takes all out. The memory is kept, unless it is wide and little of it was in use.
    pub(super) fn clear(&mut self) {
        self.free.clear();
        if self.slots.capacity() > KEPT / size_of::<T>().max(1) + 4 * self.slots.len() {
            *self = Arena::default();
        } else {
            self.slots.clear();
        }
    }
}

/// A set of handles.
#[derive(Clone, Debug)]
pub(super) struct Handles(Vec<u64>);

impl Handles {
    fn none(width: usize) -> Handles {
        Handles(vec![0; width.div_ceil(64)])
    }

    #[inline]
    pub(super) fn contains(&self, handle: u32) -> bool {
        self.0[handle as usize / 64] >> (handle % 64) & 1 == 1
    }

    fn insert(&mut self, handle: u32) {
        self.0[handle as usize / 64] |= 1 << (handle % 64);
    }
}
