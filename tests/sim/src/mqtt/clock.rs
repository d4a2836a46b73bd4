//! Clocks of machines: they run at their own pace, and somebody sets them.

/// How fast a clock runs, in thousandths of the true time: 1,000 is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(pub u64);

impl Pace {
    /// As fast as time.
    pub const EXACT: Self = Self(1_000);

    /// What it has counted after so many true milliseconds.
    #[must_use]
    pub fn read(self, elapsed: u64) -> u64 {
        elapsed * self.0 / 1_000
    }

    /// The first true millisecond at which it has counted so many.
    #[must_use]
    pub fn when(self, counted: u64) -> u64 {
        (counted * 1_000).div_ceil(self.0)
    }
}

/// The clocks of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Of what processes measure durations with.
    pub pace: Pace,
    /// Milliseconds by which the wall clock is ahead of [`SLOWEST`].
    pub ahead_ms: u64,
}

/// Milliseconds by which the wall clock that is furthest behind may be wrong: clocks that are right
/// are so far ahead of it.
pub const SLOWEST: u64 = 300_000;

impl Clock {
    /// It is right.
    pub const EXACT: Self = Self { pace: Pace::EXACT, ahead_ms: SLOWEST };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_of_a_count_is_the_first_at_which_it_is_read() {
        for pace in [900, 999, 1_000, 1_001, 1_100].map(Pace) {
            for counted in (0..3_000).chain([1 << 40]) {
                let when = pace.when(counted);
                assert!(pace.read(when) >= counted, "{pace:?} {counted}");
                assert!(when == 0 || pace.read(when - 1) < counted, "{pace:?} {counted}");
            }
        }
    }
}
