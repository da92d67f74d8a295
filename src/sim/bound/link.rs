//! The model's links.

use super::super::weather::Weather;
use super::super::{LinkKind, Network, Time};

/// What goes over a link.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    /// Leader to follower: commands, and the question whether it still leads, sent at `sent`.
    Question { ops: Vec<usize>, sent: Time },
    /// Follower to leader: how much of what it has received is durable, and the latest question.
    Answer { held: usize, asked: Option<Time> },
}

/// Something that happens on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The packet of this number arrives.
    Arrives(usize),
    /// The sender finds that try `1` of packet `0` was lost.
    Missed(usize, u32),
}

/// A directed link. Every packet ever sent is remembered by number.
#[derive(Debug)]
pub(super) struct Link {
    kind: LinkKind,
    weather: Weather,
    ends: (usize, usize),
    delay: Time,
    back: Time,
    rto: Time,
    dups: usize,
    last: Option<(Time, u32)>,
    sent: Vec<Sent>,
    /// A stream: everything below has been handed over.
    delivered: usize,
    /// A stream: packets whose first try was lost and that nobody has missed so far.
    holes: Vec<usize>,
}

#[derive(Debug)]
struct Sent {
    packet: Option<Packet>,
    here: bool,
    tries: u32,
    overtaken: usize,
}

impl Link {
    pub(super) fn new(
        kind: LinkKind,
        weather: Weather,
        network: &Network,
        ends: (usize, usize),
    ) -> Link {
        Link {
            kind,
            weather,
            ends,
            delay: network.one_way[ends.0][ends.1],
            back: network.one_way[ends.1][ends.0],
            rto: network.rto,
            dups: network.fast_retransmit_dups,
            last: None,
            sent: Vec::new(),
            delivered: 0,
            holes: Vec::new(),
        }
    }

    pub(super) fn kind(&self) -> LinkKind {
        self.kind
    }

    /// Sends a packet; says what comes of it.
    pub(super) fn send(&mut self, now: Time, packet: Packet) -> (Time, Event) {
        let number = self.sent.len();
        self.sent.push(Sent { packet: Some(packet), here: false, tries: 0, overtaken: 0 });
        self.try_once(now, number)
    }

    fn try_once(&mut self, now: Time, number: usize) -> (Time, Event) {
        let ordinal = match self.last {
            Some((at, ordinal)) if at == now => ordinal + 1,
            _ => 0,
        };
        self.last = Some((now, ordinal));
        let fate = self.weather.fate(self.ends.0, self.ends.1, now, ordinal);
        let tries = self.sent[number].tries;
        match (fate.lost, self.kind) {
            (false, _) => (now + self.delay + fate.late, Event::Arrives(number)),
            (true, LinkKind::Ordered) => {
                if tries == 0 {
                    self.holes.push(number);
                }
                (now + self.rto, Event::Missed(number, tries))
            }
            // Nobody will notice before the resend timeout, which is the leader's business.
            (true, LinkKind::Unordered) => (Time(u64::MAX), Event::Missed(number, tries)),
        }
    }

    /// What arrives by `event`, and what comes of it.
    pub(super) fn happen(&mut self, now: Time, event: Event) -> (Vec<Packet>, Vec<(Time, Event)>) {
        match event {
            Event::Missed(number, tries) if self.sent[number].tries == tries => {
                self.sent[number].tries += 1;
                self.holes.retain(|hole| *hole != number);
                (Vec::new(), vec![self.try_once(now, number)])
            }
            Event::Missed(..) => (Vec::new(), Vec::new()),
            Event::Arrives(number) => match self.kind {
                LinkKind::Unordered => {
                    (self.sent[number].packet.take().into_iter().collect(), Vec::new())
                }
                LinkKind::Ordered => (self.in_order(number), self.overtakes(now, number)),
            },
        }
    }

    fn in_order(&mut self, number: usize) -> Vec<Packet> {
        self.sent[number].here = true;
        let mut packets = Vec::new();
        while self.sent.get(self.delivered).is_some_and(|sent| sent.here) {
            packets.extend(self.sent[self.delivered].packet.take());
            self.delivered += 1;
        }
        packets
    }

    /// Three later arrivals, one way later, tell the sender of a hole.
    fn overtakes(&mut self, now: Time, number: usize) -> Vec<(Time, Event)> {
        let mut missed = Vec::new();
        for hole in self.holes.iter().copied().filter(|hole| *hole < number) {
            self.sent[hole].overtaken += 1;
            if self.sent[hole].overtaken == self.dups {
                missed.push((now + self.back, Event::Missed(hole, 0)));
            }
        }
        missed
    }
}
