//! What the connections of a server share: its replica, its clock, its cursors, its figures.

use super::clock::Clock;
use super::command::{Known, Surroundings};
use super::connection::{Fate, Task, What};
use super::cursors::Cursors;
use super::figures::{Board, Figures};
use super::keeper::Errand;
use super::options::{Invitation, Options};
use super::own::{Seat, Server};
use super::replica::{Freshness, Outcome, Reason, Replica, Standing};
use crate::apply::redis::Op;
use crate::disk::Mood;
use crate::resp::Value;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::time::Instant;

/// Who waits for what came of a command.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    /// The connection at this place, with this number, and its slot.
    Client { place: usize, id: u64, slot: u64 },
    /// The server itself.
    Keeper(Errand),
}

/// A command that a replica has.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) owner: Owner,
    pub(super) what: What,
    pub(super) since: Instant,
}

pub(super) struct Desk {
    pub(super) replica: Box<dyn Replica>,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) pending: FxHashMap<u64, Pending>,
    pub(super) figures: Figures,
    board: Board,
    /// Of this turn of the loop.
    pub(super) standing: Standing,
    cursors: Cursors,
    next: u64,
    began: Instant,
}

impl Desk {
    pub(super) fn new(replica: Box<dyn Replica>, options: Options) -> Desk {
        Desk {
            standing: replica.standing(),
            replica,
            options,
            clock: Clock::new(),
            pending: FxHashMap::default(),
            figures: Figures::default(),
            board: Board::default(),
            cursors: Cursors::default(),
            next: 0,
            began: Instant::now(),
        }
    }

    /// Hands a task of a client over.
    pub(super) fn submit(&mut self, place: usize, id: u64, task: Task) {
        let owner = Owner::Client { place, id, slot: task.slot };
        self.hand_over(Pending { owner, what: task.what, since: Instant::now() });
    }

    /// Where its figures are left.
    pub(super) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Leaves its figures there.
    pub(super) fn publish(&mut self) {
        self.figures.waiting = self.pending.len();
        self.figures.standing.clone_from(&self.standing);
        self.board.put(&self.figures);
    }

    /// What an operator hears.
    pub(super) fn told(&self, what: &What, outcome: Outcome) -> Fate {
        let leader = |id: &u64| self.options.seats.get(id);
        match (what, outcome) {
            (What::Survey, Outcome::Answer(text)) => {
                let count = self.figures.answered();
                let more =
                    format!("connections:{}\r\nanswered:{count}\r\n", self.figures.connections);
                let seats: String = self.seats().iter().map(Seat::line).collect();
                let told = self.options.invitation.as_ref().map(Invitation::lines);
                let told = told.unwrap_or_default();
                Fate::Said(Value::Bulk(
                    [&text[..], more.as_bytes(), seats.as_bytes(), told.as_bytes()].concat().into(),
                ))
            }
            (_, Outcome::Answer(why)) if why.is_empty() => Fate::Said(Value::OK),
            (_, Outcome::Answer(why)) => {
                Fate::Refused(format!("ERR {}", String::from_utf8_lossy(&why)))
            }
            (_, Outcome::Refused(Reason::Elsewhere(Some(id)))) => match leader(&id) {
                Some((host, port)) => Fate::Refused(format!("MOVED 0 {host}:{port}")),
                None => Fate::Refused(format!("ERR n{id} leads: ask it")),
            },
            (_, Outcome::Refused(_)) => {
                Fate::Refused("TRYAGAIN nobody leads, or too much waits".into())
            }
            (_, Outcome::Lost) => Fate::Unknown,
        }
    }

    pub(super) fn hand_over(&mut self, pending: Pending) {
        self.next += 1;
        let number = self.next;
        let freshness = match pending.owner {
            Owner::Client { .. } => Freshness::Linearizable,
            Owner::Keeper(_) => Freshness::Stale,
        };
        match pending.what.clone() {
            What::Read(command) => self.replica.read(number, command, freshness),
            What::Write(command) => self.replica.write(number, command),
            What::Order(order) => self.replica.order(number, order),
            What::Survey => self.replica.survey(number),
        }
        self.pending.insert(number, pending);
    }
}

impl Surroundings for Desk {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn cursor(&self, cursor: u64) -> Option<Vec<u8>> {
        self.cursors.get(cursor).map(|key| key.to_vec())
    }
}

impl Server for Desk {
    fn around(&self) -> &dyn Surroundings {
        self
    }

    fn keeps_order(&self) -> bool {
        self.standing.leads
    }

    fn keep_cursor(&mut self, key: Bytes) -> u64 {
        self.cursors.keep(key)
    }

    fn redirect(&self, known: &Known, op: &Op<'_>) -> Option<String> {
        if !self.options.redirect || self.standing.leads || known.keys.0 == 0 {
            return None;
        }
        let leader = self.options.seats.get(&self.standing.leader?)?;
        let slot = op.keys().first().map_or(0, |key| super::own::slot(key));
        Some(format!("MOVED {slot} {}:{}", leader.0, leader.1))
    }

    fn command_bytes_max(&self) -> usize {
        self.options.command_bytes_max
    }

    fn has_password(&self) -> bool {
        self.options.password.is_some()
    }

    fn is_password(&self, word: &[u8]) -> bool {
        let Some(password) = &self.options.password else { return false };
        let (password, word) = (password.as_bytes(), word);
        // Every byte is looked at, whether or not an earlier one differs.
        let differ = |at: usize| word.get(at).copied().unwrap_or(0) ^ password[at];
        let differences = (0..password.len()).fold(0, |sum, at| sum | differ(at));
        differences == 0 && word.len() == password.len()
    }

    fn info(&self) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
        let (figures, standing) = (&self.figures, &self.standing);
        let number = |number: u64| number.to_string();
        let leader = standing.leader.map_or("none".into(), number);
        vec![
            (
                "Server",
                vec![
                    ("redis_version", "7.2.0".into()),
                    ("traft_version", env!("CARGO_PKG_VERSION").into()),
                    ("redis_mode", "standalone".into()),
                    ("process_id", std::process::id().to_string()),
                    ("tcp_port", self.options.port().to_string()),
                    ("uptime_in_seconds", self.began.elapsed().as_secs().to_string()),
                ],
            ),
            (
                "Clients",
                vec![
                    ("connected_clients", figures.connections.to_string()),
                    ("maxclients", self.options.connections_max.to_string()),
                ],
            ),
            (
                "Stats",
                vec![
                    ("total_connections_received", number(figures.accepted)),
                    ("rejected_connections", number(figures.turned_away)),
                    ("total_commands_processed", number(figures.answered())),
                    ("expired_keys", number(figures.evicted)),
                    ("commands_waiting", self.pending.len().to_string()),
                    ("commands_tried_again", number(figures.retried)),
                    ("commands_refused", number(figures.refused)),
                    ("commands_with_unknown_outcome", number(figures.unknown)),
                ],
            ),
            (
                "Replication",
                vec![
                    ("role", "master".into()),
                    ("replica_id", number(self.options.id)),
                    ("leads", u8::from(standing.leads).to_string()),
                    ("leader_id", leader),
                    ("stopped", standing.stopped.clone().unwrap_or("no".into())),
                ],
            ),
        ]
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("appendfsync", "always".into()),
            ("appendonly", "yes".into()),
            ("databases", "1".into()),
            ("maxclients", self.options.connections_max.to_string()),
            ("maxmemory", "0".into()),
            ("maxmemory-policy", "noeviction".into()),
            ("port", self.options.port().to_string()),
            ("proto-max-bulk-len", self.options.command_bytes_max.to_string()),
            ("save", String::new()),
            ("timeout", "0".into()),
        ]
    }

    fn cut(&self, id: u64, cut: bool) -> bool {
        self.options.cut(id, cut)
    }

    fn trouble(&self, mood: Mood) -> bool {
        self.options.trouble.as_ref().is_some_and(|trouble| {
            trouble.set(mood);
            true
        })
    }

    fn seats(&self) -> Vec<Seat> {
        let seat = |(id, (host, port)): (&u64, &(String, u16))| Seat {
            id: *id,
            host: host.clone(),
            port: *port,
            is_this: *id == self.options.id,
        };
        let mut seats: Vec<Seat> = self.options.seats.iter().map(seat).collect();
        seats.sort_by_key(|seat| (Some(seat.id) != self.standing.leader, seat.id));
        seats
    }
}
