//! A schedule as text: what a person reads at the beginning of a trace, what is left when one was
//! made short, and what runs again ([`replay`](super::replay)).
//!
//! ```text
//! seed 17
//! replicas 3
//! initial (n1 n2 n3; read 2, write 2)
//! ...
//!      412.250 crash n2 after 3 outputs, some unsynced stays, 120.000 ms away
//! # => I-5 ...
//! ```
//!
//! First each knob of the plan, then the acts, each with its time in milliseconds. A line that
//! begins with `#` says nothing. A knob that is left out is that of a calm cluster of three.

use super::act::{Act, Micros, Tear};
use super::plan::{Net, Plan};
use crate::base::{Membership, ReplicaId};
use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// A line of a schedule that means nothing. Its writer mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no knob and no act: {text}")]
pub struct BadSchedule {
    /// Counted from one.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

fn ms(micros: Micros) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, luck, replicas, initial, churn, damage, net, clients, keys, .. } = self;
        let Net { least, most, lost, doubled, late } = net;
        writeln!(f, "seed {seed}\nluck {luck}\nreplicas {replicas}\ninitial {initial}")?;
        writeln!(f, "churn {churn}\ndamage {damage}\nlinks {least} {most} us")?;
        writeln!(f, "lost {lost}\ndoubled {doubled}\nlate {late}")?;
        writeln!(f, "clients {clients}\nkeys {keys}")?;
        let Plan { think, sessions, sweeps, forwarding, overriding, lease, dense, .. } = self;
        writeln!(f, "think {think} us\nsessions {sessions}\nsweeps {sweeps}")?;
        writeln!(f, "forwarding {forwarding}\noverriding {overriding}\nlease {lease}")?;
        let Plan { narrow: [messages, flight, memory], apply, until, .. } = self;
        writeln!(f, "dense {dense}\nnarrow {messages} {flight} {memory}\napply {apply} us")?;
        writeln!(f, "until {until} us")
    }
}

impl Plan {
    /// With its acts.
    pub(super) fn schedule(&self) -> String {
        let act = |(at, act): &(Micros, Act)| format!("{:>12} {act}\n", ms(*at));
        self.to_string() + &self.acts.iter().map(act).collect::<String>()
    }
}

impl FromStr for Plan {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Plan, BadSchedule> {
        let mut plan = Plan::calm();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let time = line.split(' ').next().and_then(millis);
            let read = match time {
                Some(time) => read_act(line).map(|act| plan.acts.push((time, act))),
                None => read_knob(&mut plan, line),
            };
            read.ok_or_else(|| BadSchedule { line: at + 1, text: line.into() })?;
        }
        let is_in = |replica: &usize| *replica < plan.replicas;
        let strange = plan.acts.iter().find(|(_, act)| !act.replicas().iter().all(is_in));
        match strange {
            Some((_, act)) => Err(BadSchedule { line: 0, text: act.to_string() }),
            None => Ok(plan),
        }
    }
}

/// `412.250`
fn millis(text: &str) -> Option<Micros> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() != 3 || !digits(whole) || !digits(part) {
        return None;
    }
    whole.parse::<Micros>().ok()?.checked_mul(1_000)?.checked_add(part.parse().ok()?)
}

fn read_knob(plan: &mut Plan, line: &str) -> Option<()> {
    let (name, rest) = line.split_once(' ')?;
    let mut words = rest.split_whitespace();
    match name {
        "initial" => plan.initial = rest.parse().ok()?,
        "seed" => plan.seed = word(&mut words)?,
        "luck" => plan.luck = word(&mut words)?,
        "replicas" => plan.replicas = word(&mut words).filter(|n| (1..=5).contains(n))?,
        "churn" => plan.churn = word(&mut words)?,
        "damage" => plan.damage = word(&mut words)?,
        "links" => (plan.net.least, plan.net.most) = (word(&mut words)?, word(&mut words)?),
        "lost" => plan.net.lost = word(&mut words)?,
        "doubled" => plan.net.doubled = word(&mut words)?,
        "late" => plan.net.late = word(&mut words)?,
        "clients" => plan.clients = word(&mut words).filter(|n| (1..=20).contains(n))?,
        "keys" => plan.keys = word(&mut words)?,
        "think" => plan.think = word(&mut words)?,
        "sessions" => plan.sessions = word(&mut words)?,
        "sweeps" => plan.sweeps = word(&mut words)?,
        "forwarding" => plan.forwarding = word(&mut words)?,
        "overriding" => plan.overriding = word(&mut words)?,
        "lease" => plan.lease = word(&mut words)?,
        "dense" => plan.dense = word(&mut words)?,
        "narrow" => {
            plan.narrow = [word(&mut words)?, word(&mut words)?, word(&mut words)?];
        }
        "apply" => plan.apply = word(&mut words)?,
        "until" => plan.until = word(&mut words)?,
        _ => return None,
    }
    Some(())
}

fn word<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

/// `n2`, counted from zero.
fn replica(words: &mut SplitWhitespace<'_>) -> Option<usize> {
    words.next()?.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1)
}

/// The next word that is a time.
fn time(words: &mut SplitWhitespace<'_>) -> Option<Micros> {
    words.find_map(millis)
}

/// What [`Act`] prints, without commas: they separate what is said anyway.
fn read_act(line: &str) -> Option<Act> {
    if let Some((_, rest)) = line.split_once(" change to ") {
        let plain = rest.strip_suffix(", forced");
        let membership: Membership = plain.unwrap_or(rest).parse().ok()?;
        return Some(Act::Change { membership, force: plain.is_some() });
    }
    let line = line.replace([',', ':'], " ");
    let words = &mut line.split_whitespace();
    let at = |words: &mut SplitWhitespace<'_>| replica(words);
    let (_, verb) = (words.next(), words.next()?);
    Some(match verb {
        "heal" => Act::Heal,
        "cut" => Act::Cut { from: at(words)?, to: words.find_map(name)? },
        "isolate" => {
            let (at, what) = (at(words)?, words.next()?);
            Act::Isolate { at, hears: what == "speaking", speaks: what == "hearing" }
        }
        "crash" => {
            let (at, _) = (at(words)?, words.next());
            let (outputs, _) = (word(words)?, words.next());
            let tear = match words.next()? {
                "nothing" => Tear::Nothing,
                "everything" => Tear::Everything,
                "some" => Tear::Some,
                _ => return None,
            };
            Act::Crash { at, outputs, tear, away: time(words)? }
        }
        "flip" => Act::Flip { at: words.find_map(name)?, away: time(words)? },
        "wipe" => Act::Wipe { at: at(words)?, away: time(words)? },
        "pause" => Act::Pause { at: at(words)?, lasts: time(words)? },
        "slow" => Act::Slow { at: at(words)?, sync: time(words)?, lasts: time(words)? },
        "fail" => Act::FailSync { at: words.find_map(name)? },
        "fill" => Act::Fill { at: words.find_map(name)?, lasts: time(words)? },
        "clock" => {
            let at = words.find_map(name)?;
            match words.next()? {
                "jumps" => Act::Jump { at, ticks: word(words)? },
                _ => Act::Rate { at, tick: time(words)? },
            }
        }
        "snapshot" => Act::Snapshot { at: at(words)? },
        "campaign" => Act::Campaign { at: at(words)? },
        "transfer" => Act::Transfer { to: words.find_map(name) },
        "cancel" => Act::Cancel,
        _ => {
            let from = name(verb)?;
            match words.next()? {
                "offers" => Act::Offer { from, to: at(words)? },
                _ => Act::Usurp { at: from },
            }
        }
    })
}

fn name(word: &str) -> Option<usize> {
    word.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1)
}

impl Plan {
    /// Three replicas, one client, one key, nothing that goes wrong.
    fn calm() -> Plan {
        Plan {
            seed: 0,
            luck: 0,
            replicas: 3,
            initial: Membership::majority((1..=3).map(ReplicaId)),
            churn: false,
            damage: false,
            net: Net { least: 200, most: 1_000, lost: 0, doubled: 0, late: 0 },
            clients: 1,
            keys: 1,
            think: 10_000,
            sessions: 0,
            sweeps: 0,
            forwarding: false,
            overriding: true,
            lease: false,
            dense: false,
            narrow: [false; 3],
            apply: 0,
            mapped: true,
            until: 1_000_000,
            acts: Vec::new(),
        }
    }
}
