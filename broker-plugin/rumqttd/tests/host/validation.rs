//! What clients must not send, and what they are told.

use broker_core::host::HostEvent;
use ha_types::Subscription;
use ha_types::limits::PACKET_BYTES_DEFAULT;

use crate::support::Broker;
use crate::support::packets::{
    connect_v4, connect_v5, connect_v5_with_will, packet, publish_v4, publish_v5, subscribe_v4,
    subscribe_v5, text,
};

const NON_ASCII: &str = "this host cannot route topics that begin with a non-ASCII character";

#[tokio::test]
async fn topic_that_begins_with_a_non_ascii_character_is_refused_and_the_broker_lives() {
    let mut broker = Broker::start().await;
    let mut subscriber = broker.v4("subscriber").await;
    subscriber.subscribe("#", 0).await;
    let mut v5 = broker.v5("v5").await;
    let reason = [&[0x1F][..], &text(NON_ASCII)].concat();
    let refusal = [&[0, 7, 0x90, u8::try_from(reason.len()).unwrap()][..], &reason].concat();
    v5.send(&publish_v5("é/x", (1, 7), &[], "p")).await;
    v5.expect(&packet(0x40, &refusal)).await;
    v5.send(&publish_v5("é/x", (2, 7), &[], "p")).await;
    v5.expect(&packet(0x50, &refusal)).await;
    v5.send(&publish_v5("é/x", (0, 0), &[], "p")).await;
    assert_eq!(v5.must_be_disconnected(0x90).await, NON_ASCII);
    for qos in 0..=2 {
        let mut v4 = broker.v4("v4").await;
        v4.send(&publish_v4("é/x", qos, 7, "p")).await;
        v4.must_be_closed().await;
    }
    broker.must_still_serve().await;
    assert_eq!(subscriber.delivery().await.topic, "still/served");
    assert_eq!(broker.published().await.topic.as_str(), "still/served");
}

#[tokio::test]
async fn non_ascii_characters_elsewhere_in_a_topic_are_fine() {
    let broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    client.subscribe("é/#", 0).await;
    client.subscribe("x/é/+", 0).await;
    client.publish("x/é/ü", "ok").await;
    assert_eq!(client.delivery().await.topic, "x/é/ü");
}

#[tokio::test]
async fn will_topic_that_cannot_be_routed_is_refused_at_connect() {
    let broker = Broker::start().await;
    for (topic, reason) in [("é/x", 0x90), ("$x", 0x90), ("$SYS/x", 0x87), ("$CONTROL/x", 0x87)] {
        let will = [text(topic), text("p")].concat();
        let mut v5 = broker.socket().await;
        let body = [&b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\0"[..], &will].concat();
        v5.send(&packet(0x10, &body)).await;
        v5.expect(&[0x20, 3, 0, reason, 0]).await;
        v5.must_be_closed().await;
        let mut v4 = broker.socket().await;
        v4.send(&packet(0x10, &[&b"\0\x04MQTT\x04\x06\0\0\0\x01c"[..], &will].concat())).await;
        v4.expect(&[0x20, 2, 0, 5]).await;
        v4.must_be_closed().await;
    }
    broker.must_still_serve().await;
}

/// In 3.1.1 no return code says so, and the connection is closed without one.
#[tokio::test]
async fn will_topic_with_wildcards_is_refused_at_connect() {
    let broker = Broker::start().await;
    let will = [text("a/#"), text("p")].concat();
    let mut v5 = broker.socket().await;
    let body = [&b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\0"[..], &will].concat();
    v5.send(&packet(0x10, &body)).await;
    v5.expect(&[0x20, 3, 0, 0x90, 0]).await;
    v5.must_be_closed().await;
    let mut v4 = broker.socket().await;
    v4.send(&packet(0x10, &[&b"\0\x04MQTT\x04\x06\0\0\0\x01c"[..], &will].concat())).await;
    v4.must_be_closed().await;
}

#[tokio::test]
async fn topics_of_the_server_are_not_published_to_and_the_client_stays() {
    let mut broker = Broker::start().await;
    let (mut v5, mut v4) = (broker.v5("v5").await, broker.v4("v4").await);
    for topic in ["$SYS/x", "$CONTROL/x"] {
        v5.publish(topic, "qos 0").await;
        v5.send(&publish_v5(topic, (1, 1), &[], "p")).await;
        v5.expect(&[0x40, 3, 0, 1, 0x87]).await;
        v5.send(&publish_v5(topic, (2, 2), &[], "p")).await;
        v5.expect(&[0x50, 3, 0, 2, 0x87]).await;
        v4.publish(topic, "qos 0").await;
        v4.send(&publish_v4(topic, 1, 1, "p")).await;
        v4.expect(&[0x40, 2, 0, 1]).await;
    }
    broker.must_still_serve().await;
    assert_eq!(broker.published().await.topic.as_str(), "still/served");
}

#[tokio::test]
async fn topics_that_are_never_matched_and_wildcards_cannot_be_published_to() {
    let broker = Broker::start().await;
    for topic in ["$x", "$share/g/x"] {
        let mut v5 = broker.v5("v5").await;
        v5.send(&publish_v5(topic, (1, 1), &[], "p")).await;
        assert_eq!(v5.read_type(4).await[..3], [0, 1, 0x90]);
        v5.send(&publish_v5(topic, (0, 0), &[], "p")).await;
        v5.must_be_disconnected(0x90).await;
    }
    let mut v5 = broker.v5("v5").await;
    v5.send(&publish_v5("a/+", (1, 1), &[], "p")).await;
    v5.must_be_disconnected(0x90).await;
    let mut v4 = broker.v4("v4").await;
    v4.send(&publish_v4("a/#", 0, 0, "p")).await;
    v4.must_be_closed().await;
}

#[tokio::test]
async fn topic_alias_must_be_known_and_within_the_announced_maximum() {
    let broker = Broker::start().await;
    for (topic, alias, reason) in [("t", 0, 0x94), ("t", 33, 0x94), ("", 32, 0x82)] {
        let mut client = broker.v5("client").await;
        client.send(&publish_v5(topic, (0, 0), &[0x23, 0, alias], "p")).await;
        client.must_be_disconnected(reason).await;
    }
}

#[tokio::test]
async fn packets_that_only_servers_send_end_the_connection_and_nothing_else() {
    let broker = Broker::start().await;
    for first in [0x20, 0x90, 0xB0, 0xD0] {
        let mut v5 = broker.v5("v5").await;
        v5.send(&[first, 2, 0, 0]).await;
        v5.must_be_disconnected(0x82).await;
        let mut v4 = broker.v4("v4").await;
        v4.send(&[first, 2, 0, 0]).await;
        v4.must_be_closed().await;
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn second_connect_and_auth_are_protocol_errors() {
    let broker = Broker::start().await;
    for bytes in [connect_v5("client", 0x02, &[]), vec![0xF0, 0]] {
        let mut client = broker.v5("client").await;
        client.send(&bytes).await;
        client.must_be_disconnected(0x82).await;
    }
}

#[tokio::test]
async fn malformed_packets_end_the_connection_with_a_well_formed_disconnect() {
    let broker = Broker::start().await;
    let cases: [(&[u8], u8); 9] = [
        (&[0x60, 2, 0, 1], 0x81),                            // PUBREL with flags 0
        (&[0x36, 6, 0, 1, b't', 0, 1, 0], 0x81),             // QoS 3
        (&[0x38, 4, 0, 1, b't', 0], 0x81),                   // DUP at QoS 0
        (&[0x32, 6, 0, 1, b't', 0, 0, 0], 0x82),             // packet id 0
        (&[0x82, 3, 0, 1, 0], 0x82),                         // SUBSCRIBE without filters
        (&[0xA2, 3, 0, 1, 0], 0x82),                         // UNSUBSCRIBE without filters
        (&[0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, b'a', 0], 0x82), // subscription identifier 0
        (&[0xC0, 1, 0], 0x81),                               // bytes after PINGREQ
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], 0x81),       // remaining length of five bytes
    ];
    for (bytes, reason) in cases {
        let mut client = broker.v5("client").await;
        client.send(bytes).await;
        assert!(!client.must_be_disconnected(reason).await.is_empty(), "{bytes:02x?}");
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn packet_above_the_maximum_is_refused_before_its_body_arrives() {
    let broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    let too_long = packet(0x30, &vec![0; PACKET_BYTES_DEFAULT]);
    client.send(&too_long[..5]).await;
    client.must_be_disconnected(0x95).await;
}

#[tokio::test]
async fn qos_2_publishes_beyond_receive_maximum_end_the_connection() {
    let broker = Broker::start().await;
    let mut client = broker.v5("client").await;
    for packet_id in 1..=100 {
        client.send(&publish_v5("t", (2, packet_id), &[], "p")).await;
        client.read_type(5).await;
    }
    client.send(&publish_v5("t", (2, 101), &[], "p")).await;
    client.must_be_disconnected(0x93).await;
}

#[tokio::test]
async fn filters_of_the_server_are_refused_one_by_one_and_not_passed_on() {
    let broker = Broker::start().await;
    let filters = [("$x/#", 0), ("$SYS/#", 0), ("ok", 1), ("$share/g/$x", 0), ("$", 2)];
    let mut v5 = broker.v5("v5").await;
    v5.send(&subscribe_v5(9, &[], &filters)).await;
    v5.expect(&[0x90, 8, 0, 9, 0, 0x8F, 0x8F, 1, 0x8F, 0x8F]).await;
    let mut v4 = broker.v4("v4").await;
    v4.send(&subscribe_v4(9, &filters)).await;
    v4.expect(&[0x90, 7, 0, 9, 0x80, 0x80, 1, 0x80, 0x80]).await;
    v4.publish("ok", "yes").await;
    assert_eq!(v5.acknowledged_delivery().await.payload, "yes");
    assert_eq!(v4.acknowledged_delivery().await.payload, "yes");
}

/// Only a broken client sends one, so the codec does not go on after it (ADR 0006).
#[tokio::test]
async fn malformed_filter_ends_the_connection_and_subscribes_to_nothing() {
    let mut broker = Broker::start().await;
    for filter in ["a/#/b", "$share/g", "+x"] {
        let mut v5 = broker.v5("v5").await;
        v5.send(&subscribe_v5(9, &[], &[("ok", 1), (filter, 0)])).await;
        v5.must_be_disconnected(0x8F).await;
        let mut v4 = broker.v4("v4").await;
        v4.send(&packet(0xA2, &[&[0, 9][..], &text(filter)].concat())).await;
        v4.must_be_closed().await;
    }
    broker.v4("v4").await.subscribe("later", 0).await;
    let subscribed = loop {
        if let HostEvent::Subscribe { subscriptions, .. } = broker.event().await {
            break subscriptions;
        }
    };
    assert_eq!(subscribed[0].subscription, Subscription::parse(b"later").unwrap());
}

#[tokio::test]
async fn unsubscribe_is_always_answered() {
    let broker = Broker::start().await;
    let mut v5 = broker.v5("v5").await;
    v5.subscribe("a", 0).await;
    let filters = [text("a"), text("unknown"), text("a")].concat();
    v5.send(&packet(0xA2, &[&[0, 5, 0][..], &filters].concat())).await;
    v5.expect(&[0xB0, 6, 0, 5, 0, 0, 0x11, 0x11]).await;
    let mut v4 = broker.v4("v4").await;
    v4.send(&packet(0xA2, &[&[0, 5][..], &text("unknown")].concat())).await;
    v4.expect(&[0xB0, 2, 0, 5]).await;
    v5.subscribe("end", 0).await;
    v5.publish("a", "unsubscribed").await;
    v5.publish("end", "end").await;
    assert_eq!(v5.delivery().await.payload, "end");
}

#[tokio::test]
async fn refused_client_ids_connect_twice_and_the_listener_lives() {
    let broker = Broker::start().await;
    for client_id in ["a+b", "a$b", "a#b", "a/b"] {
        for _ in 0..2 {
            let mut v5 = broker.socket().await;
            v5.send(&connect_v5(client_id, 0x02, &[])).await;
            v5.expect(&[0x20, 3, 0, 0x85, 0]).await;
            v5.must_be_closed().await;
            let mut v4 = broker.socket().await;
            v4.send(&connect_v4(client_id, 0x02)).await;
            v4.expect(&[0x20, 2, 0, 2]).await;
            v4.must_be_closed().await;
        }
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn empty_client_id_is_assigned_unless_3_1_1_wants_to_keep_the_session() {
    let broker = Broker::start().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut client = broker.socket().await;
        client.send(&connect_v5("", 0x02, &[])).await;
        let connack = client.read_type(2).await;
        let at = connack.windows(2).position(|bytes| bytes == [0x12, 0]).unwrap();
        ids.push(connack[at..].to_vec());
    }
    assert_ne!(ids[0], ids[1]);
    let mut kept = broker.socket().await;
    kept.send(&connect_v4("", 0)).await;
    kept.expect(&[0x20, 2, 0, 2]).await;
    let mut clean = broker.socket().await;
    clean.send(&connect_v4("", 2)).await;
    clean.expect(&[0x20, 2, 0, 0]).await;
}

#[tokio::test]
async fn other_protocol_versions_are_told_so() {
    let broker = Broker::start().await;
    let cases: [(&[u8], &[u8]); 4] = [
        (b"\x10\x0D\0\x06MQIsdp\x04\x02\0\0\0", &[0x20, 2, 0, 1]),
        // A bridge; it tries again without the highest bit.
        (b"\x10\x0D\0\x06MQIsdp\x83\x02\0\0\0", &[0x20, 2, 0, 1]),
        (b"\x10\x0B\0\x04MQTT\x03\x02\0\0\0", &[0x20, 2, 0, 1]),
        (b"\x10\x0B\0\x04MQTT\x06\x02\0\0\0", &[0x20, 3, 0, 0x84, 0]),
    ];
    for (connect, connack) in cases {
        let mut client = broker.socket().await;
        client.send(connect).await;
        client.expect(connack).await;
        client.must_be_closed().await;
    }
}

#[tokio::test]
async fn client_of_3_1_is_served() {
    let broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(b"\x10\x10\0\x06MQIsdp\x03\x02\0\0\0\x02v3").await;
    client.expect(&[0x20, 2, 0, 0]).await;
    client.subscribe("t", 1).await;
    client.send(&publish_v4("t", 1, 7, "p")).await;
    client.expect(&[0x40, 2, 0, 7]).await;
    assert_eq!(client.acknowledged_delivery().await.payload, "p");
    let mut nameless = broker.socket().await;
    nameless.send(b"\x10\x0E\0\x06MQIsdp\x03\x02\0\0\0\0").await;
    nameless.expect(&[0x20, 2, 0, 2]).await;
}

#[tokio::test]
async fn client_that_cannot_take_the_connack_is_refused_before_it_has_a_session() {
    let broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5("client", 0x02, &[0x27, 0, 0, 0, 15])).await;
    client.expect(&[0x20, 3, 0, 0x95, 0]).await;
    client.must_be_closed().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5("client", 0x02, &[0x27, 0, 0, 0, 4])).await;
    client.must_be_closed().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5("client", 0x02, &[0x27, 0, 0, 0, 16])).await;
    assert_eq!(client.read_type(2).await[..2], [0, 0]);
    assert_eq!(broker.host.stats().connections, 1);
}

#[tokio::test]
async fn authentication_method_is_refused() {
    let broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5("client", 0x02, &[0x15, 0, 1, b'm'])).await;
    client.expect(&[0x20, 3, 0, 0x8C, 0]).await;
}

#[tokio::test]
async fn connack_announces_the_limits() {
    let broker = Broker::start().await;
    let mut client = broker.socket().await;
    client.send(&connect_v5_with_will("client", 0x02, &[], &[])).await;
    let announced = [0x21, 0, 100, 0x27, 0, 0x10, 0, 0, 0x22, 0, 32];
    client.expect(&[&[0x20, 14, 0, 0, 11][..], &announced].concat()).await;
}
