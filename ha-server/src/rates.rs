//! Messages per second of one broker.

use std::time::Duration;

use ha_core::BrokerView;

/// Over the last sampling interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) published_per_second: f64,
    pub(crate) delivered_per_second: f64,
}

impl Rates {
    /// From two views of the same broker.
    pub(crate) fn between(old: &BrokerView, new: &BrokerView, interval: Duration) -> Self {
        // Below 2^53 the conversion is exact; a rate needs no more.
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let rate = |old: u64, new: u64| new.saturating_sub(old) as f64 / interval.as_secs_f64();
        Self {
            published_per_second: rate(old.published, new.published),
            delivered_per_second: rate(old.delivered, new.delivered),
        }
    }
}
