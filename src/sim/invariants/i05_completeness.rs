//! I-5, completeness: a committed record is in the log of every leader with a greater id than the
//! one it committed at, or empty there.

use super::Check;
use super::ledger::{Commit, LeaderLog};

/// A leader above the one that `commit` happened at has this log.
pub(super) fn complete(log: &LeaderLog, commit: &Commit) -> Check {
    let lsn = commit.record.lsn;
    if lsn < log.base() {
        return Ok(());
    }
    let lost = match log.get(lsn) {
        Some(record) => record.author != commit.record.author,
        None => lsn >= log.next(),
    };
    if lost {
        Err(format!("I-5 the log of {} lost {}, committed at {}", log.id, commit.record, commit.at))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, log, write};
    use super::*;

    #[test]
    fn a_lost_commit_is_found() {
        let old = id(1, 1);
        let commit = |lsn| {
            let record = write(lsn, old, "a", &[]);
            Commit { record, held_at: old, at: old, holders: 3, other: None }
        };
        let leads = log(id(2, 2), &[write(0, old, "a", &[]), write(2, id(2, 2), "a", &[])]);
        assert_eq!(complete(&leads, &commit(0)), Ok(()));
        assert_eq!(complete(&leads, &commit(1)), Ok(()));
        fails(complete(&leads, &commit(2)), "I-5");
        fails(complete(&leads, &commit(3)), "I-5");
    }
}
