//! How long to wait before the next attempt: at first not at all, then doubling, bounded, with jitter.
//!
//! Streams break when a leader changes, and one of the next addresses leads to the new one: as many
//! attempts as there are addresses cost nothing.
//! Jitter keeps the brokers of a cluster from dialling a restarted ha-server in step.

/// Delays between attempts.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    free: u32,
    min_ms: u64,
    max_ms: u64,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Delays from `min_ms` to `max_ms` after so many attempts that are `free`; `seed` chooses the
    /// jitter.
    pub(crate) fn new(free: u32, (min_ms, max_ms): (u64, u64), seed: u64) -> Self {
        assert!(0 < min_ms && min_ms <= max_ms, "a delay of zero would spin");
        Self { free, min_ms, max_ms, attempts: 0, random: mixed(seed) | 1 }
    }

    /// The delay before the next attempt: none for the first ones since a success, then between half
    /// of the doubled delay and all of it.
    pub(crate) fn next_ms(&mut self) -> u64 {
        self.attempts = self.attempts.saturating_add(1);
        let Some(doublings) = self.attempts.checked_sub(self.free + 1) else { return 0 };
        let doubled = self.min_ms.saturating_mul(1 << doublings.min(20)).min(self.max_ms);
        let half = doubled.div_ceil(2);
        half + self.random() % (doubled - half + 1)
    }

    /// The last attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Xorshift64 (Marsaglia 2003): enough to spread brokers.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// Spreads seeds that differ in few bits, as those of brokers started together do (SplitMix64,
/// Steele 2014).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Backoff;

    #[test]
    fn brokers_with_neighbouring_seeds_do_not_dial_in_step() {
        let delays = |seed| {
            let mut backoff = Backoff::new(1, (500, 500), seed);
            [(); 4].map(|()| backoff.next_ms())
        };
        assert_ne!(delays(1_000), delays(1_001));
    }

    #[test]
    fn delay_doubles_up_to_the_maximum_after_the_attempts_that_are_free() {
        let mut backoff = Backoff::new(3, (50, 500), 7);
        assert_eq!([(); 3].map(|()| backoff.next_ms()), [0; 3]);
        for bound in [50, 100, 200, 400, 500, 500] {
            let delay = backoff.next_ms();
            assert!((bound / 2..=bound).contains(&delay), "{delay} for {bound}");
        }
        backoff.reset();
        assert_eq!([(); 3].map(|()| backoff.next_ms()), [0; 3]);
        assert!((25..=50).contains(&backoff.next_ms()));
    }

    #[test]
    fn delay_stays_bounded_after_very_many_attempts() {
        let mut backoff = Backoff::new(3, (50, 500), 7);
        assert!((0..10_000).all(|_| backoff.next_ms() <= 500));
    }
}
