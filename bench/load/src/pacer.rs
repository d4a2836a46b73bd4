//! Waits to some microseconds: the runtime's own timer counts in milliseconds, which would be most of
//! what is measured at a rate. No threads that sleep: they would be in the way of what is measured too.

use std::io;
use std::time::Duration;

/// One publisher's clock. A file, so its limit counts.
#[derive(Debug)]
pub(crate) struct Pacer(system::Timer);

impl Pacer {
    /// # Errors
    /// The system has no file left.
    pub(crate) fn new() -> io::Result<Self> {
        system::Timer::new().map(Self)
    }

    /// Returns after `duration`, or a little later.
    ///
    /// # Errors
    /// The system refuses to set the timer or to read it.
    pub(crate) async fn wait(&self, duration: Duration) -> io::Result<()> {
        // It would never ring.
        if duration.is_zero() { Ok(()) } else { self.0.wait(duration).await }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    /// To the runtime a timer is like a pipe: bytes can be read once it rang.
    #[derive(Debug)]
    pub(super) struct Timer(Receiver);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Receiver::from_owned_fd_unchecked(timer).map(Self)
        }

        pub(super) async fn wait(&self, duration: Duration) -> io::Result<()> {
            let it_value = Timespec::try_from(duration).map_err(io::Error::other)?;
            let once = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut [0; 8]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                    rang => return rang.map(drop),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::{Duration, Instant};
    use std::{io, thread};

    use tokio::{task, time};

    /// What the timer of the runtime may be late.
    const LATE_MAX: Duration = Duration::from_millis(3);

    #[derive(Debug)]
    pub(super) struct Timer;

    impl Timer {
        #[expect(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn wait(&self, duration: Duration) -> io::Result<()> {
            let begin = Instant::now();
            if let Some(most) = duration.checked_sub(LATE_MAX) {
                time::sleep(most).await;
            }
            let rest = duration.saturating_sub(begin.elapsed());
            task::spawn_blocking(move || thread::sleep(rest)).await.map_err(Into::into)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn it_waits_no_less_than_it_should_and_again() {
        let pacer = Pacer::new().unwrap();
        for micros in [0, 1, 700, 2_300, 5_100] {
            let (begin, wait) = (Instant::now(), Duration::from_micros(micros));
            pacer.wait(wait).await.unwrap();
            assert!(begin.elapsed() >= wait, "{micros}");
        }
    }
}
