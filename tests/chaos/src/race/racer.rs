//! A client that sets retained messages and reads them, one after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker_core::codec::{
    Connect, FilterRequest, Flow, FromClient, FromServer, PacketId, Publish, Subscribe,
    SubscriptionOptions, Text, Topic, Unsubscribe, UserProperties, Version,
};
use bytes::Bytes;
use ha_types::{Subscription, TopicFilter, TopicName};
use history::register::{Kind, NOTHING, Operation, Value};
use tokio::sync::watch;
use tokio::time;

use crate::random::Random;
use crate::wire::{Connection, Lost, PATIENCE};

/// Before a client connects again, in milliseconds.
const PAUSE_MS: (u64, u64) = (10, 150);

/// One operation in so many is a write.
const WRITES: u64 = 3;

/// What all of them did, in the order in which it began; an answer is added to what it answers.
#[derive(Debug)]
pub(super) struct Log {
    start: Instant,
    operations: Mutex<Vec<(u64, Operation)>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), operations: Mutex::default() }
    }

    /// Microseconds; above 0.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Each change is complete when the lock is released, also by a panic.
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Operation)>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_write(&self, topic: u64, value: Value) -> usize {
        let mut operations = self.lock();
        let began = self.now();
        operations.push((topic, Operation { kind: Kind::Write, value, began, ended: None }));
        operations.len() - 1
    }

    fn end_write(&self, place: usize) {
        self.lock()[place].1.ended = Some(self.now());
    }

    fn read(&self, topic: u64, value: Value, began: u64) {
        let ended = Some(self.now());
        self.lock().push((topic, Operation { kind: Kind::Read, value, began, ended }));
    }

    /// With the number of the topic.
    pub(super) fn operations(&self) -> Vec<(u64, Operation)> {
        self.lock().clone()
    }
}

/// A client.
pub(super) struct Racer {
    pub(super) number: u64,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) topics: u64,
    /// Between two operations at most, in milliseconds.
    pub(super) pause_ms: u64,
    pub(super) random: Random,
    pub(super) log: Arc<Log>,
    /// Values that it wrote.
    pub(super) written: u64,
}

impl Racer {
    /// Writes and reads, wherever it gets a connection, until it is over.
    pub(super) async fn run(mut self, mut over: watch::Receiver<bool>) {
        tokio::select! {
            () = self.race() => (),
            // Whoever ends the race has the sender.
            _ = over.wait_for(|&is_over| is_over) => (),
        }
    }

    async fn race(&mut self) {
        loop {
            let address = self.random.pick(&self.addresses);
            // A write that was not answered stays open; a read is forgotten.
            drop(self.at(address).await);
            let (least, most) = PAUSE_MS;
            time::sleep(Duration::from_millis(self.random.between(least, most))).await;
        }
    }

    async fn at(&mut self, address: SocketAddr) -> Result<(), Lost> {
        let mut open = self.connect(address).await?;
        loop {
            let pause = self.random.between(1, self.pause_ms);
            time::sleep(Duration::from_millis(pause)).await;
            let topic = self.random.between(1, self.topics);
            if self.random.once_in(WRITES) {
                self.write(&mut open, topic).await?;
            } else {
                self.read(&mut open, topic).await?;
            }
        }
    }

    /// Reads all topics at this broker.
    pub(super) async fn read_all(&self, address: SocketAddr) -> Result<(), Lost> {
        let mut open = self.connect(address).await?;
        for topic in 1..=self.topics {
            self.read(&mut open, topic).await?;
        }
        Ok(())
    }

    async fn connect(&self, address: SocketAddr) -> Result<Connection, Lost> {
        let id = Text::parse(Bytes::from(format!("racer-{}", self.number)));
        let mut connect = Connect::new(Version::V5, id.expect("ours are valid"));
        connect.clean_start = true;
        let mut open = Connection::open(address, Version::V5).await?;
        open.accepted(&connect).await?;
        Ok(open)
    }

    async fn write(&mut self, open: &mut Connection, topic: u64) -> Result<(), Lost> {
        self.written += 1;
        let value = Value(self.number << 32 | self.written);
        let packet = FromClient::Publish(Publish {
            flow: Flow::AtLeastOnce(id()),
            dup: false,
            retain: true,
            topic: Topic::Name(name(topic)),
            expires_in_s: None,
            subscription_ids: Vec::new(),
            properties: Bytes::new(),
            payload: Bytes::copy_from_slice(&value.0.to_be_bytes()),
        });
        let place = self.log.begin_write(topic, value);
        open.send(&packet).await?;
        let answer = until(open, |packet| match packet {
            FromServer::Puback(ack) => Some(ack.reason.is_failure()),
            _ => None,
        });
        let is_refused = answer.await?;
        if !is_refused {
            self.log.end_write(place);
        }
        Ok(())
    }

    /// A SUBSCRIBE, and what it brings before the answer to the PINGREQ behind it.
    async fn read(&self, open: &mut Connection, topic: u64) -> Result<(), Lost> {
        let filter = TopicFilter::parse(name(topic).as_bytes()).expect("ours are valid");
        let subscription = Subscription::Plain(filter);
        let began = self.log.now();
        open.send(&FromClient::Subscribe(Subscribe {
            packet_id: id(),
            subscription_id: None,
            user_properties: UserProperties::default(),
            filters: vec![FilterRequest {
                subscription: subscription.clone(),
                options: SubscriptionOptions::default(),
            }],
        }))
        .await?;
        let mut seen = NOTHING;
        let mut keep = |packet: &FromServer| {
            if let FromServer::Publish(publish) = packet
                && publish.retain
                && let Ok(bytes) = <[u8; 8]>::try_from(&publish.payload[..])
            {
                seen = Value(u64::from_be_bytes(bytes));
            }
        };
        let is_refused = until(open, |packet| {
            keep(&packet);
            let FromServer::Suback(suback) = packet else { return None };
            Some(suback.reasons.iter().any(|reason| reason.is_failure()))
        });
        if is_refused.await? {
            return Ok(());
        }
        open.send(&FromClient::Pingreq).await?;
        until(open, |packet| {
            keep(&packet);
            matches!(packet, FromServer::Pingresp).then_some(())
        })
        .await?;
        self.log.read(topic, seen, began);
        open.send(&FromClient::Unsubscribe(Unsubscribe {
            packet_id: id(),
            user_properties: UserProperties::default(),
            filters: vec![subscription],
        }))
        .await?;
        until(open, |packet| matches!(packet, FromServer::Unsuback(_)).then_some(())).await
    }
}

/// All packets that wait for an answer have this one: there is one at a time.
fn id() -> PacketId {
    PacketId::new(1).expect("not 0")
}

fn name(topic: u64) -> TopicName {
    let name = TopicName::parse(Bytes::from(format!("race/{topic}")));
    name.expect("ours are valid")
}

/// Takes packets until one of them is the answer.
async fn until<T>(
    open: &mut Connection,
    mut answer: impl FnMut(FromServer) -> Option<T>,
) -> Result<T, Lost> {
    let answered = time::timeout(PATIENCE, async {
        loop {
            if let Some(answer) = answer(open.receive().await?) {
                return Ok(answer);
            }
        }
    });
    answered.await.unwrap_or(Err(Lost::Silent))
}
