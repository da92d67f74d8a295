//! A record's bytes but for the body of its command, which comes last.

use super::put::{Put, Sink};

/// All but the body of a command. What is nested is described once, and its length put before it
/// when that is known: there are few bytes to move.
pub(super) struct Front<'a> {
    to: &'a mut Vec<u8>,
    /// The length of what is left out.
    body: usize,
}

impl<'a> Front<'a> {
    pub(super) fn new(to: &'a mut Vec<u8>) -> Front<'a> {
        Front { to, body: 0 }
    }
}

impl Sink for Front<'_> {
    fn varint(&mut self, value: u64) {
        Sink::varint(self.to, value);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.to.raw(bytes);
    }

    fn nested<T: Put>(&mut self, value: &T) {
        let (at, body) = (self.to.len(), self.body);
        self.to.push(0);
        value.put(self);
        let mut len = self.to.len() - (at + 1) + (self.body - body);
        let mut place = at;
        while len >= 0x80 {
            self.to[place] = len as u8 | 0x80;
            len >>= 7;
            place += 1;
            self.to.insert(place, 0);
        }
        self.to[place] = len as u8;
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Command, Footprint, KeySet, LeaderId, Lsn, Payload, Record, Tail};
    use bytes::Bytes;

    /// Lengths below and above what one, two and three bytes hold.
    #[test]
    fn front_and_body_are_what_is_written_at_once() {
        let author = LeaderId::new(3, 200);
        for body in [0, 1, 90, 127, 128, 300, 16_300, 16_384, 70_000] {
            for key in [1, 100, 128, 200, 20_000] {
                let footprint = Footprint::update(KeySet::point(vec![7; key]));
                let body = Bytes::from(vec![9; body]);
                let payload = Payload::Command(Command { footprint, body });
                let mut record = Record::bare(Lsn(1 << 20), author, payload);
                record.floor = Lsn(1 << 19);
                record.depends = (0..key as u64).map(|n| Lsn((1 << 19) + 3 * n)).collect::<Tail>();
                let mut whole = Vec::new();
                record.put(&mut whole);
                let mut front = Vec::new();
                record.put(&mut Front::new(&mut front));
                front.extend_from_slice(&record.command().expect("one").body);
                assert!(front == whole, "{key}");
            }
        }
    }
}
