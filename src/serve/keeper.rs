//! What a server does of itself: it looks for keys that have ended, and moves the clock.

use super::connection::What;
use super::desk::{Desk, Owner, Pending};
use crate::apply::redis::{Answer, Op};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Something that the server wants to know, or wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// What the clock says.
    Clock,
    /// Which keys have ended.
    Due,
    /// To remove them.
    Evict,
    /// To move the clock.
    Time,
}

/// How often the state is asked: reads that leave this process never.
const SWEEP: Duration = Duration::from_millis(20);

/// The most keys that are evicted with one command.
const EVICTED_MAX: u32 = 1_000;

/// While keys have deadlines the leader says the time so often.
const TIME: Duration = Duration::from_secs(10);

/// Longer than an errand takes; then what it waits for will not come.
const LOST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Keeper {
    next: Instant,
    /// Since when an errand is out that another one must not overtake.
    out: Option<Instant>,
    led: bool,
    /// When the time was last said, by this one as the leader.
    said: Option<Instant>,
    /// Whether any key has a deadline.
    limited: bool,
}

impl Keeper {
    pub(super) fn new() -> Keeper {
        Keeper { next: Instant::now(), out: None, led: false, said: None, limited: false }
    }

    /// When it wants to be called again.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Does what is due.
    pub(super) fn work(&mut self, desk: &mut Desk, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + SWEEP;
        desk.publish();
        let leads = desk.standing.leads;
        if leads != std::mem::replace(&mut self.led, leads) {
            self.said = None;
        }
        if self.out.is_some_and(|since| now < since + LOST) {
            return;
        }
        self.out = None;
        errand(desk, Errand::Clock, &Op::Clock);
        if !leads {
            return;
        }
        if self.said.is_none_or(|said| self.limited && now >= said + TIME) {
            self.said = Some(now);
            let time = Op::Time { now: desk.clock.now() };
            errand(desk, Errand::Time, &time);
        }
        self.out = Some(now);
        errand(desk, Errand::Due, &Op::Due { now: desk.clock.now(), most: EVICTED_MAX });
    }

    /// Something came of an errand; nothing if it failed.
    pub(super) fn hear(&mut self, desk: &mut Desk, what: Errand, result: Option<&Bytes>) {
        let answer = result.and_then(|result| Answer::decode(result).ok());
        match (what, answer) {
            (Errand::Clock, Some(Answer::Number(clock))) => {
                desk.clock.see(clock.max(0) as u64);
            }
            (Errand::Time, None) => self.said = None,
            (Errand::Due, Some(Answer::Due { keys, next })) => self.evict(desk, &keys, next),
            (Errand::Evict, Some(Answer::Number(count))) => {
                desk.figures.evicted += count.max(0) as u64;
                // Perhaps there are more.
                (self.out, self.next) = (None, Instant::now());
            }
            (Errand::Evict | Errand::Due, _) => self.out = None,
            (Errand::Clock | Errand::Time, _) => {}
        }
    }

    fn evict(&mut self, desk: &mut Desk, keys: &[(Bytes, u64)], next: Option<u64>) {
        self.limited = next.is_some() || !keys.is_empty();
        if !keys.is_empty() && desk.standing.leads {
            let room = desk.options.command_bytes_max / 2;
            let mut bytes = 0;
            let fits = |(key, _): &&(Bytes, u64)| {
                bytes += key.len() + 16;
                bytes <= room.max(key.len() + 16)
            };
            let keys = keys.iter().take_while(fits).map(|(key, at)| (&key[..], *at)).collect();
            return errand(desk, Errand::Evict, &Op::Evict { keys });
        }
        self.out = None;
        if let Some(next) = next {
            let left = Duration::from_millis(next.saturating_sub(desk.clock.now()));
            self.next = self.next.min(Instant::now() + left);
        }
    }
}

fn errand(desk: &mut Desk, what: Errand, op: &Op<'_>) {
    // Keys that the state has are keys that a command takes.
    let Ok(command) = op.command() else { return };
    let asked = if op.is_read() { What::Read(command) } else { What::Write(command) };
    let owner = Owner::Keeper(what);
    desk.hand_over(Pending { owner, what: asked, since: Instant::now() });
}
