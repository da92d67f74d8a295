//! How much memory a scenario may take: looked at before and after, where the system tells.

use super::scenario::{Plan, Scenario};

/// What a run of a scenario may take that keeps much, both sides at once, in bytes. Stated in
/// `docs/compare.md`.
pub(super) const RECONFIGURE_MAX: u64 = 4_400 << 20;

/// Why a scenario is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the scenario {} may take {} MiB of memory, and {} are free; --side traft or --side raft alone \
     takes about half", .scenario.name(), .needed >> 20, .free >> 20
)]
pub(super) struct TooLittle {
    scenario: Scenario,
    needed: u64,
    free: u64,
}

/// The scenarios of a plan whose memory is bounded, and by how much. One side alone is not asked to
/// be smaller: the bound is what nothing may exceed.
fn bounded(plan: &Plan) -> Option<Scenario> {
    let much = [Scenario::ReconfigureOne, Scenario::ReconfigureMajority];
    plan.scenarios.iter().copied().find(|scenario| much.contains(scenario))
}

/// Whether a plan can be begun with so much free.
pub(super) fn admit(plan: &Plan, free: Option<u64>) -> Result<(), TooLittle> {
    match (bounded(plan), free) {
        (Some(scenario), Some(free)) => {
            let share = if plan.sides.len() == 1 { 2 } else { 1 };
            let needed = RECONFIGURE_MAX / share;
            if free < needed { Err(TooLittle { scenario, needed, free }) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// What to say if a plan took more than is stated.
pub(super) fn judge(plan: &Plan, peak: Option<u64>) -> Option<String> {
    let (scenario, peak) = (bounded(plan)?, peak?);
    (peak > RECONFIGURE_MAX).then(|| {
        let (name, peak, most) = (scenario.name(), peak >> 20, RECONFIGURE_MAX >> 20);
        format!("memory: {name} took {peak} MiB at its peak, more than the {most} that are stated")
    })
}

/// What new processes can have without swapping, in bytes.
pub(super) fn free() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// The most that this process has had at a time, in bytes.
pub(super) fn peak() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// A line of a file of the system, such as `VmHWM:   1234 kB`.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_much_is_refused_where_little_is_free() {
        let mut plan = Plan { scenarios: vec![Scenario::Quiet], ..Plan::default() };
        assert_eq!(admit(&plan, Some(0)), Ok(()));
        assert_eq!(judge(&plan, Some(u64::MAX)), None);
        plan.scenarios.push(Scenario::ReconfigureMajority);
        let refused = admit(&plan, Some(1 << 30)).map_err(|error| error.to_string());
        let sentence = "the scenario reconfigure-majority may take 4400 MiB of memory, and 1024 \
                        are free; --side traft or --side raft alone takes about half";
        assert_eq!(refused, Err(sentence.to_string()));
        assert_eq!(admit(&plan, Some(RECONFIGURE_MAX)), Ok(()));
        assert_eq!(admit(&plan, None), Ok(()));
        assert_eq!(judge(&plan, Some(RECONFIGURE_MAX)), None);
        assert!(judge(&plan, Some(RECONFIGURE_MAX + 1)).is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells() {
        assert!(free() > Some(0) && peak() > Some(1 << 20));
    }
}
