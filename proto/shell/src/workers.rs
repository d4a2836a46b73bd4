//! How many threads run a program's tasks, where the configuration does not say (ADR 0025).

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// One for each processor that this process may use, for a program to which the machine belongs.
#[must_use]
pub fn for_all_processors() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// One fewer, and at least one, for a program in a cluster: a message passes from task to task there, and a
/// thread that is woken to find it done costs more than it helps.
#[must_use]
pub fn for_all_but_one_processor() -> usize {
    (for_all_processors() - 1).max(1)
}
