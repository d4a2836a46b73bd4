//! Waiting for something that happens in another process.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what usually takes a moment. Far above what a loaded machine needs, so
/// that only a broken program meets it.
pub const LONG: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(20);

/// Tries again and again until there is an answer. Panics with `what` after `limit`.
pub fn until<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(PAUSE);
    }
}
