//! What clients see when a process is killed, hangs or comes back.

use std::{
    thread,
    time::{Duration, Instant},
};

use e2e::{
    Cable, Client, Cluster, Version,
    wait::{self, LONG},
};

/// "Within a second of its return", and what a busy test machine adds.
const REATTACH_MAX: Duration = Duration::from_secs(2);

fn subscriber(port: u16, filter: &str) -> Client {
    let mut client = Client::connect(port, Version::V5, "subscriber");
    client.subscribe(filter, 1);
    client
}

/// Publishes at one broker until a message arrives at the subscriber of another one.
fn wait_flow(publisher: &mut Client, subscriber: &mut Client, topic: &str) {
    wait::until("messages cross brokers", LONG, || {
        publisher.publish(topic, "tick", 0);
        subscriber.receive(Duration::from_millis(20)).map(drop)
    });
}

#[test]
fn while_ha_server_is_dead_brokers_keep_their_clients_and_hold_back_what_must_be_kept() {
    let mut cluster = Cluster::start(2);
    let mut local = subscriber(cluster.port(0), "t");
    let mut publisher = Client::connect(cluster.port(0), Version::V311, "publisher");
    cluster.servers[0].kill();
    for broker in &cluster.brokers {
        wait::until("the broker says that it is isolated", LONG, || {
            let (status, report) = broker.readyz();
            assert_eq!(status, 200, "{report}");
            (report["isolated"] == true).then_some(())
        });
    }
    // What nobody must keep reaches subscribers of the same broker at once; QoS 2 only when it is taken.
    for qos in [0, 1, 2] {
        publisher.stream("t", qos.to_string().as_bytes(), qos, 10);
    }
    for expected in [b"0", b"1"] {
        assert_eq!(local.receive(LONG).expect("a local message").payload, expected);
    }
    assert_eq!(local.received_so_far(), []);
    cluster.servers[0].start_ready();
    publisher.drain();
    assert_eq!(local.receive(LONG).expect("the last message").payload, b"2");
}

#[test]
fn cross_broker_messages_flow_again_within_a_second_of_ha_servers_return() {
    let mut cluster = Cluster::start(2);
    let mut remote = subscriber(cluster.port(1), "t");
    let mut publisher = Client::connect(cluster.port(0), Version::V311, "publisher");
    for outage in [0, 1_500, 4_000] {
        wait_flow(&mut publisher, &mut remote, "t");
        cluster.servers[0].kill();
        // The longer it is away, the longer the brokers' back-off could be.
        let end = Instant::now() + Duration::from_millis(outage);
        while Instant::now() < end {
            publisher.publish("t", "into the dark", 0);
            remote.receive(Duration::from_millis(20));
        }
        cluster.servers[0].start_ready();
        let returned = Instant::now();
        while remote.receive(Duration::from_millis(1)).is_some() {}
        wait_flow(&mut publisher, &mut remote, "t");
        let took = returned.elapsed();
        println!("after an outage of {outage} ms messages flowed again in {took:?}");
        assert!(took < REATTACH_MAX, "{took:?} after an outage of {outage} ms");
    }
}

#[test]
fn retained_messages_survive_a_restart_of_ha_server() {
    let mut cluster = Cluster::start(2);
    let mut first = Client::connect(cluster.port(0), Version::V5, "first");
    first.retain("from/0", "kept", 1);
    first.retain("cleared", "soon gone", 1);
    // A PUBACK of this host means that its broker has it, not yet that ha-server has.
    cluster.wait_retained(2);
    let mut second = Client::connect(cluster.port(1), Version::V5, "second");
    second.retain("cleared", "", 1);
    cluster.wait_retained(1);
    second.retain("from/1", "kept", 1);
    cluster.wait_retained(2);
    cluster.servers[0].kill();
    cluster.servers[0].start_ready();
    for broker in ["broker-1", "broker-2"] {
        cluster.wait_state(broker, "attached");
    }
    cluster.wait_retained(2);
    // A broker that joins now can have them from ha-server only.
    let mut client = subscriber(cluster.join().port.number(), "#");
    let mut topics = [(); 2].map(|()| client.receive(LONG).expect("a retained message").topic);
    topics.sort();
    assert_eq!(topics, ["from/0", "from/1"]);
    assert_eq!(client.received_so_far(), []);
}

const NUMBERS: u32 = 5_000;
const ATTACHMENTS: &str = "ha_broker_attachments_total";

/// What was sent and not answered when the stream broke is sent again, and applied once.
#[test]
fn publishes_of_a_broker_whose_stream_breaks_again_and_again_arrive_exactly_once() {
    let (cluster, cable) = cluster_with_cable();
    let mut remote = subscriber(cluster.port(1), "t");
    let (port, broker) = (cluster.port(0), &cluster.brokers[0]);
    let mut cuts = 0.0;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut publisher = Client::connect(port, Version::V5, "publisher");
            for number in 0..NUMBERS {
                publisher.stream(
                    "t",
                    number.to_string().as_bytes(),
                    1 + u8::from(number % 2 == 0),
                    50,
                );
            }
            publisher.drain();
        });
        for number in 0..NUMBERS {
            let message = remote.receive(LONG).unwrap_or_else(|| panic!("{number} is missing"));
            assert_eq!(message.payload, number.to_string().as_bytes(), "in order, and once");
            if number % 1_000 == 500 {
                // A cable that carries nothing cannot break anything.
                cuts += 1.0;
                wait::until("the broker is attached", LONG, || {
                    (broker.metric(ATTACHMENTS) >= Some(cuts)).then_some(())
                });
                cable.cut();
            }
        }
    });
    let mut publisher = Client::connect(port, Version::V5, "last");
    publisher.publish("t", "end", 1);
    assert_eq!(remote.receive(LONG).expect("the end").payload, b"end");
    assert!(broker.metric(ATTACHMENTS) > Some(cuts));
}

/// The first broker reaches ha-server through the cable.
fn cluster_with_cable() -> (Cluster, Cable) {
    let mut cluster = Cluster::start(0);
    let cable = Cable::to(cluster.servers[0].port.number());
    for port in [cable.port(), cluster.servers[0].port.number()] {
        let broker = cluster.prepare();
        broker.set("DISTRIBUTOR.DISTRIBUTION_PORT", &port.to_string());
        broker.start_ready();
    }
    (cluster, cable)
}

#[test]
fn nothing_arrives_twice_and_messages_flow_again_when_ha_server_hung_for_more_than_a_lease() {
    let mut cluster = Cluster::start(2);
    let mut remote = subscriber(cluster.port(1), "t");
    let mut publisher = Client::connect(cluster.port(0), Version::V5, "publisher");
    cluster.servers[0].signal("STOP");
    for number in 0..200_u32 {
        publisher.stream("t", &number.to_be_bytes(), 1, 1_000);
    }
    let broker = &cluster.brokers[0];
    wait::until("the broker is isolated", LONG, || {
        (broker.readyz().1["isolated"] == true).then_some(())
    });
    // So long that ha-server cannot take it for the silence of its brokers.
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        assert!(remote.receive(Duration::from_millis(20)).is_none(), "nobody can have sent it");
    }
    cluster.servers[0].signal("CONT");
    publisher.drain();
    let mut number = 200_u32;
    let mut last = None;
    wait::until("messages flow again", LONG, || {
        publisher.publish("t", number.to_be_bytes(), 1);
        number += 1;
        while let Some(message) = remote.receive(Duration::from_millis(20)) {
            let payload = message.payload.try_into().expect("four bytes");
            let found = Some(u32::from_be_bytes(payload));
            assert!(found > last, "{found:?} after {last:?}");
            last = found;
        }
        (last >= Some(200)).then_some(())
    });
}

#[test]
fn a_broker_that_hangs_is_lost_and_attaches_again_when_it_goes_on() {
    let mut cluster = Cluster::start(2);
    let mut before = subscriber(cluster.port(1), "t");
    cluster.brokers[1].signal("STOP");
    cluster.wait_state("broker-2", "lost");
    cluster.brokers[1].signal("CONT");
    cluster.wait_state("broker-2", "attached");
    // Its sessions were others' to have.
    wait::until("the connection ends", LONG, || {
        before.try_receive(Duration::from_millis(20)).err().map(drop)
    });
    let mut remote = subscriber(cluster.port(1), "t");
    let mut publisher = Client::connect(cluster.port(0), Version::V311, "publisher");
    wait_flow(&mut publisher, &mut remote, "t");
}

#[test]
fn a_killed_broker_is_lost_within_its_lease_and_takes_part_after_its_restart() {
    let mut cluster = Cluster::start(2);
    cluster.brokers[1].kill();
    let killed = Instant::now();
    cluster.wait_state("broker-2", "lost");
    println!("lost {:?} after the kill; the lease is 1 s", killed.elapsed());
    cluster.brokers[1].start_ready();
    let mut remote = subscriber(cluster.port(1), "t");
    let mut publisher = Client::connect(cluster.port(0), Version::V311, "publisher");
    publisher.publish("t", "again", 1);
    assert_eq!(remote.receive(LONG).expect("a message").payload, b"again");
}

#[test]
fn a_broker_that_is_stopped_says_goodbye_so_it_is_lost_at_once() {
    let mut cluster = Cluster::start(2);
    assert_eq!(cluster.brokers[1].stop().code(), Some(0));
    // No waiting: it said so before it ended.
    let state = cluster.status_of("broker-2").map(|broker| broker["state"].clone());
    assert!(state.is_none() || state == Some("lost".into()), "{state:?}");
}
