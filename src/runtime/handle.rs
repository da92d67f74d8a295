//! What a client holds while it waits.

use super::engine::Refusal;
use super::sync::{Arc, Condvar, Instant, Mutex};
use crate::apply::Request;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What came of a command or a read. There are three outcomes: an answer, and these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was not done and never will be. Whether asking again is of use, the reason says.
    #[error("not done: {0}")]
    NotDone(#[from] Refusal),
    /// It may have been done, it may be done later, or never. Asking again may do it twice, unless
    /// it is of a [session](crate::apply::session).
    #[error("nobody knows whether it was done or will be")]
    Unknown,
}

/// What can be waited for, and what its result means.
pub trait Answered {
    /// What it gets.
    type Answer;

    /// What the result means.
    fn answer(result: &Bytes) -> Self::Answer;
}

impl<R: Request> Answered for R {
    type Answer = R::Answer;

    fn answer(result: &Bytes) -> R::Answer {
        <R as Request>::answer(result)
    }
}

/// The result as bytes.
pub(super) type Outcome = Result<Bytes, Failure>;

#[derive(Debug, Default)]
struct Place {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

/// Where an outcome is left.
#[derive(Debug, Default)]
struct Slot {
    place: Mutex<Place>,
    filled: Condvar,
}

/// Who owes an outcome. Dropped without one, it says that nobody knows.
#[derive(Debug)]
pub(super) struct Debt(Arc<Slot>);

impl Debt {
    /// Pays it. Only the first outcome counts.
    pub(super) fn pay(&self, outcome: Outcome) {
        let mut place = self.0.place.lock();
        if place.outcome.is_none() {
            place.outcome = Some(outcome);
            let waker = place.waker.take();
            drop(place);
            self.0.filled.notify_all();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.pay(Err(Failure::Unknown));
    }
}

/// A command or a read that is under way. Wait for it on a thread, look at it from time to time, or
/// `await` it: it is a plain [`Future`] and needs no particular runtime. Dropped, it is forgotten,
/// and done all the same.
pub struct Pending<R: Answered> {
    slot: Arc<Slot>,
    request: PhantomData<fn() -> R>,
}

/// Both ends.
pub(super) fn pending<R: Answered>() -> (Debt, Pending<R>) {
    let slot = Arc::<Slot>::default();
    (Debt(slot.clone()), Pending { slot, request: PhantomData })
}

fn typed<R: Answered>(outcome: &Outcome) -> Result<R::Answer, Failure> {
    outcome.as_ref().map(R::answer).map_err(|failure| *failure)
}

impl<R: Answered> Pending<R> {
    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn wait(self) -> Result<R::Answer, Failure> {
        let mut place = self.slot.place.lock();
        loop {
            if let Some(outcome) = &place.outcome {
                return typed::<R>(outcome);
            }
            self.slot.filled.wait(&mut place);
        }
    }

    /// Waits at most so long; `None` if there is no outcome by then. It can be waited for again.
    pub fn wait_for(&self, patience: Duration) -> Option<Result<R::Answer, Failure>> {
        let end = Instant::now() + patience;
        let mut place = self.slot.place.lock();
        while place.outcome.is_none() {
            if self.slot.filled.wait_until(&mut place, end).timed_out() {
                break;
            }
        }
        place.outcome.as_ref().map(typed::<R>)
    }

    /// The outcome, if there is one.
    pub fn outcome(&self) -> Option<Result<R::Answer, Failure>> {
        self.slot.place.lock().outcome.as_ref().map(typed::<R>)
    }
}

impl<R: Answered> Future for Pending<R> {
    type Output = Result<R::Answer, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut place = self.slot.place.lock();
        if let Some(outcome) = &place.outcome {
            return Poll::Ready(typed::<R>(outcome));
        }
        match &mut place.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<R: Answered> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.slot.place.lock().outcome).finish()
    }
}

#[cfg(all(test, not(feature = "explore")))]
mod tests {
    use super::*;
    use crate::apply::kv::{Answer, Op};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_waited_for_looked_at_and_awaited() {
        let (debt, mut pending) = pending::<Op<'_>>();
        let woken = Arc::new(Woken::default());
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        assert_eq!(pending.outcome(), None);
        assert_eq!(pending.wait_for(Duration::ZERO), None);
        assert_eq!(Pin::new(&mut pending).poll(&mut context), Poll::Pending);
        debt.pay(Ok(Answer::Number(3).encode()));
        debt.pay(Err(Failure::Unknown));
        drop(debt);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let three = Ok(Answer::Number(3));
        assert_eq!(Pin::new(&mut pending).poll(&mut context), Poll::Ready(three.clone()));
        assert_eq!(pending.outcome(), Some(three.clone()));
        assert_eq!(pending.wait_for(Duration::ZERO), Some(three.clone()));
        assert_eq!(pending.wait(), three);
    }

    #[test]
    fn whoever_goes_without_paying_leaves_it_unknown() {
        let (debt, waits) = pending::<Op<'_>>();
        let waiter = std::thread::spawn(|| waits.wait());
        drop(debt);
        assert_eq!(waiter.join().expect("no panic"), Err(Failure::Unknown));
    }
}
