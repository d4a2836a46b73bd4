//! Brings what the plugin delivers into the router, in order, through one link of our own.
//!
//! A `Subscribed` is handled in its place among the deliveries: what came before it is in the
//! router before the subscription begins, what comes after is delivered to it. So a subscriber
//! sees the retained messages of that moment and every later message, and nothing older.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker_core::codec::property::check_opaque;
use broker_core::host::{Delivery, HostCommand};
use ha_types::{SessionId, Ticket};
use rumqttd::protocol::Packet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::envelope::{self, Enveloped};
use super::link::{LinkMaker, LinkPlan, RouterGone, SharedLink};
use super::watch::Barrier;
use crate::front::inflow::routable;
use crate::shared::Shared;

/// Commands handled at once.
const BATCH_MAX: usize = 256;

/// Packets that the router may have before it is given more.
const BACKLOG_MAX: usize = 4 * BATCH_MAX;

/// rumqttd remembers each topic of a link as long as the link lives. So a link is replaced after
/// this many messages, which bounds that memory to about as many topics.
const MESSAGES_PER_LINK: usize = 100_000;

/// A SUBSCRIBE that waits for the cluster.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) link: SharedLink,
    /// What the router is told when the cluster has answered.
    pub(crate) changes: Vec<Packet>,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What the cluster says to a SUBSCRIBE.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The router has been told. The retained messages of each subscription.
    Subscribed(Vec<Vec<Delivery>>),
    /// Nothing has changed.
    Refused,
}

/// All SUBSCRIBEs that wait: at most one per connection.
#[derive(Debug, Default)]
pub(crate) struct Subscribing {
    waiters: Mutex<BTreeMap<Ticket, Waiter>>,
    last: AtomicU64,
}

impl Subscribing {
    /// Registers a SUBSCRIBE, before the plugin hears of it.
    pub(crate) fn register(&self, waiter: Waiter) -> Ticket {
        let ticket = Ticket(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        self.waiters().insert(ticket, waiter);
        ticket
    }

    /// Takes a SUBSCRIBE; `None` when it was taken before.
    pub(crate) fn take(&self, ticket: Ticket) -> Option<Waiter> {
        self.waiters().remove(&ticket)
    }

    fn waiters(&self) -> MutexGuard<'_, BTreeMap<Ticket, Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link of our own that only publishes.
#[derive(Debug)]
pub(crate) struct Injecting {
    links: LinkMaker,
    name: &'static str,
    link: SharedLink,
    pushed: usize,
}

/// The injector's means.
#[derive(Debug)]
pub(crate) struct Injector {
    pub(crate) link: Injecting,
    pub(crate) barrier: Barrier,
    /// The router may not have handled a subscription that the next delivery is for.
    pub(crate) must_wait: bool,
}

impl Injecting {
    pub(crate) async fn open(links: LinkMaker, name: &'static str) -> Result<Self, RouterGone> {
        let link = links.open(name, LinkPlan::Ephemeral).await?.link;
        Ok(Self { links, name, link, pushed: 0 })
    }

    /// Hands packets to the router, and waits while it is behind.
    pub(crate) async fn push(&mut self, packets: Vec<Packet>) -> Result<(), RouterGone> {
        self.pushed += packets.len();
        self.link.push(packets)?;
        while self.link.backlog() > BACKLOG_MAX {
            sleep(Duration::from_millis(1)).await;
        }
        if self.pushed > MESSAGES_PER_LINK {
            self.link.close();
            *self = Self::open(self.links.clone(), self.name).await?;
        }
        Ok(())
    }
}

impl Injector {
    async fn deliver(&mut self, packets: Vec<Packet>) -> Result<(), RouterGone> {
        if packets.is_empty() {
            return Ok(());
        }
        if self.must_wait {
            self.barrier.pass().await?;
            self.must_wait = false;
        }
        self.link.push(packets).await
    }
}

/// Runs until `commands` closes, the router dies or the task is aborted.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<HostCommand>,
    mut injector: Injector,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while commands.recv_many(&mut batch, BATCH_MAX).await > 0 {
        if inject(&shared, &mut injector, batch.drain(..)).await.is_err() {
            return tracing::error!("deliveries from the cluster end: the router has died");
        }
    }
}

async fn inject(
    shared: &Shared,
    injector: &mut Injector,
    commands: impl Iterator<Item = HostCommand>,
) -> Result<(), RouterGone> {
    let mut packets = Vec::new();
    for command in commands {
        match command {
            HostCommand::Deliver(delivery) => match enveloped(&delivery) {
                Some(message) => packets.push(envelope::publish(&message)),
                None => shared.counters.count_dropped(),
            },
            HostCommand::Subscribed { ticket, retained } => {
                injector.deliver(std::mem::take(&mut packets)).await?;
                subscribed(shared, ticket, retained)?;
                injector.must_wait = true;
            }
            HostCommand::SubscribeRefused { ticket } => {
                if let Some(waiter) = shared.subscribing.take(ticket) {
                    let _ = waiter.answer.send(Answer::Refused);
                }
            }
            // Its sessions are the router's.
            HostCommand::Tell(..) | HostCommand::Route(_) | HostCommand::ClusterTime(_) => (),
        }
    }
    injector.deliver(packets).await
}

/// An unknown ticket: the connection is gone, or waited too long and went on without an answer.
fn subscribed(
    shared: &Shared,
    ticket: Ticket,
    retained: Vec<Vec<Delivery>>,
) -> Result<(), RouterGone> {
    if let Some(waiter) = shared.subscribing.take(ticket) {
        waiter.link.push(waiter.changes)?;
        let _ = waiter.answer.send(Answer::Subscribed(retained));
    }
    Ok(())
}

/// `None` when this host cannot route the topic, or cannot trust the properties.
fn enveloped(delivery: &Delivery) -> Option<Enveloped> {
    let message = &*delivery.message;
    routable(&message.topic).ok()?;
    check_opaque(&message.properties).ok()?;
    Some(Enveloped {
        topic: message.topic.clone(),
        payload: message.payload.clone(),
        properties: message.properties.clone(),
        expires_in_s: delivery.expires_in_s,
        qos: message.qos,
        retain: message.retain,
        // Session ids of other brokers mean nothing here.
        publisher: SessionId(0),
    })
}
