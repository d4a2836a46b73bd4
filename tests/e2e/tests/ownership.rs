//! One client identifier that several connections want, on all brokers.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::thread;

use e2e::{Client, Cluster, Version, wait};

const BROKERS: usize = 3;
/// Of each broker.
const CONNECTS: usize = 100;
const SESSION_TAKEN_OVER: u8 = 0x8E;
const ID: &str = "wanted";

/// Connects as often as it can, and keeps what it got. A connection that comes while an older one is asked
/// for its last word waits; if a third one comes meanwhile, it is told that the server is unavailable.
fn want(port: u16) -> Vec<Client> {
    let mut got = Vec::new();
    for _ in 0..CONNECTS {
        match Client::resume(port, ID) {
            Ok(client) => got.push(client),
            Err(error) => assert_eq!(error.to_string(), "refused with 0x88"),
        }
    }
    got
}

/// What the newest connection must have, and nobody else.
fn check_the_owner(cluster: &Cluster, owner: &mut Client, older: &mut [Client]) {
    for (number, client) in older.iter_mut().enumerate() {
        assert_eq!(client.farewell(), Some(SESSION_TAKEN_OVER), "connection {number}");
    }
    let mut publisher = Client::connect(cluster.port(2), Version::V311, "publisher");
    publisher.publish("t", "once", 1);
    let message = owner.receive(wait::LONG).unwrap();
    assert_eq!(message.payload, b"once");
    assert!(owner.received_so_far().is_empty(), "it came twice");
    wait::until("two connections are left", wait::LONG, || {
        let connections =
            cluster.brokers.iter().map(|broker| broker.metric("ha_broker_connections"));
        (connections.sum::<Option<f64>>() == Some(2.0)).then_some(())
    });
    assert_eq!(cluster.status()["sessions_connected"], 2);
}

#[test]
fn client_that_wanders_from_broker_to_broker_has_its_session_at_the_last_one() {
    let cluster = Cluster::start(BROKERS);
    let mut owner = Client::resume(cluster.port(0), ID).unwrap();
    owner.subscribe("t", 1);
    let mut older = Vec::new();
    for turn in 0..BROKERS * CONNECTS {
        let newer = Client::resume(cluster.port((turn + 1) % BROKERS), ID).unwrap();
        older.push(std::mem::replace(&mut owner, newer));
    }
    check_the_owner(&cluster, &mut owner, &mut older);
}

#[test]
fn of_all_that_want_one_client_identifier_at_once_one_owns_it_and_nothing_is_left_of_the_others() {
    let cluster = Cluster::start(BROKERS);
    let mut first = Client::resume(cluster.port(0), ID).unwrap();
    first.subscribe("t", 1);
    let contenders = (0..BROKERS).map(|broker| {
        let port = cluster.port(broker);
        thread::spawn(move || want(port))
    });
    let contenders: Vec<_> = contenders.collect();
    let mut older = vec![first];
    older.extend(contenders.into_iter().flat_map(|wants| wants.join().unwrap()));
    let mut owner = Client::resume(cluster.port(1), ID).unwrap();
    check_the_owner(&cluster, &mut owner, &mut older);
}
