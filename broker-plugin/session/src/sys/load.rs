//! Load averages: how much happens in a minute, over the last 1, 5 and 15 minutes.

use std::time::Duration;

use crate::counters::HostStats;

/// Seconds that each average looks back.
const WINDOWS_S: [f64; 3] = [60.0, 300.0, 900.0];

/// Exponential moving averages of one counter, as Mosquitto and Unix have them.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    total: u64,
    per_minute: [f64; 3],
}

impl Average {
    /// Takes what the counter is, so long after it was last taken.
    fn take(&mut self, total: u64, elapsed: Duration) -> [f64; 3] {
        let seconds = elapsed.as_secs_f64();
        if seconds > 0.0 {
            let rate = total.saturating_sub(self.total) as f64 * 60.0 / seconds;
            for (average, window) in self.per_minute.iter_mut().zip(WINDOWS_S) {
                *average = rate + (*average - rate) * (-seconds / window).exp();
            }
            self.total = total;
        }
        self.per_minute
    }
}

/// What each average is called.
type Topics = [&'static str; 3];

/// The topics of one counter, and where it is found.
type Counter = (Topics, fn(&HostStats) -> u64);

macro_rules! load {
    ($of:literal, $counter:expr) => {
        (
            [
                concat!("$SYS/broker/load/", $of, "/1min"),
                concat!("$SYS/broker/load/", $of, "/5min"),
                concat!("$SYS/broker/load/", $of, "/15min"),
            ],
            $counter,
        )
    };
}

const COUNTERS: [Counter; 6] = [
    load!("publish/received", |stats| stats.publishes_in),
    load!("publish/sent", |stats| stats.deliveries_out),
    load!("publish/dropped", |stats| stats.dropped),
    load!("bytes/received", |stats| stats.bytes_in),
    load!("bytes/sent", |stats| stats.bytes_out),
    load!("connections", |stats| stats.connects),
];

/// The averages of all counters.
#[derive(Debug, Default)]
pub(super) struct Loads([Average; COUNTERS.len()]);

impl Loads {
    /// The topics and their values, so long after this was last asked.
    pub(super) fn take(
        &mut self,
        stats: &HostStats,
        elapsed: Duration,
    ) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter_mut().zip(COUNTERS).flat_map(move |(average, (topics, counter))| {
            let averages = average.take(counter(stats), elapsed);
            topics.into_iter().zip(averages.map(|average| format!("{average:.2}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(10);

    #[test]
    fn average_of_a_steady_rate_approaches_it_within_its_window() {
        let mut average = Average::default();
        let after_minutes = |average: &mut Average, from: u64, minutes: u64| {
            let ticks = from * 6 + 1..=(from + minutes) * 6;
            ticks.map(|tick| average.take(tick * 10, TICK)).last().unwrap()
        };
        let [one, five, fifteen] = after_minutes(&mut average, 0, 1);
        // 60 a minute, times 1 - e^-1, 1 - e^-0.2 and 1 - e^-0.0667.
        assert_eq!([one, five, fifteen].map(|of| format!("{of:.1}")), ["37.9", "10.9", "3.9"]);
        let [one, .., fifteen] = after_minutes(&mut average, 1, 59);
        assert_eq!([one, fifteen].map(|of| format!("{of:.1}")), ["60.0", "58.9"]);
    }

    #[test]
    fn average_falls_when_nothing_happens_and_waits_when_no_time_has_passed() {
        let mut average = Average::default();
        assert_eq!(average.take(1_000, Duration::ZERO), [0.0; 3]);
        let [busy, ..] = average.take(1_000, TICK);
        let [idle, ..] = average.take(1_000, TICK);
        assert!(busy > 900.0 && idle < busy, "{busy} and {idle}");
    }

    #[test]
    fn every_counter_has_three_topics_in_the_naming_of_mosquitto() {
        let stats = HostStats { connects: 6, ..HostStats::default() };
        let mut loads = Loads::default();
        let values: Vec<_> = loads.take(&stats, Duration::from_secs(60)).collect();
        assert_eq!(values.len(), 18);
        assert!(values.contains(&("$SYS/broker/load/connections/1min", "3.79".to_owned())));
        assert!(values.contains(&("$SYS/broker/load/bytes/sent/15min", "0.00".to_owned())));
    }
}
