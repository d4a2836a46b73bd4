//! The allocator of both programs, and how threads that have nothing to do give memory back (ADR 0008).
//!
//! Each thread keeps some freed objects of each size for itself, so that the next allocation of that size
//! costs little. Pages on which such objects lie cannot go back to the operating system: of what 10,000
//! clients took, nearly half, while the threads slept. [`trim_parked_thread`] lets go of it.
//!
//! The only unsafe code of the product is here: one call to the allocator's C interface.

#[cfg(unix)]
pub use tikv_jemallocator::Jemalloc as Allocator;

#[cfg(not(unix))]
pub use std::alloc::System as Allocator;

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Between two trims of a thread, at least. It is also how much of its last work a thread that sleeps on may
/// still hold.
const BETWEEN: Duration = Duration::from_millis(100);

thread_local! {
    static TRIMMED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives the freed objects that this thread keeps for itself back to the heap, unless it has done so within a
/// tenth of a second: threads under load park thousands of times a second, and need them again at once.
///
/// For `on_thread_park` of a runtime's builder.
pub fn trim_parked_thread() {
    let now = Instant::now();
    if is_due(TRIMMED.get(), now) {
        TRIMMED.set(Some(now));
        // Refused only when the allocator was configured to keep nothing for threads.
        let _ = flush();
    }
}

fn is_due(trimmed: Option<Instant>, now: Instant) -> bool {
    trimmed.is_none_or(|trimmed| now.duration_since(trimmed) >= BETWEEN)
}

/// Whether the allocator did it.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the C interface of the allocator")]
fn flush() -> bool {
    use std::ptr::null_mut;

    // SAFETY: the name ends in NUL; the control neither returns nor takes a value, so all pointers are null.
    let refused = unsafe {
        tikv_jemalloc_sys::mallctl(
            c"thread.tcache.flush".as_ptr(),
            null_mut(),
            null_mut(),
            null_mut(),
            0,
        )
    };
    refused == 0
}

/// The system's allocator has no such thing.
#[cfg(not(unix))]
fn flush() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_lets_go_of_what_a_thread_keeps() {
        assert!(flush());
    }

    #[test]
    fn a_thread_that_parks_again_at_once_keeps_what_it_has() {
        let trimmed = Instant::now();
        assert!(!is_due(Some(trimmed), trimmed));
        assert!(!is_due(Some(trimmed), trimmed + BETWEEN / 2));
        assert!(is_due(Some(trimmed), trimmed + BETWEEN));
    }

    #[test]
    fn a_thread_that_parks_for_the_first_time_gives_back() {
        assert!(is_due(None, Instant::now()));
    }
}
