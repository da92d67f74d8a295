//! `traft cluster up --processes`: a process for each replica, and one that looks after them.

use crate::base::ReplicaId;
use crate::serve::fleet::{Fleet, FleetError};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::ChildStderr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it looks whether it is to end, and whether a process has.
const GLANCE: Duration = Duration::from_millis(50);

/// A process that has ended by itself is started again after this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Exit code of `traft serve` if starting it again is of no use.
const HOPELESS: i32 = 2;

/// Starts all of them with the flags that `first` says, tells where they are, and looks after them
/// until somebody says that it is to end.
pub(super) fn look_after(
    mut fleet: Fleet,
    first: impl Fn(ReplicaId) -> Vec<&'static str>,
    started: impl FnOnce() -> Result<(), String>,
    signals: &mut Signals,
) -> Result<(), String> {
    let ids: Vec<ReplicaId> = fleet.places().keys().copied().collect();
    let mut readers = Vec::new();
    for id in &ids {
        readers.push(pass_on(*id, start(&mut fleet, *id, &first(*id))?));
    }
    started()?;
    {
        // Whoever started this may not listen: that is no reason to end.
        let mut out = std::io::stdout().lock();
        for address in fleet.addresses() {
            let _ = writeln!(out, "redis://{address}");
        }
        let _ = out.flush();
    }
    let mut due: BTreeMap<ReplicaId, Instant> = BTreeMap::new();
    while signals.pending().next().is_none() {
        for (id, status) in fleet.ended() {
            if status.code() == Some(HOPELESS) {
                return Err(format!("replica {} has ended: {status}", id.0));
            }
            say(id, &format!("has ended ({status}) and is started again"));
            due.insert(id, Instant::now() + PAUSE);
        }
        let now = Instant::now();
        for (id, _) in due.extract_if(.., |_, at| *at <= now) {
            readers.push(pass_on(id, start(&mut fleet, id, &[])?));
        }
        thread::sleep(GLANCE);
    }
    let _ = writeln!(std::io::stderr().lock(), "traft: ending");
    // All at once: who ends last would wait for a quorum in vain.
    ids.iter().try_for_each(|id| fleet.signal(*id, rustix::process::Signal::TERM)).map_err(text)?;
    let ended = ids.iter().try_for_each(|id| fleet.stop(*id)).map_err(text);
    drop(fleet);
    for reader in readers {
        // One that panicked has said so on standard error.
        let _ = reader.join();
    }
    ended
}

fn text(error: FleetError) -> String {
    error.to_string()
}

fn start(fleet: &mut Fleet, id: ReplicaId, flags: &[&str]) -> Result<ChildStderr, String> {
    fleet.start(id, flags).map_err(text)
}

fn say(id: ReplicaId, what: &str) {
    // Nobody may be listening: that is no reason to end.
    let _ = writeln!(std::io::stderr().lock(), "{id} | {what}");
}

/// What a process says is said here, with its name before it. Ends when the process does.
fn pass_on(id: ReplicaId, err: ChildStderr) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            say(id, line.strip_prefix("traft: ").unwrap_or(&line));
        }
    })
}
