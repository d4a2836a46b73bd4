//! What of the distributor's life goes to the log.

use ha_core::{Event, LostBy};
use ha_types::link::GoodbyeReason;

pub(super) fn log(event: &Event) {
    match event {
        Event::Attached(name, epoch, address) => {
            tracing::info!(broker = %name, %epoch, %address, "broker attached");
        }
        Event::Ended(name, goodbye) if goodbye.reason == GoodbyeReason::ShuttingDown => {
            let name = name.as_ref().map(tracing::field::display);
            tracing::info!(broker = name, "said goodbye");
        }
        Event::Ended(name, goodbye) => {
            let name = name.as_ref().map(tracing::field::display);
            tracing::warn!(broker = name, reason = ?goodbye.reason, "stream ended: {}", goodbye.detail);
        }
        Event::Detached(name) => {
            tracing::warn!(broker = %name, "stream broke; its lease runs on");
        }
        Event::Lost(name, LostBy::Lease) => tracing::warn!(broker = %name, "broker lost: silent"),
        Event::Lost(name, LostBy::Replaced) => tracing::info!(broker = %name, "broker replaced"),
        Event::Lost(name, LostBy::Goodbye) => tracing::info!(broker = %name, "broker left"),
    }
}
