//! Clients: each does one thing after another, waits, gives up, tries again where that is safe, and
//! writes down what it saw.

use super::act::Micros;
use super::dice::Dice;
use super::drive::Reply;
use super::plan::Plan;
use super::queue::{Due, Queue};
use super::world::World;
use crate::apply::kv;
use crate::apply::session::{Client as Session, Fate, Next, Order, Outcome, Request};
use crate::base::{Command, Footprint};
use crate::check::history::{Action, Answer, Event};
use crate::replica::ReadLevel;
use bytes::Bytes;
use rustc_hash::FxHashMap;

/// A client of a session says so often that it has the results.
const HAVE_EVERY: u64 = 8;

/// What a client is doing.
struct Current {
    kind: Kind,
    action: Action,
    /// Where in the history it is; what only serves the session is not there.
    event: Option<usize>,
    command: Command,
    /// Its number in the session.
    request: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Opens the session, says that results have come, or sweeps.
    Upkeep {
        opens: bool,
    },
    /// May be proposed again only if it was not placed.
    Plain,
    Session,
    Read(ReadLevel),
}

struct Client {
    session: Session,
    requests: u64,
    current: Option<Current>,
    /// Rises with whatever happens to it.
    turn: u64,
    /// It has asked and heard nothing since.
    waits: bool,
    target: usize,
    dice: Dice,
    /// Apart from the other, so that a sweep more does not change what else is done.
    sweeps: Dice,
    done: u64,
    /// At the end: what is to be read.
    last: Vec<Action>,
}

/// All of them, and the history.
pub(super) struct Clients {
    all: Vec<Client>,
    pub(super) history: Vec<Event>,
    /// By replica and proposal or read: whose, and for which event or turn.
    numbers: FxHashMap<(usize, u64), (usize, u64)>,
    think: Micros,
    replicas: u64,
    pub(super) acknowledged: u64,
    pub(super) retried: u64,
}

/// A session that its client has not opened yet.
fn session(me: usize) -> Session {
    let order = if me.is_multiple_of(2) { Order::Free } else { Order::Kept };
    Session::new(me as u64 + 1, order)
}

fn key(name: &str, number: u64) -> Bytes {
    format!("{name}{number}").into()
}

/// The command for the machine, without sessions.
fn command(action: &Action) -> Command {
    let op = match action {
        Action::Get(keys) if keys.len() == 1 => kv::Op::Get { key: &keys[0] },
        Action::Get(keys) => kv::Op::GetMany { keys: keys.iter().map(|key| &key[..]).collect() },
        Action::Put(pairs) if pairs.len() == 1 => {
            kv::Op::Set { key: &pairs[0].0, value: &pairs[0].1 }
        }
        Action::Put(pairs) => {
            kv::Op::SetMany { pairs: pairs.iter().map(|(k, v)| (&k[..], &v[..])).collect() }
        }
        Action::Delete(keys) => kv::Op::Delete { key: &keys[0] },
        Action::Cas { key, expect, value } => {
            kv::Op::CompareAndSet { key, expected: expect.as_deref(), value: value.as_deref() }
        }
        Action::Append { key, suffix } => kv::Op::Append { key, suffix },
        Action::Increment { key, by } => kv::Op::Increment { key, by: *by },
    };
    op.command()
}

fn answer(result: &Bytes) -> Answer {
    match kv::Answer::decode(result) {
        Ok(kv::Answer::Nothing) => Answer::Nothing,
        Ok(kv::Answer::Value(value)) => Answer::Values(vec![value]),
        Ok(kv::Answer::Values(values)) => Answer::Values(values),
        Ok(kv::Answer::Number(number)) => Answer::Number(number),
        Ok(kv::Answer::Length(length)) => Answer::Length(length),
        Ok(kv::Answer::Swapped(swapped)) => Answer::Swapped(swapped),
        Ok(kv::Answer::Failed(_)) | Err(_) => Answer::Refused,
    }
}

impl Client {
    /// What it does next, drawn.
    fn draw(&mut self, me: usize, plan: &Plan) -> (Action, bool) {
        let dice = &mut self.dice;
        let number = dice.below(plan.keys);
        let at = key("k", number);
        let unique = Bytes::from(format!("c{me}.{}", self.done));
        let action = match dice.below(100) {
            0..32 => Action::Put(vec![(at, unique)]),
            32..38 => Action::Put(vec![(key("k", 0), unique.clone()), (key("k", 1), unique)]),
            38..42 => Action::Delete(vec![at]),
            42..66 => return (Action::Get(vec![at]), true),
            66..70 => return (Action::Get(vec![key("k", 0), key("k", 1)]), true),
            70..72 => return (Action::Get(vec![key("n", 0)]), true),
            72..74 => return (Action::Get(vec![key("l", 0)]), true),
            74..84 => Action::Increment { key: key("n", number % 2), by: 1 },
            84..92 => {
                let suffix = Bytes::from(format!("c{me}.{};", self.done));
                Action::Append { key: key("l", 0), suffix }
            }
            _ => {
                let expect = dice.chance(300).then(|| Bytes::from("c0.1"));
                Action::Cas { key: at, expect, value: Some(unique) }
            }
        };
        (action, false)
    }

    fn begin(&mut self, me: usize, plan: &Plan, calm: bool) -> Option<Current> {
        let (action, reads) = match self.last.pop() {
            Some(action) => {
                let reads = matches!(action, Action::Get(_));
                (action, reads)
            }
            None if calm => return None,
            None => self.draw(me, plan),
        };
        self.done += 1;
        let plain = command(&action);
        let wrap = |Command { footprint, body }: Command| Request::Plain(body).command(footprint);
        let kind = match () {
            () if reads && plan.lease && self.dice.chance(600) => Kind::Read(ReadLevel::Lease),
            () if reads && self.dice.chance(500) => Kind::Read(ReadLevel::Confirmed),
            () if reads => Kind::Read(ReadLevel::Here),
            () if self.dice.chance(plan.sessions) => Kind::Session,
            () => Kind::Plain,
        };
        let upkeep = |opens, command| {
            let (kind, action) = (Kind::Upkeep { opens }, Action::Get(Vec::new()));
            Some(Current { kind, action, event: None, command, request: 0 })
        };
        // Not in the place of what is read at the end.
        if !calm && plan.sweeps > 0 && self.sweeps.chance(plan.sweeps) {
            let sweep = Request::Sweep { idle: self.sweeps.below(3) };
            return upkeep(false, sweep.command(Footprint::default()));
        }
        if kind == Kind::Session {
            if !self.session.is_open() {
                return upkeep(true, self.session.open());
            }
            if self.requests % HAVE_EVERY == HAVE_EVERY - 1 {
                self.requests += 1;
                return upkeep(false, self.session.have()?);
            }
            self.requests += 1;
            let (request, command) = self.session.request(plain)?;
            return Some(Current { kind, action, event: None, command, request });
        }
        Some(Current { kind, action, event: None, command: wrap(plain), request: 0 })
    }
}

impl Clients {
    pub(super) fn new(plan: &Plan) -> Clients {
        let client = |me: u64| Client {
            session: session(me as usize),
            requests: 0,
            current: None,
            turn: 0,
            waits: false,
            target: me as usize % plan.replicas,
            dice: Dice::new(plan.luck ^ (me + 1) << 48, "client"),
            sweeps: Dice::new(plan.luck ^ (me + 1) << 48, "sweeps"),
            done: 0,
            last: Vec::new(),
        };
        Clients {
            all: (0..plan.clients).map(client).collect(),
            history: Vec::new(),
            numbers: FxHashMap::default(),
            think: plan.think,
            replicas: plan.replicas as u64,
            acknowledged: 0,
            retried: 0,
        }
    }

    /// Nobody waits for anything.
    pub(super) fn is_quiet(&self) -> bool {
        self.all.iter().all(|client| client.current.is_none())
    }

    /// What was to be read at the end has been read.
    pub(super) fn is_done(&self) -> bool {
        self.is_quiet() && self.all.iter().all(|client| client.last.is_empty())
    }

    pub(super) fn show(&self) -> String {
        let waits = |(me, client): (usize, &Client)| {
            let current = client.current.as_ref()?;
            Some(format!("    c{me} waits for {}\n", current.action))
        };
        self.all.iter().enumerate().filter_map(waits).collect()
    }

    /// The first client writes once more, then reads every key.
    pub(super) fn read_everything(&mut self, queue: &mut Queue, now: Micros, plan: &Plan) {
        let client = &mut self.all[0];
        let all =
            (0..plan.keys).map(|n| key("k", n)).chain([key("n", 0), key("n", 1), key("l", 0)]);
        client.last = all.map(|key| Action::Get(vec![key])).collect();
        client.last.push(Action::Put(vec![(key("k", 0), "end".into())]));
        client.turn += 1;
        queue.add(now, Due::Client { client: 0, turn: client.turn });
    }

    /// An operator asks under this number now: whoever did so in an earlier life of that replica
    /// hears nothing more.
    pub(super) fn forget(&mut self, at: usize, number: u64) {
        self.numbers.remove(&(at, number));
    }

    /// A proposal or a read has come to an end.
    pub(super) fn hear(
        &mut self,
        from: usize,
        number: u64,
        reply: Reply,
        now: Micros,
        queue: &mut Queue,
        dice: &mut Dice,
    ) {
        let Some((me, done)) = self.numbers.remove(&(from, number)) else { return };
        let client = &mut self.all[me];
        let Some(current) = client.current.as_ref().filter(|_| client.done == done) else { return };
        let kind = current.kind;
        let (ended, wait) = match reply {
            Reply::Answer(result) => {
                client.target = from;
                (self.answered(me, &result, now), dice.below(self.think))
            }
            Reply::Rejected(hint) => {
                client.target = hint.unwrap_or(from + 1 + dice.below(self.replicas - 1) as usize);
                (false, dice.between(1_000, 15_000))
            }
            // It may have been placed.
            Reply::Unknown => (kind == Kind::Plain, dice.between(1_000, 15_000)),
        };
        let client = &mut self.all[me];
        if ended {
            client.current = None;
        }
        client.waits = false;
        client.turn += 1;
        queue.add(now + wait, Due::Client { client: me, turn: client.turn });
    }

    /// Says whether that is the end of it.
    fn answered(&mut self, me: usize, result: &Bytes, now: Micros) -> bool {
        let client = &mut self.all[me];
        let Some(current) = &client.current else { return true };
        let answer = match current.kind {
            Kind::Plain | Kind::Read(_) => answer(result),
            Kind::Upkeep { opens } => {
                if opens {
                    client.session.opened(Fate::Applied(result.clone()));
                }
                return true;
            }
            Kind::Session => {
                match client.session.ended(current.request, Fate::Applied(result.clone())) {
                    Next::Finished(Outcome::Done(result)) => answer(&result),
                    Next::Again(_) => return false,
                    // Nobody knows what became of it. The next one under the same number is no
                    // less safe, whatever of the old one is still on its way.
                    Next::Finished(Outcome::Expired) => {
                        client.session = session(me);
                        return true;
                    }
                    _ => return true,
                }
            }
        };
        self.acknowledged += 1;
        if let Some(event) = current.event {
            // It took some time, so that what begins at the moment when it ends is later.
            self.history[event].end = Some((now * 1_000 + 1, answer));
        }
        true
    }
}

impl World {
    /// A client begins something, or has waited long enough.
    pub(super) fn client(&mut self, me: usize, turn: u64) {
        let World { clients, plan, now, calm, nodes, .. } = self;
        let Clients { all, history, numbers, retried, .. } = clients;
        let client = &mut all[me];
        if client.turn != turn {
            return;
        }
        client.turn += 1;
        let turn = client.turn;
        // Whatever it waits for may have been done: only what is safe is tried again.
        let is_plain = |current: &Current| current.kind == Kind::Plain;
        if std::mem::take(&mut client.waits) && client.current.as_ref().is_some_and(is_plain) {
            client.current = None;
        }
        client.waits = true;
        let begins = client.current.is_none();
        if begins {
            client.current = client.begin(me, plan, *calm);
        } else {
            *retried += 1;
        }
        let done = client.done;
        let Some(current) = &mut client.current else { return };
        if begins && !matches!(current.kind, Kind::Upkeep { .. }) {
            current.event = Some(history.len());
            let (action, call) = (current.action.clone(), *now * 1_000 + 2);
            history.push(Event { client: me as u64, action, call, end: None });
        }
        let (kind, command) = (current.kind, current.command.clone());
        let at = client.target % plan.replicas;
        let number = nodes[at].number();
        numbers.insert((at, number), (me, done));
        let patience = client.dice.between(250_000, 500_000);
        // Whoever does not answer is not the first to be asked again.
        client.target = at + 1 + client.dice.below(plan.replicas as u64 - 1) as usize;
        self.queue.add(self.now + patience, Due::Client { client: me, turn });
        if self.nodes[at].paused_until > self.now {
            return;
        }
        self.say(|| format!("c{me} asks n{}: #{number}", at + 1));
        match kind {
            Kind::Read(level) => self.read(at, number, command, level),
            _ => self.propose(at, number, command),
        }
    }
}
