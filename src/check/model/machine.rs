//! A machine that knows nothing but footprints: who wrote each key last, and from what.

use crate::apply::Digest;
use crate::base::{Key, Lsn, Record};
use std::collections::BTreeMap;

/// The state that any deterministic machine could have, as far as footprints tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// By key: the position that wrote it last, and a value that stands for all that went into it.
    values: BTreeMap<Key, (Lsn, u64)>,
    /// By key: the last position that read it, since this state was taken up.
    reads: BTreeMap<Key, Lsn>,
}

impl Machine {
    /// Executes a record.
    ///
    /// # Errors
    /// I-8: a later record that interferes was executed before.
    pub(super) fn execute(&mut self, record: &Record) -> Result<(), String> {
        let Some(command) = record.command() else { return Ok(()) };
        let (reads, writes) = (&command.footprint.reads, &command.footprint.writes);
        let mut value = Digest::new().word(record.lsn.0).word(record.author.term);
        value = value.word(record.author.node.0);
        for key in reads.points() {
            let (writer, found) = self.values.get(key).copied().unwrap_or_default();
            if writer > record.lsn {
                return Err(format!(
                    "I-8 {record} runs after {writer}, which writes what it reads"
                ));
            }
            value = value.word(found);
            let last = self.reads.entry(key.clone()).or_default();
            *last = (*last).max(record.lsn);
        }
        for key in writes.points() {
            let (writer, _) = self.values.get(key).copied().unwrap_or_default();
            let reader = self.reads.get(key).copied().unwrap_or_default();
            if writer.max(reader) > record.lsn {
                let later = writer.max(reader);
                return Err(format!("I-8 {record} runs after {later}, which interferes with it"));
            }
            self.values.insert(key.clone(), (record.lsn, value.value()));
        }
        Ok(())
    }

    /// What a snapshot has of it.
    pub(super) fn snapshot(&self) -> Machine {
        Machine { values: self.values.clone(), reads: BTreeMap::new() }
    }

    /// Whether a client could tell the two apart.
    pub(super) fn shows_the_same(&self, other: &Machine) -> bool {
        self.values == other.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Command, Footprint, KeySet, LeaderId, Payload};

    fn record(lsn: u64, reads: &str, writes: &str) -> Record {
        let set =
            |keys: &str| KeySet::from_parts(keys.chars().map(|c| Key::from(c.to_string())), []);
        let footprint = Footprint { reads: set(reads), writes: set(writes) };
        let payload = Payload::Command(Command { footprint, body: Key::new() });
        Record::bare(Lsn(lsn), LeaderId::new(1, 1), payload)
    }

    #[test]
    fn the_order_of_those_that_interfere_is_looked_at() {
        let mut machine = Machine::default();
        assert_eq!(machine.execute(&record(2, "", "x")), Ok(()));
        assert_eq!(machine.execute(&record(1, "", "y")), Ok(()));
        assert!(machine.execute(&record(1, "x", "")).is_err());
        assert!(machine.execute(&record(1, "", "x")).is_err());
        assert_eq!(machine.execute(&record(4, "y", "")), Ok(()));
        assert!(machine.execute(&record(3, "", "y")).is_err());
    }

    #[test]
    fn a_value_tells_what_was_read() {
        let run = |records: &[Record]| {
            let mut machine = Machine::default();
            records.iter().for_each(|record| machine.execute(record).expect("in order"));
            machine
        };
        let (x, y, both) = (record(1, "", "x"), record(2, "", "y"), record(3, "x", "z"));
        let whole = run(&[x.clone(), y.clone(), both.clone()]);
        assert!(whole.shows_the_same(&run(&[y.clone(), x, both.clone()])));
        assert!(!whole.shows_the_same(&run(&[y, both])));
    }
}
