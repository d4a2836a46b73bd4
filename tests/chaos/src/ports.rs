//! Ports that no other program of the tests uses at the same time.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections (32768 and up), so that a program can be
/// started again on its port whatever has happened in between.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1, ours as long as this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Locked; the operating system unlocks it when this process ends, however it ends.
    _claim: File,
}

impl Port {
    /// A port on which nobody listens.
    ///
    /// # Errors
    /// None of 12,000 is free.
    pub(crate) fn free() -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes begin at different places, so that they seldom meet.
        let start = std::process::id().wrapping_mul(37) % u32::from(COUNT);
        let start = u16::try_from(start).expect("below COUNT");
        let next = || FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let claimed = (0..COUNT).find_map(|_| Self::claim(next()));
        claimed.ok_or_else(|| io::Error::other("no free port"))
    }

    /// Its number.
    #[must_use]
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn claim(number: u16) -> Option<Self> {
        // The end-to-end tests claim theirs in the same folder.
        let folder = std::env::temp_dir().join("mqtt-ha-e2e-ports");
        fs::create_dir_all(&folder).ok()?;
        let claim = File::create(folder.join(number.to_string())).ok()?;
        claim.try_lock().ok()?;
        TcpListener::bind(("0.0.0.0", number)).ok()?;
        Some(Self { number, _claim: claim })
    }
}
