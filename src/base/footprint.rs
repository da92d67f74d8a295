//! What a command reads and writes: the source of all interference.

use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt;

/// A key of the user's state. Keys are ordered as byte strings.
pub type Key = Bytes;

/// The keys `start <= k < end`; without an end, every key from `start` on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// The least key in the range.
    pub start: Key,
    /// The first key after the range; `None` reaches to the end of the key space.
    pub end: Option<Key>,
}

impl KeyRange {
    /// Every key there is.
    pub const ALL: KeyRange = KeyRange { start: Bytes::new(), end: None };

    /// The keys `start <= k < end`.
    pub fn new(start: impl Into<Key>, end: impl Into<Key>) -> KeyRange {
        KeyRange { start: start.into(), end: Some(end.into()) }
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= *key && self.end.as_ref().is_none_or(|end| key < &end[..])
    }

    /// Whether some key is in both; both are non-empty.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        let before = |a: &KeyRange, b: &KeyRange| a.end.as_ref().is_some_and(|end| *end <= b.start);
        !before(self, other) && !before(other, self)
    }

    /// Whether every key of `other` is in this one.
    pub fn covers(&self, other: &KeyRange) -> bool {
        self.start <= other.start
            && match (&self.end, &other.end) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => theirs <= mine,
            }
    }
}

/// A set of keys: single points and ranges. Canonical: points sorted and outside the ranges,
/// ranges sorted, non-empty, neither overlapping nor touching.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySet {
    points: SmallVec<[Key; 1]>,
    ranges: Vec<KeyRange>,
}

impl KeySet {
    /// The empty set. Does not allocate.
    pub fn new() -> KeySet {
        KeySet::default()
    }

    /// One key. Does not allocate.
    pub fn point(key: impl Into<Key>) -> KeySet {
        KeySet { points: SmallVec::from_buf([key.into()]), ranges: Vec::new() }
    }

    /// Any points and ranges, brought into canonical form.
    pub fn from_parts(
        points: impl IntoIterator<Item = Key>,
        ranges: impl IntoIterator<Item = KeyRange>,
    ) -> KeySet {
        let mut ranges: Vec<KeyRange> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, last| {
            let joins = last.end.as_ref().is_none_or(|end| next.start <= *end);
            if joins && !last.covers(next) {
                last.end = next.end.take();
            }
            joins
        });
        let mut set = KeySet { points: points.into_iter().collect(), ranges };
        let KeySet { points, ranges } = &mut set;
        points.retain(|key| !in_ranges(ranges, key));
        points.sort_unstable();
        points.dedup();
        set
    }

    /// The single keys, sorted.
    pub fn points(&self) -> &[Key] {
        &self.points
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    /// Whether `key` is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.points.iter().any(|p| p == key) || in_ranges(&self.ranges, key)
    }

    /// Whether some key is in both.
    pub fn intersects(&self, other: &KeySet) -> bool {
        self.points.iter().any(|p| other.contains(p))
            || other.points.iter().any(|p| in_ranges(&self.ranges, p))
            || self.ranges.iter().any(|r| other.ranges.iter().any(|s| r.overlaps(s)))
    }

    /// Whether every key of `other` is in this one.
    pub fn covers(&self, other: &KeySet) -> bool {
        other.points.iter().all(|p| self.contains(p))
            && other.ranges.iter().all(|r| self.ranges.iter().any(|s| s.covers(r)))
    }

    /// The bytes of its keys: what it costs to keep or send.
    pub fn size(&self) -> usize {
        let range = |r: &KeyRange| r.start.len() + r.end.as_ref().map_or(0, Bytes::len);
        self.points.iter().map(Bytes::len).sum::<usize>()
            + self.ranges.iter().map(range).sum::<usize>()
    }
}

/// The keys and key ranges a command reads and writes (algorithm.md, Words).
///
/// Two commands *interfere* if one writes what the other reads or writes; `interferes` is
/// symmetric, and commands that do not interfere must commute. Too large a footprint is safe and
/// only costs concurrency; too small a one makes replicas diverge. The empty footprint interferes
/// with nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Footprint {
    /// What the command reads.
    pub reads: KeySet,
    /// What the command writes.
    pub writes: KeySet,
}

impl Footprint {
    /// Reads and writes every key: the command waits for all before it, and all after wait for it.
    pub fn everything() -> Footprint {
        let all = || KeySet { points: SmallVec::new(), ranges: vec![KeyRange::ALL] };
        Footprint { reads: all(), writes: all() }
    }

    /// Whether it reads and writes every key.
    pub fn is_everything(&self) -> bool {
        self.reads.ranges == [KeyRange::ALL] && self.writes.ranges == [KeyRange::ALL]
    }

    /// Reads `keys`.
    pub fn read(keys: KeySet) -> Footprint {
        Footprint { reads: keys, writes: KeySet::new() }
    }

    /// Writes `keys` without reading anything.
    pub fn write(keys: KeySet) -> Footprint {
        Footprint { reads: KeySet::new(), writes: keys }
    }

    /// Reads and writes `keys`.
    pub fn update(keys: KeySet) -> Footprint {
        Footprint { reads: keys.clone(), writes: keys }
    }

    /// Whether one writes what the other reads or writes.
    pub fn interferes(&self, other: &Footprint) -> bool {
        self.writes.intersects(&other.writes)
            || self.writes.intersects(&other.reads)
            || other.writes.intersects(&self.reads)
    }

    /// A command that reads nothing is blind: only such a command can override or be overridden.
    pub fn is_blind(&self) -> bool {
        self.reads.is_empty()
    }

    /// The bytes of its keys.
    pub fn size(&self) -> usize {
        self.reads.size() + self.writes.size()
    }
}

fn in_ranges(ranges: &[KeyRange], key: &[u8]) -> bool {
    ranges.iter().any(|r| r.contains(key))
}

impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key: &Key| key.escape_ascii().to_string();
        let points = self.points.iter().map(text);
        let ranges = self.ranges.iter().map(|r| {
            format!("[{} {})", text(&r.start), r.end.as_ref().map_or("..".to_string(), text))
        });
        f.write_str(&points.chain(ranges).collect::<Vec<_>>().join(","))
    }
}

/// `r:x w:y,[a b)`; `*` for everything; `-` for nothing.
impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reads.is_empty(), self.writes.is_empty()) {
            _ if self.is_everything() => f.write_str("*"),
            (true, true) => f.write_str("-"),
            (true, false) => write!(f, "w:{}", self.writes),
            (false, true) => write!(f, "r:{}", self.reads),
            (false, false) if self.reads == self.writes => write!(f, "rw:{}", self.writes),
            (false, false) => write!(f, "r:{} w:{}", self.reads, self.writes),
        }
    }
}
