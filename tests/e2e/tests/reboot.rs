//! All ha-servers are away for as long as a reboot of their machines takes, under load; clients come through
//! HAProxy. `REBOOT_SECONDS=90 cargo test -p e2e --test reboot` takes as long as a real one.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use e2e::{
    Client, Cluster, LoadBalancer, Program, Version,
    wait::{self, LONG},
};

const DEVICES: usize = 20;
const PUBLISHERS: usize = 4;
/// Publishes of each that are not answered.
const WINDOW: usize = 50;
const KEEPER: &str = "keeper";

/// How long the servers are away.
fn outage() -> Duration {
    let seconds = std::env::var("REBOOT_SECONDS").map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// HAProxy with the sample configuration, which has found a broker.
fn balanced(cluster: &Cluster) -> LoadBalancer {
    let haproxy = LoadBalancer::haproxy(cluster);
    wait::until("HAProxy has a broker", LONG, || {
        Client::try_connect(haproxy.port(), Version::V5, "first").ok()
    });
    haproxy
}

fn topic(publisher: usize) -> String {
    format!("load/{publisher}")
}

/// Publishes numbers at a few a second until `stop`, and waits for all answers. Returns how many there were.
fn publish(front: u16, publisher: usize, stop: &AtomicBool) -> u32 {
    let mut client = Client::connect(front, Version::V5, &format!("publisher-{publisher}"));
    let mut count = 0_u32;
    while !stop.load(Ordering::Acquire) {
        if client.unanswered() < WINDOW {
            client.stream(&topic(publisher), &count.to_be_bytes(), 1, WINDOW);
            count += 1;
        }
        assert!(client.try_receive(Duration::from_millis(20)).unwrap().is_none());
    }
    client.drain();
    count
}

/// What one device has got of each publisher.
struct Device {
    client: Client,
    got: [Vec<u32>; PUBLISHERS],
}

impl Device {
    fn connect(front: u16, number: usize) -> Self {
        let version = if number.is_multiple_of(2) { Version::V5 } else { Version::V311 };
        let mut client = Client::connect(front, version, &format!("device-{number}"));
        client.subscribe("load/+", 1);
        Self { client, got: Default::default() }
    }

    /// Panics when the connection has ended.
    fn take(&mut self) {
        for message in self.client.received_so_far() {
            let publisher: usize = message.topic.trim_start_matches("load/").parse().unwrap();
            self.got[publisher].push(u32::from_be_bytes(message.payload.try_into().unwrap()));
        }
    }
}

/// The load balancer has a broker for a newcomer, which serves it if its session ends with its connection.
fn newcomer(front: u16) -> Client {
    let refused = Client::resume(front, "durable newcomer").unwrap_err();
    assert_eq!(refused.to_string(), "refused with 0x88");
    let mut newcomer = Client::connect(front, Version::V5, "newcomer");
    newcomer.subscribe("news", 1);
    newcomer.stream("from the newcomer", b"1", 1, WINDOW);
    newcomer
}

/// It was one of them all the time.
fn check_newcomer(front: u16, mut newcomer: Client) {
    newcomer.drain();
    let mut publisher = Client::connect(front, Version::V5, "publisher of news");
    wait::until("the newcomer has news", LONG, || {
        publisher.publish("news", "n", 1);
        newcomer.receive(Duration::from_millis(100))
    });
    let taken = Client::connect(front, Version::V311, "newcomer");
    assert_eq!(newcomer.farewell(), Some(0x8E), "it has a session that another connection takes");
    drop(taken);
}

fn all(servers: &mut [Program], what: fn(&mut Program)) {
    servers.iter_mut().for_each(what);
}

#[test]
fn while_all_ha_servers_reboot_no_ephemeral_client_is_disconnected_and_nothing_is_lost() {
    let mut cluster = Cluster::of_servers(3, 2);
    let haproxy = balanced(&cluster);
    let front = haproxy.port();
    Client::resume(front, KEEPER).unwrap().subscribe("load/+", 1);
    let mut devices: Vec<_> = (0..DEVICES).map(|number| Device::connect(front, number)).collect();
    let stop = AtomicBool::new(false);
    let sent: Vec<u32> = thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                scope.spawn({
                    let stop = &stop;
                    move || publish(front, number, stop)
                })
            })
            .collect();
        wait::until("messages flow", LONG, || {
            devices.iter_mut().for_each(Device::take);
            devices.iter().all(|device| device.got.iter().all(|of| of.len() > 10)).then_some(())
        });
        all(&mut cluster.servers, Program::kill);
        let killed = Instant::now();
        let newcomer = newcomer(front);
        while killed.elapsed() < outage() {
            devices.iter_mut().for_each(Device::take);
            thread::sleep(Duration::from_millis(100));
        }
        all(&mut cluster.servers, Program::start);
        all(&mut cluster.servers, Program::wait_ready);
        check_newcomer(front, newcomer);
        stop.store(true, Ordering::Release);
        publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect()
    });
    println!("{sent:?} messages were acknowledged");
    let expected: Vec<Vec<u32>> = sent.iter().map(|&count| (0..count).collect()).collect();
    for (number, device) in devices.iter_mut().enumerate() {
        device.take();
        assert_eq!(device.got[..], expected, "device {number}");
    }
    let client = Client::resume(front, KEEPER).unwrap();
    let mut keeper = Device { client, got: Default::default() };
    let total: usize = expected.iter().map(Vec::len).sum();
    wait::until("what was queued", LONG, || {
        keeper.take();
        (keeper.got.iter().map(Vec::len).sum::<usize>() >= total).then_some(())
    });
    keeper.take();
    assert_eq!(keeper.got[..], expected, "the session that was away");
}
