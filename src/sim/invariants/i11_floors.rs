//! I-11: floors of commands never fall along a log; what lies below a floor is settled.

use super::Check;
use super::ledger::LeaderLog;
use crate::base::{Record, TailBitmap};

/// `record` is authored on top of this log.
pub(super) fn floor(log: &LeaderLog, record: &Record, settled: &TailBitmap) -> Check {
    if record.command().is_none() {
        return Ok(());
    }
    if record.floor < log.floor {
        return Err(format!(
            "I-11 the floor of {record} is below that of an earlier one, {}",
            log.floor
        ));
    }
    if record.floor > settled.offset() {
        let open = settled.offset();
        return Err(format!("I-11 {open} is not settled and lies below the floor of {record}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::forge::{fails, id, log, set, write};
    use super::*;
    use crate::base::Lsn;

    #[test]
    fn a_floor_that_falls_or_is_too_high_is_found() {
        let leader = id(1, 1);
        let with_floor = |lsn, floor| {
            let mut record = (*write(lsn, leader, "a", &[])).clone();
            record.floor = Lsn(floor);
            record
        };
        let leads = log(leader, &[with_floor(5, 3).into()]);
        assert_eq!(floor(&leads, &with_floor(6, 3), &set(&[0, 1, 2])), Ok(()));
        fails(floor(&leads, &with_floor(6, 2), &set(&[0, 1, 2])), "I-11");
        fails(floor(&leads, &with_floor(6, 4), &set(&[0, 1, 2])), "I-11");
    }
}
