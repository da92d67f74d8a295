//! What a command changed at a replica, in a few words.

use crate::base::{LeaderId, Lsn, TailBitmap};
use crate::check::scenario::View;
use crate::replica::RoleName;

/// What is different from `before` (nothing, if the replica was not there), most important first.
pub(super) fn events(before: Option<&View>, after: &View) -> Vec<String> {
    let mut events = Vec::new();
    let (up, promise, committer, purged, settled, done, held, log, led) = match before {
        Some(v) => {
            let held: TailBitmap = v.slots.keys().copied().collect();
            let log: TailBitmap = v.log.keys().copied().collect();
            let (settled, done) = (v.settled.clone(), v.done.clone());
            (v.up, v.promise, v.committer, v.purged, settled, done, held, log, leads(v))
        }
        None => {
            let (nobody, none) = (LeaderId::NOBODY, TailBitmap::new());
            let sets = (none.clone(), none.clone(), none.clone(), none);
            (true, nobody, nobody, Lsn::ZERO, sets.0, sets.1, sets.2, sets.3, None)
        }
    };
    match (up, after.up) {
        (true, false) => events.push("crashes".into()),
        (false, true) => events.push("starts again".into()),
        _ => {}
    }
    if !after.up {
        return events;
    }
    if after.promise != promise {
        events.push(format!("promises {}", after.promise));
    }
    if after.committer != committer {
        events.push(format!("takes lineage {}", after.committer));
    }
    match (led, leads(after)) {
        (before, Some(now)) if before != Some(now) => events.push(format!("leads as {now}")),
        (Some(_), None) => events.push("leads no more".into()),
        _ => {}
    }
    let placed: TailBitmap = after.log.keys().copied().collect();
    let now: TailBitmap = after.slots.keys().copied().collect();
    let mut change = |word: &str, set: Vec<Lsn>| {
        if !set.is_empty() {
            let names: Vec<String> = set.iter().map(Lsn::to_string).collect();
            events.push(format!("{word} {}", names.join(" ")));
        }
    };
    // Of what it leads with, the log that it rebuilt is told by its election.
    if led == leads(after) {
        change("places", placed.difference_iter(&log).collect());
    }
    change("has", now.difference_iter(&held).collect());
    change("drops", held.difference_iter(&now).filter(|lsn| *lsn >= after.purged).collect());
    change("settled", after.settled.difference_iter(&settled).collect());
    change("done", after.done.difference_iter(&done).collect());
    if after.purged > purged {
        events.push(format!("purges below {}", after.purged));
    }
    events
}

fn leads(view: &View) -> Option<LeaderId> {
    (view.up && view.role == RoleName::Leader).then_some(view.leader)
}
