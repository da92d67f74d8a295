//! I-2: `(lsn, author)` names one record.

use super::Check;
use crate::base::SharedRecord;
use smallvec::SmallVec;

/// Every record met so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// By position: one of each author.
    known: Vec<SmallVec<[SharedRecord; 1]>>,
}

impl Records {
    /// A record is met.
    pub(super) fn record(&mut self, record: &SharedRecord) -> Check {
        let at = record.lsn.0 as usize;
        if at >= self.known.len() {
            self.known.resize_with(at + 1, SmallVec::new);
        }
        match self.known[at].iter().find(|known| known.author == record.author) {
            Some(known) if known.ptr_eq(record) || known == record => Ok(()),
            Some(known) => Err(format!("I-2 two records of one name: {known} and {record}")),
            None => {
                self.known[at].push(record.clone());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, write};
    use super::*;

    #[test]
    fn a_second_record_of_one_name_is_found() {
        let mut records = Records::default();
        assert_eq!(records.record(&write(3, id(1, 1), "a", &[])), Ok(()));
        assert_eq!(records.record(&write(3, id(1, 1), "a", &[])), Ok(()));
        assert_eq!(records.record(&write(3, id(1, 2), "b", &[])), Ok(()));
        fails(records.record(&write(3, id(1, 1), "b", &[])), "I-2");
    }
}
