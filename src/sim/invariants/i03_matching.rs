//! I-3, log matching, generalized: if two leaders' logs hold the same record at `m`, then below
//! `m` each position holds the same record in both, or one of them is void or empty there.

use super::Check;
use super::ledger::LeaderLog;
use crate::base::{Lsn, Payload};

/// Holds two logs against each other.
pub(super) fn matching(a: &LeaderLog, b: &LeaderLog) -> Check {
    let base = a.base().max(b.base());
    let author = |log: &LeaderLog, lsn| log.get(lsn).map(|record| record.author);
    let same = |lsn: &Lsn| author(a, *lsn).is_some() && author(a, *lsn) == author(b, *lsn);
    let end = a.next().min(b.next());
    let Some(m) = (base.0..end.0.max(base.0)).rev().map(Lsn).find(same) else { return Ok(()) };
    for lsn in (base.0..m.0).map(Lsn) {
        let (Some(x), Some(y)) = (a.get(lsn), b.get(lsn)) else { continue };
        let void = x.payload == Payload::Void || y.payload == Payload::Void;
        if x.author != y.author && !void {
            return Err(format!(
                "I-3 the logs of {} and {} agree at {m} and hold {x} and {y}",
                a.id, b.id
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, log, write};
    use super::*;
    use crate::base::Record;

    #[test]
    fn logs_that_part_below_a_shared_record_are_found() {
        let (old, new) = (id(1, 1), id(2, 2));
        let top = write(2, old, "a", &[]);
        let a = log(old, &[write(0, old, "a", &[]), write(1, old, "b", &[]), top.clone()]);
        let void = Record::void(Lsn(1), new).into();
        let with_void = log(new, &[write(0, old, "a", &[]), void, top.clone()]);
        let with_hole = log(new, &[write(0, old, "a", &[]), top.clone()]);
        let other = log(new, &[write(0, old, "a", &[]), write(1, new, "c", &[]), top]);
        let parted = log(new, &[write(0, new, "c", &[])]);
        assert_eq!(matching(&a, &with_void), Ok(()));
        assert_eq!(matching(&with_hole, &a), Ok(()));
        assert_eq!(matching(&a, &parted), Ok(()));
        fails(matching(&a, &other), "I-3");
    }
}
