//! How fast a client may publish.

use ha_types::Millis;

/// A bucket of one second's messages. A client that empties it is not read from until there is one
/// again.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Thousandths of a message.
    left: u64,
    filled_at: Millis,
}

/// Thousandths of a message.
const MESSAGE: u64 = 1_000;

impl Throttle {
    pub(super) fn new(now: Millis, per_second: u32) -> Self {
        Self { left: u64::from(per_second) * MESSAGE, filled_at: now }
    }

    /// One message was read.
    pub(super) fn take(&mut self, now: Millis, per_second: u32) {
        if per_second == 0 {
            return;
        }
        let rate = u64::from(per_second);
        let gained = now.since(self.filled_at).saturating_mul(rate);
        self.left = self.left.saturating_add(gained).min(rate * MESSAGE);
        self.filled_at = self.filled_at.max(now);
        self.left = self.left.saturating_sub(MESSAGE);
    }

    /// When the client may be read from again; `None`: it may.
    pub(super) fn paused_until(&self, now: Millis, per_second: u32) -> Option<Millis> {
        if per_second == 0 {
            return None;
        }
        let rate = u64::from(per_second);
        let missing = MESSAGE.saturating_sub(self.left);
        let until = self.filled_at.plus(missing.div_ceil(rate));
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_may_publish_one_second_s_messages_at_once_and_then_as_they_come() {
        let mut throttle = Throttle::new(Millis(0), 2);
        throttle.take(Millis(0), 2);
        assert_eq!(throttle.paused_until(Millis(0), 2), None);
        throttle.take(Millis(0), 2);
        assert_eq!(throttle.paused_until(Millis(0), 2), Some(Millis(500)));
        assert_eq!(throttle.paused_until(Millis(500), 2), None);
    }

    #[test]
    fn without_a_limit_nobody_pauses() {
        let mut throttle = Throttle::new(Millis(0), 0);
        throttle.take(Millis(0), 0);
        assert_eq!(throttle.paused_until(Millis(0), 0), None);
    }

    #[test]
    fn fast_rates_pause_too() {
        let mut throttle = Throttle::new(Millis(0), 10_000);
        (0..10_000).for_each(|_| throttle.take(Millis(0), 10_000));
        assert_eq!(throttle.paused_until(Millis(0), 10_000), Some(Millis(1)));
        assert_eq!(throttle.paused_until(Millis(1), 10_000), None);
    }
}
