//! The keys of a segment: an ordered map from key to rank, read where it lies.
//!
//! The bytes are those of the `fst` crate (format 3), which also writes them. Its own reader trusts
//! them and panics where they are wrong; a checksum that fits does not make bytes right when they
//! come from another machine. So they are read here, and every step is checked. A test compares the
//! two readers.
//!
//! A node is addressed by its last byte, children lie at smaller addresses: every walk ends.

use bytes::Bytes;
use std::sync::Arc;

/// Version, kind.
const HEAD: usize = 16;
/// Length, address of the root, checksum.
const FOOT: usize = 20;
const VERSION: u64 = 3;
/// Above so many transitions a node has an index of its own.
const SCAN_MAX: usize = 32;
/// The address of the node that is final and has no children.
const LEAF: usize = 0;

/// The bytes that a node with one transition names in six bits, from 1 on: part of the format.
const COMMON: &[u8; 63] = b"te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG";

/// The bytes are not such a map, or it does not hold what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Found<T> = Result<T, Malformed>;

/// The map. The ranks of its keys, in order, are 0, 1, 2 and so on.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    data: Bytes,
    root: usize,
    len: u64,
}

/// Where the parts of a node lie.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Its first byte: addresses of children count down from here.
    start: usize,
    is_final: bool,
    /// What a key that ends here adds to the rank.
    final_output: u64,
    count: usize,
    address_size: usize,
    output_size: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One transition, to the node just before this one.
    Next(u8),
    /// One transition.
    One(u8),
    /// Any number. The inputs lie before this place, the last one first, then the addresses, then
    /// the outputs; the index, if there is one, begins here.
    Any(usize),
}

#[derive(Clone, Copy, Debug)]
struct Transition {
    input: u8,
    output: u64,
    to: usize,
}

impl Keys {
    /// The map in `data`.
    pub(super) fn new(data: Bytes) -> Found<Keys> {
        let number = |at: usize| -> Found<u64> {
            let bytes = data.get(at..at + 8).ok_or(Malformed)?;
            Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?))
        };
        let foot = data.len().checked_sub(FOOT).filter(|foot| *foot >= HEAD).ok_or(Malformed)?;
        let root = usize::try_from(number(foot + 8)?).map_err(|_| Malformed)?;
        if number(0)? != VERSION || root >= foot {
            return Err(Malformed);
        }
        let len = number(foot)?;
        if len == 0 {
            return Err(Malformed);
        }
        Ok(Keys { data, root, len })
    }

    /// How many keys it says that it has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The rank of `key`, if it is there.
    pub(super) fn get(&self, key: &[u8]) -> Found<Option<u64>> {
        let (mut node, mut rank) = (self.node(self.root)?, 0_u64);
        for byte in key {
            let Some(nth) = self.find(&node, *byte)? else { return Ok(None) };
            let step = self.transition(&node, nth)?;
            rank = rank.wrapping_add(step.output);
            node = self.node(step.to)?;
        }
        Ok(node.is_final.then(|| rank.wrapping_add(node.final_output)))
    }

    /// How many keys are less than `key`.
    pub(super) fn rank(&self, key: &[u8]) -> Found<u64> {
        let (mut node, mut rank) = (self.node(self.root)?, 0_u64);
        // The least key beyond, as far as it is known: where it turns off.
        let mut beyond = None;
        for byte in key {
            let nth = self.first_not_below(&node, *byte)?;
            if nth == node.count {
                return self.least_of(beyond);
            }
            let step = self.transition(&node, nth)?;
            let there = rank.wrapping_add(step.output);
            if step.input > *byte {
                return self.least(step.to, there);
            }
            if nth + 1 < node.count {
                let next = self.transition(&node, nth + 1)?;
                beyond = Some((next.to, rank.wrapping_add(next.output)));
            }
            (node, rank) = (self.node(step.to)?, there);
        }
        if node.is_final {
            return Ok(rank.wrapping_add(node.final_output));
        }
        let step = self.transition(&node, 0)?;
        self.least(step.to, rank.wrapping_add(step.output))
    }

    fn least_of(&self, beyond: Option<(usize, u64)>) -> Found<u64> {
        beyond.map_or(Ok(self.len), |(address, rank)| self.least(address, rank))
    }

    /// The rank of the least key below a node.
    fn least(&self, address: usize, mut rank: u64) -> Found<u64> {
        let mut node = self.node(address)?;
        while !node.is_final {
            let step = self.transition(&node, 0)?;
            rank = rank.wrapping_add(step.output);
            node = self.node(step.to)?;
        }
        Ok(rank.wrapping_add(node.final_output))
    }

    /// The key of this rank.
    pub(super) fn key(&self, wanted: u64) -> Found<Bytes> {
        let (mut node, mut rank, mut key) = (self.node(self.root)?, 0_u64, Vec::new());
        while !(node.is_final && rank.wrapping_add(node.final_output) == wanted) {
            // The last transition that does not lead beyond.
            let (mut low, mut high) = (0, node.count);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                let output = self.transition(&node, middle)?.output;
                if rank.wrapping_add(output) <= wanted { low = middle } else { high = middle }
            }
            let step = self.transition(&node, low)?;
            rank = rank.wrapping_add(step.output);
            key.push(step.input);
            node = self.node(step.to)?;
        }
        Ok(key.into())
    }

    /// The first transition whose input is not below `byte`; the number of them if there is none.
    fn first_not_below(&self, node: &Node, byte: u8) -> Found<usize> {
        let (mut low, mut high) = (0, node.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.input(node, middle)? < byte { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The transition for `byte`.
    fn find(&self, node: &Node, byte: u8) -> Found<Option<usize>> {
        match node.kind {
            Kind::Next(input) | Kind::One(input) => Ok((input == byte).then_some(0)),
            Kind::Any(at) if node.count > SCAN_MAX => {
                let nth = usize::from(self.byte(at + usize::from(byte))?);
                Ok((nth < node.count).then_some(nth))
            }
            Kind::Any(at) => {
                let inputs = self.data.get(at - node.count..at).ok_or(Malformed)?;
                let found = inputs.iter().rposition(|input| *input == byte);
                Ok(found.map(|place| node.count - 1 - place))
            }
        }
    }

    fn input(&self, node: &Node, nth: usize) -> Found<u8> {
        match node.kind {
            Kind::Next(input) | Kind::One(input) => Ok(input),
            Kind::Any(at) => self.byte(at - 1 - nth),
        }
    }

    fn transition(&self, node: &Node, nth: usize) -> Found<Transition> {
        if nth >= node.count {
            return Err(Malformed);
        }
        let (to, output) = match node.kind {
            Kind::Next(_) => {
                let to = node.start - 1;
                let inside = to >= HEAD;
                let input = self.input(node, nth)?;
                return if inside {
                    Ok(Transition { input, output: 0, to })
                } else {
                    Err(Malformed)
                };
            }
            Kind::One(_) => (node.start + node.output_size, node.start),
            Kind::Any(at) => {
                let addresses = at - node.count;
                let outputs = addresses - node.count * node.address_size;
                let back = |from: usize, size: usize| from - (nth + 1) * size;
                (back(addresses, node.address_size), back(outputs, node.output_size))
            }
        };
        let output = self.number(output, node.output_size)?;
        let to = match self.number(to, node.address_size)? {
            0 => LEAF,
            delta => {
                let delta = usize::try_from(delta).map_err(|_| Malformed)?;
                node.start.checked_sub(delta).filter(|to| *to >= HEAD).ok_or(Malformed)?
            }
        };
        Ok(Transition { input: self.input(node, nth)?, output, to })
    }

    fn node(&self, address: usize) -> Found<Node> {
        let leaf = Node {
            kind: Kind::Any(0),
            start: 0,
            is_final: true,
            final_output: 0,
            count: 0,
            address_size: 0,
            output_size: 0,
        };
        if address == LEAF {
            return Ok(leaf);
        }
        let state = self.byte(address)?;
        let low = state & 0x3f;
        // Each part lies before the one that says how long it is.
        let before =
            |at: usize, size: usize| at.checked_sub(size).filter(|at| *at >= HEAD).ok_or(Malformed);
        if state >= 0x80 {
            let at = if low == 0 { before(address, 1)? } else { before(address, 0)? };
            let input = if low == 0 { self.byte(at)? } else { COMMON[usize::from(low) - 1] };
            let one = Node { is_final: false, count: 1, ..leaf };
            if state >= 0xc0 {
                return Ok(Node { kind: Kind::Next(input), start: at, ..one });
            }
            let at = before(at, 1)?;
            let (address_size, output_size) = self.sizes(at)?;
            let start = before(at, address_size + output_size)?;
            return Ok(Node { kind: Kind::One(input), start, address_size, output_size, ..one });
        }
        let mut at = address;
        let mut count = usize::from(low);
        if low == 0 {
            at = before(at, 1)?;
            // One would be in the state itself.
            count = match self.byte(at)? {
                1 => 256,
                count => usize::from(count),
            };
        }
        at = before(at, 1)?;
        let (address_size, output_size) = self.sizes(at)?;
        let inputs = before(at, if count > SCAN_MAX { 256 } else { 0 })?;
        let mut start = before(inputs, count * (1 + address_size + output_size))?;
        let is_final = state & 0x40 != 0;
        let mut final_output = 0;
        if is_final {
            start = before(start, output_size)?;
            final_output = self.number(start, output_size)?;
        }
        let kind = Kind::Any(inputs);
        Ok(Node { kind, start, is_final, final_output, count, address_size, output_size })
    }

    fn byte(&self, at: usize) -> Found<u8> {
        self.data.get(at).copied().ok_or(Malformed)
    }

    fn sizes(&self, at: usize) -> Found<(usize, usize)> {
        let both = usize::from(self.byte(at)?);
        let sizes = (both >> 4, both & 15);
        if sizes.0 <= 8 && sizes.1 <= 8 { Ok(sizes) } else { Err(Malformed) }
    }

    fn number(&self, at: usize, size: usize) -> Found<u64> {
        let bytes = self.data.get(at..at + size).ok_or(Malformed)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Goes through the keys in order.
#[derive(Debug)]
pub(super) struct Walk {
    keys: Arc<Keys>,
    /// The nodes on the way to the key, what the way adds to the rank, and where to go on.
    path: Vec<(Node, u64, usize)>,
    key: Vec<u8>,
    /// The rank that the next key must have.
    rank: u64,
    /// Whether the node at the end of the path may be the next key itself.
    fresh: bool,
}

impl Walk {
    /// From the first key that is not less than `from`.
    pub(super) fn new(keys: Arc<Keys>, from: &[u8]) -> Found<Walk> {
        let rank = keys.rank(from)?;
        let mut node = keys.node(keys.root)?;
        let mut walk = Walk { keys, path: Vec::new(), key: Vec::new(), rank, fresh: true };
        let mut sum = 0_u64;
        for byte in from {
            let nth = walk.keys.first_not_below(&node, *byte)?;
            walk.path.push((node, sum, nth));
            walk.fresh = false;
            if nth == node.count || walk.keys.input(&node, nth)? != *byte {
                return Ok(walk);
            }
            let step = walk.keys.transition(&node, nth)?;
            if let Some(last) = walk.path.last_mut() {
                last.2 += 1;
            }
            walk.key.push(*byte);
            sum = sum.wrapping_add(step.output);
            node = walk.keys.node(step.to)?;
            walk.fresh = true;
        }
        walk.path.push((node, sum, 0));
        Ok(walk)
    }

    /// The next key and its rank. What it says of ranks is checked: there are no more keys than
    /// [`Keys::len`] and their ranks have no gaps.
    pub(super) fn next(&mut self) -> Found<Option<(&[u8], u64)>> {
        loop {
            let Some((node, sum, nth)) = self.path.last_mut() else {
                return if self.rank == self.keys.len { Ok(None) } else { Err(Malformed) };
            };
            if std::mem::replace(&mut self.fresh, false) && node.is_final {
                let rank = sum.wrapping_add(node.final_output);
                if rank != self.rank || rank >= self.keys.len {
                    return Err(Malformed);
                }
                self.rank += 1;
                return Ok(Some((&self.key, rank)));
            }
            if *nth == node.count {
                self.path.pop();
                self.key.pop();
                continue;
            }
            let step = self.keys.transition(node, *nth)?;
            *nth += 1;
            let sum = sum.wrapping_add(step.output);
            self.key.push(step.input);
            self.path.push((self.keys.node(step.to)?, sum, 0));
            self.fresh = true;
            // A branch without a key is nothing that was ever written, and endless work.
            if self.path.last().is_some_and(|(child, ..)| child.count == 0 && !child.is_final) {
                return Err(Malformed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
