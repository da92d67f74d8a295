//! A stretch of a run as pictures: all replicas after each step that changed one.

use super::act::Micros;
use super::node::Node;
use super::queue::Due;
use super::world::World;
use crate::base::{LeaderId, Lsn, ReplicaId, TailBitmap};
use crate::check::scenario::{Arrival, Frame, Seen, View};
use crate::replica::RoleName;

/// Which steps are wanted, and what they looked like.
#[derive(Default)]
pub(super) struct Album {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) frames: Vec<Frame>,
    /// Positions below are left out.
    pub(super) first: Lsn,
    /// How much of the text there was before the step.
    read: usize,
    /// What was drawn last: a step that changes nothing is not drawn.
    last: String,
    /// Messages that have come since.
    arrivals: Vec<Arrival>,
}

impl World {
    /// The same, with pictures.
    pub(super) fn with_album(mut self, from: u64, to: u64) -> World {
        self.album = Some(Box::new(Album { from, to, ..Album::default() }));
        self
    }

    /// What is going to happen, if somebody wants to see it.
    pub(super) fn about_to_happen(&mut self, due: &Due) -> Option<String> {
        let (steps, text) = (self.steps(), self.text_len());
        let album = self.album.as_mut()?;
        album.read = text;
        if let (Due::Message(envelope), true) = (due, steps >= album.from) {
            album.arrivals.push(Arrival::of(envelope));
        }
        (album.from..album.to).contains(&steps).then(|| told(due))
    }

    /// A picture of what it came to.
    pub(super) fn happened(&mut self, what: String) {
        let Some(mut album) = self.album.take() else { return };
        if album.frames.is_empty() {
            album.first = self.first_of_interest();
        }
        let views: Vec<View> = (0..self.nodes.len()).map(|at| self.view(at, album.first)).collect();
        let now = format!("{views:?}");
        if now != album.last {
            album.last = now;
            let said = self.text_since(album.read).lines().filter_map(act).collect();
            album.frames.push(Frame {
                line: usize::try_from(self.steps()).unwrap_or(usize::MAX),
                command: format!("{} {what}", clock(self.now)),
                said,
                arrivals: std::mem::take(&mut album.arrivals),
                replicas: views,
            });
        }
        self.album = Some(album);
    }

    /// What all that run have done is no news, nor is what lies far below the newest.
    fn first_of_interest(&self) -> Lsn {
        const POSITIONS_MAX: u64 = 24;
        let running = self.nodes.iter().filter_map(|node| node.alive.as_ref());
        let done: Vec<Lsn> = running.map(|alive| alive.replica.done().offset()).collect();
        let least = done.iter().min().copied().unwrap_or_default();
        let newest = done.iter().max().copied().unwrap_or_default();
        least.max(Lsn(newest.0.saturating_sub(POSITIONS_MAX)))
    }

    fn view(&self, at: usize, first: Lsn) -> View {
        let (node, id) = (&self.nodes[at], ReplicaId(at as u64 + 1));
        let (promise, committer) = (node.mirror.voted, node.mirror.lineage.leader());
        match &node.alive {
            Some(alive) => View::of(Seen {
                id,
                up: true,
                replica: &alive.replica,
                promise,
                committer,
                written: &node.mirror.written(),
                running: alive.applying.iter().map(|one| one.record.lsn).collect(),
                first,
            }),
            None => down(node, id, promise, committer),
        }
    }
}

/// A process that is not there knows nothing; its disk has what it has.
fn down(node: &Node, id: ReplicaId, promise: LeaderId, committer: LeaderId) -> View {
    View {
        id,
        up: false,
        role: RoleName::Follower,
        leader: LeaderId::NOBODY,
        promise,
        committer,
        purged: node.mirror.stored().held.offset(),
        slots: Default::default(),
        log: Default::default(),
        settled: TailBitmap::new(),
        done: TailBitmap::new(),
        running: Vec::new(),
        next: None,
        memberships: Vec::new(),
    }
}

fn clock(now: Micros) -> String {
    format!("{}.{:03}", now / 1_000, now % 1_000)
}

/// Of the text what was done to the replicas.
fn act(line: &str) -> Option<String> {
    let (_, what) = line.trim_start().split_once(" -- ")?;
    Some(what.to_string())
}

/// What happens, in a few words.
fn told(due: &Due) -> String {
    match due {
        Due::Message(envelope) => Arrival::of(envelope).to_string(),
        Due::Parcel(parcel) => format!("{} to {}: of a snapshot", parcel.from, parcel.to),
        Due::Tick { at, .. } => format!("n{} ticks", at + 1),
        Due::Synced { at, .. } => format!("n{} has synced", at + 1),
        Due::Applied { at, .. } => format!("n{} has executed", at + 1),
        Due::Written { at, .. } => format!("n{} has written a snapshot", at + 1),
        Due::Start { at } => format!("n{} starts", at + 1),
        Due::Resume { at } => format!("n{} goes on", at + 1),
        Due::Room { at } => format!("the disk of n{} has room", at + 1),
        Due::Act(_) => "an act".into(),
        Due::Client { client, .. } => format!("client {client}"),
        Due::Calm => "the faults end".into(),
        Due::Look => "is everything done?".into(),
    }
}
