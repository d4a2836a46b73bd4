//! A broker that stood still while its clients went elsewhere, and what it then reads from them.

use e2e::{Client, Cluster, Raw, Version};
use serde_json::Value;

const CLIENTS: usize = 100;
const PUBACK: u8 = 0x40;

fn listed(cluster: &Cluster, what: &str, find: &str) -> Value {
    cluster.servers[0].ask(&[what, "--find", find])[what].clone()
}

fn topic(number: usize) -> String {
    format!("client/{number}")
}

fn session(cluster: &Cluster, broker: usize, number: usize) -> Raw {
    Raw::connect(cluster.port(broker), &format!("client-{number}"))
}

/// Each of them has a message that it has not acknowledged.
fn clients_with_a_message(cluster: &Cluster, publisher: &mut Client) -> Vec<Raw> {
    let mut clients: Vec<_> = (0..CLIENTS).map(|number| session(cluster, 1, number)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe(&topic(number), 1);
        publisher.publish(&topic(number), "first", 1);
        let (header, _, payload) = client.receive();
        assert_eq!((header, &payload[..]), (0x32, &b"first"[..]));
    }
    clients
}

/// What its broker reads when it goes on: by then it does not own the session any more.
fn speak_too_late(client: &mut Raw, number: usize) {
    client.acknowledge(PUBACK, 1);
    client.publish(2, 7, "watched", b"too late");
    client.publish(3, 8, &format!("kept/{number}"), b"too late");
    client.ask("late/#", 1);
}

/// They go on at the first broker, where the second message reaches them.
fn resumed(cluster: &Cluster, publisher: &mut Client) -> Vec<Raw> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = session(cluster, 0, number);
        assert!(client.session_present);
        let (header, id, payload) = client.receive();
        assert_eq!((header, &payload[..]), (0x3A, &b"first"[..]), "once more, with DUP");
        client.acknowledge(PUBACK, id);
        publisher.publish(&topic(number), "second", 1);
        let (_, id, payload) = client.receive();
        assert_eq!(payload, b"second");
        client.acknowledge(PUBACK, id);
        clients.push(client);
    }
    clients
}

#[test]
fn nothing_that_a_stale_broker_reads_changes_anything_or_reaches_anybody() {
    let mut cluster = Cluster::start(2);
    let mut publisher = Client::connect(cluster.port(0), Version::V311, "publisher");
    let mut watcher = Client::connect(cluster.port(0), Version::V311, "watcher");
    watcher.subscribe("watched", 1);
    let mut stale = clients_with_a_message(&cluster, &mut publisher);
    cluster.brokers[1].signal("STOP");
    for (number, client) in stale.iter_mut().enumerate() {
        speak_too_late(client, number);
    }
    let mut clients = resumed(&cluster, &mut publisher);
    cluster.wait_state("broker-2", "lost");
    cluster.brokers[1].signal("CONT");
    cluster.wait_state("broker-2", "attached");

    for (number, client) in stale.iter_mut().enumerate() {
        let told = client.until_closed();
        let answers = told.iter().filter(|(header, ..)| matches!(header, 0x40 | 0x90)).count();
        assert_eq!(answers, 0, "client {number} was told {told:?}");
    }
    let mut late = Client::connect(cluster.port(1), Version::V311, "late");
    late.publish("watched", "in time", 1);
    late.publish("late/topic", "for nobody", 1);
    let messages = watcher.received_so_far();
    let payloads: Vec<_> = messages.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(payloads, [b"in time"]);
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.so_far(), [], "client {number}");
    }
    assert_eq!(listed(&cluster, "retained", "kept/"), Value::Array(Vec::new()));
    assert_eq!(listed(&cluster, "subscriptions", "late/"), Value::Array(Vec::new()));
}
