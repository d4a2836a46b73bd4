//! Tasks between the host and the plugin: they wait for it, so that no client has to.

use std::sync::Arc;

use broker_core::holder::Input;
use broker_core::host::{Delivery, HostCommand, HostEvent};
use ha_types::{ClusterMillis, Message};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::exchange::Exchange;
use crate::here::{Errand, Here};
use crate::perform::for_plugin;

/// Commands that are taken at a time.
const COMMANDS_AT_ONCE: usize = 256;

/// Takes from the plugin, in a task of its own: commands never wait for events.
pub(crate) async fn take_commands(
    exchange: Arc<Exchange>,
    mut commands: mpsc::Receiver<HostCommand>,
) {
    let mut batch = Vec::with_capacity(COMMANDS_AT_ONCE);
    while commands.recv_many(&mut batch, COMMANDS_AT_ONCE).await > 0 {
        for command in batch.drain(..) {
            take(&exchange, command);
        }
    }
}

fn take(exchange: &Exchange, command: HostCommand) {
    match command {
        HostCommand::Deliver(delivery) => {
            let message = with_expiry(delivery, exchange.clock.moment().cluster);
            exchange.deliver(&message);
        }
        HostCommand::Subscribed { ticket, mut retained } => {
            exchange.add_sys(ticket, &mut retained);
            exchange.hold(Input::Retained { ticket, retained });
        }
        HostCommand::SubscribeRefused { ticket } => {
            exchange.hold(Input::SubscribeRefused { ticket });
        }
        HostCommand::Tell(connection, mut tell) => {
            exchange.add_sys_to(&mut tell);
            exchange.tell(connection, tell);
        }
        HostCommand::Route(change) => exchange.reroute(change),
        HostCommand::ClusterTime(now) => exchange.clock.set_cluster(now),
    }
}

/// A message whose life is told in seconds that are left, on our own clock.
fn with_expiry(delivery: Delivery, now: ClusterMillis) -> Arc<Message> {
    let Delivery { message, expires_in_s } = delivery;
    let expires_at =
        expires_in_s.map(|seconds| ClusterMillis(now.0.saturating_add(u64::from(seconds) * 1_000)));
    if message.expires_at == expires_at {
        return message;
    }
    Arc::new(Message { expires_at, ..Message::clone(&message) })
}

/// Brings events and wills to the plugin, and steps the holder at its deadlines.
pub(crate) async fn run_errands(
    exchange: Arc<Exchange>,
    here: Arc<Here>,
    events: mpsc::Sender<HostEvent>,
) {
    loop {
        while let Some(errand) = here.errand() {
            match errand {
                // Without a plugin the broker is at its end.
                Errand::Event(event) => drop(events.send(event).await),
                Errand::Publish(will) => publish(&exchange, &here, &will).await,
                Errand::Deadline => (),
                // Nobody waits for it any more: nothing is lost.
                Errand::Barrier(done) => drop(done.send(())),
            }
        }
        let deadline = here.deadline().map(|at| exchange.clock.instant(at));
        tokio::select! {
            () = here.errands_came.notified() => (),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                exchange.hold(Input::Tick);
            }
        }
    }
}

async fn publish(exchange: &Exchange, here: &Here, will: &Arc<Message>) {
    if exchange.keeper.plugin_wants(will) {
        let publish = for_plugin(exchange.clock.moment().cluster, will, None);
        // Without a plugin the broker is at its end.
        let _ = here.publishes.send(publish).await;
    }
    exchange.deliver(will);
}
