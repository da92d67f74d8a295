//! Every way in which a disk goes bad (C-5 to C-7).

use super::play::{Player, Run};
use super::report::Report;
use super::script::{Chance, Model, mix, true_record};
use super::{IDENTITY, Opener};
use crate::disk::{SECTOR, SimDisk, State};
use crate::replica::Write;
use crate::wal::{Recovered, Store};

/// How many disks are spoiled for each script and each way.
const ROUNDS: usize = 20;

/// What happens to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A bit changes.
    Flip,
    /// A write went to another place.
    Misdirect,
    /// A write that was reported done was not.
    Lose,
    /// A sector cannot be read.
    Unreadable,
    /// A file is gone.
    Remove,
    /// A sector is changed and made to look right.
    Reseal,
}

impl Way {
    const ALL: [Way; 6] =
        [Way::Flip, Way::Misdirect, Way::Lose, Way::Unreadable, Way::Remove, Way::Reseal];

    fn name(self) -> &'static str {
        match self {
            Way::Flip => "flip",
            Way::Misdirect => "misdirect",
            Way::Lose => "lose",
            Way::Unreadable => "unreadable",
            Way::Remove => "remove",
            Way::Reseal => "reseal",
        }
    }
}

/// Lets a disk go bad at rest, at the end of the script and after a crash in it.
pub(super) fn check(
    opener: &impl Opener,
    run: &Run<'_>,
    reseal: Option<fn(&mut [u8])>,
    report: &mut Report,
) {
    let mut chance = Chance(mix(run.script.seed ^ 1));
    let disk = SimDisk::new();
    if Player::new(opener, disk.clone(), run.script).play().is_err() {
        return;
    }
    let whole = run.script.models.len() - 1;
    for way in Way::ALL {
        for round in 0..ROUNDS {
            // A crash may take the mark that tells of a lost write with it.
            let crashed = round % 3 == 2 && way != Way::Lose && way != Way::Misdirect;
            let (state, owed) = match crashed {
                true => crash(run, &mut chance),
                false => (disk.state(), (whole, whole)),
            };
            let damage = Damage { opener, run, owed, way };
            damage.check(state, reseal, &mut chance, report);
        }
    }
}

/// The disk after a crash at some moment.
fn crash(run: &Run<'_>, chance: &mut Chance) -> (State, (usize, usize)) {
    let ops = chance.below(run.ops.len() + 1);
    let mut state = State::default();
    run.ops[..ops].iter().for_each(|op| state.apply(op));
    (state.crash(|_| chance.one_in(2)), run.owed(ops))
}

struct Damage<'a, O> {
    opener: &'a O,
    run: &'a Run<'a>,
    owed: (usize, usize),
    way: Way,
}

impl<O: Opener> Damage<'_, O> {
    fn models(&self) -> &[Model] {
        &self.run.script.models[self.owed.0..=self.owed.1]
    }

    fn check(
        &self,
        mut state: State,
        reseal: Option<fn(&mut [u8])>,
        chance: &mut Chance,
        report: &mut Report,
    ) {
        let Some((name, sector)) = written_sector(&state, chance) else { return };
        let seed = self.run.script.seed;
        let mut unreadable = false;
        match self.way {
            Way::Flip => spoil(&mut state, &name, sector, |s| {
                s[chance.below(SECTOR)] ^= 1 << chance.below(8);
            }),
            Way::Lose => spoil(&mut state, &name, sector, |s| s.fill(0)),
            Way::Misdirect => misdirect(&mut state, &name, sector, chance),
            Way::Unreadable => unreadable = true,
            Way::Remove => state.remove(&name),
            Way::Reseal => match reseal {
                Some(reseal) => spoil(&mut state, &name, sector, |s| {
                    // Away from the first bytes, which say what and where it is.
                    let at = 20 + chance.below(SECTOR - 40);
                    s[at..at + 20].fill(chance.below(256) as u8);
                    reseal(s);
                }),
                None => return,
            },
        }
        let disk = SimDisk::of(state);
        if unreadable {
            disk.fail_reads(&name, (sector * SECTOR) as u64);
        }
        *report.damaged.entry(self.way.name()).or_default() += 1;
        match self.opener.open(disk.clone(), IDENTITY) {
            // Nobody can tell what was made to look right.
            Ok((_, found)) if self.way == Way::Reseal => {
                report.opened(&found);
                let doubted = usize::from(found.doubt.is_some());
                *report.doubted.entry(self.way.name()).or_default() += doubted;
            }
            Err(_) if self.way == Way::Reseal => {}
            Err(error) => {
                let what = format!("{:?} of sector {sector} of {name}: {error}", self.way);
                report.note(5, seed, Some(what));
            }
            Ok((store, found)) => {
                report.opened(&found);
                let place = |what| format!("{:?} of sector {sector} of {name}: {what}", self.way);
                report.note(5, seed, self.untrue(&found).map(place));
                report.note(6, seed, self.changed(&found).map(place));
                if found.doubt.is_some() {
                    *report.doubted.entry(self.way.name()).or_default() += 1;
                    drop(store);
                    report.note(7, seed, self.repair(&disk, chance.one_in(2)).map(place));
                }
            }
        }
    }

    /// What is missing and not doubted, or given and not true.
    fn untrue(&self, found: &Recovered) -> Option<String> {
        let Some(doubt) = &found.doubt else {
            let is = self.models().iter().any(|model| model.is(found));
            return (!is).then(|| format!("no doubt, and another state: {found}"));
        };
        let strays = doubt.strays.iter().map(|record| &**record);
        let mut given = found.durable.records.iter().chain(strays);
        let false_one = given.find(|record| **record != *true_record(record.lsn, record.author));
        false_one.map(|record| format!("nobody wrote {record}"))
    }

    /// What is not doubted and not as it was.
    fn changed(&self, found: &Recovered) -> Option<String> {
        let doubt = found.doubt.as_ref()?;
        let (voted, lineage) = (found.durable.voted, &found.durable.lineage);
        let models = self.models();
        let highest = models.iter().map(|model| model.voted).max();
        let was = models.iter().any(|model| model.voted == voted);
        let took = models.iter().any(|model| model.lineage == *lineage);
        match () {
            () if Some(voted) > highest => Some(format!("the promise {voted} was never made")),
            () if !doubt.promise && !was => Some(format!("the promise {voted} is not doubted")),
            () if !doubt.lineage && !took => Some(format!("the lineage {lineage} is not doubted")),
            () => None,
        }
    }

    /// Opened again it is still in doubt; given back what was lost, it is not. That it has all is
    /// said by the call or, `by_step`, with the step that gives it back.
    fn repair(&self, disk: &SimDisk, by_step: bool) -> Option<String> {
        let model = &self.run.script.models[self.owed.1];
        let (mut store, found) = match self.opener.open(disk.clone(), IDENTITY) {
            Ok(opened) => opened,
            Err(error) => return Some(format!("opened a second time: {error}")),
        };
        if found.doubt.is_none() {
            return Some("the doubt is gone without a repair".into());
        }
        let repaired = store
            .append(&Write { repaired: by_step, ..model.as_write(1) })
            .and_then(|()| store.purge(model.purged))
            .and_then(|_| if by_step { store.sync().map(drop) } else { store.repaired() });
        if let Err(error) = repaired {
            return Some(format!("repairing: {error}"));
        }
        drop(store);
        match self.opener.open(disk.clone(), IDENTITY) {
            Err(error) => Some(format!("opened after the repair: {error}")),
            Ok((_, found)) if found.doubt.is_some() => {
                Some(format!("in doubt after the repair: {found}"))
            }
            Ok((_, found)) if !model.is(&found) => Some("another state after the repair".into()),
            Ok(_) => None,
        }
    }
}

/// Some sector that is not zero, with its file.
fn written_sector(state: &State, chance: &mut Chance) -> Option<(String, usize)> {
    let mut sectors = Vec::new();
    for name in state.names() {
        let contents = state.contents(name).unwrap_or_default();
        for (nth, sector) in contents.chunks(SECTOR).enumerate() {
            if sector.len() == SECTOR && sector.iter().any(|byte| *byte != 0) {
                sectors.push((name, nth));
            }
        }
    }
    let (name, nth) = sectors.get(chance.below(sectors.len().max(1)))?;
    Some(((*name).to_string(), *nth))
}

fn spoil(state: &mut State, name: &str, sector: usize, f: impl FnOnce(&mut [u8])) {
    state.spoil(name, |contents| f(&mut contents[sector * SECTOR..][..SECTOR]));
}

/// The sector went to another place, in any file, and not to its own.
fn misdirect(state: &mut State, name: &str, sector: usize, chance: &mut Chance) {
    let names: Vec<String> = state.names().map(str::to_string).collect();
    let to = &names[chance.below(names.len())];
    let sectors = state.contents(to).map_or(0, |contents| contents.len() / SECTOR);
    let at = chance.below(sectors.max(1));
    if sectors == 0 || to == name && at == sector {
        return;
    }
    let mut moved = [0; SECTOR];
    spoil(state, name, sector, |s| {
        moved.copy_from_slice(s);
        s.fill(0);
    });
    spoil(state, to, at, |s| s.copy_from_slice(&moved));
}
