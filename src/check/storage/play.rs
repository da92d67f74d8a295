//! Scripts carried out.

use super::report::Report;
use super::script::{Action, Chance, Model, Script};
use super::{IDENTITY, Opener};
use crate::base::Lsn;
use crate::disk::{Op, SimDisk};
use crate::wal::Store;

/// The error of an opener's store.
pub(super) type Error<O> = <<O as Opener>::Store as Store>::Error;

/// A store that a script is carried out on.
pub(super) struct Player<'a, O: Opener> {
    opener: &'a O,
    pub(super) disk: SimDisk,
    pub(super) script: &'a Script,
    /// Absent only while it is being opened again.
    pub(super) store: Option<O::Store>,
    /// So many steps and purges were reported durable.
    pub(super) acked: usize,
    /// So many were taken.
    pub(super) issued: usize,
    /// The number of each step, and how many steps and purges there were with it.
    numbers: Vec<(u64, usize)>,
    /// Whether the present action is counted already.
    taken: bool,
    /// What was found to be wrong, with the clause.
    pub(super) wrong: Vec<(u32, String)>,
}

impl<'a, O: Opener> Player<'a, O> {
    /// A new store, on this disk.
    pub(super) fn new(opener: &'a O, disk: SimDisk, script: &'a Script) -> Player<'a, O> {
        Player {
            opener,
            disk,
            script,
            store: None,
            acked: 0,
            issued: 0,
            numbers: Vec::new(),
            taken: false,
            wrong: Vec::new(),
        }
    }

    /// What is owed if everything taken is there.
    pub(super) fn model(&self) -> &Model {
        &self.script.models[self.issued]
    }

    /// Opens the store if it is not open; what it holds must be all that was taken.
    pub(super) fn open(&mut self) -> Result<(), Error<O>> {
        if self.store.is_none() {
            let (store, found) = self.opener.open(self.disk.clone(), IDENTITY)?;
            if !self.model().is(&found) || found.doubt.is_some() {
                self.wrong.push((1, format!("another state after an orderly restart: {found}")));
            }
            self.store = Some(store);
        }
        Ok(())
    }

    /// Does what the script says. The same action may be tried again after a lack of room.
    pub(super) fn act(&mut self, action: &Action) -> Result<(), Error<O>> {
        self.open()?;
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        match action {
            Action::Step(write) => {
                if !std::mem::replace(&mut self.taken, true) {
                    self.issued += 1;
                    self.numbers.push((write.number, self.issued));
                }
                store.append(write)?;
            }
            Action::Sync => {
                let number = store.sync()?;
                let known = self.numbers.iter().take_while(|(of, _)| *of <= number).last();
                self.acked = self.acked.max(known.map_or(0, |(_, steps)| *steps));
            }
            Action::Purge(below) => {
                self.issued += usize::from(!std::mem::replace(&mut self.taken, true));
                store.purge(*below)?;
                self.acked = self.issued;
            }
            Action::Idle => store.idle()?,
            Action::Restart => {
                self.store = None;
                self.open()?;
            }
        }
        self.taken = false;
        Ok(())
    }

    /// Does all of it.
    pub(super) fn play(&mut self) -> Result<(), Error<O>> {
        self.open()?;
        let script = self.script;
        script.actions.iter().try_for_each(|action| self.act(action))
    }

    /// Reads single records back: one that is there, one that is not.
    pub(super) fn load(&mut self, chance: &mut Chance) {
        let model = &self.script.models[self.issued];
        let Some(store) = self.store.as_mut() else { return };
        let held: Vec<Lsn> = model.records.keys().copied().collect();
        let top = held.last().map_or(5, |lsn| lsn.0 + 5);
        let mut wanted = vec![Lsn(chance.below(top as usize) as u64)];
        wanted.extend(held.get(chance.below(held.len().max(1))));
        for lsn in wanted {
            match store.load(lsn) {
                Ok(record) if record.as_ref() == model.records.get(&lsn) => {}
                Ok(record) => self.wrong.push((
                    10,
                    format!(
                        "loaded {} at {lsn}",
                        record.map_or("nothing".into(), |r| r.to_string())
                    ),
                )),
                Err(error) => self.wrong.push((10, format!("loading {lsn}: {error}"))),
            }
        }
    }

    /// Hands over what was wrong.
    pub(super) fn report(&mut self, report: &mut Report) {
        for (clause, what) in self.wrong.drain(..) {
            report.note(clause, self.script.seed, Some(what));
        }
    }
}

/// Where a run stood when so many changes of the disk had been made.
#[derive(Clone, Copy, Debug)]
struct Moment {
    ops: usize,
    acked: usize,
    issued: usize,
}

/// A script that was carried out, with every change of the disk.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) script: &'a Script,
    pub(super) ops: Vec<Op>,
    /// After each action.
    moments: Vec<Moment>,
}

impl<'a> Run<'a> {
    /// Carries a script out on a sound disk, and reads records back all along.
    pub(super) fn record(opener: &impl Opener, script: &'a Script, report: &mut Report) -> Run<'a> {
        let disk = SimDisk::new();
        disk.record();
        let mut player = Player::new(opener, disk.clone(), script);
        let mut chance = Chance(script.seed);
        let mut moments = Vec::new();
        let mut ended = player.open();
        for action in &script.actions {
            if ended.is_ok() {
                ended = player.act(action);
                player.load(&mut chance);
                let (acked, issued) = (player.acked, player.issued);
                moments.push(Moment { ops: disk.recorded(), acked, issued });
            }
        }
        report.note(3, script.seed, ended.err().map(|error| format!("on a sound disk: {error}")));
        report.note(10, script.seed, None);
        player.report(report);
        Run { script, ops: disk.ops(), moments }
    }

    /// How few and how many steps may be there after so many changes of the disk.
    pub(super) fn owed(&self, ops: usize) -> (usize, usize) {
        let after = self.moments.partition_point(|moment| moment.ops <= ops);
        let acked = self.moments[..after].last().map_or(0, |moment| moment.acked);
        let issued = self.moments.get(after).or(self.moments.last()).map_or(0, |m| m.issued);
        (acked, issued)
    }
}
