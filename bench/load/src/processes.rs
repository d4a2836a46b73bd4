//! Processor time and memory of other processes, from Linux's /proc.

use std::time::Duration;

/// User and system time of a process so far; zero when it cannot be read. Ticks are 10 ms.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What is resident.
    pub(crate) resident: u64,
    /// The most that was, since it started or since [`reset_peak`].
    pub(crate) peak: u64,
}

/// Zero when it cannot be read.
pub(crate) fn memory(pid: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    Memory { resident: kilobytes(&status, "VmRSS:"), peak: kilobytes(&status, "VmHWM:") }
}

/// Counts [`Memory::peak`] from here on. It stays as it is where that is not allowed.
pub(crate) fn reset_peak(pid: u32) {
    // Then the peak is too high, which is seen.
    drop(std::fs::write(format!("/proc/{pid}/clear_refs"), "5"));
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let number = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_found_by_their_names() {
        let status = "VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let found = (kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:"));
        assert_eq!(found, (1 << 20, 2 << 20));
        assert_eq!(kilobytes("", "VmRSS:"), 0);
    }
}
