//! Messages between local clients.

use ha_types::Qos;

use crate::support::Broker;
use crate::support::packets::{properties, publish_v4, publish_v5, subscribe_v5};

#[tokio::test]
async fn message_is_delivered_at_the_lower_qos_of_message_and_subscription() {
    let broker = Broker::start().await;
    let mut publisher = broker.v4("publisher").await;
    for granted in 0..=2 {
        let mut v4 = broker.v4("subscriber-4").await;
        let mut v5 = broker.v5("subscriber-5").await;
        v4.subscribe("a/+", granted).await;
        v5.subscribe("a/#", granted).await;
        for qos in 0..=2 {
            publisher.send(&publish_v4("a/b", qos, 7, "hello")).await;
            match qos {
                0 => (),
                1 => publisher.expect(&[0x40, 2, 0, 7]).await,
                _ => {
                    publisher.expect(&[0x50, 2, 0, 7]).await;
                    publisher.send(&[0x62, 2, 0, 7]).await;
                    publisher.expect(&[0x70, 2, 0, 7]).await;
                }
            }
            for subscriber in [&mut v4, &mut v5] {
                let delivered = subscriber.acknowledged_delivery().await;
                assert_eq!(
                    (delivered.topic.as_str(), delivered.payload.as_str()),
                    ("a/b", "hello")
                );
                assert_eq!(delivered.qos, qos.min(granted), "message {qos}, granted {granted}");
                assert!(!delivered.retain);
            }
        }
    }
}

#[tokio::test]
async fn plugin_gets_each_message_as_it_was_published() {
    let mut broker = Broker::start().await;
    let mut publisher = broker.v5("publisher").await;
    let props = [&[0x01, 1, 0x02, 0, 0, 0, 9, 0x23, 0, 5][..]].concat();
    let mut publish = publish_v5("t", (1, 3), &props, "p");
    publish[0] |= 0x01;
    publisher.send(&publish).await;
    publisher.expect(&[0x40, 2, 0, 3]).await;
    publisher.send(&publish_v5("", (0, 0), &[0x23, 0, 5], "q")).await;
    let first = broker.published().await;
    assert_eq!((first.topic.as_str(), &first.payload[..]), ("t", &b"p"[..]));
    assert_eq!((first.qos, first.retain, first.expires_in_s), (Qos::AtLeastOnce, true, Some(9)));
    assert_eq!(&first.properties[..], [0x01, 1], "alias and expiry do not travel as properties");
    let second = broker.published().await;
    assert_eq!((second.topic.as_str(), &second.payload[..]), ("t", &b"q"[..]));
    assert_eq!(second.session, first.session);
}

#[tokio::test]
async fn publish_with_properties_reaches_3_1_1_and_5_0_subscribers() {
    let broker = Broker::start().await;
    let mut v4 = broker.v4("v4").await;
    let mut v5 = broker.v5("v5").await;
    v4.subscribe("t", 0).await;
    v5.send(&subscribe_v5(1, &[0x0B, 42], &[("t", 0)])).await;
    v5.expect(&[0x90, 4, 0, 1, 0, 0]).await;
    let mut publisher = broker.v5("publisher").await;
    let user = b"\x26\0\x01k\0\x01v";
    publisher.send(&publish_v5("t", (0, 0), user, "p")).await;
    assert_eq!(v4.delivery().await.payload, "p");
    let delivered = v5.delivery().await;
    assert_eq!(delivered.properties, [&[0x0B, 42], &user[..]].concat());
    assert_eq!(delivered.payload, "p");
    broker.must_still_serve().await;
}

#[tokio::test]
async fn no_local_keeps_a_clients_own_messages_from_it() {
    let broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    client.send(&subscribe_v5(1, &[], &[("t", 0b0000_0101)])).await;
    client.expect(&[0x90, 4, 0, 1, 0, 1]).await;
    client.publish("t", "own").await;
    let mut other = broker.v5("other").await;
    other.send(&publish_v5("t", (1, 1), &[], "from other")).await;
    other.expect(&[0x40, 2, 0, 1]).await;
    assert_eq!(client.delivery().await.payload, "from other");
}

#[tokio::test]
async fn retain_flag_is_kept_for_those_who_asked_for_it_as_published() {
    let broker = Broker::start().await;
    let mut as_published = broker.v5("as-published").await;
    as_published.send(&subscribe_v5(1, &[], &[("t", 0b0000_1000)])).await;
    as_published.expect(&[0x90, 4, 0, 1, 0, 0]).await;
    let mut usual = broker.v5("usual").await;
    usual.subscribe("t", 0).await;
    let mut publisher = broker.v4("publisher").await;
    let mut publish = publish_v4("t", 0, 0, "p");
    publish[0] |= 0x01;
    publisher.send(&publish).await;
    assert!(as_published.delivery().await.retain);
    assert!(!usual.delivery().await.retain);
}

#[tokio::test]
async fn repeated_qos_2_publish_is_forwarded_once() {
    let mut broker = Broker::start().await;
    let mut publisher = broker.v5("publisher").await;
    for _ in 0..2 {
        publisher.send(&publish_v5("t", (2, 9), &[], "once")).await;
        publisher.expect(&[0x50, 2, 0, 9]).await;
    }
    for answer in [&[0x70, 2, 0, 9][..], &[0x70, 3, 0, 9, 0x92]] {
        publisher.send(&[0x62, 2, 0, 9]).await;
        publisher.expect(answer).await;
    }
    publisher.publish("t", "next").await;
    assert_eq!(&broker.published().await.payload[..], b"once");
    assert_eq!(&broker.published().await.payload[..], b"next");
}

#[tokio::test]
async fn ten_thousand_messages_of_qos_1_arrive_once_and_in_order() {
    const MESSAGES: usize = 10_000;
    let broker = Broker::start().await;
    let mut subscriber = broker.v4("subscriber").await;
    subscriber.subscribe("numbers", 1).await;
    let mut publisher = broker.v4("publisher").await;
    let publishing = tokio::spawn(async move {
        for first in (0..MESSAGES).step_by(1_000) {
            let batch = (first..first + 1_000)
                .flat_map(|number| publish_v4("numbers", 1, 1, &number.to_string()));
            publisher.send(&batch.collect::<Vec<_>>()).await;
            for _ in 0..1_000 {
                publisher.expect(&[0x40, 2, 0, 1]).await;
            }
        }
        publisher
    });
    for number in 0..MESSAGES {
        assert_eq!(subscriber.acknowledged_delivery().await.payload, number.to_string());
    }
    let mut publisher = publishing.await.unwrap();
    publisher.publish("numbers", "end").await;
    assert_eq!(subscriber.delivery().await.payload, "end");
}

#[tokio::test]
async fn acknowledgements_in_any_order_are_fine() {
    let broker = Broker::start().await;
    let mut subscriber = broker.v4("subscriber").await;
    subscriber.subscribe("t", 1).await;
    let mut publisher = broker.v4("publisher").await;
    for round in 0..30 {
        for _ in 0..10 {
            publisher.send(&publish_v4("t", 1, 1, &round.to_string())).await;
            publisher.expect(&[0x40, 2, 0, 1]).await;
        }
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(subscriber.delivery().await.packet_id);
        }
        for id in ids.into_iter().rev() {
            let [high, low] = id.to_be_bytes();
            subscriber.send(&[0x40, 2, high, low]).await;
        }
    }
    subscriber.send(&[0x40, 2, 0x77, 0x77]).await;
    broker.must_still_serve().await;
}

#[tokio::test]
async fn client_gets_no_more_than_its_receive_maximum() {
    let broker = Broker::start().await;
    let mut subscriber = broker.socket().await;
    let receive_maximum_2 = crate::support::packets::connect_v5("s", 0x02, &[0x21, 0, 2]);
    subscriber.send(&receive_maximum_2).await;
    subscriber.read_type(2).await;
    subscriber.subscribe("t", 1).await;
    let mut publisher = broker.v4("publisher").await;
    for number in 0..3 {
        publisher.send(&publish_v4("t", 1, 1, &number.to_string())).await;
        publisher.expect(&[0x40, 2, 0, 1]).await;
    }
    publisher.publish("t", "qos 0").await;
    let first = subscriber.delivery().await;
    assert_eq!((first.payload.as_str(), subscriber.delivery().await.payload.as_str()), ("0", "1"));
    assert_eq!(subscriber.delivery().await.payload, "qos 0", "the third waits");
    let [high, low] = first.packet_id.to_be_bytes();
    subscriber.send(&[0x40, 2, high, low]).await;
    assert_eq!(subscriber.delivery().await.payload, "2");
}

#[tokio::test]
async fn shared_subscription_gives_each_message_to_one_member() {
    let broker = Broker::start().await;
    let mut members = [broker.v5("a").await, broker.v4("b").await];
    for member in &mut members {
        member.subscribe("$share/group/t", 1).await;
        member.subscribe("end", 0).await;
    }
    let mut publisher = broker.v4("publisher").await;
    for number in 0..10 {
        publisher.send(&publish_v4("t", 1, 1, &number.to_string())).await;
        publisher.expect(&[0x40, 2, 0, 1]).await;
    }
    let mut seen = Vec::new();
    for member in &mut members {
        for _ in 0..5 {
            seen.push(member.acknowledged_delivery().await.payload);
        }
    }
    publisher.publish("end", "end").await;
    for member in &mut members {
        assert_eq!(member.delivery().await.payload, "end");
    }
    seen.sort();
    assert_eq!(seen, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn message_above_the_clients_maximum_packet_size_is_left_out() {
    let broker = Broker::start().await;
    let mut subscriber = broker.socket().await;
    let maximum_64 = crate::support::packets::connect_v5("s", 0x02, &[0x27, 0, 0, 0, 64]);
    subscriber.send(&maximum_64).await;
    subscriber.read_type(2).await;
    subscriber.subscribe("t", 1).await;
    let mut publisher = broker.v4("publisher").await;
    publisher.send(&publish_v4("t", 1, 1, &"x".repeat(100))).await;
    publisher.expect(&[0x40, 2, 0, 1]).await;
    publisher.publish("t", "small").await;
    assert_eq!(subscriber.delivery().await.payload, "small");
    assert_eq!(broker.host.stats().dropped, 1);
    assert_eq!(properties(&[]), [0]);
}
