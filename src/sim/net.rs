//! Links in motion: egress, weather, streams.

use super::weather::{Fate, Weather};
use super::{LinkKind, Network, Time};
use std::collections::VecDeque;

/// Something that a link asks to be told of at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// The message in this slot arrives (unordered links).
    Arrival { slot: u32 },
    /// Packet `number` of the stream `link` arrives.
    StreamArrival { link: u32, life: u32, number: u32 },
    /// Packet `number` of the stream was lost, and its timeout has passed or the sender has heard
    /// of enough later arrivals: it is sent again, unless it was already after this `attempt`.
    StreamResend { link: u32, life: u32, number: u32, attempt: u32 },
}

/// A message that has arrived.
#[derive(Debug)]
pub(super) struct Arrived<M> {
    pub(super) to: usize,
    pub(super) message: M,
}

/// Every directed link between the replicas, and what each of them has on the way.
///
/// Stated simplifications of the ordered kind, all in its favour: the stream's own
/// acknowledgements are never lost, take the jitter-free delay and no bandwidth; its window has no
/// bound; timeouts do not back off; a packet that is merely late is never sent again.
#[derive(Debug)]
pub(super) struct Links<M> {
    network: Network,
    kind: LinkKind,
    weather: Weather,
    /// Before it the weather is good.
    origin: Time,
    replicas: usize,
    links: Vec<Link<M>>,
    /// When each replica has sent all that it was given.
    egress_free: Vec<Time>,
    slots: Slots<M>,
    /// Bytes sent, headers and retransmissions included.
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Link<M> {
    cut: bool,
    /// The instant of the last packet and its ordinal there.
    last: (Time, u32),
    /// Rises when the stream is torn down, so that events of an earlier stream are ignored.
    life: u32,
    /// The number of the first packet in `window`.
    first: u32,
    window: VecDeque<Packet<M>>,
}

/// A packet of a stream that was not yet delivered, for want of itself or of one before it.
#[derive(Debug)]
struct Packet<M> {
    message: Option<M>,
    bytes: u64,
    arrived: bool,
    /// Its first copy never arrives.
    lost: bool,
    /// How many later packets have arrived while it was lost.
    dups: usize,
    /// How often it was sent, less one.
    attempt: u32,
}

impl<M: Clone> Links<M> {
    pub(super) fn new(
        network: &Network,
        kind: LinkKind,
        seed: u64,
        origin: Time,
        replicas: usize,
    ) -> Links<M> {
        let link = || Link {
            cut: false,
            last: (Time::ZERO, 0),
            life: 0,
            first: 0,
            window: VecDeque::new(),
        };
        Links {
            kind,
            weather: Weather::new(seed, network),
            network: network.clone(),
            origin,
            replicas,
            links: (0..replicas * replicas).map(|_| link()).collect(),
            egress_free: vec![Time::ZERO; replicas],
            slots: Slots::new(),
            bytes: 0,
        }
    }

    /// Sends `message` of `size` bytes (headers not counted). `later` takes what is to be told
    /// back and when.
    pub(super) fn send(
        &mut self,
        now: Time,
        (from, to): (usize, usize),
        message: M,
        size: u64,
        later: &mut impl FnMut(Time, Wire),
    ) {
        let bytes = size + u64::from(self.network.header_bytes);
        let (fate, due) = self.transmit(now, from, to, bytes);
        let index = from * self.replicas + to;
        match self.kind {
            LinkKind::Unordered => {
                if let Some(late) = fate.double.filter(|_| !self.links[index].cut) {
                    let slot = self.slots.put(Arrived { to, message: message.clone() });
                    later(due + late, Wire::Arrival { slot });
                }
                if !fate.lost {
                    let slot = self.slots.put(Arrived { to, message });
                    later(due + fate.late, Wire::Arrival { slot });
                }
            }
            LinkKind::Ordered => {
                let link = &mut self.links[index];
                if link.cut {
                    return;
                }
                let number = link.first + link.window.len() as u32;
                let life = link.life;
                link.window.push_back(Packet {
                    message: Some(message),
                    bytes,
                    arrived: false,
                    lost: fate.lost,
                    dups: 0,
                    attempt: 0,
                });
                self.stream_fate(now, (fate, due), (index as u32, life, number, 0), later);
            }
        }
    }

    /// Sends a piece of something large; says when it arrives, unless it is lost.
    pub(super) fn piece(&mut self, now: Time, from: usize, to: usize, size: u64) -> Option<Time> {
        let bytes = size + u64::from(self.network.header_bytes);
        let (fate, due) = self.transmit(now, from, to, bytes);
        (!fate.lost).then_some(due + fate.late)
    }

    /// When a replica has sent all that it was given.
    pub(super) fn egress_free(&self, replica: usize) -> Time {
        self.egress_free[replica]
    }

    /// Puts a packet on the wire: its fate, and when it arrives if it is not late.
    fn transmit(&mut self, now: Time, from: usize, to: usize, bytes: u64) -> (Fate, Time) {
        let nanoseconds = bytes.saturating_mul(8_000_000_000) / self.network.egress_bits_per_s;
        let sent = self.egress_free[from].max(now) + Time(nanoseconds);
        self.egress_free[from] = sent;
        self.bytes += bytes;
        let link = &mut self.links[from * self.replicas + to];
        link.last = if link.last.0 == now { (now, link.last.1 + 1) } else { (now, 0) };
        let mut fate = Fate::default();
        if now >= self.origin {
            fate = self.weather.fate(from, to, now - self.origin, link.last.1);
        }
        fate.lost |= link.cut;
        (fate, sent + self.network.one_way[from][to])
    }

    /// Something asked for has come about; what has arrived by it goes to `arrived`, in order.
    pub(super) fn happen(
        &mut self,
        now: Time,
        event: Wire,
        later: &mut impl FnMut(Time, Wire),
        arrived: &mut Vec<Arrived<M>>,
    ) {
        match event {
            Wire::Arrival { slot } => arrived.extend(self.slots.take(slot)),
            Wire::StreamArrival { link, life, number } => {
                self.stream_arrival(now, (link, life, number), later, arrived);
            }
            Wire::StreamResend { link, life, number, attempt } => {
                self.stream_resend(now, (link, life, number, attempt), later);
            }
        }
    }

    fn stream_arrival(
        &mut self,
        now: Time,
        (index, life, number): (u32, u32, u32),
        later: &mut impl FnMut(Time, Wire),
        arrived: &mut Vec<Arrived<M>>,
    ) {
        let (from, to) = self.ends(index);
        let back = self.network.one_way[to][from];
        let link = &mut self.links[index as usize];
        let Some(at) = link.position(life, number) else { return };
        link.window[at].arrived = true;
        for (i, packet) in link.window.iter_mut().take(at).enumerate() {
            packet.dups += usize::from(packet.lost);
            if packet.lost && packet.dups == self.network.fast_retransmit_dups {
                let number = link.first + i as u32;
                later(now + back, Wire::StreamResend { link: index, life, number, attempt: 0 });
            }
        }
        while link.window.front().is_some_and(|packet| packet.arrived) {
            link.first += 1;
            let message = link.window.pop_front().and_then(|packet| packet.message);
            arrived.extend(message.map(|message| Arrived { to, message }));
        }
    }

    /// Sends a lost packet again. Of its timeout and of the later arrivals the first one acts; the
    /// other finds a later attempt and does nothing.
    fn stream_resend(
        &mut self,
        now: Time,
        (index, life, number, attempt): (u32, u32, u32, u32),
        later: &mut impl FnMut(Time, Wire),
    ) {
        let (from, to) = self.ends(index);
        let link = &mut self.links[index as usize];
        let Some(at) = link.position(life, number) else { return };
        let packet = &mut link.window[at];
        if packet.attempt != attempt {
            return;
        }
        packet.attempt += 1;
        let bytes = packet.bytes;
        let sent = self.transmit(now, from, to, bytes);
        self.stream_fate(now, sent, (index, life, number, attempt + 1), later);
    }

    fn stream_fate(
        &self,
        now: Time,
        (fate, due): (Fate, Time),
        (link, life, number, attempt): (u32, u32, u32, u32),
        later: &mut impl FnMut(Time, Wire),
    ) {
        if fate.lost {
            later(now + self.network.rto, Wire::StreamResend { link, life, number, attempt });
        } else {
            later(due + fate.late, Wire::StreamArrival { link, life, number });
        }
    }

    /// From now on packets from `from` to `to` are lost, or no longer. A stream is torn down by
    /// it: what was on its way is gone, as when a connection breaks.
    pub(super) fn cut(&mut self, from: usize, to: usize, cut: bool) {
        let link = &mut self.links[from * self.replicas + to];
        if link.cut != cut {
            link.cut = cut;
            link.tear_down();
        }
    }

    /// `replica` has crashed: its streams break, both ways, and what it had not sent yet is gone
    /// with them. Messages on unordered links stay on their way.
    pub(super) fn crash(&mut self, replica: usize, now: Time) {
        self.egress_free[replica] = now;
        for other in 0..self.replicas {
            self.links[replica * self.replicas + other].tear_down();
            self.links[other * self.replicas + replica].tear_down();
        }
    }

    fn ends(&self, index: u32) -> (usize, usize) {
        (index as usize / self.replicas, index as usize % self.replicas)
    }
}

impl<M> Link<M> {
    /// Where packet `number` of the stream's life `life` stands in the window, if it still does.
    fn position(&self, life: u32, number: u32) -> Option<usize> {
        let at = number.checked_sub(self.first)? as usize;
        (life == self.life && at < self.window.len()).then_some(at)
    }

    fn tear_down(&mut self) {
        self.life += 1;
        self.first = 0;
        self.window.clear();
    }
}

/// Messages on their way, by number: an event carries the number, so that the queue moves little.
#[derive(Debug)]
struct Slots<M> {
    slots: Vec<Option<Arrived<M>>>,
    free: Vec<u32>,
}

impl<M> Slots<M> {
    fn new() -> Slots<M> {
        Slots { slots: Vec::new(), free: Vec::new() }
    }

    fn put(&mut self, message: Arrived<M>) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(message);
                slot
            }
            None => {
                self.slots.push(Some(message));
                self.slots.len() as u32 - 1
            }
        }
    }

    /// Takes the message out; a slot is named by exactly one event, so it is there.
    fn take(&mut self, slot: u32) -> Option<Arrived<M>> {
        self.free.push(slot);
        self.slots[slot as usize].take()
    }
}
