//! I-4: each record that a follower holds under its committer is in that leader's log, or empty
//! there.

use super::Check;
use super::ledger::LeaderLog;
use crate::base::Record;

/// A follower whose committer has this log holds `record`.
pub(super) fn held(log: &LeaderLog, record: &Record) -> Check {
    if record.lsn < log.base() {
        return Ok(());
    }
    match log.get(record.lsn) {
        Some(own) if own.author != record.author => {
            Err(format!("I-4 a follower of {} holds {record}, the leader {own}", log.id))
        }
        None if record.lsn >= log.next() => {
            Err(format!("I-4 a follower of {} holds {record}, above the leader's log", log.id))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, log, write};
    use super::*;

    #[test]
    fn a_record_of_another_log_is_found() {
        let leader = id(2, 1);
        let leads = log(leader, &[write(0, id(1, 1), "a", &[]), write(2, leader, "b", &[])]);
        assert_eq!(held(&leads, &write(0, id(1, 1), "a", &[])), Ok(()));
        assert_eq!(held(&leads, &write(1, id(1, 3), "a", &[])), Ok(()));
        fails(held(&leads, &write(2, id(1, 1), "a", &[])), "I-4");
        fails(held(&leads, &write(3, leader, "a", &[])), "I-4");
    }
}
