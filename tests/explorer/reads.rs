//! Whether one order explains what clients were told and what their reads showed.

use std::collections::BTreeMap;
use traft::base::*;

/// By key: a position that wrote it.
pub(crate) type Written = BTreeMap<Key, Lsn>;

/// The body of a command tells which proposal it is.
pub(crate) fn body(proposal: u64) -> Key {
    Key::copy_from_slice(&proposal.to_be_bytes())
}

fn proposal(record: &Record) -> Option<u64> {
    let body = record.command()?.body.first_chunk()?;
    Some(u64::from_be_bytes(*body))
}

/// What clients know.
#[derive(Default)]
pub(crate) struct Reads {
    /// The greatest position of each key that a client knows to be written.
    known: Written,
    /// By proposal: what was known when it was made.
    before: BTreeMap<u64, Written>,
    /// By read that waits: what was known when it came.
    waiting: BTreeMap<u64, Written>,
    /// What each read showed.
    shown: Vec<Written>,
}

impl Reads {
    pub(crate) fn served(&self) -> usize {
        self.shown.len()
    }

    pub(crate) fn proposed(&mut self, proposal: u64) {
        self.before.insert(proposal, self.known.clone());
    }

    /// A client knows that this took effect.
    pub(crate) fn learn(&mut self, record: &Record) {
        let Some(command) = record.command() else { return };
        for key in command.footprint.writes.points() {
            let known = self.known.entry(key.clone()).or_default();
            *known = (*known).max(record.lsn);
        }
    }

    pub(crate) fn asked(&mut self, read: u64, keys: &[Key]) {
        let at_least = |key: &Key| (key.clone(), self.known.get(key).copied().unwrap_or_default());
        self.waiting.insert(read, keys.iter().map(at_least).collect());
    }

    /// A read shows `found`, by key the last position that wrote it; `settled` has every record
    /// that may be shown.
    pub(crate) fn show<'a>(
        &mut self,
        read: u64,
        found: impl Fn(&Key) -> Lsn,
        settled: impl Iterator<Item = &'a Record>,
    ) -> Result<(), String> {
        let at_least = self.waiting.remove(&read).ok_or(format!("read {read} answered twice"))?;
        let shown: Written = at_least.keys().map(|key| (key.clone(), found(key))).collect();
        expect_at_least(&shown, &at_least, "when it came")?;
        for record in settled {
            let wrote = |(key, found): (&Key, &Lsn)| {
                let command = record.command();
                record.lsn <= *found && command.is_some_and(|c| c.footprint.writes.contains(key))
            };
            let before = proposal(record).and_then(|number| self.before.get(&number));
            if shown.iter().any(wrote)
                && let Some(before) = before
            {
                expect_at_least(&shown, before, &format!("when {} was proposed", record.lsn))?;
            }
        }
        for other in &self.shown {
            let both = || shown.iter().filter_map(|(key, at)| Some((at, other.get(key)?)));
            if both().any(|(one, other)| one < other) && both().any(|(one, other)| one > other) {
                return Err(format!("no order has both reads: {shown:?} and {other:?}"));
            }
        }
        for (key, found) in &shown {
            let known = self.known.entry(key.clone()).or_default();
            *known = (*known).max(*found);
        }
        self.shown.push(shown);
        Ok(())
    }
}

fn expect_at_least(shown: &Written, least: &Written, when: &str) -> Result<(), String> {
    for (key, found) in shown {
        let least = least.get(key).copied().unwrap_or_default();
        if *found < least {
            return Err(format!("stale read of {key:?}: {found}, known {when}: {least}"));
        }
    }
    Ok(())
}
