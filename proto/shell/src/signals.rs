//! When the operating system asks the process to stop.
//!
//! Decides nothing about how to stop. A second signal while the program is stopping is not seen
//! unless it calls [`shutdown_signal`] again; a program that wants "twice means now" does that.

use std::io;

/// Listens from this call on. The future resolves at the first signal, with its name for the log.
///
/// Fails when the operating system refuses the registration. Must be called inside a tokio runtime.
#[cfg(unix)]
pub fn shutdown_signal() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Listens from this call on. The future resolves at the first ctrl-c, with its name for the log.
///
/// Fails when the operating system refuses the registration. Must be called inside a tokio runtime.
#[cfg(windows)]
pub fn shutdown_signal() -> io::Result<impl Future<Output = &'static str>> {
    let mut pressed = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        pressed.recv().await;
        "ctrl-c"
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::{Command, id};

    use super::*;

    fn send_to_this_process(signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// One test, because a signal reaches every listener of the process.
    #[tokio::test]
    async fn each_signal_that_asks_to_stop_is_named() {
        let stop = shutdown_signal().unwrap();
        send_to_this_process("TERM");
        assert_eq!(stop.await, "SIGTERM");
        let stop = shutdown_signal().unwrap();
        send_to_this_process("INT");
        assert_eq!(stop.await, "SIGINT");
    }
}
