//! The sample configurations of HAProxy and nginx, with a broker that dies and comes back.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::{
    Client, Cluster, LoadBalancer, TemporaryFolder, Version,
    mosquitto::{self, Subscriber},
    repository, run,
    wait::{self, LONG},
};

const DEVICES: usize = 8;

/// Devices that are connected through a load balancer, each with a topic of its own.
struct Fleet {
    front: u16,
    devices: Vec<Client>,
}

impl Fleet {
    fn connect(front: u16) -> Self {
        let devices = (0..DEVICES).map(|number| device(front, number)).collect();
        Self { front, devices }
    }

    /// Publishes to each device, from a client that comes through the load balancer too.
    fn check_messages(&mut self) {
        let mut publisher = connect(self.front, "publisher");
        for number in 0..DEVICES {
            publisher.publish(&topic(number), "work", 1);
        }
        for (number, device) in self.devices.iter_mut().enumerate() {
            let message = device.receive(LONG).unwrap_or_else(|| panic!("device {number}"));
            assert_eq!((message.topic, message.payload), (topic(number), b"work".to_vec()));
        }
    }

    /// Connects those again that have lost their connection, and returns how many that were.
    fn reconnect(&mut self) -> usize {
        let mut again = 0;
        for (number, client) in self.devices.iter_mut().enumerate() {
            if client.ping().is_err() {
                *client = device(self.front, number);
                again += 1;
            }
        }
        again
    }
}

fn topic(number: usize) -> String {
    format!("device/{number}")
}

fn device(front: u16, number: usize) -> Client {
    let mut client = connect(front, &format!("device-{number}"));
    client.subscribe(&topic(number), 1);
    client
}

/// As a device does it: tries until it gets through.
fn connect(front: u16, id: &str) -> Client {
    let attempt = || Client::try_connect(front, Version::V311, id).ok();
    wait::until("a connection through the load balancer", LONG, attempt)
}

/// The brokers that have announced a device's filter, by the metrics of ha-server.
fn brokers_with_devices(cluster: &Cluster) -> BTreeSet<String> {
    let status = cluster.status();
    let brokers = status["brokers"].as_array().unwrap().iter();
    let used = brokers.filter(|b| b["state"] == "attached" && b["filters"].as_u64() > Some(0));
    used.map(|broker| broker["name"].as_str().unwrap().to_owned()).collect()
}

/// The whole story, for either load balancer. Returns how long messages were away.
fn lose_a_broker_and_get_it_back(cluster: &mut Cluster, front: u16) -> Duration {
    let mut fleet = Fleet::connect(front);
    fleet.check_messages();
    assert_eq!(brokers_with_devices(cluster).len(), 2, "clients are spread over both brokers");

    cluster.brokers[0].kill();
    let killed = Instant::now();
    let again = fleet.reconnect();
    assert!((1..DEVICES).contains(&again), "{again} of {DEVICES} devices were on the dead broker");
    fleet.check_messages();
    let away = killed.elapsed();

    cluster.brokers[0].start_ready();
    let mut number = DEVICES;
    let mut newcomers = Vec::new();
    wait::until("the restarted broker gets clients", LONG, || {
        newcomers.push(device(front, number));
        number += 1;
        brokers_with_devices(cluster).contains("broker-1").then_some(())
    });
    fleet.check_messages();
    away
}

#[test]
fn behind_haproxy_clients_survive_the_death_of_a_broker() {
    let mut cluster = Cluster::start(2);
    let front = LoadBalancer::haproxy(&cluster);
    let away = lose_a_broker_and_get_it_back(&mut cluster, front.port());
    println!("behind HAProxy messages flowed again {away:?} after the kill");
}

#[test]
fn behind_nginx_clients_survive_the_death_of_a_broker() {
    let mut cluster = Cluster::start(2);
    let front = LoadBalancer::nginx(&cluster);
    let away = lose_a_broker_and_get_it_back(&mut cluster, front.port());
    println!("behind nginx messages flowed again {away:?} after the kill");
}

#[test]
fn haproxy_disconnects_the_clients_of_a_broker_that_hangs_within_two_seconds() {
    let mut cluster = Cluster::start(2);
    let front = LoadBalancer::haproxy(&cluster);
    let mut fleet = Fleet::connect(front.port());
    assert_eq!(brokers_with_devices(&cluster).len(), 2, "clients are spread over both brokers");
    cluster.brokers[0].signal("STOP");
    let stopped = Instant::now();
    wait::until("the clients of the broker that hangs are disconnected", LONG, || {
        let silent = Duration::from_millis(1);
        fleet.devices.iter_mut().any(|device| device.try_receive(silent).is_err()).then_some(())
    });
    let found = stopped.elapsed();
    println!("HAProxy found the broker that hangs after {found:?}");
    assert!(found < Duration::from_secs(2), "{found:?}");
    assert!(fleet.reconnect() > 0);
    fleet.check_messages();
}

#[test]
fn behind_haproxy_a_drained_broker_says_goodbye_itself_and_gets_no_new_clients() {
    let mut cluster = Cluster::start(0);
    for _ in 0..2 {
        let broker = cluster.prepare();
        broker.set("CONFIG.DRAIN_GRACE", "1s");
        broker.start_ready();
    }
    let front = LoadBalancer::haproxy(&cluster);
    let connect = |number: usize| -> Client {
        let id = format!("device-{number}");
        let attempt = || {
            let refused = |error: &std::io::Error| error.to_string().contains("refused");
            let client = Client::resume(front.port(), &id);
            assert!(!client.as_ref().is_err_and(refused), "{id}: {client:?}");
            client.ok()
        };
        wait::until("a connection through the load balancer", LONG, attempt)
    };
    let mut devices: Vec<_> = (0..DEVICES).map(connect).collect();
    wait::until("half of them are on each broker", LONG, || {
        (cluster.brokers[0].readyz().1["clients"] == DEVICES / 2).then_some(())
    });
    cluster.brokers[0].signal("TERM");
    // For as long as the grace lasts it would take them; HAProxy has heard of it before that.
    let mut late = Vec::new();
    wait::until("the drained broker has sent its clients away", LONG, || {
        late.push(connect(DEVICES + late.len()));
        cluster.brokers[0].process().ended()
    });
    let gone = devices.iter_mut().filter_map(|device| {
        device.ping().err()?;
        Some(device.farewell())
    });
    assert_eq!(gone.collect::<Vec<_>>(), [Some(0x9C); DEVICES / 2]);
}

#[test]
fn behind_haproxy_a_client_comes_back_to_the_broker_it_had() {
    let cluster = Cluster::start(2);
    let front = LoadBalancer::haproxy(&cluster);
    let first = device(front.port(), 0);
    let home = brokers_with_devices(&cluster);
    assert_eq!(home.len(), 1);
    // The other broker has fewer clients now, so that without its id the client would go there.
    let _second = device(front.port(), 1);
    assert_eq!(brokers_with_devices(&cluster).len(), 2);
    drop(first);
    wait::until("the first broker has no device", LONG, || {
        brokers_with_devices(&cluster).is_disjoint(&home).then_some(())
    });
    for _ in 0..3 {
        let _again = device(front.port(), 0);
        assert!(brokers_with_devices(&cluster).is_superset(&home));
    }
}

#[test]
fn behind_haproxy_a_connect_of_more_than_a_buffer_is_served() {
    let cluster = Cluster::start(2);
    let front = LoadBalancer::haproxy(&cluster);
    let subscriber = Subscriber::start(cluster.port(0), &["-t", "after/#"]);
    let will = "w".repeat(60_000);
    let password = "p".repeat(60_000);
    let user = "u".repeat(60_000);
    let big = ["--will-topic", "w", "--will-payload", &will, "-u", &user, "-P", &password];
    mosquitto::publish(front.port(), &[&big[..], &["-t", "after/big", "-m", "1"]].concat());
    assert_eq!(subscriber.next(), "after/big 1 qos=0 retain=0");
}

#[test]
fn behind_haproxy_mosquitto_clients_reconnect_by_themselves() {
    let mut cluster = Cluster::start(2);
    let front = LoadBalancer::haproxy(&cluster);
    let subscribers = ["one", "two"]
        .map(|id| Subscriber::start(front.port(), &["-i", id, "-q", "1", "-t", "news"]));
    cluster.brokers[1].kill();
    // One of them was there, and its subscription is made again when it has reconnected.
    for (number, subscriber) in subscribers.iter().enumerate() {
        wait::until("mosquitto_sub gets messages again", LONG, || {
            mosquitto::publish(front.port(), &["-q", "1", "-t", "news", "-m", "x"]);
            subscriber.next_within(Duration::from_millis(500))
        });
        println!("subscriber {number} gets messages");
    }
}

#[test]
fn haproxy_and_nginx_accept_the_samples_as_they_are() {
    let mut haproxy = std::process::Command::new("/usr/sbin/haproxy");
    let output = run(haproxy.args(["-c", "-f"]).arg(repository().join("conf/haproxy.cfg")));
    assert!(output.status.success(), "{output:?}");
    let text = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&text).contains("WARNING"), "{text:?}");

    let folder = TemporaryFolder::new();
    let mut nginx = std::process::Command::new("/usr/sbin/nginx");
    nginx.arg("-t").arg("-p").arg(folder.path());
    let output = run(nginx.arg("-c").arg(repository().join("conf/nginx.conf")));
    assert!(output.status.success(), "{output:?}");
}
