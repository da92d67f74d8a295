//! The steps of a replica, recorded in a file.

use crate::base::ReplicaId;
use crate::check::refine::print;
use crate::replica::Step;
use crate::runtime::Recorder;
use rustix::time::{ClockId, clock_gettime};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records into `DIR/N.jsonl`, after what is there. A step is in the file before anybody can know
/// of it, so that a process that is killed has recorded whatever came of it.
pub(super) fn recorder(dir: &Path, id: u64) -> Result<Recorder, String> {
    let said = |error: std::io::Error| format!("--trace: {}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(said)?;
    let path = dir.join(format!("{id}.jsonl"));
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(said)?;
    let whole = whole(&std::fs::read(&path).map_err(said)?);
    file.set_len(whole as u64).map_err(said)?;
    let failed = AtomicBool::new(false);
    Ok(Recorder::new(move |replica: ReplicaId, step: &Step| {
        // The same clock for all processes of a machine.
        let now = clock_gettime(ClockId::Monotonic);
        let at = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        let line = print(at, replica, step) + "\n";
        let written = (&file).write_all(line.as_bytes());
        if let Err(error) = written
            && !failed.swap(true, Ordering::Relaxed)
        {
            // Whoever started this may not listen: that is no reason to end.
            let what = format!("traft: the trace is not whole: {error}\n");
            let _ = std::io::stderr().lock().write_all(what.as_bytes());
        }
    }))
}

/// How much of a trace is whole lines. A process that is killed may leave a part of one: nobody has
/// seen what would have come of it.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_part_of_a_line_is_none() {
        assert_eq!(["", "a", "a\n", "a\nb"].map(|text| whole(text.as_bytes())), [0, 0, 2, 2]);
    }
}
