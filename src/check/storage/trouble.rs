//! Syncs that fail, full disks, second openers, and space (C-8, C-9, C-11, C-12).

use super::play::Player;
use super::report::Report;
use super::script::{Chance, Script, mix, true_record};
use super::{IDENTITY, Opener};
use crate::base::{LeaderId, Lineage, Lsn, Records, ReplicaId};
use crate::disk::{Fault, SimDisk};
use crate::replica::{Durable, Write};
use crate::wal::{Identity, Recovered, Store};

/// How many syncs fail, one at a time, for each script.
const SYNCS: u64 = 8;

/// Checks them for one script.
pub(super) fn check(opener: &impl Opener, script: &Script, report: &mut Report) {
    let mut chance = Chance(mix(script.seed ^ 2));
    for _ in 0..SYNCS {
        let wrong = failed_sync(opener, script, chance.below(120) as u64, Fault::FailSync);
        report.note(8, script.seed, wrong);
    }
    let wrong = full(opener, script, &mut chance);
    report.note(9, script.seed, wrong);
    report.note(11, script.seed, space(opener));
    report.note(12, script.seed, strangers(opener, script));
}

/// The `nth` write or sync goes wrong, and then nothing is what it seems.
fn failed_sync(opener: &impl Opener, script: &Script, nth: u64, fault: Fault) -> Option<String> {
    let disk = SimDisk::new();
    disk.plan(nth, fault);
    let mut player = Player::new(opener, disk.clone(), script);
    let failed = player.play().is_err();
    if let Some(store) = player.store.as_mut().filter(|_| failed) {
        let again = store.sync().or_else(|_| {
            store.append(&Write { number: u64::MAX, ..Write::default() })?;
            store.sync()
        });
        if let Ok(number) = again {
            return Some(format!("{number} reported durable after a failure"));
        }
    }
    player.store = None;
    let (acked, issued) = (player.acked, (player.issued + 1).min(script.models.len() - 1));
    let models = &script.models[acked..=issued];
    let owed = |found: &Recovered| models.iter().any(|model| model.is(found));
    let find = |disk| match opener.open(disk, IDENTITY) {
        Err(error) => Err(format!("opened after a failed sync: {error}")),
        Ok((_, found)) if found.doubt.is_some() || !owed(&found) => {
            Err(format!("{acked} to {issued} steps are owed, and there is {found}"))
        }
        Ok((_, found)) => Ok(found.durable),
    };
    let lost = |disk: &SimDisk| SimDisk::of(disk.state().crash(|_| false));
    // What failed and was not noticed must not matter.
    let Some(found) = failed.then(|| find(disk.clone())) else {
        return find(lost(&disk)).err();
    };
    match found.and_then(|found| Ok((found, find(lost(&disk))?))) {
        Err(wrong) => Some(wrong),
        Ok((found, after)) => {
            // Each start has a life of its own.
            let found = Durable { life: after.life, ..found };
            (found != after).then(|| "what was found after a failed sync did not stay".into())
        }
    }
}

/// Whenever the disk is full, there is room again a moment later.
fn full(opener: &impl Opener, script: &Script, chance: &mut Chance) -> Option<String> {
    let disk = SimDisk::new();
    let mut player = Player::new(opener, disk.clone(), script);
    for action in &script.actions {
        let used = disk.state().used();
        if chance.one_in(3) {
            disk.set_capacity(Some(used + chance.below(4_000) as u64));
        }
        let mut again = false;
        while let Err(error) = player.act(action) {
            if !is_full(&player, &error) || again {
                return Some(format!("on a full disk: {error}"));
            }
            player.load(chance);
            disk.set_capacity(None);
            again = true;
        }
    }
    if let Some((_, wrong)) = player.wrong.pop() {
        return Some(wrong);
    }
    player.store = None;
    disk.set_capacity(None);
    let ended = player.open();
    ended.err().map(|error| error.to_string()).or(player.wrong.pop().map(|(_, wrong)| wrong))
}

fn is_full<O: Opener>(_: &Player<'_, O>, error: &super::play::Error<O>) -> bool {
    O::Store::is_full(error)
}

/// One record far ahead arrives first; all that come after it are dropped, and it stays.
fn space(opener: &impl Opener) -> Option<String> {
    const FAR: Lsn = Lsn(1_000);
    let disk = SimDisk::new();
    let author = LeaderId::new(1, 1);
    let (mut store, _) = match opener.open(disk.clone(), IDENTITY) {
        Ok(opened) => opened,
        Err(error) => return Some(error.to_string()),
    };
    let lineage = Some(Lineage::new(author));
    let record = |lsn| vec![true_record(lsn, author)];
    let records = record(FAR).into();
    let first = Write { number: 1, voted: Some(author), lineage, records, ..Write::default() };
    let mut done = store.append(&first);
    for n in 0..300 {
        let write = Write { number: 2 + n, records: record(Lsn(n)).into(), ..Write::default() };
        done = done.and_then(|()| store.append(&write)).and_then(|()| store.sync().map(drop));
    }
    let before = disk.state().used();
    let purged = done.and_then(|()| store.purge(FAR));
    if let Err(error) = purged {
        return Some(error.to_string());
    }
    let after = disk.state().used();
    drop(store);
    let held = match opener.open(disk, IDENTITY) {
        Ok((_, found)) => found.durable.records == Records::from(record(FAR)),
        Err(error) => return Some(error.to_string()),
    };
    match () {
        () if !held => Some("the record above the bound is gone".into()),
        () if 2 * after > before => Some(format!("{before} bytes before a purge, {after} after")),
        () => None,
    }
}

/// A second opener, and another replica's.
fn strangers(opener: &impl Opener, script: &Script) -> Option<String> {
    let disk = SimDisk::new();
    let mut player = Player::new(opener, disk.clone(), script);
    if let Err(error) = player.play() {
        return Some(error.to_string());
    }
    if opener.open(disk.clone(), IDENTITY).is_ok() {
        return Some("opened twice".into());
    }
    player.store = None;
    let before = disk.state().digest();
    let others = [
        Identity { cluster: IDENTITY.cluster + 1, ..IDENTITY },
        Identity { replica: ReplicaId(2), ..IDENTITY },
    ];
    for other in others {
        if opener.open(disk.clone(), other).is_ok() {
            return Some(format!("opened as {other:?}"));
        }
    }
    (disk.state().digest() != before).then(|| "a stranger changed it".into())
}
