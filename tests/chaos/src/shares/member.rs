//! A member of a share group: a durable session that goes from broker to broker, and dies now and then.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::codec::{
    Ack, Connect, FilterRequest, Flow, FromClient, FromServer, PacketId, Publish, Reason,
    Subscribe, SubscriptionOptions, Text, UserProperties, Version,
};
use bytes::Bytes;
use ha_types::{Qos, Subscription};
use history::share::{Dup, End, Message, What};
use tokio::sync::watch;
use tokio::time::{self, Instant};

use super::{Log, PAUSE_MS, Phase};
use crate::client::Places;
use crate::message::{LONG_EXPIRY_S, stamp};
use crate::random::Random;
use crate::wire::{Connection, Lost};

/// Between two PINGREQs.
const PING: Duration = Duration::from_millis(500);

/// A broker that says nothing for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// It keeps a message for so long before it acknowledges, and one in eight for longer, in milliseconds.
const HOLD_MS: (u64, u64) = (0, 30);
const LONG_HOLD_MS: (u64, u64) = (100, 600);

/// A connection lives for so long while others die, in milliseconds.
const LIFE_MS: (u64, u64) = (300, 5_000);

/// Half of the times it comes back after so many milliseconds.
const ABSENCE_MS: (u64, u64) = (200, 4_000);

/// The only packet identifier of a member: it asks one thing at a time.
fn its_id() -> PacketId {
    PacketId::new(1).expect("not 0")
}

/// A member.
pub(super) struct Member {
    pub(super) name: history::share::Member,
    pub(super) places: Places,
    /// All, in their order.
    pub(super) brokers: Vec<SocketAddr>,
    pub(super) random: Random,
    pub(super) log: Arc<Log>,
    pub(super) phase: watch::Receiver<Phase>,
    /// It has had a SUBACK: the cluster must know its session.
    pub(super) is_subscribed: bool,
}

/// A message that is not acknowledged.
struct Held {
    due: Instant,
    id: PacketId,
    message: Message,
}

/// A connection and what is to be done on it.
struct Open {
    connection: Connection,
    held: VecDeque<Held>,
    heard: Instant,
    ping_at: Instant,
    /// When, on the log's clock, the PINGREQ was sent that has no answer.
    pinged: Option<u64>,
    /// When the member dies.
    dies_at: Option<Instant>,
    /// It dies when the answer to its PINGREQ comes.
    is_dying: bool,
}

impl Member {
    /// Takes its part of all messages until all is over.
    pub(super) async fn run(mut self) {
        let mut phase = self.phase.clone();
        tokio::select! {
            () = self.live() => (),
            // Whoever ends the run has the sender.
            _ = phase.wait_for(|&phase| phase == Phase::End) => (),
        }
    }

    async fn live(&mut self) {
        loop {
            let end = match self.connect().await {
                Ok(mut open) => {
                    let result = self.serve(&mut open).await;
                    let end = if result.is_ok() { End::Chosen } else { End::Suffered };
                    self.complain(&result);
                    // Before the connection is closed.
                    self.log.record(What::Ended(self.name, end));
                    end
                }
                Err(lost) => {
                    self.complain(&Err(lost));
                    End::Suffered
                }
            };
            self.rest(end).await;
        }
    }

    fn complain(&self, result: &Result<(), Lost>) {
        if let Err(lost) = result
            && lost.is_odd()
        {
            self.log.odd(format!("{}: {lost}", self.name));
        }
    }

    /// Nobody stays away when all are to come back.
    async fn rest(&mut self, end: End) {
        let (least, most) = match end {
            End::Chosen if self.random.once_in(2) => ABSENCE_MS,
            End::Chosen => (0, 20),
            End::Suffered => PAUSE_MS,
        };
        let pause = Duration::from_millis(self.random.between(least, most));
        let due = self.phase.wait_for(|&phase| phase >= Phase::Drain && end == End::Chosen);
        drop(time::timeout(pause, due).await);
    }

    async fn connect(&mut self) -> Result<Open, Lost> {
        let address = self.places.pick(&mut self.random);
        let mut connection = Connection::open(address, Version::V5).await?;
        let id = Text::parse(Bytes::from(self.name.to_string())).expect("ours are valid");
        let mut connect = Connect::new(Version::V5, id);
        connect.clean_start = false;
        connect.session_expiry_s = LONG_EXPIRY_S;
        let connack = connection.accepted(&connect).await?;
        let broker = super::broker(&self.brokers, address);
        self.log.record(What::Connected(self.name, broker));
        if self.is_subscribed && !connack.session_present {
            self.log.odd(format!("{}: its session is gone", self.name));
            self.is_subscribed = false;
        }
        let now = Instant::now();
        let (held, pinged, dies_at) = (VecDeque::new(), None, None);
        Ok(Open { connection, held, heard: now, ping_at: now, pinged, dies_at, is_dying: false })
    }

    /// Returns when it dies by its own choice.
    async fn serve(&mut self, open: &mut Open) -> Result<(), Lost> {
        if !self.is_subscribed {
            self.subscribe(&mut open.connection).await?;
        }
        loop {
            let phase = *self.phase.borrow_and_update();
            self.decide(open, phase);
            let next = open.next();
            tokio::select! {
                packet = open.connection.receive() => {
                    open.heard = Instant::now();
                    if self.receive(open, packet?)? && open.is_dying {
                        return Ok(());
                    }
                }
                () = time::sleep_until(next) => (),
                _ = self.phase.changed() => (),
            }
            let now = Instant::now();
            self.acknowledge(open, now).await?;
            if open.dies_at.is_some_and(|dies_at| dies_at <= now) {
                if self.random.once_in(2) {
                    return Ok(());
                }
                (open.is_dying, open.dies_at) = (true, None);
                // If none is under way: this is the one after which it dies.
                open.ping_at = now;
            }
            self.ping(open, now).await?;
            if now - open.heard > SILENCE_MAX {
                return Err(Lost::Silent);
            }
        }
    }

    /// When it dies, once others do. Nobody does so at the end.
    fn decide(&mut self, open: &mut Open, phase: Phase) {
        match phase {
            Phase::Storm if open.dies_at.is_none() && !open.is_dying => {
                let life = self.random.between(LIFE_MS.0, LIFE_MS.1);
                open.dies_at = Some(Instant::now() + Duration::from_millis(life));
            }
            Phase::Storm => (),
            Phase::Calm | Phase::Pause | Phase::Drain | Phase::End => {
                (open.dies_at, open.is_dying) = (None, false);
            }
        }
    }

    async fn subscribe(&self, connection: &mut Connection) -> Result<(), Lost> {
        let text = format!("$share/g{}/shares/+", self.name.group);
        let subscription = Subscription::parse(text.as_bytes()).expect("ours are valid");
        let qos = Qos::AtLeastOnce;
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let packet = FromClient::Subscribe(Subscribe {
            packet_id: its_id(),
            subscription_id: None,
            user_properties: UserProperties::default(),
            filters: vec![FilterRequest { subscription, options }],
        });
        connection.send(&packet).await
    }

    /// Whether it is the answer to PINGREQ.
    fn receive(&mut self, open: &mut Open, packet: FromServer) -> Result<bool, Lost> {
        match packet {
            FromServer::Suback(suback) => {
                if suback.reasons.iter().any(|reason| reason.is_failure()) {
                    self.log.odd(format!("{}: {suback:?}", self.name));
                }
                self.is_subscribed = true;
                self.log.books().subscribed.insert(self.name);
            }
            FromServer::Publish(publish) => self.take(open, &publish),
            FromServer::Pingresp => {
                if let Some(pinged) = open.pinged.take() {
                    self.log.record(What::Settled(self.name, pinged));
                    return Ok(true);
                }
            }
            FromServer::Disconnect(disconnect) => {
                return Err(Lost::Disconnected(disconnect.reason));
            }
            other => self.log.odd(format!("{}: {other:?}", self.name)),
        }
        Ok(false)
    }

    fn take(&mut self, open: &mut Open, publish: &Publish) {
        let message = stamp(&publish.payload).and_then(|(publisher, number)| {
            Some(Message { publisher: publisher.parse().ok()?, number })
        });
        let (Some(message), Flow::AtLeastOnce(id)) = (message, publish.flow) else {
            return self.log.odd(format!("{}: {publish:?}", self.name));
        };
        let dup = if publish.dup { Dup::Set } else { Dup::Clear };
        self.log.record(What::Delivered(self.name, message, dup));
        let (least, most) = if self.random.once_in(8) { LONG_HOLD_MS } else { HOLD_MS };
        let hold = Duration::from_millis(self.random.between(least, most));
        // In the order in which they came [MQTT-4.6.0-2].
        let before = open.held.back().map(|held| held.due);
        let due = before.unwrap_or_else(Instant::now).max(Instant::now() + hold);
        open.held.push_back(Held { due, id, message });
    }

    async fn acknowledge(&self, open: &mut Open, now: Instant) -> Result<(), Lost> {
        while let Some(held) = open.held.pop_front_if(|held| held.due <= now) {
            self.log.record(What::Acknowledged(self.name, held.message));
            let ack = Ack::new(held.id, Reason::SUCCESS);
            open.connection.send(&FromClient::Puback(ack)).await?;
        }
        Ok(())
    }

    async fn ping(&self, open: &mut Open, now: Instant) -> Result<(), Lost> {
        if open.pinged.is_some() || open.ping_at > now {
            return Ok(());
        }
        open.pinged = Some(self.log.now());
        open.ping_at = now + PING;
        open.connection.send(&FromClient::Pingreq).await
    }
}

impl Open {
    /// When something is due.
    fn next(&self) -> Instant {
        let ping = if self.pinged.is_some() { self.heard + SILENCE_MAX } else { self.ping_at };
        let held = self.held.front().map(|held| held.due);
        [held, self.dies_at].into_iter().flatten().fold(ping, Instant::min)
    }
}
