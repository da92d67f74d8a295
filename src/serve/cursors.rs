//! Where scans go on.

use bytes::Bytes;
use std::collections::VecDeque;

/// The most that are remembered: an older one is forgotten, and its client told so.
const CURSORS_MAX: usize = 16_384;

/// Numbers for keys: `SCAN` has a number for a cursor, and goes on above a key.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    keys: VecDeque<Bytes>,
    /// The number of the first.
    first: u64,
}

impl Cursors {
    /// The number for a key; never 0.
    pub(super) fn keep(&mut self, key: Bytes) -> u64 {
        if self.keys.len() == CURSORS_MAX {
            self.keys.pop_front();
            self.first += 1;
        }
        self.keys.push_back(key);
        self.first + self.keys.len() as u64
    }

    /// The key with this number.
    pub(super) fn get(&self, cursor: u64) -> Option<&Bytes> {
        let at = cursor.checked_sub(self.first + 1)?;
        self.keys.get(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_known_until_many_others_came() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.get(0), None);
        let first = cursors.keep(Bytes::from_static(b"a"));
        assert_eq!((first, cursors.get(first).map(|key| &key[..])), (1, Some(&b"a"[..])));
        for _ in 1..CURSORS_MAX {
            cursors.keep(Bytes::new());
        }
        assert!(cursors.get(first).is_some());
        let last = cursors.keep(Bytes::from_static(b"z"));
        assert_eq!(cursors.get(first), None);
        assert_eq!(cursors.get(last).map(|key| &key[..]), Some(&b"z"[..]));
        assert_eq!(cursors.get(last + 1), None);
    }
}
