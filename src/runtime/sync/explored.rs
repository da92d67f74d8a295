//! The same names, carried out by `shuttle`: all threads of an exploration take turns on one, and
//! who is next is drawn at every lock and every letter. Time is a number that grows whenever
//! somebody who waits for a while has waited in vain.

use shuttle::sync as drawn;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Add, Deref, DerefMut, Sub};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize};
pub(crate) use shuttle::thread::{self, JoinHandle};

thread_local! {
    /// All of an exploration is on one thread of the system.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A moment of the exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Instant {
        Instant(NOW.get())
    }

    /// Another exploration begins.
    pub(crate) fn reset() {
        NOW.set(Duration::ZERO);
    }

    pub(crate) fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// It is this late, at least.
    fn reach(self) {
        NOW.set(NOW.get().max(self.0));
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant(self.0 + time)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(drawn::Mutex<T>);

pub(crate) struct MutexGuard<'a, T>(Option<drawn::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(drawn::Mutex::new(value))
    }

    /// Nobody is kept out by a panic, as with the real one.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is held except while it waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is held except while it waits")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(drawn::Condvar);

pub(crate) struct TimedOut(bool);

impl TimedOut {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.0.take() {
            guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Wakes up at every turn, as it may: whoever waits looks again.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> TimedOut {
        if Instant::now() >= end {
            return TimedOut(true);
        }
        let Some(held) = guard.0.take() else { return TimedOut(true) };
        // Whoever comes to it before the time is over, by its own turns.
        let waited = self.0.wait_timeout(held, Duration::from_millis(1));
        guard.0 = Some(waited.unwrap_or_else(PoisonError::into_inner).0);
        (Instant::now() + Duration::from_millis(1)).reach();
        TimedOut(false)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A channel with room for so many.
pub(crate) fn bounded<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { letters: VecDeque::new(), room, senders: 1, is_read: true };
    let channel = Arc::new(Channel { state: Mutex::new(state), changed: Condvar::new() });
    (Sender(channel.clone()), Receiver(channel))
}

struct State<T> {
    letters: VecDeque<T>,
    room: usize,
    senders: usize,
    is_read: bool,
}

struct Channel<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct Gone<T>(pub(crate) T);

#[derive(Debug)]
pub(crate) enum TrySendError<T> {
    Full(T),
    Disconnected(T),
}

#[derive(Debug)]
pub(crate) struct RecvError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecvTimeoutError {
    Timeout,
    Disconnected,
}

pub(crate) struct Sender<T>(Arc<Channel<T>>);

#[allow(unreachable_pub, reason = "a part of what `Local` shows")]
pub struct Receiver<T>(Arc<Channel<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.state.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.lock().senders -= 1;
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Receiver<T> {
    /// Nobody will read what is there.
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_read = false;
        let letters = std::mem::take(&mut state.letters);
        drop(state);
        self.0.changed.notify_all();
        drop(letters);
    }
}

impl<T> Sender<T> {
    /// Waits for room.
    pub(crate) fn send(&self, letter: T) -> Result<(), Gone<T>> {
        let mut state = self.0.state.lock();
        while state.is_read && state.letters.len() >= state.room {
            self.0.changed.wait(&mut state);
        }
        if !state.is_read {
            return Err(Gone(letter));
        }
        state.letters.push_back(letter);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }

    pub(crate) fn try_send(&self, letter: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.state.lock();
        if !state.is_read {
            return Err(TrySendError::Disconnected(letter));
        }
        if state.letters.len() >= state.room {
            return Err(TrySendError::Full(letter));
        }
        state.letters.push_back(letter);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Receiver<T> {
    fn taken(&self, letter: Option<T>) -> Option<T> {
        if letter.is_some() {
            self.0.changed.notify_all();
        }
        letter
    }

    pub(crate) fn recv(&self) -> Result<T, RecvError> {
        let mut state = self.0.state.lock();
        while state.letters.is_empty() && state.senders > 0 {
            self.0.changed.wait(&mut state);
        }
        let letter = state.letters.pop_front();
        drop(state);
        self.taken(letter).ok_or(RecvError)
    }

    pub(crate) fn try_recv(&self) -> Result<T, RecvError> {
        let letter = self.0.state.lock().letters.pop_front();
        self.taken(letter).ok_or(RecvError)
    }

    /// Lets others have a turn, and if nothing has come by then the time is over.
    pub(crate) fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        for turn in [true, false] {
            let mut state = self.0.state.lock();
            let letter = state.letters.pop_front();
            let is_over = letter.is_none() && state.senders == 0;
            drop(state);
            if let Some(letter) = self.taken(letter) {
                return Ok(letter);
            }
            if is_over {
                return Err(RecvTimeoutError::Disconnected);
            }
            if turn {
                thread::yield_now();
            }
        }
        (Instant::now() + time).reach();
        Err(RecvTimeoutError::Timeout)
    }

    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = All<T>;

    fn into_iter(self) -> All<T> {
        All(self)
    }
}

/// Until all senders have gone.
#[allow(unreachable_pub, reason = "a part of what `Local` shows")]
pub struct All<T>(Receiver<T>);

impl<T> Iterator for All<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}
