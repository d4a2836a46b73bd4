//! What of the plugin's life goes to the log.

use std::time::Duration;

use broker_core::Event;
use tokio::time::Instant;

use super::Reach;

/// How often an outage that lasts is said. Attempts to end it come several times a second.
const REMIND: Duration = Duration::from_secs(10);

/// What was said, where that decides what is said next.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// How often the plugin was attached.
    pub(super) attachments: u64,
    away: Option<Away>,
}

/// Without ha-server, and said to be so.
#[derive(Clone, Copy, Debug)]
struct Away {
    since: Instant,
    said: Instant,
}

/// Whether an outage was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Never,
    Lately,
    /// The outage has lasted so long.
    LongAgo(Duration),
}

impl Notes {
    pub(super) fn take(&mut self, event: &Event, reach: &Reach, now: Instant) {
        match event {
            Event::Attached(..) => {
                self.attachments += 1;
                self.away = None;
                log(event, reach);
            }
            Event::Detached(detail, _) => match self.say_away(now) {
                Said::Never => log(event, reach),
                Said::Lately => tracing::debug!("still not attached: {detail}"),
                Said::LongAgo(time) => {
                    tracing::warn!("still not attached after {} s: {detail}", time.as_secs());
                }
            },
            _ => log(event, reach),
        }
    }

    /// What comes of it counts as said, if it is time to say it.
    fn say_away(&mut self, now: Instant) -> Said {
        let Some(away) = &mut self.away else {
            self.away = Some(Away { since: now, said: now });
            return Said::Never;
        };
        if now - away.said < REMIND {
            return Said::Lately;
        }
        away.said = now;
        Said::LongAgo(now - away.since)
    }
}

fn log(event: &Event, reach: &Reach) {
    match event {
        Event::Attached(epoch, software) => match reach {
            Reach::Servers(_) => tracing::info!(%epoch, %software, "attached to ha-server"),
            Reach::Here(_) => tracing::info!(%epoch, "has the state of this broker"),
        },
        Event::RetainedLoaded(messages) => {
            tracing::info!(messages, "retained messages are complete");
        }
        Event::Detached(detail, delay_ms) => {
            tracing::warn!("not attached, next attempt in {delay_ms} ms: {detail}");
        }
        Event::Fenced(detail, delay_ms) => {
            tracing::warn!("fenced, attaching anew in {delay_ms} ms: {detail}");
        }
        Event::OutboxFull => {
            tracing::error!(
                "OUTBOX is full: publishes stay on this broker until ha-server is back"
            );
        }
        Event::FiltersFull => tracing::error!("FILTERS_MAX is reached: a SUBSCRIBE was refused"),
        Event::RetainedFull => {
            tracing::error!(
                "RETAINED_MAX or RETAINED_BYTES_MAX is reached: a message is not retained"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use ha_types::BrokerEpoch;

    use super::*;

    #[test]
    fn outage_is_said_at_once_and_then_every_ten_seconds_with_its_length() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(notes.say_away(at(0)), Said::Never);
        assert_eq!(notes.say_away(at(200)), Said::Lately);
        assert_eq!(notes.say_away(at(9_999)), Said::Lately);
        assert_eq!(notes.say_away(at(10_100)), Said::LongAgo(Duration::from_millis(10_100)));
        assert_eq!(notes.say_away(at(20_000)), Said::Lately);
        assert_eq!(notes.say_away(at(20_100)), Said::LongAgo(Duration::from_millis(20_100)));
        let attached = Event::Attached(BrokerEpoch(1), String::new());
        notes.take(&attached, &Reach::Servers(Vec::new()), at(21_000));
        assert_eq!(notes.attachments, 1);
        assert_eq!(notes.say_away(at(22_000)), Said::Never, "the next one is news");
    }
}
