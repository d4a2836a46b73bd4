//! Open files: each connection is one, and the system allows a process only so many.

use std::io;

/// Files that are not connections: the standard streams, the runtime's own, what is read from /proc.
const SPARE: u64 = 64;

/// How many files may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Files {
    /// In force; `None`: as many as one likes.
    soft: Option<u64>,
    /// As far as the process may raise that.
    hard: Option<u64>,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fits,
    Raise,
    /// Beyond this many.
    Never(u64),
}

/// Sees that so many connections can be open at a time.
pub(crate) fn make_room(connections: u64) -> io::Result<()> {
    let files = system::files();
    match judge(files, connections.saturating_add(SPARE)) {
        Verdict::Fits => Ok(()),
        Verdict::Raise => system::raise(files),
        Verdict::Never(hard) => {
            let room = hard.saturating_sub(SPARE);
            let reason = format!(
                "{connections} connections do not fit: at most {hard} files may be open, which \
                 leaves room for {room}. The hard limit decides: \"ulimit -H -n\" shows it"
            );
            Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
        }
    }
}

fn judge(files: Files, needed: u64) -> Verdict {
    match files {
        Files { soft, .. } if soft.is_none_or(|soft| needed <= soft) => Verdict::Fits,
        Files { hard: Some(hard), .. } if needed > hard => Verdict::Never(hard),
        Files { .. } => Verdict::Raise,
    }
}

#[cfg(unix)]
mod system {
    use std::io;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::Files;

    pub(super) fn files() -> Files {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        Files { soft: current, hard: maximum }
    }

    pub(super) fn raise(files: Files) -> io::Result<()> {
        let limit = Rlimit { current: files.hard, maximum: files.hard };
        Ok(setrlimit(Resource::Nofile, limit)?)
    }
}

/// There is no such limit.
#[cfg(not(unix))]
mod system {
    use std::io;

    use super::Files;

    pub(super) fn files() -> Files {
        Files { soft: None, hard: None }
    }

    pub(super) fn raise(_: Files) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_when_it_is_too_low_and_the_hard_one_is_not() {
        let files = Files { soft: Some(1_024), hard: Some(4_096) };
        assert_eq!(judge(files, 1_024), Verdict::Fits);
        assert_eq!(judge(files, 1_025), Verdict::Raise);
        assert_eq!(judge(files, 4_096), Verdict::Raise);
        assert_eq!(judge(files, 4_097), Verdict::Never(4_096));
        assert_eq!(judge(Files { hard: None, ..files }, u64::MAX), Verdict::Raise);
        assert_eq!(judge(Files { soft: None, hard: None }, u64::MAX), Verdict::Fits);
    }
}
