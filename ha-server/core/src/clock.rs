//! Cluster time, as a leader reads it.
//!
//! It begins at the last stamp of the state and advances with the leader's own clock. Behind the wall
//! clock it goes a tenth faster until it has caught up; ahead of it, it goes on: it never stands still
//! and never goes back. A state that was never stamped begins at the wall clock.

use ha_types::{ClusterMillis, Millis};

/// Of so many milliseconds, one more passes while cluster time is behind.
const CATCH_UP: u64 = 10;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterClock {
    start: ClusterMillis,
    /// How far the wall clock was ahead then.
    behind_ms: u64,
}

impl ClusterClock {
    /// At [`Millis`] zero of a leadership: the last stamp of the state, zero if there is none, and the
    /// wall clock.
    #[must_use]
    pub fn new(last_stamp: ClusterMillis, wall_time: ClusterMillis) -> Self {
        let start = if last_stamp == ClusterMillis(0) { wall_time } else { last_stamp };
        Self { start, behind_ms: wall_time.0.saturating_sub(start.0) }
    }

    /// Cluster time at a moment of this process.
    #[must_use]
    pub fn at(&self, now: Millis) -> ClusterMillis {
        let gained = (now.0 / CATCH_UP).min(self.behind_ms);
        ClusterMillis(self.start.0.saturating_add(now.0).saturating_add(gained))
    }

    /// The first moment at which cluster time is `due` or later.
    #[must_use]
    pub fn when(&self, due: ClusterMillis) -> Millis {
        let ahead = due.0.saturating_sub(self.start.0);
        Millis(ahead - (ahead / (CATCH_UP + 1)).min(self.behind_ms))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fresh_state_begins_at_the_wall_clock_and_an_older_one_at_its_last_stamp() {
        let fresh = ClusterClock::new(ClusterMillis(0), ClusterMillis(5_000));
        assert_eq!(fresh.at(Millis(7)), ClusterMillis(5_007));
        let ahead = ClusterClock::new(ClusterMillis(9_000), ClusterMillis(5_000));
        assert_eq!(ahead.at(Millis(100)), ClusterMillis(9_100), "it never goes back");
    }

    #[test]
    fn clock_that_is_behind_goes_a_tenth_faster_until_it_has_caught_up() {
        let clock = ClusterClock::new(ClusterMillis(1_000), ClusterMillis(1_020));
        let read = [0, 9, 10, 199, 200, 210].map(|now| clock.at(Millis(now)).0 - now);
        assert_eq!(read, [1_000, 1_000, 1_001, 1_019, 1_020, 1_020]);
    }

    proptest! {
        #[test]
        fn moment_of_a_time_is_the_first_at_which_it_is_read(
            stamp in 0..5_000_u64, wall in 0..5_000_u64, due in 0..20_000_u64,
        ) {
            let clock = ClusterClock::new(ClusterMillis(stamp), ClusterMillis(wall));
            let when = clock.when(ClusterMillis(due));
            prop_assert!(clock.at(when).0 >= due);
            prop_assert!(when.0 == 0 || clock.at(Millis(when.0 - 1)).0 < due);
            prop_assert!(clock.at(Millis(when.0 + 1)) > clock.at(when));
        }
    }
}
