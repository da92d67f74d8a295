//! What the system says of the memory of a process.

/// The most that a process has taken since it began, in bytes; 0 where the system does not tell.
pub(super) fn most(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_this_process_is_told_and_that_of_nobody_is_not() {
        let held = std::hint::black_box(vec![1_u8; 8 << 20]);
        assert!(super::most(std::process::id()) >= held.len() as u64);
        assert_eq!(super::most(u32::MAX), 0);
    }
}
