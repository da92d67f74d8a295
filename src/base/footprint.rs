//! What a command reads and writes: the source of all interference.

use bytes::Bytes;
use std::cmp::Ordering;
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

/// A set of keys: single points and ranges.
///
/// Canonical, so that equality is set equality: seen as runs of keys without a gap (the key after
/// `k` is `k` with a zero byte at its end), the runs are sorted and neither overlap nor touch; a
/// run of one key is a point, every other one a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySet(Keys);

/// Most sets are one key; that form takes no memory of its own and keeps records small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Keys {
    #[default]
    None,
    One(Key),
    Many(Box<Many>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Many {
    points: Vec<Key>,
    ranges: Vec<KeyRange>,
    /// The bytes of its keys, counted once: flow control asks for every record several times.
    size: usize,
}

impl KeySet {
    /// The empty set. Does not allocate.
    pub fn new() -> KeySet {
        KeySet::default()
    }

    /// One key. Does not allocate.
    pub fn point(key: impl Into<Key>) -> KeySet {
        KeySet(Keys::One(key.into()))
    }

    /// Any points and ranges, brought into canonical form.
    pub fn from_parts(
        points: impl IntoIterator<Item = Key>,
        ranges: impl IntoIterator<Item = KeyRange>,
    ) -> KeySet {
        let points = points.into_iter().map(Run::point);
        let ranges = ranges.into_iter().filter(|r| !r.is_empty()).map(Run::range);
        let mut runs: Vec<Run> = points.chain(ranges).collect();
        runs.sort_unstable_by(|a, b| a.start.cmp(&b.start));
        runs.dedup_by(|next, run| {
            let joins = run.end.reaches(&next.start);
            if joins && next.end > run.end {
                std::mem::swap(&mut run.end, &mut next.end);
            }
            joins
        });
        let mut set = Many::default();
        for Run { start, end } in runs {
            match end {
                RunEnd::With(last) if last == start => set.points.push(start),
                end => set.ranges.push(KeyRange { start, end: end.bound() }),
            }
        }
        KeySet::canonical(set)
    }

    fn canonical(mut set: Many) -> KeySet {
        KeySet(match (set.points.len(), set.ranges.len()) {
            (0, 0) => Keys::None,
            (1, 0) => Keys::One(set.points.swap_remove(0)),
            _ => {
                let range = |r: &KeyRange| r.start.len() + r.end.as_ref().map_or(0, Bytes::len);
                set.size = set.points.iter().map(Bytes::len).sum::<usize>()
                    + set.ranges.iter().map(range).sum::<usize>();
                Keys::Many(Box::new(set))
            }
        })
    }

    /// The single keys, sorted.
    pub fn points(&self) -> &[Key] {
        match &self.0 {
            Keys::None => &[],
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Many(many) => &many.points,
        }
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[KeyRange] {
        match &self.0 {
            Keys::None | Keys::One(_) => &[],
            Keys::Many(many) => &many.ranges,
        }
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Keys::None)
    }

    /// Whether `key` is in it. Logarithmic.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.has_point(key) || self.has_range_with(key)
    }

    /// Whether some key is in both. One pass over the smaller set's points, each looked up in the
    /// other set, and one over both sets' ranges.
    pub fn intersects(&self, other: &KeySet) -> bool {
        let (few, many) =
            if self.points().len() <= other.points().len() { (self, other) } else { (other, self) };
        few.points().iter().any(|p| many.contains(p))
            || (!few.ranges().is_empty() && many.points().iter().any(|p| few.has_range_with(p)))
            || (!few.ranges().is_empty() && ranges_meet(few.ranges(), many.ranges()))
    }

    /// Whether every key of `other` is in this one.
    pub fn covers(&self, other: &KeySet) -> bool {
        let whole = |r: &KeyRange| self.range_at(&r.start).is_some_and(|mine| mine.covers(r));
        other.points().iter().all(|p| self.contains(p)) && other.ranges().iter().all(whole)
    }

    /// The bytes of its keys: what it costs to keep or send.
    pub fn size(&self) -> usize {
        match &self.0 {
            Keys::None => 0,
            Keys::One(key) => key.len(),
            Keys::Many(many) => many.size,
        }
    }

    fn has_point(&self, key: &[u8]) -> bool {
        match self.points() {
            [] => false,
            [point] => point == key,
            points => points.binary_search_by(|p| p[..].cmp(key)).is_ok(),
        }
    }

    fn has_range_with(&self, key: &[u8]) -> bool {
        self.range_at(key).is_some_and(|r| r.contains(key))
    }

    /// The last range that starts at or below `key`: the only one that can hold it.
    fn range_at(&self, key: &[u8]) -> Option<&KeyRange> {
        let after = self.ranges().partition_point(|r| r.start <= *key);
        self.ranges()[..after].last()
    }
}

/// Whether a range of `a` overlaps one of `b`; both sorted, neither overlapping in itself.
fn ranges_meet(mut a: &[KeyRange], mut b: &[KeyRange]) -> bool {
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        if x.overlaps(y) {
            return true;
        }
        if x.start < y.start { a = rest_a } else { b = rest_b }
    }
    false
}

/// Keys without a gap, while a set is being put together.
struct Run {
    start: Key,
    end: RunEnd,
}

/// Where a run ends, in order. Each end has one form: `Before` never holds a key that ends in a
/// zero byte, since "before `k` with a zero byte" is "with `k`".
#[derive(PartialEq, Eq)]
enum RunEnd {
    With(Key),
    Before(Key),
    Never,
}

impl Run {
    fn point(key: Key) -> Run {
        Run { start: key.clone(), end: RunEnd::With(key) }
    }

    fn range(range: KeyRange) -> Run {
        let end = match range.end {
            None => RunEnd::Never,
            Some(end) if end.ends_with(&[0]) => RunEnd::With(end.slice(..end.len() - 1)),
            Some(end) => RunEnd::Before(end),
        };
        Run { start: range.start, end }
    }
}

impl RunEnd {
    /// Whether a run that starts at `start` leaves no gap to a run that ends here and does not
    /// start after it.
    fn reaches(&self, start: &Key) -> bool {
        match self {
            RunEnd::With(last) => {
                start <= last || start.strip_suffix(&[0]).is_some_and(|key| key == last)
            }
            RunEnd::Before(end) => start <= end,
            RunEnd::Never => true,
        }
    }

    /// The first key after the run.
    fn bound(self) -> Option<Key> {
        match self {
            RunEnd::With(last) => Some(Bytes::from([&last[..], &[0]].concat())),
            RunEnd::Before(end) => Some(end),
            RunEnd::Never => None,
        }
    }
}

impl PartialOrd for RunEnd {
    fn partial_cmp(&self, other: &RunEnd) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RunEnd {
    fn cmp(&self, other: &RunEnd) -> Ordering {
        use RunEnd::{Before, Never, With};
        match (self, other) {
            (Never, Never) => Ordering::Equal,
            (Never, _) => Ordering::Greater,
            (_, Never) => Ordering::Less,
            (With(a), With(b)) | (Before(a), Before(b)) => a.cmp(b),
            (With(a), Before(b)) => {
                if a < b {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (Before(a), With(b)) => {
                if a <= b {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
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
        let all = || KeySet::from_parts([], [KeyRange::ALL]);
        Footprint { reads: all(), writes: all() }
    }

    /// Whether it reads and writes every key.
    pub fn is_everything(&self) -> bool {
        self.reads.ranges() == [KeyRange::ALL] && self.writes.ranges() == [KeyRange::ALL]
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

impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key: &Key| key.escape_ascii().to_string();
        let points = self.points().iter().map(text);
        let ranges = self.ranges().iter().map(|r| {
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
