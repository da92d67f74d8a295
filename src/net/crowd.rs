//! How many may be inside, and who goes when somebody else comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot::{self, Receiver, Sender};

/// A bounded number of connections. Whoever comes is let in, and if there is no room the one that
/// has been inside longest goes: of the same kind if there are too many of that, else of all.
///
/// To refuse the newest instead would let whoever fills the room keep everybody else out for as
/// long as it likes. This way somebody who needs a moment gets it, unless all room is filled anew
/// within that moment.
#[derive(Debug)]
pub(super) struct Crowd<K> {
    each_max: usize,
    all_max: usize,
    inside: Mutex<Inside<K>>,
}

#[derive(Debug)]
struct Inside<K> {
    next: u64,
    /// The oldest first. Whoever is taken out hears of it by the end of the channel.
    seats: VecDeque<(u64, K, Sender<()>)>,
}

/// One that is inside. Dropped, it leaves.
#[derive(Debug)]
pub(super) struct Seat<K: Clone + PartialEq> {
    crowd: Arc<Crowd<K>>,
    number: u64,
}

/// Resolves, with or without an error, when whoever has it is to go.
pub(super) type Gone = Receiver<()>;

impl<K: Clone + PartialEq> Crowd<K> {
    /// At most so many of one kind, and of all, and at least one.
    pub(super) fn new(each_max: usize, all_max: usize) -> Arc<Crowd<K>> {
        let inside = Mutex::new(Inside { next: 0, seats: VecDeque::new() });
        Arc::new(Crowd { each_max: each_max.max(1), all_max: all_max.max(1), inside })
    }

    /// Lets one in. Says how many had to go, too.
    pub(super) fn enter(self: &Arc<Self>, kind: K) -> (Seat<K>, Gone, u64) {
        let (stay, gone) = oneshot::channel();
        let mut inside = self.lock();
        let mut displaced = 0;
        let alike = inside.seats.iter().filter(|(_, other, _)| *other == kind).count();
        if alike >= self.each_max {
            let oldest = inside.seats.iter().position(|(_, other, _)| *other == kind);
            oldest.map(|at| inside.seats.remove(at));
            displaced += 1;
        }
        if inside.seats.len() >= self.all_max {
            inside.seats.pop_front();
            displaced += 1;
        }
        let number = inside.next;
        inside.next += 1;
        inside.seats.push_back((number, kind, stay));
        (Seat { crowd: self.clone(), number }, gone, displaced)
    }

    /// Has all of them go.
    pub(super) fn clear(&self) {
        self.lock().seats.clear();
    }

    /// How many are inside.
    pub(super) fn len(&self) -> usize {
        self.lock().seats.len()
    }

    /// The list is whole at every moment, so whoever panicked holding it left it so.
    fn lock(&self) -> std::sync::MutexGuard<'_, Inside<K>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + PartialEq> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut inside = self.crowd.lock();
        let at = inside.seats.iter().position(|(number, ..)| *number == self.number);
        at.map(|at| inside.seats.remove(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_goes_and_a_kind_does_not_displace_another_before_all_is_full() {
        let crowd = Crowd::new(2, 3);
        let enter = |kind| crowd.enter(kind);
        let (mut a, mut b) = (enter('a'), enter('b'));
        let mut c = enter('a');
        assert_eq!((a.2, b.2, c.2, crowd.len()), (0, 0, 0, 3));
        let d = enter('a');
        assert_eq!((d.2, crowd.len()), (1, 3), "the first of its kind goes");
        assert!(a.1.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed));
        assert!(b.1.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Empty));
        let e = enter('e');
        assert_eq!((e.2, crowd.len()), (1, 3), "the first of all goes");
        assert!(b.1.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed));
        drop((a.0, b.0, d.0));
        assert_eq!(crowd.len(), 2, "who has gone leaves no second time");
        crowd.clear();
        assert!(c.1.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed));
        assert_eq!(crowd.len(), 0);
    }

    proptest! {
        /// Beside a list of numbers and kinds.
        #[test]
        fn it_is_a_list_with_two_bounds(
            (each, all) in (1..4_usize, 1..8_usize),
            acts in proptest::collection::vec((0..3_u8, 0..4_u8), 0..60),
        ) {
            let crowd = Crowd::new(each, all);
            let (mut seats, mut twin) = (Vec::new(), Vec::<(usize, u8)>::new());
            for (act, kind) in acts {
                if act == 0 && !seats.is_empty() {
                    let at = usize::from(kind) % seats.len();
                    let (number, seat, _gone) = seats.remove(at);
                    drop::<Seat<u8>>(seat);
                    twin.retain(|(other, _)| *other != number);
                } else {
                    if twin.iter().filter(|(_, other)| *other == kind).count() >= each {
                        let at = twin.iter().position(|(_, other)| *other == kind);
                        twin.remove(at.expect("there is one"));
                    }
                    if twin.len() >= all {
                        twin.remove(0);
                    }
                    let number = seats.iter().map(|(n, ..)| n + 1).max().unwrap_or(0);
                    let (seat, gone, _) = crowd.enter(kind);
                    seats.push((number, seat, gone));
                    twin.push((number, kind));
                }
                for (number, _, gone) in &mut seats {
                    let inside = gone.try_recv() == Err(oneshot::error::TryRecvError::Empty);
                    prop_assert_eq!(inside, twin.iter().any(|(other, _)| other == number));
                }
                prop_assert_eq!(crowd.len(), twin.len());
            }
        }
    }
}
