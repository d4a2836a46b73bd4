//! Brokers that let their clients go, and what load balancers are told of it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use e2e::{
    Client, Cluster, Outcome, Port, Program, TemporaryFolder, Version,
    wait::{self, LONG},
};

const USE_ANOTHER_SERVER: u8 = 0x9C;

/// Subscribers on the broker that is drained, each with its topic, and how many of them a second are sent
/// away. `DRAIN_CLIENTS=5000 DRAIN_RATE=500 cargo test -p e2e --test drain drained_broker` has more.
static SUBSCRIBERS: LazyLock<usize> = LazyLock::new(|| number("DRAIN_CLIENTS", 300));
static RATE: LazyLock<usize> = LazyLock::new(|| number("DRAIN_RATE", 300));

/// Threads that serve them, so that each acknowledges at once; and publishers on each broker.
const THREADS: usize = 150;
const PUBLISHERS: usize = 3;

/// Messages that were acknowledged.
static SENT: AtomicUsize = AtomicUsize::new(0);

/// From the environment.
fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn topic(number: usize) -> String {
    format!("device/{number}")
}

/// A subscriber, and what it got.
struct Device {
    client: Client,
    is_moved: bool,
    got: Vec<Vec<u8>>,
}

impl Device {
    fn connect(port: u16, number: usize) -> Self {
        let mut client = Client::resume(port, &format!("device-{number}")).unwrap();
        client.subscribe(&topic(number), 1);
        Self { client, is_moved: false, got: Vec::new() }
    }

    /// Takes what has come. Goes to the other broker when it is told to, and for no other reason.
    fn serve(&mut self, number: usize, other: u16) {
        match self.client.try_receive(Duration::from_millis(1)) {
            Ok(None) => (),
            // More may have come with it, and wait for their acknowledgements.
            Ok(Some(message)) => {
                self.got.push(message.payload);
                self.serve(number, other);
            }
            Err(_) => {
                assert_eq!(self.client.farewell(), Some(USE_ANOTHER_SERVER), "device {number}");
                self.got.extend(self.client.inbox().into_iter().map(|message| message.payload));
                assert!(!self.is_moved, "device {number} was sent away twice");
                self.is_moved = true;
                self.client = Client::resume(other, &format!("device-{number}")).unwrap();
            }
        }
    }
}

/// Publishes until `stop`, one message after the other, to all devices in turn. Returns what was
/// acknowledged for each.
fn publish(id: &str, (port, other): (u16, u16), stop: &AtomicBool) -> BTreeMap<usize, Vec<String>> {
    let mut client = Client::resume(port, id).unwrap();
    let mut acknowledged: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut count = 0_usize;
    while !stop.load(Ordering::Acquire) {
        let device = (count * 7) % *SUBSCRIBERS;
        let payload = format!("{id}/{count}");
        match client.publish_outcome(&topic(device), payload.as_bytes(), 1) {
            Outcome::Answered(0 | 0x10) => {
                SENT.fetch_add(1, Ordering::AcqRel);
                acknowledged.entry(device).or_default().push(payload);
                count += 1;
            }
            Outcome::Disconnected(USE_ANOTHER_SERVER) => {
                client = Client::resume(other, id).unwrap();
            }
            Outcome::Closed if client.farewell() == Some(USE_ANOTHER_SERVER) => {
                client = Client::resume(other, id).unwrap();
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    acknowledged
}

#[test]
fn drained_broker_loses_and_repeats_nothing_and_clients_see_only_the_announced_end() {
    let mut cluster = Cluster::start(0);
    for _ in 0..2 {
        let broker = cluster.prepare();
        broker.set("CONFIG.DRAIN_RATE", &RATE.to_string());
        broker.start_ready();
    }
    let (drained, other) = (cluster.port(0), cluster.port(1));
    let devices = (0..*SUBSCRIBERS).map(|number| (number, Device::connect(drained, number)));
    let mut groups: Vec<Vec<_>> = (0..THREADS).map(|_| Vec::new()).collect();
    devices.for_each(|(number, device)| groups[number % THREADS].push((number, device)));
    let (stop, all_sent) = (AtomicBool::new(false), AtomicBool::new(false));

    let (sent, mut got) = thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .flat_map(|n| [(n, (drained, other)), (n + PUBLISHERS, (other, drained))])
            .map(|(n, ports)| {
                let stop = &stop;
                scope.spawn(move || publish(&format!("publisher-{n}"), ports, stop))
            })
            .collect();
        let serving: Vec<_> = groups
            .into_iter()
            .map(|mut group| {
                let all_sent = &all_sent;
                scope.spawn(move || {
                    while !all_sent.load(Ordering::Acquire) {
                        group.iter_mut().for_each(|(number, device)| device.serve(*number, other));
                    }
                    group
                })
            })
            .collect();
        let wait_sent = |more: usize| {
            let enough = SENT.load(Ordering::Acquire) + more;
            wait::until("messages flow", LONG, || {
                (SENT.load(Ordering::Acquire) >= enough).then_some(())
            });
        };
        wait_sent(*SUBSCRIBERS);
        cluster.brokers[0].signal("TERM");
        let ended = cluster.brokers[0].process().wait();
        assert_eq!(ended.code(), Some(0), "{ended}");
        wait_sent(*SUBSCRIBERS);
        stop.store(true, Ordering::Release);
        let sent: Vec<_> = publishers.into_iter().map(|one| one.join().unwrap()).collect();
        all_sent.store(true, Ordering::Release);
        let got: Vec<_> = serving.into_iter().flat_map(|one| one.join().unwrap()).collect();
        (sent, got)
    });
    let mut count = 0;
    for (number, device) in &mut got {
        assert!(device.is_moved, "device {number} was not sent away");
        let mut expected: Vec<_> = sent.iter().filter_map(|by| by.get(number)).flatten().collect();
        expected.sort();
        count += expected.len();
        let what = format!("device {number} has all");
        wait::until(&what, LONG, || {
            device.serve(*number, other);
            (device.got.len() >= expected.len()).then_some(())
        });
        // What comes twice has come by now.
        let late = device.client.received_so_far();
        device.got.extend(late.into_iter().map(|message| message.payload));
        let mut got: Vec<_> =
            device.got.iter().map(|payload| String::from_utf8(payload.clone()).unwrap()).collect();
        got.sort();
        assert_eq!(got.iter().collect::<Vec<_>>(), expected, "device {number}");
    }
    println!("{count} messages to {} devices", *SUBSCRIBERS);
    assert!(count > *SUBSCRIBERS, "only {count} messages");
}

/// What the agent-check is told.
fn agent(port: &Port) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port.number())).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // HAProxy may send something first.
    stream.write_all(b"\n").unwrap();
    let mut line = String::new();
    let _ = stream.read_to_string(&mut line);
    line
}

fn wait_agent(port: &Port, line: &str) {
    wait::until(&format!("the agent says {line:?}"), LONG, || (agent(port) == line).then_some(()));
}

#[test]
fn broker_drains_and_takes_clients_again_by_command() {
    let mut cluster = Cluster::start(0);
    let broker = cluster.prepare();
    broker.set("CONFIG.SERVER_REFERENCE", "elsewhere.example:1883");
    broker.start_ready();
    wait_agent(&cluster.brokers[0].agent, "up 100% ready\n");
    let mut device = Client::resume(cluster.port(0), "device").unwrap();
    wait::until("the leader knows that it can drain", LONG, || {
        let told = cluster.servers[0].tell(&["drain", "broker-1", "--rate", "10"]);
        told.status.success().then_some(())
    });
    assert_eq!(device.farewell(), Some(USE_ANOTHER_SERVER));
    wait_agent(&cluster.brokers[0].agent, "drain\n");
    cluster.wait_state("broker-1", "draining");
    let (status, report) = cluster.brokers[0].readyz();
    assert_eq!((status, &report["checks"]["drain"]), (503, &"draining".into()), "{report}");
    let refused = Client::resume(cluster.port(0), "device").unwrap_err().to_string();
    assert!(refused.contains("0x9c"), "{refused}");
    assert!(Client::try_connect(cluster.port(0), Version::V311, "old").is_err());
    assert!(cluster.servers[0].tell(&["undrain", "broker-1"]).status.success());
    wait_agent(&cluster.brokers[0].agent, "up 100% ready\n");
    cluster.wait_state("broker-1", "attached");
    Client::resume(cluster.port(0), "device").unwrap();
    let unknown = cluster.servers[0].tell(&["drain", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("is not known"), "{unknown:?}");
}

#[test]
fn isolated_broker_serves_or_closes_as_it_is_configured() {
    let mut cluster = Cluster::start(0);
    for policy in ["SERVE", "CLOSE"] {
        let broker = cluster.prepare();
        broker.set("DISTRIBUTOR.CONNECT_HOLD", "500ms");
        broker.set("DISTRIBUTOR.ISOLATED", policy);
        broker.start_ready();
    }
    let connect = |broker, id| Client::connect(cluster.port(broker), Version::V5, id);
    let (mut stays, mut goes) = (connect(0, "stays"), connect(1, "goes"));
    cluster.servers[0].kill();
    wait_agent(&cluster.brokers[0].agent, "up 1% ready\n");
    wait_agent(&cluster.brokers[1].agent, "down\n");
    let (status, report) = cluster.brokers[0].readyz();
    assert_eq!((status, &report["isolated"]), (200, &true.into()), "{report}");
    let (status, report) = cluster.brokers[1].readyz();
    assert_eq!((status, &report["isolated"]), (503, &true.into()), "{report}");
    assert_eq!(goes.farewell(), Some(USE_ANOTHER_SERVER));
    let refused = Client::try_connect(cluster.port(1), Version::V5, "new").unwrap_err().to_string();
    assert!(refused.contains("0x88"), "{refused}");
    stays.ping().unwrap();
    cluster.servers[0].start_ready();
    cluster.brokers[1].wait_ready();
    wait::until("clients are taken again", LONG, || {
        Client::try_connect(cluster.port(1), Version::V5, "new").ok()
    });
    stays.ping().unwrap();
    wait_agent(&cluster.brokers[0].agent, "up 100% ready\n");
}

#[test]
fn second_signal_ends_a_drain_at_once() {
    let mut cluster = Cluster::start(0);
    let broker = cluster.prepare();
    broker.argument("--set=CONFIG.DRAIN_GRACE=10min");
    broker.start_ready();
    let mut device = Client::resume(cluster.port(0), "device").unwrap();
    cluster.brokers[0].signal("TERM");
    cluster.wait_state("broker-1", "draining");
    device.ping().unwrap();
    cluster.brokers[0].signal("TERM");
    assert_eq!(cluster.brokers[0].process().wait().code(), Some(0));
    assert_eq!(device.farewell(), Some(0x8B));
}

#[test]
fn broker_without_room_says_so_and_sends_its_clients_away_after_a_while() {
    let folder = TemporaryFolder::new();
    let mut broker = Program::broker("full", folder.path());
    broker.set("CONFIG.DISK_FREE_MIN", "1024G");
    broker.set("CONFIG.MEMORY_MAX", "1M");
    broker.start();
    let mut device = wait::until("a broker that starts takes clients", LONG, || {
        Client::resume(broker.port.number(), "device").ok()
    });
    wait_agent(&broker.agent, "down\n");
    let (status, report) = broker.readyz();
    assert_eq!((status, &report["ready"]), (503, &false.into()), "{report}");
    for (check, key) in [("disk", "DISK_FREE_MIN"), ("memory", "MEMORY_MAX")] {
        let said = report["checks"][check].as_str().unwrap();
        assert!(said.contains(key), "{report}");
    }
    assert_eq!(device.farewell(), Some(USE_ANOTHER_SERVER));
    let refused = Client::resume(broker.port.number(), "device").unwrap_err().to_string();
    assert!(refused.contains("0x88"), "{refused}");
    assert_eq!(broker.stop().code(), Some(0));
}

#[test]
fn rumqttd_host_drains_too_and_says_that_it_shuts_down() {
    let mut cluster = Cluster::of_host("rumqttd", 1);
    let mut device = Client::connect(cluster.port(0), Version::V5, "device");
    wait::until("the leader knows that it can drain", LONG, || {
        cluster.servers[0].tell(&["drain", "broker-1"]).status.success().then_some(())
    });
    assert_eq!(device.farewell(), Some(0x8B));
    cluster.wait_state("broker-1", "draining");
    assert!(Client::try_connect(cluster.port(0), Version::V5, "new").is_err());
    assert!(cluster.servers[0].tell(&["undrain", "broker-1"]).status.success());
    cluster.brokers[0].wait_ready();
    Client::connect(cluster.port(0), Version::V5, "device").ping().unwrap();
}
