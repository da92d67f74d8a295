//! Records that travel together.

use super::Record;
use smallvec::SmallVec;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

type List = SmallVec<[Arc<Record>; 2]>;

/// A list of records that whoever keeps, writes or sends it shares: a clone is one count, however
/// many records it has. A leader makes one of what it places between two drains; its own write,
/// its log, the message to each follower, and the log and the write of each of those are the same
/// list.
///
/// Immutable while it is shared: what adds to it makes an own copy first. The empty list does not
/// allocate.
#[derive(Clone, Default)]
pub struct Records(Option<Arc<List>>);

impl Records {
    /// No records. Does not allocate.
    pub const fn new() -> Records {
        Records(None)
    }

    /// Adds a record at the end.
    pub fn push(&mut self, record: Arc<Record>) {
        let list = self.0.get_or_insert_default();
        Arc::make_mut(list).push(record);
    }

    /// Keeps only the records that `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(&Record) -> bool) {
        if !self.iter().all(|record| keep(record)) {
            *self = self.iter().filter(|record| keep(record)).cloned().collect();
        }
    }
}

impl Deref for Records {
    type Target = [Arc<Record>];

    fn deref(&self) -> &[Arc<Record>] {
        self.0.as_ref().map_or(&[], |list| list)
    }
}

impl From<Vec<Arc<Record>>> for Records {
    fn from(records: Vec<Arc<Record>>) -> Records {
        Records((!records.is_empty()).then(|| Arc::new(List::from_vec(records))))
    }
}

impl FromIterator<Arc<Record>> for Records {
    fn from_iter<I: IntoIterator<Item = Arc<Record>>>(records: I) -> Records {
        let list = List::from_iter(records);
        Records((!list.is_empty()).then(|| Arc::new(list)))
    }
}

impl Extend<Arc<Record>> for Records {
    fn extend<I: IntoIterator<Item = Arc<Record>>>(&mut self, records: I) {
        let mut records = records.into_iter().peekable();
        if records.peek().is_some() {
            Arc::make_mut(self.0.get_or_insert_default()).extend(records);
        }
    }
}

impl IntoIterator for Records {
    type Item = Arc<Record>;
    type IntoIter = smallvec::IntoIter<[Arc<Record>; 2]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(Arc::unwrap_or_clone).unwrap_or_default().into_iter()
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = &'a Arc<Record>;
    type IntoIter = std::slice::Iter<'a, Arc<Record>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}
