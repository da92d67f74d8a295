//! I-7, closure: what a committed record depends on is settled.

use super::Check;
use crate::base::Lsn;

/// A replica calls `lsn` settled; a quorum holds it, but `open`, which it depends on, is not
/// settled.
pub(super) fn closed(replica: usize, lsn: Lsn, open: Lsn) -> Check {
    Err(format!("I-7 replica {replica} calls {lsn} settled before {open}, which it depends on"))
}

#[cfg(test)]
mod tests {
    use super::super::forge::{id, write};
    use super::super::ledger::{Ledger, Logs};
    use super::super::systems::Systems;
    use super::*;

    #[test]
    fn a_record_before_what_it_depends_on_is_found() {
        let mut ledger = Ledger::new(Systems::new(&[0, 1, 2]), Lsn::ZERO);
        let record = write(5, id(1, 1), "a", &[3]);
        for replica in [0, 1] {
            ledger.accepted(&Logs::new(), replica, id(1, 1), &record, &mut Vec::new());
        }
        let open = ledger.waits_for(Lsn(5)).expect("it waits for 3");
        super::super::forge::fails(closed(0, Lsn(5), open), "I-7");
        assert_eq!(ledger.waits_for(Lsn(3)), None);
    }
}
