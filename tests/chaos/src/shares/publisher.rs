//! A client that publishes, each message once: one that is not answered is given up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::codec::{
    Connect, Flow, FromClient, FromServer, PacketId, Publish, Reason, Text, Topic, Version,
};
use bytes::Bytes;
use ha_types::TopicName;
use history::share::{Message, Process, What};
use tokio::sync::watch;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::{Log, PAUSE_MS, Phase, TOPICS};
use crate::client::Places;
use crate::random::Random;
use crate::wire::{Connection, Lost, PATIENCE};

/// Publishes without an answer at a time.
const WINDOW: usize = 16;

/// It stays with a broker for so long while others die, in milliseconds.
const STAY_MS: (u64, u64) = (3_000, 10_000);

/// A publisher.
pub(super) struct Publisher {
    pub(super) number: u32,
    pub(super) places: Places,
    /// All, in their order.
    pub(super) brokers: Vec<SocketAddr>,
    pub(super) random: Random,
    pub(super) log: Arc<Log>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Between two messages.
    pub(super) every: Duration,
    /// Messages that it sent.
    pub(super) sent: u32,
    /// With the moment before each was sent.
    pub(super) unanswered: BTreeMap<PacketId, (Message, u64)>,
}

impl Publisher {
    /// Publishes until processes do not die any more.
    pub(super) async fn run(mut self) {
        while self.phase() < Phase::Drain {
            let result = self.publish_somewhere().await;
            if let Err(lost) = result
                && lost.is_odd()
            {
                self.log.odd(format!("publisher-{}: {lost}", self.number));
            }
            self.log.books().unanswered -= self.unanswered.len();
            self.unanswered.clear();
            let pause = self.random.between(PAUSE_MS.0, PAUSE_MS.1);
            time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    async fn publish_somewhere(&mut self) -> Result<(), Lost> {
        let address = self.places.pick(&mut self.random);
        let broker = super::broker(&self.brokers, address);
        let mut open = Connection::open(address, Version::V5).await?;
        let id = Text::parse(Bytes::from(format!("publisher-{}", self.number)));
        open.accepted(&Connect::new(Version::V5, id.expect("ours are valid"))).await?;
        let stay = Duration::from_millis(self.random.between(STAY_MS.0, STAY_MS.1));
        let (since, mut heard) = (Instant::now(), Instant::now());
        let mut tick = time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                packet = open.receive() => {
                    heard = Instant::now();
                    self.receive(broker, packet?)?;
                }
                now = tick.tick() => match self.phase() {
                    Phase::Drain | Phase::End if self.unanswered.is_empty() => return Ok(()),
                    Phase::Storm if since.elapsed() > stay => return Ok(()),
                    _ if !self.unanswered.is_empty() && now - heard > PATIENCE => {
                        return Err(Lost::Silent);
                    }
                    Phase::Calm | Phase::Storm if self.unanswered.len() < WINDOW => {
                        // What is asked first is answered no earlier than this.
                        if self.unanswered.is_empty() { heard = now; }
                        self.publish(&mut open).await?;
                    }
                    Phase::Calm | Phase::Pause | Phase::Storm | Phase::Drain | Phase::End => (),
                }
            }
        }
    }

    fn receive(&mut self, broker: Process, packet: FromServer) -> Result<(), Lost> {
        match packet {
            FromServer::Puback(ack) => {
                let Some((message, sent)) = self.unanswered.remove(&ack.packet_id) else {
                    self.log.odd(format!("publisher-{}: {ack:?} was not asked for", self.number));
                    return Ok(());
                };
                if ack.reason == Reason::NO_MATCHING_SUBSCRIBERS {
                    self.log.odd(format!("{message}: there are no subscribers"));
                }
                // In this order: what is answered is owed, or else nothing would seem to be missing.
                if !ack.reason.is_failure() {
                    self.log.record(What::Answered(broker, sent));
                    self.log.record(What::Published(message));
                }
                self.log.books().unanswered -= 1;
                Ok(())
            }
            FromServer::Disconnect(disconnect) => Err(Lost::Disconnected(disconnect.reason)),
            _ => Ok(()),
        }
    }

    async fn publish(&mut self, open: &mut Connection) -> Result<(), Lost> {
        self.sent += 1;
        let message = Message { publisher: self.number, number: self.sent };
        let id = self.free_id();
        self.unanswered.insert(id, (message, self.log.now()));
        self.log.books().unanswered += 1;
        let topic = format!("shares/{}", self.random.between(1, TOPICS));
        let packet = FromClient::Publish(Publish {
            flow: Flow::AtLeastOnce(id),
            dup: false,
            retain: false,
            topic: Topic::Name(TopicName::parse(Bytes::from(topic)).expect("ours are valid")),
            expires_in_s: None,
            subscription_ids: Vec::new(),
            properties: Bytes::new(),
            payload: format!("{} {}", message.publisher, message.number).into(),
        });
        open.send(&packet).await
    }

    /// There always is one: fewer than [`WINDOW`] are used.
    fn free_id(&self) -> PacketId {
        let ids = (1..=u16::MAX).filter_map(PacketId::new);
        ids.into_iter().find(|id| !self.unanswered.contains_key(id)).expect("few are used")
    }
}
