//! What of the plugin's life goes to the log.

use broker_core::Event;

use super::Reach;

pub(super) fn log(event: &Event, reach: &Reach) {
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
