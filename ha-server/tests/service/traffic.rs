//! What crosses ha-server.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::limits::PACKET_BYTES_MAX;
use ha_types::link::{Downstream, GoodbyeReason, PublishOutcome, Upstream};
use ha_types::{Message, PublishNumber, Publisher, Qos, RetainedVersion, TopicName};

use crate::broker::Broker;
use crate::running::Running;

fn message(payload: Bytes) -> Arc<Message> {
    Arc::new(Message {
        topic: TopicName::parse(Bytes::from_static(b"a/b")).unwrap(),
        payload,
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher::default(),
    })
}

#[tokio::test]
async fn largest_message_crosses_whole_and_its_neighbours_keep_their_places() {
    let server = Running::start().await;
    let (mut subscriber, _) = Broker::attach(&server, "subscriber").await;
    subscriber.subscribe("a/#").await;
    let (mut publisher, welcome) = Broker::attach(&server, "publisher").await;
    let large: Bytes = (0..PACKET_BYTES_MAX).map(|i| u8::try_from(i % 249).unwrap()).collect();
    let payloads = [Bytes::from_static(b"before"), large, Bytes::from_static(b"after")];
    let numbered = (1..).zip(payloads.clone());
    publisher.send(numbered.map(|(number, payload)| Upstream::Publish {
        number: Some(PublishNumber(number)),
        exchange: None,
        message: message(payload),
    }));
    for payload in payloads {
        let Downstream::Deliver { origin, message, .. } = subscriber.next().await else { panic!() };
        assert_eq!(origin.unwrap().broker, welcome.epoch);
        assert!(message.payload == payload, "{} bytes", message.payload.len());
    }
    subscriber.received(3);
    for number in 1..=3 {
        let accepted = Downstream::PublishResult {
            number: PublishNumber(number),
            outcome: PublishOutcome::Accepted,
            retained: RetainedVersion(0),
        };
        assert_eq!(publisher.next().await, accepted);
    }
    server.stop().await;
}

/// More than a batch of the writer waits for a broker that reads only after the shutdown has begun.
#[tokio::test]
async fn shutdown_writes_all_that_was_accepted_and_then_says_goodbye() {
    const MESSAGES: u32 = 6_000;
    let server = Running::start().await;
    let (mut subscriber, _) = Broker::attach(&server, "subscriber").await;
    subscriber.subscribe("#").await;
    let (mut publisher, _) = Broker::attach(&server, "publisher").await;
    let payload = |n: u32| Bytes::from(vec![u8::try_from(n % 251).unwrap(); 4_096]);
    let items = (0..MESSAGES).map(|n| Upstream::Publish {
        number: None,
        exchange: None,
        message: message(payload(n)),
    });
    publisher.send(items);
    // Its answer follows the messages through the distributor.
    publisher.subscribe("other/#").await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(publisher.goodbye().await.reason, GoodbyeReason::ShuttingDown);
    for n in 0..MESSAGES {
        let item = subscriber.next().await;
        let Downstream::Deliver { origin: None, message, .. } = item else {
            panic!("{n}: {item:?}")
        };
        assert_eq!(message.payload, payload(n));
    }
    assert_eq!(subscriber.goodbye().await.reason, GoodbyeReason::ShuttingDown);
    stopping.await.unwrap();
}

#[tokio::test]
async fn ten_thousand_messages_arrive_once_and_in_order() {
    let server = Running::start().await;
    let (mut subscriber, _) = Broker::attach(&server, "subscriber").await;
    subscriber.subscribe("#").await;
    subscriber.subscribe("a/+").await;
    let (mut publisher, _) = Broker::attach(&server, "publisher").await;
    let payload = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
    let items = (0..10_000).map(|n| Upstream::Publish {
        number: None,
        exchange: None,
        message: message(payload(n)),
    });
    publisher.send(items);
    for n in 0..10_000 {
        let Downstream::Deliver { origin: None, message, .. } = subscriber.next().await else {
            panic!()
        };
        assert_eq!(message.payload, payload(n));
    }
    server.stop().await;
}
