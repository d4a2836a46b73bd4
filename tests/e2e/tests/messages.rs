//! What a message does in a healthy cluster of two brokers.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{collections::BTreeMap, thread, time::Duration};

use e2e::{
    Client, Cluster, Message, Outcome, Version,
    mosquitto::{self, Subscriber, VERSIONS},
    wait::LONG,
};

/// Every direction, QoS and version of both sides: 2 × 3 × 3 × 3 messages.
#[test]
fn a_message_of_any_qos_and_version_crosses_brokers_both_ways() {
    let cluster = Cluster::start(2);
    for (from, to) in [(0, 1), (1, 0)] {
        for version in VERSIONS {
            let arguments = ["-V", version, "-q", "2", "-t", "test/#"];
            let subscriber = Subscriber::start(cluster.port(to), &arguments);
            for publisher in VERSIONS {
                for qos in ["0", "1", "2"] {
                    let topic = format!("test/{publisher}/{qos}");
                    let message = ["-V", publisher, "-q", qos, "-t", &topic, "-m", "Hello"];
                    mosquitto::publish(cluster.port(from), &message);
                    assert_eq!(subscriber.next(), format!("{topic} Hello qos={qos} retain=0"));
                }
            }
        }
    }
}

#[test]
fn a_subscriber_that_comes_later_on_the_other_broker_gets_the_retained_message() {
    let cluster = Cluster::start(2);
    for (index, version) in VERSIONS.into_iter().enumerate() {
        for qos in ["0", "1", "2"] {
            let topic = format!("state/{version}/{qos}");
            let (from, to) = (cluster.port(index % 2), cluster.port((index + 1) % 2));
            let marker = Subscriber::start(to, &["-t", &topic, "-q", "2"]);
            mosquitto::publish(from, &["-V", version, "-q", qos, "-r", "-t", &topic, "-m", "on"]);
            assert_eq!(marker.next(), format!("{topic} on qos={qos} retain=0"));
            for later in VERSIONS {
                let late = Subscriber::start(to, &["-V", later, "-t", &topic, "-q", "2"]);
                assert_eq!(late.next(), format!("{topic} on qos={qos} retain=1"));
            }
        }
    }
}

#[test]
fn a_broker_that_joins_later_has_the_retained_messages_of_the_cluster() {
    let mut cluster = Cluster::start(1);
    let mut client = Client::connect(cluster.port(0), Version::V5, "publisher");
    for number in 0..100 {
        client.retain(&format!("plant/{number}"), number.to_string(), 1);
    }
    client.retain("plant/7", "", 1);
    cluster.wait_retained(99);
    let port = cluster.join().port.number();
    let found = retained(port, "plant/#", 99);
    assert_eq!(found.len(), 99);
    assert_eq!(found.get("plant/8"), Some(&b"8".to_vec()));
    assert_eq!(found.get("plant/7"), None);
}

#[test]
fn a_cleared_retained_message_is_gone_on_every_broker() {
    let mut cluster = Cluster::start(2);
    let mut client = Client::connect(cluster.port(0), Version::V311, "publisher");
    client.retain("state", "on", 1);
    cluster.wait_retained(1);
    assert_eq!(retained(cluster.port(1), "state", 1).len(), 1);
    let mut other = Client::connect(cluster.port(1), Version::V5, "other");
    other.retain("state", "", 1);
    cluster.wait_retained(0);
    client.retain("last", "yes", 1);
    cluster.wait_retained(1);
    for broker in [0, 1] {
        assert!(retained(cluster.port(broker), "#", 1).keys().eq(["last"]));
    }
    let port = cluster.join().port.number();
    assert!(retained(port, "#", 1).keys().eq(["last"]));
}

/// The retained messages that a new subscriber gets, once there are `expected` of them and the
/// broker has answered a PINGREQ after the last.
fn retained(port: u16, filter: &str, expected: usize) -> BTreeMap<String, Vec<u8>> {
    let mut client = Client::connect(port, Version::V5, "late");
    client.subscribe(filter, 1);
    let mut found = BTreeMap::new();
    while found.len() < expected {
        let message = client.receive(LONG).expect("a retained message");
        assert!(message.retain, "{message:?}");
        assert_eq!(found.insert(message.topic, message.payload), None, "sent once");
    }
    let rest = client.received_so_far();
    found.extend(rest.into_iter().map(|message| (message.topic, message.payload)));
    found
}

const MESSAGES: u32 = 10_000;

#[test]
fn at_qos_0_each_of_10000_messages_both_ways_at_once_arrives_exactly_once() {
    exactly_once(0);
}

#[test]
fn at_qos_1_each_of_10000_messages_both_ways_at_once_arrives_exactly_once() {
    exactly_once(1);
}

#[test]
fn at_qos_2_each_of_10000_messages_both_ways_at_once_arrives_exactly_once() {
    exactly_once(2);
}

/// A publisher and a subscriber at each broker, all at once. Each subscriber must see the numbers of
/// both publishers in order and once: no echo, no loop, no duplicate, no gap.
fn exactly_once(qos: u8) {
    let cluster = Cluster::start(2);
    let ports = [cluster.port(0), cluster.port(1)];
    let subscribers = ports.map(|port| {
        let mut client = Client::connect(port, Version::V5, &format!("subscriber-{port}"));
        client.subscribe("numbers/#", qos);
        client
    });
    thread::scope(|scope| {
        let counts = subscribers.map(|client| scope.spawn(move || count_until_end(client, qos)));
        for (name, port) in ["a", "b"].into_iter().zip(ports) {
            scope.spawn(move || publish_numbers(port, name, qos));
        }
        for count in counts {
            let expected = BTreeMap::from(["a", "b"].map(|n| (format!("numbers/{n}"), MESSAGES)));
            assert_eq!(count.join().unwrap(), expected);
        }
    });
}

fn publish_numbers(port: u16, name: &str, qos: u8) {
    let mut client = Client::connect(port, Version::V311, name);
    let topic = format!("numbers/{name}");
    for number in 0..MESSAGES {
        client.stream(&topic, number.to_string().as_bytes(), qos, 64);
        // Nothing else holds a QoS 0 publisher back from a queue that drops what does not fit.
        if qos == 0 && number % 500 == 499 {
            client.ping().unwrap();
        }
    }
    // A message that comes twice comes before this one.
    client.stream(&topic, b"end", qos, 64);
    client.drain();
}

/// How many messages each topic had before its end.
fn count_until_end(mut client: Client, qos: u8) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let mut ended = 0;
    while ended < 2 {
        let message = client.receive(LONG).unwrap_or_else(|| panic!("after {counts:?}: nothing"));
        assert_eq!((message.qos, message.dup, message.retain), (qos, false, false), "{message:?}");
        if message.payload == b"end" {
            ended += 1;
            continue;
        }
        let count = counts.entry(message.topic.clone()).or_insert(0);
        assert_eq!(message.payload, count.to_string().as_bytes(), "{} in order", message.topic);
        *count += 1;
    }
    let late = client.received_so_far();
    assert_eq!(late, [], "nothing follows the end");
    counts
}

#[test]
fn a_message_reaches_each_matching_subscription_and_no_other() {
    let cluster = Cluster::start(2);
    let clients = |port, name: &str| {
        let mut client = Client::connect(port, Version::V311, name);
        client.subscribe("a/+", 1);
        client
    };
    let mut matching: Vec<Client> = [(0, "m1"), (0, "m2"), (1, "m3"), (1, "m4")]
        .map(|(b, n)| clients(cluster.port(b), n))
        .into();
    let mut other = Client::connect(cluster.port(1), Version::V311, "other");
    other.subscribe("b/#", 1);
    let mut publisher = Client::connect(cluster.port(0), Version::V5, "publisher");
    publisher.publish("a/1", "x", 1);
    publisher.publish("b/1", "y", 1);
    for client in &mut matching {
        let message = client.receive(LONG).expect("a message");
        assert_eq!((message.topic.as_str(), message.payload.as_slice()), ("a/1", &b"x"[..]));
    }
    // When this one is here, the one before it has been everywhere that it was to go.
    assert_eq!(other.receive(LONG).map(|message| message.topic), Some("b/1".to_owned()));
    for client in &mut matching {
        assert_eq!(client.received_so_far(), []);
    }
}

/// rumqttd 0.20 alone: the router panics, and the process lives on and serves nobody.
#[test]
fn a_topic_that_begins_with_a_letter_beyond_ascii_harms_nobody() {
    let mut cluster = Cluster::of_host("rumqttd", 2);
    let mut witness = Client::connect(cluster.port(1), Version::V5, "witness");
    witness.subscribe("#", 1);
    for (version, expected) in
        [(Version::V5, Outcome::Answered(0x90)), (Version::V311, Outcome::Closed)]
    {
        let mut client = Client::connect(cluster.port(0), version, "writer");
        let outcome = client.publish_outcome("é/x", b"1", 1);
        assert!(is_refused(version, outcome), "{outcome:?}, expected such as {expected:?}");
    }
    let mut client = Client::connect(cluster.port(0), Version::V5, "after");
    client.publish("after", "2", 1);
    assert_eq!(witness.receive(LONG).map(|m: Message| m.topic), Some("after".to_owned()));
    assert_eq!(cluster.brokers[0].process().ended(), None);
    assert!(cluster.brokers[0].is_ready());
}

#[test]
fn the_session_host_carries_every_topic() {
    let cluster = Cluster::start(2);
    let mut witness = Client::connect(cluster.port(1), Version::V5, "witness");
    witness.subscribe("#", 1);
    let mut client = Client::connect(cluster.port(0), Version::V311, "writer");
    for topic in ["é/x", "/", "a//b", " ", "中/文"] {
        client.publish(topic, "1", 1);
        assert_eq!(witness.receive(LONG).map(|m: Message| m.topic), Some(topic.to_owned()));
    }
}

/// A precise reason with 5: of the PUBACK or of the DISCONNECT. 3.1.1 has none.
fn is_refused(version: Version, outcome: Outcome) -> bool {
    match (version, outcome) {
        (Version::V5, Outcome::Answered(reason) | Outcome::Disconnected(reason)) => reason >= 0x80,
        (Version::V311, outcome) => outcome == Outcome::Closed,
        (Version::V5, Outcome::Closed) => false,
    }
}

#[test]
fn a_message_of_nearly_the_largest_size_crosses_brokers() {
    let cluster = Cluster::start(2);
    let mut subscriber = Client::connect(cluster.port(1), Version::V5, "subscriber");
    subscriber.subscribe("big", 1);
    let payload: Vec<u8> = (0..1_040_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let mut publisher = Client::connect(cluster.port(0), Version::V5, "publisher");
    publisher.publish("big", &payload, 1);
    let message = subscriber.receive(Duration::from_secs(60)).expect("the message");
    assert!(message.payload == payload, "{} bytes", message.payload.len());
}
