//! How much room there is: free bytes on the disk, resident bytes of the process.
//!
//! Looks at the system four times in a second, in a thread of its own: a disk that hangs must not stop
//! whoever answers for the broker, and a look must not wake those who have messages to pass on.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use broker_core::standing::Measured;
use tokio::sync::watch;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);

/// Mostly more than `/proc/self/status` has.
const STATUS_BYTES: usize = 4_096;

/// What was seen last; `None`: not known, or of no interest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    pub(crate) disk_free: Option<Measured>,
    pub(crate) memory: Option<Measured>,
}

/// What to look at.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    /// Where the broker writes, and the free bytes that must be there; `None`: it writes nothing.
    pub(crate) disk: Option<(PathBuf, u64)>,
    /// Resident bytes that are allowed; `None`: nine tenths of what there is.
    pub(crate) memory_max: Option<u64>,
}

/// Looks until the returned receiver is dropped. The first look is done.
pub(crate) fn start(gauges: Gauges) -> watch::Receiver<Room> {
    let limit = gauges.memory_max.or_else(|| Some(memory_there_is()? / 10 * 9));
    let (seen, room) = watch::channel(look(&gauges, limit));
    let looking = thread::Builder::new().name("measure".into()).spawn(move || {
        while !seen.is_closed() {
            thread::sleep(EVERY);
            seen.send_replace(look(&gauges, limit));
        }
    });
    if let Err(error) = looking {
        tracing::warn!(%error, "no thread to measure disk and memory");
    }
    room
}

fn look(gauges: &Gauges, memory_limit: Option<u64>) -> Room {
    let disk = gauges.disk.as_ref();
    let disk_free = disk.and_then(|(path, limit)| measured(free_bytes(path), Some(*limit)));
    Room { disk_free, memory: measured(resident_bytes(), memory_limit) }
}

fn measured(bytes: Option<u64>, limit: Option<u64>) -> Option<Measured> {
    bytes.zip(limit).map(|(bytes, limit)| Measured { bytes, limit })
}

/// For a process that is not root.
#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let of = rustix::fs::statvfs(path).ok()?;
    Some(of.f_bavail.saturating_mul(of.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// As Linux says it; elsewhere nobody is asked.
fn resident_bytes() -> Option<u64> {
    // The kernel gives as much to one read as that has room for.
    let mut status = String::with_capacity(STATUS_BYTES);
    File::open("/proc/self/status").ok()?.read_to_string(&mut status).ok()?;
    kibibytes(&status, "VmRSS:")
}

/// Of the cgroup if it has a limit, of the machine otherwise.
fn memory_there_is() -> Option<u64> {
    let machine = kibibytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:");
    cgroup_limit().into_iter().chain(machine).min()
}

/// Version 2, with the unified hierarchy in its usual place.
fn cgroup_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new("/sys/fs/cgroup").join(own);
    let limit = |folder: &Path| -> Option<u64> {
        std::fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()
    };
    // Inside a container its own group looks like the root.
    let limits = folder.ancestors().filter(|at| at.starts_with("/sys/fs/cgroup")).filter_map(limit);
    limits.min()
}

/// The bytes that a line such as `VmRSS:   1024 kB` says.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read_in_bytes() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1_234 * 1_024));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
        assert_eq!(kibibytes("VmRSS: 18446744073709551615 kB", "VmRSS:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn process_has_memory_and_its_folder_a_disk() {
        let room = look(&Gauges { disk: Some((".".into(), 7)), memory_max: None }, Some(9));
        assert!(room.memory.is_some_and(|memory| memory.bytes > 0 && memory.limit == 9));
        assert!(room.disk_free.is_some_and(|disk| disk.bytes > 0 && disk.limit == 7));
        assert!(memory_there_is().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn folder_that_is_not_there_measures_nothing() {
        let gauges = Gauges { disk: Some(("/does/not/exist".into(), 7)), memory_max: None };
        assert!(look(&gauges, None).disk_free.is_none());
    }
}
