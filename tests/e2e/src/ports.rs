//! Ports that no other test uses at the same time, in this process or another one.

use std::{
    env,
    fmt::{self, Display},
    fs::{self, File},
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports that Linux gives to outgoing connections (32768 and up), so that a program can be
/// started again on its port whatever has happened in between.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1, ours as long as this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked; the operating system unlocks it when this process ends, however it ends.
    _claim: File,
}

impl Port {
    /// A port on which nobody listens.
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes begin at different places, so that they seldom meet.
        let start = u16::try_from(process::id() * 37 % u32::from(COUNT)).expect("below COUNT");
        let next = || FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let claimed = (0..COUNT).find_map(|_| Self::claim(next()));
        claimed.expect("one of 12,000 ports is free")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn claim(number: u16) -> Option<Self> {
        let folder = env::temp_dir().join("mqtt-ha-e2e-ports");
        fs::create_dir_all(&folder).unwrap();
        let claim = File::create(folder.join(number.to_string())).unwrap();
        claim.try_lock().ok()?;
        TcpListener::bind(("0.0.0.0", number)).ok()?;
        Some(Self { number, _claim: claim })
    }
}

impl Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}
