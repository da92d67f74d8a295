//! All that can happen to three replicas, to the end or as far as there is room: the production
//! replica itself is driven, by every event in every order.
//!
//! The network keeps whatever was ever sent, and may deliver it at any time: so loss, delay,
//! doubling and reordering need no events of their own. What is delivered changes nothing about the
//! network. Time does not pass; a campaign may begin at any moment, and pre-votes, which promise
//! nothing, are granted without being asked.
//!
//! A state is the state of each replica ([`Replica::write_state`]) with its disk and its machine,
//! what was ever sent, what may still happen ([`Setting`]), and what follows for commitment from
//! all that was ever on the disks (`ledger.rs`). Timers and statistics are no part of it.
//!
//! Checked at every step: I-1 to I-9 and I-11, from what is on the disks, as in the fault
//! simulator; where memberships change, I-5 and I-6 by what replicas call settled. A panic of the
//! replica is something that does not hold.
//!
//! [`Replica::write_state`]: crate::replica::Replica::write_state

mod ledger;
mod machine;
mod node;
mod setting;
mod story;
mod tables;

pub use setting::Setting;

use super::search::{ForEach, Report, Space, Step, search};
use crate::apply::Digest;
use crate::base::ReplicaId;
use ledger::{Account, Ledger, News};
use node::{Deed, Event, Node, Parcel};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tables::Table;

/// How many replicas.
const N: usize = Setting::REPLICAS;

/// What should be reached some time, or the search has looked at nothing: the name of each bit of
/// [`Report::shown`].
pub const SOMETIMES: [&str; 10] = [
    "a commit above a hole",
    "a greater leader in the same term",
    "an overridden write that a replica is done with and never needs",
    "a commit of what an earlier leader authored",
    "a hole that a leader closes",
    "a record dropped because what it depends on is lost",
    "a record dropped at first contact",
    "writes lost in a crash",
    "a snapshot in the place of a state",
    "a commit",
];

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    campaigns: u8,
    /// A bit for each command that was not asked for.
    commands: u8,
    crashes: u8,
    changes: u8,
    snapshots: u8,
}

impl Left {
    fn word(self) -> u64 {
        let Left { campaigns, commands, crashes, changes, snapshots } = self;
        u64::from_be_bytes([0, 0, 0, campaigns, commands, crashes, changes, snapshots])
    }
}

/// A state of the cluster: fingerprints of its parts.
#[derive(Clone, Debug)]
pub struct State {
    nodes: [u64; N],
    ledger: u64,
    left: Left,
    /// What was ever sent, in order of fingerprints; the last two bits say to whom.
    sent: Box<[u64]>,
    /// A digest of that.
    digest: u64,
}

impl State {
    fn fingerprint(&self) -> u64 {
        let words = self.nodes.iter().copied().chain([self.ledger, self.left.word(), self.digest]);
        words.fold(Digest::new(), Digest::word).value()
    }
}

/// What comes of an event at a replica.
#[derive(Debug)]
struct Effect {
    node: u64,
    sends: Vec<u64>,
    news: Option<u64>,
    wrong: Option<String>,
    /// It has executed something, or knows more settled.
    learns: bool,
    shows: u64,
}

/// A ledger, and what follows from it.
#[derive(Debug)]
struct Booked {
    ledger: Ledger,
    account: Account,
}

/// A cluster, and all that is known of its parts so far.
#[derive(Debug)]
pub struct Model {
    setting: Setting,
    nodes: Table<Node>,
    parcels: Table<Parcel>,
    news: Table<Vec<News>>,
    ledgers: Table<Booked>,
    effects: Table<Effect>,
    /// From a ledger and news to the next ledger, or what is wrong.
    turns: Table<Result<u64, String>>,
}

fn digest(text: &str) -> u64 {
    Digest::new().bytes(text.as_bytes()).value()
}

/// Spreads a fingerprint, so that sums of several tell sets apart.
fn spread(fingerprint: u64) -> u64 {
    Digest::new().word(fingerprint).value()
}

fn replica(at: usize) -> ReplicaId {
    ReplicaId(at as u64 + 1)
}

impl Model {
    /// Of this setting; nothing has happened.
    pub fn new(setting: Setting) -> Model {
        Model {
            setting,
            nodes: Table::new(),
            parcels: Table::new(),
            news: Table::new(),
            ledgers: Table::new(),
            effects: Table::new(),
            turns: Table::new(),
        }
    }

    /// What it is of.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Searches for something that does not hold, until all states are known or `states_max` are.
    pub fn search(
        &self,
        states_max: u64,
        each: &ForEach<'_>,
        at_depth: &dyn Fn(&Report),
    ) -> Report {
        search(self, states_max, each, at_depth)
    }

    /// How many states of single replicas there were, and how many steps of one were run.
    pub fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.effects.len())
    }

    fn put_node(&self, node: Node) -> u64 {
        let key = digest(&node.text());
        self.nodes.put(key, || node);
        key
    }

    fn put_parcel(&self, parcel: Parcel) -> u64 {
        let key = digest(&format!("{parcel:?}")) & !3 | (parcel.to().0 - 1);
        self.parcels.put(key, || parcel);
        key
    }

    /// What comes of the event of this number at the node of this fingerprint.
    fn effect(&self, node: u64, number: u64, event: impl FnOnce() -> Event) -> Arc<Effect> {
        let key = Digest::new().word(node).word(number).value();
        self.effects.put(key, || {
            let before = self.nodes.known(node);
            let event = event();
            let run = || before.after(&event, &self.setting);
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok((after, deed)) => self.outcome(&before, after, deed),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or(panic.downcast_ref::<&str>().map(ToString::to_string));
                    let wrong = Some(format!("panic: {}", text.unwrap_or_default()));
                    let (sends, news) = (Vec::new(), None);
                    Effect { node, sends, news, wrong, learns: false, shows: 0 }
                }
            }
        })
    }

    fn outcome(&self, before: &Node, after: Node, deed: Deed) -> Effect {
        let mut sends: Vec<u64> = deed.sends.into_iter().map(|p| self.put_parcel(p)).collect();
        sends.sort_unstable();
        sends.dedup();
        let news = (!deed.news.is_empty()).then(|| {
            let key = digest(&format!("{:?}", deed.news));
            self.news.put(key, || deed.news);
            key
        });
        let shows = u64::from(after.is_done_without_holding()) << 2
            | u64::from(deed.drops) << 6
            | u64::from(deed.loses) << 7
            | u64::from(deed.restores) << 8;
        let learns =
            after.settled() != before.settled() || after.replica.done() != before.replica.done();
        Effect { node: self.put_node(after), sends, news, wrong: deed.wrong, learns, shows }
    }

    /// The ledger after these news.
    fn turn(&self, ledger: u64, news: u64) -> Arc<Result<u64, String>> {
        let key = Digest::new().word(ledger).word(news).value();
        self.turns.put(key, || {
            let mut next = self.ledgers.known(ledger).ledger.clone();
            let account = next.take(&self.news.known(news))?;
            let key = digest(&format!("{next:?}"));
            self.ledgers.put(key, || Booked { ledger: next, account });
            Ok(key)
        })
    }

    /// The state after an event at one replica, unless it changes nothing.
    fn change(&self, state: &State, at: usize, effect: &Effect, left: Left) -> Option<Change> {
        let new = |sent: &&u64| state.sent.binary_search(sent).is_err();
        let sends: Vec<u64> = effect.sends.iter().filter(new).copied().collect();
        let same = effect.node == state.nodes[at] && sends.is_empty() && effect.news.is_none();
        if same && left == state.left && effect.wrong.is_none() {
            return None;
        }
        let mut wrong = effect.wrong.clone();
        let State { mut nodes, ledger, digest, .. } = *state;
        nodes[at] = effect.node;
        let mut next = State { nodes, ledger, left, sent: Box::default(), digest };
        if let Some(news) = effect.news {
            match &*self.turn(state.ledger, news) {
                Ok(ledger) => next.ledger = *ledger,
                Err(what) => wrong = wrong.or(Some(what.clone())),
            }
        }
        next.digest = sends.iter().fold(digest, |sum, sent| sum.wrapping_add(spread(*sent)));
        let mut shows = effect.shows;
        if effect.news.is_some() || effect.learns {
            let booked = self.ledgers.known(next.ledger);
            shows |= shown(&booked.account);
            if effect.learns && wrong.is_none() {
                wrong = self.compare(&next, at, &booked.account);
            }
        }
        let fingerprint = next.fingerprint();
        Some(Change { fingerprint, next, sends, shows, wrong })
    }

    /// Holds one replica against what is committed and against the others.
    fn compare(&self, state: &State, at: usize, account: &Account) -> Option<String> {
        let node = self.nodes.known(state.nodes[at]);
        let me = replica(at);
        let early = node.settled() & !account.settled;
        if self.setting.counts() && early != 0 {
            let lsn = early.trailing_zeros();
            return Some(format!("I-6 {me} calls {lsn} settled, and it is not committed"));
        }
        let others = (0..N).filter(|other| *other != at);
        let apart = |other: &usize| !node.agrees_with(&self.nodes.known(state.nodes[*other]));
        let other = others.into_iter().find(apart)?;
        let other = replica(other);
        Some(format!("I-9 {me} and {other} have done the same and show different states"))
    }

    /// Calls `take` with each event that can happen in `state`, and what comes of it.
    fn each_event(&self, state: &State, take: &mut Take<'_>) {
        let left = state.left;
        let mut happen = |at: usize, number: u64, left: Left, event: &dyn Fn() -> Event| {
            let effect = self.effect(state.nodes[at], number, event);
            if let Some(change) = self.change(state, at, &effect, left) {
                take(at, event, change);
            }
        };
        for at in 0..N {
            let node = self.nodes.known(state.nodes[at]);
            if left.campaigns > 0 && node.replica.leading().is_none() {
                let left = Left { campaigns: left.campaigns - 1, ..left };
                happen(at, 1, left, &|| Event::Campaign);
            }
            if node.replica.leading().is_some() {
                for nth in (0..8_u8).filter(|nth| left.commands & 1 << nth != 0) {
                    let left = Left { commands: left.commands & !(1 << nth), ..left };
                    happen(at, 8 + u64::from(nth), left, &|| Event::Propose(nth));
                }
                if left.changes > 0 {
                    let left = Left { changes: left.changes - 1, ..left };
                    happen(at, 2, left, &|| Event::Change);
                }
            }
            if node.writes() > 0 {
                happen(at, 3, left, &|| Event::Persist);
            }
            if left.crashes > 0 {
                let left = Left { crashes: left.crashes - 1, ..left };
                for kept in 0..=node.writes() as u8 {
                    happen(at, 32 + u64::from(kept), left, &|| Event::Crash(kept));
                }
            }
            if left.snapshots > 0 && node.has_done_more_than_its_snapshot() {
                let left = Left { snapshots: left.snapshots - 1, ..left };
                happen(at, 4, left, &|| Event::Snapshot);
            }
        }
        for parcel in &state.sent {
            let event = || Event::Deliver((*self.parcels.known(*parcel)).clone());
            happen((*parcel & 3) as usize, *parcel, left, &event);
        }
    }

    /// The state after the event of this number.
    fn nth(&self, state: &State, wanted: usize) -> Option<State> {
        let (mut nth, mut found) = (0, None);
        self.each_event(state, &mut |_, _, change| {
            if nth == wanted {
                found = Some(change.state(state));
            }
            nth += 1;
        });
        found
    }

    /// The number of the first event that needs nobody to ask for anything.
    fn first_that_goes_on(&self, state: &State) -> Option<usize> {
        let (mut nth, mut found) = (0, None);
        self.each_event(state, &mut |_, event, _| {
            if found.is_none() && matches!(event(), Event::Persist | Event::Deliver(_)) {
                found = Some(nth);
            }
            nth += 1;
        });
        found
    }
}

/// Takes an event at a replica, which is made when it is asked for, and what comes of it.
type Take<'a> = dyn FnMut(usize, &dyn Fn() -> Event, Change) + 'a;

/// A step to another state.
struct Change {
    fingerprint: u64,
    /// Without what was sent.
    next: State,
    sends: Vec<u64>,
    shows: u64,
    wrong: Option<String>,
}

impl Change {
    fn state(&self, from: &State) -> State {
        let mut sent: Vec<u64> = from.sent.iter().chain(&self.sends).copied().collect();
        sent.sort_unstable();
        State { sent: sent.into(), ..self.next.clone() }
    }
}

fn shown(account: &Account) -> u64 {
    let bits = [
        (account.above_a_hole, 0),
        (account.in_term, 1),
        (account.inherited, 3),
        (account.voids, 4),
        (account.dropped, 5),
        (account.settled != 0, 9),
    ];
    bits.iter().map(|(shown, bit)| u64::from(*shown) << bit).sum()
}

impl Space for Model {
    type State = State;

    fn first(&self) -> (u64, State) {
        let nodes = std::array::from_fn(|at| self.put_node(Node::new(replica(at), &self.setting)));
        let ledger = Ledger::new(N as u32, self.setting.counts());
        let key = digest(&format!("{ledger:?}"));
        self.ledgers.put(key, || Booked { ledger, account: Account::default() });
        let setting = &self.setting;
        let left = Left {
            campaigns: setting.campaigns,
            commands: (1 << setting.commands.len()) - 1,
            crashes: setting.crashes,
            changes: u8::from(setting.change.is_some()),
            snapshots: setting.snapshots,
        };
        let mut state = State { nodes, ledger: key, left, sent: Box::default(), digest: 0 };
        if setting.led {
            state.left.campaigns += 1;
            // The first event is a campaign of the first replica, and the last one a delivery.
            let mut nth = Some(0);
            while let Some(next) = nth.take().and_then(|nth| self.nth(&state, nth)) {
                state = next;
                nth = self.first_that_goes_on(&state);
            }
        }
        (state.fingerprint(), state)
    }

    fn steps(&self, state: &State, take: &mut dyn FnMut(Step<'_, State>)) {
        self.each_event(state, &mut |_, _, mut change| {
            let (fingerprint, shows) = (change.fingerprint, change.shows);
            let wrong = change.wrong.take();
            take(Step { fingerprint, shows, wrong, state: &|| change.state(state) });
        });
    }
}
