//! I-6, agreement: at most one record is ever committed at a position. And whoever calls something
//! settled is right: a write quorum has it on disk under one leader id, or something of which that
//! holds overrides it.

use super::Check;
use super::ledger::Commit;
use crate::base::Lsn;

/// Something is committed.
pub(super) fn agree(commit: &Commit) -> Check {
    match commit.other {
        Some(other) => Err(format!(
            "I-6 {} is committed at {}, where the record of {other} was committed before",
            commit.record, commit.at
        )),
        None => Ok(()),
    }
}

/// A replica calls a position settled that is not.
pub(super) fn settled(replica: usize, lsn: Lsn) -> Check {
    Err(format!("I-6 replica {replica} calls {lsn} settled, and no write quorum has accepted it"))
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, write};
    use super::super::ledger::{Ledger, Logs};
    use super::super::systems::Systems;
    use super::*;

    #[test]
    fn two_commits_at_one_position_are_found() {
        let mut ledger = Ledger::new(Systems::new(&[0, 1, 2]), Lsn::ZERO);
        let mut commit = |author, replicas: [usize; 2]| {
            let record = write(0, author, "a", &[]);
            let mut commits = Vec::new();
            for replica in replicas {
                ledger.accepted(&Logs::new(), replica, author, &record, &mut commits);
            }
            commits.remove(0)
        };
        assert_eq!(agree(&commit(id(1, 1), [0, 1])), Ok(()));
        fails(agree(&commit(id(2, 2), [1, 2])), "I-6");
        fails(settled(0, Lsn(1)), "I-6");
    }
}
