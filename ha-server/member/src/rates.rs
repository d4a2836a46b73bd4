//! Messages per second of each broker, from counters sampled at an interval.

use std::collections::BTreeMap;
use std::time::Duration;

use ha_core::BrokerView;
use ha_types::BrokerName;

/// Over the last sampling interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Taken from its clients.
    pub published_per_second: f64,
    /// Given to it.
    pub delivered_per_second: f64,
}

/// The last sample and the rates that followed from it.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    brokers: BTreeMap<BrokerName, (Rates, u64, u64)>,
}

impl Sampler {
    /// Takes the counters, `interval` after the last time.
    pub(crate) fn sample(&mut self, views: &[BrokerView], interval: Duration) {
        // Below 2^53 the conversion is exact; a rate needs no more.
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let rate = |old: u64, new: u64| new.saturating_sub(old) as f64 / interval.as_secs_f64();
        let sampled = views.iter().map(|view| {
            let (published, delivered) = (view.published, view.delivered);
            let rates = self.brokers.get(&view.name).map(|&(_, before, delivered_before)| Rates {
                published_per_second: rate(before, published),
                delivered_per_second: rate(delivered_before, delivered),
            });
            (view.name.clone(), (rates.unwrap_or_default(), published, delivered))
        });
        self.brokers = sampled.collect();
    }

    /// Of one broker; zero before it was sampled twice.
    pub(crate) fn of(&self, name: &BrokerName) -> Rates {
        self.brokers.get(name).map_or_else(Rates::default, |(rates, ..)| *rates)
    }
}
