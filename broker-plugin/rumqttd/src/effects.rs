//! Does what the registry decides: publishes wills, ends sessions. One task per host.

use std::sync::Arc;

use broker_core::codec::Will;
use broker_core::host::{HostEvent, HostPublish};
use ha_types::SessionId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::registry::Effect;
use crate::router::envelope::Enveloped;
use crate::router::injector::Injecting;
use crate::shared::Shared;

/// Effects that may wait; more wait in the connections that cause them.
pub(crate) const JOBS_MAX: usize = 1_024;

/// Work for the task.
#[derive(Debug)]
pub(crate) enum Job {
    /// An effect.
    Effect(Effect),
    /// Answer when everything before is done.
    Barrier(oneshot::Sender<()>),
}

/// Runs until `jobs` closes or the task is aborted.
pub(crate) async fn run(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>, mut link: Injecting) {
    loop {
        let deadline = shared.registry().deadline();
        let wake = shared.instant(deadline.unwrap_or_default());
        tokio::select! {
            job = jobs.recv() => match job {
                Some(Job::Effect(effect)) => perform(&shared, &mut link, effect).await,
                // Nobody waits for the answer any more: nothing is lost.
                Some(Job::Barrier(done)) => drop(done.send(())),
                None => return,
            },
            () = shared.deadline_changed.notified() => (),
            () = sleep_until(wake), if deadline.is_some() => {
                let effects = shared.registry().tick(shared.now());
                for effect in effects {
                    perform(&shared, &mut link, effect).await;
                }
            }
        }
    }
}

/// A closed channel means that the plugin is gone, and with it everybody who would care.
async fn perform(shared: &Shared, link: &mut Injecting, effect: Effect) {
    match effect {
        Effect::SessionEnded(session) => {
            let _ = shared.events.send(HostEvent::SessionEnded { session }).await;
        }
        Effect::PublishWill(session, will) => {
            shared.counters.count_publish();
            let _ = shared.publishes.send(for_plugin(session, &will)).await;
            if link
                .push(vec![crate::router::envelope::publish(&enveloped(session, *will))])
                .await
                .is_err()
            {
                tracing::error!("a will was not delivered: the router has died");
            }
        }
    }
}

fn for_plugin(session: SessionId, will: &Will) -> HostPublish {
    HostPublish {
        topic: will.topic.clone(),
        payload: will.payload.as_bytes().clone(),
        properties: will.properties.clone(),
        qos: will.qos,
        retain: will.retain,
        expires_in_s: will.expires_in_s,
        session,
        exchange: None,
    }
}

fn enveloped(session: SessionId, will: Will) -> Enveloped {
    Enveloped {
        topic: will.topic,
        payload: will.payload.as_bytes().clone(),
        properties: will.properties,
        expires_in_s: will.expires_in_s,
        qos: will.qos,
        retain: will.retain,
        publisher: session,
    }
}
