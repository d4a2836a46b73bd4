//! A broker that works alone and keeps what it acknowledges: `kill -9`, damage, a directory in use.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use e2e::wait::{self, LONG};
use e2e::{Client, Program, Raw, TemporaryFolder, Version};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const QOS_1: u8 = 2;
const QOS_2: u8 = 4;
const DUP: u8 = 8;

/// Publishes whose PUBACK came before the kill, and such as may have been under way.
const ACKNOWLEDGED: u32 = 300;
const UNDER_WAY: u32 = 100;

fn alone(folder: &TemporaryFolder) -> Program {
    let mut broker = Program::broker("alone", folder.path());
    broker.start_ready();
    broker
}

/// `kill -9`, and up again.
fn kill_and_start(broker: &mut Program) {
    broker.kill();
    broker.start_ready();
}

/// Takes QoS 1 messages and acknowledges them, until nothing more comes for a PINGREQ that was sent
/// after the last one.
fn take_all(session: &mut Raw) -> Vec<u32> {
    let mut taken = Vec::new();
    loop {
        let came = session.so_far();
        if came.is_empty() {
            return taken;
        }
        for (header, identifier, payload) in came {
            assert_eq!(header & !DUP, 0x30 | QOS_1);
            session.acknowledge(PUBACK, identifier);
            taken.push(String::from_utf8(payload).unwrap().parse().unwrap());
        }
    }
}

#[test]
fn nothing_that_was_acknowledged_is_missing_after_kill_9() {
    let folder = TemporaryFolder::new();
    let mut broker = alone(&folder);
    let port = broker.port.number();
    let mut away = Raw::connect(port, "away");
    away.subscribe("queued/#", 1);
    drop(away);
    let mut publisher = Client::connect(port, Version::V5, "publisher");
    publisher.retain("kept", "retained", 1);
    publisher.retain("cleared", "x", 1);
    publisher.retain("cleared", "", 1);
    for number in 0..ACKNOWLEDGED {
        publisher.stream("queued/here", number.to_string().as_bytes(), 1, 64);
    }
    publisher.drain();
    for number in ACKNOWLEDGED..ACKNOWLEDGED + UNDER_WAY {
        publisher.stream("queued/here", number.to_string().as_bytes(), 1, 1_000);
    }
    kill_and_start(&mut broker);

    let mut back = Raw::connect(port, "away");
    assert!(back.session_present);
    let first = back.receive();
    back.acknowledge(PUBACK, first.1);
    assert_eq!(first.2, b"0");
    let mut taken = take_all(&mut back);
    while taken.len() < ACKNOWLEDGED as usize - 1 {
        taken.extend(take_all(&mut back));
    }
    let expected: Vec<_> = (1..).take(taken.len()).collect();
    assert_eq!(taken, expected, "all of them once and in order");
    let mut retained = Client::connect(port, Version::V311, "retained");
    retained.subscribe("+", 1);
    let found = retained.receive(LONG).unwrap();
    assert_eq!((found.topic.as_str(), found.retain), ("kept", true));
    assert_eq!(retained.received_so_far(), []);

    // What was acknowledged does not come again, whichever way the broker ends.
    kill_and_start(&mut broker);
    let mut again = Raw::connect(port, "away");
    assert!(again.session_present && again.so_far().is_empty());
    assert_eq!(broker.stop().code(), Some(0));
    broker.start_ready();
    assert!(Raw::connect(port, "away").session_present);
}

#[test]
fn exactly_once_from_a_publisher_whose_broker_is_killed_in_the_middle() {
    let folder = TemporaryFolder::new();
    let mut broker = alone(&folder);
    let port = broker.port.number();
    Raw::connect(port, "subscriber").subscribe("t", 2);

    let mut publisher = Raw::connect(port, "publisher");
    publisher.publish(QOS_2, 7, "t", b"once");
    assert_eq!(publisher.receive(), (PUBREC, 7, vec![]));
    kill_and_start(&mut broker);
    let mut publisher = Raw::connect(port, "publisher");
    assert!(publisher.session_present);
    publisher.publish(QOS_2 | DUP, 7, "t", b"once");
    assert_eq!(publisher.receive(), (PUBREC, 7, vec![]));
    publisher.acknowledge(PUBREL, 7);
    assert_eq!(publisher.receive(), (PUBCOMP, 7, vec![]));
    kill_and_start(&mut broker);
    let mut publisher = Raw::connect(port, "publisher");
    publisher.acknowledge(PUBREL, 7);
    assert_eq!(publisher.receive(), (PUBCOMP, 7, vec![]));

    let mut subscriber = Raw::connect(port, "subscriber");
    let (header, identifier, payload) = subscriber.receive();
    assert_eq!((header & !DUP, payload.as_slice()), (0x30 | QOS_2, b"once".as_slice()));
    subscriber.acknowledge(PUBREC, identifier);
    assert_eq!(subscriber.receive(), (PUBREL, identifier, vec![]));
    subscriber.acknowledge(PUBCOMP, identifier);
    assert_eq!(subscriber.so_far(), []);
}

#[test]
fn exactly_once_to_a_subscriber_whose_broker_is_killed_in_the_middle() {
    let folder = TemporaryFolder::new();
    let mut broker = alone(&folder);
    let port = broker.port.number();
    let mut subscriber = Raw::connect(port, "subscriber");
    subscriber.subscribe("t", 2);
    Client::connect(port, Version::V5, "publisher").publish("t", "once", 2);
    let (header, identifier, payload) = subscriber.receive();
    assert_eq!((header, payload.as_slice()), (0x30 | QOS_2, b"once".as_slice()));
    kill_and_start(&mut broker);

    let mut subscriber = Raw::connect(port, "subscriber");
    assert_eq!(subscriber.receive(), (0x30 | QOS_2 | DUP, identifier, b"once".to_vec()));
    subscriber.acknowledge(PUBREC, identifier);
    assert_eq!(subscriber.receive(), (PUBREL, identifier, vec![]));
    kill_and_start(&mut broker);

    let mut subscriber = Raw::connect(port, "subscriber");
    assert_eq!(subscriber.receive(), (PUBREL, identifier, vec![]), "it is not published again");
    subscriber.acknowledge(PUBCOMP, identifier);
    assert_eq!(subscriber.so_far(), []);
}

/// [MQTT-4.6.0-2]: some of them wait for the disk, the others need not.
#[test]
fn pubacks_come_in_the_order_of_the_publishes_whether_they_are_kept_or_not() {
    let folder = TemporaryFolder::new();
    let broker = alone(&folder);
    Raw::connect(broker.port.number(), "away").subscribe("kept", 1);
    let mut publisher = Raw::connect(broker.port.number(), "publisher");
    for identifier in 1..=200 {
        let topic = if identifier % 3 == 0 { "kept" } else { "live" };
        publisher.publish(QOS_1, identifier, topic, b"");
    }
    for identifier in 1..=200 {
        assert_eq!(publisher.receive(), (PUBACK, identifier, vec![]));
    }
}

#[test]
fn directory_in_use_is_refused_in_one_sentence() {
    let folder = TemporaryFolder::new();
    let first = alone(&folder);
    let mut second = Program::broker("second", folder.path());
    second.set("CONFIG.DATA_DIR", &data(&folder).display().to_string());
    second.start();
    assert_eq!(second.process().wait().code(), Some(1));
    assert!(second.log().contains("alone-data/group-0 is in use by another process"));
    assert!(first.is_ready());
}

/// What members got that were sent it before now, by member.
fn shared(members: [&mut Client; 2]) -> [Vec<String>; 2] {
    members.map(|member| {
        let came = member.received_so_far().into_iter();
        came.map(|message| String::from_utf8(message.payload).unwrap()).collect()
    })
}

#[test]
fn share_group_gives_messages_of_each_qos_to_one_member() {
    let folder = TemporaryFolder::new();
    let broker = alone(&folder);
    let connect = |id| Client::connect(broker.port.number(), Version::V5, id);
    let (mut one, mut other, mut publisher) = (connect("one"), connect("other"), connect("p"));
    one.subscribe("$share/g/t", 0);
    other.subscribe("$share/g/t", 2);
    let mut expected = Vec::new();
    for number in 0..60 {
        publisher.publish("t", number.to_string(), number % 3);
        expected.push(number.to_string());
    }
    expected.sort();
    let mut all = Vec::new();
    wait::until("all have come", LONG, || {
        all.extend(shared([&mut one, &mut other]).into_iter().flatten());
        (all.len() >= expected.len()).then_some(())
    });
    all.sort();
    assert_eq!(all, expected);
}

#[test]
fn share_group_keeps_after_kill_9_what_no_member_has_acknowledged() {
    let folder = TemporaryFolder::new();
    let mut broker = alone(&folder);
    let port = broker.port.number();
    for member in ["one", "other"] {
        Raw::connect(port, member).subscribe("$share/g/t", 1);
    }
    let mut publisher = Client::connect(port, Version::V5, "publisher");
    for number in 0..ACKNOWLEDGED {
        publisher.stream("t", number.to_string().as_bytes(), 1, 64);
    }
    publisher.drain();
    kill_and_start(&mut broker);
    let (mut one, mut other) = (Raw::connect(port, "one"), Raw::connect(port, "other"));
    assert!(one.session_present && other.session_present);
    let mut taken = Vec::new();
    wait::until("all have come", LONG, || {
        taken.extend(take_all(&mut one));
        taken.extend(take_all(&mut other));
        (taken.len() >= ACKNOWLEDGED as usize).then_some(())
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..ACKNOWLEDGED).collect::<Vec<_>>(), "each once");
}

#[test]
fn strategies_of_share_groups_are_those_of_the_configuration() {
    let folder = TemporaryFolder::new();
    let mut broker = Program::broker("alone", folder.path());
    broker.set("CONFIG.SHARE_STRATEGIES", "sticky=BY_TOPIC");
    broker.start_ready();
    let connect = |id| Client::connect(broker.port.number(), Version::V5, id);
    let (mut one, mut other, mut publisher) = (connect("one"), connect("other"), connect("p"));
    for member in [&mut one, &mut other] {
        member.subscribe("$share/sticky/t", 0);
        member.subscribe("$share/turns/u", 0);
    }
    for _ in 0..10 {
        publisher.publish("t", "sticky", 1);
        publisher.publish("u", "turn", 1);
    }
    let mut counts = [[0; 2]; 2];
    wait::until("all have come", LONG, || {
        for (member, came) in counts.iter_mut().zip(shared([&mut one, &mut other])) {
            came.iter().for_each(|payload| member[usize::from(payload == "turn")] += 1);
        }
        (counts.as_flattened().iter().sum::<i32>() >= 20).then_some(())
    });
    let [[sticky, turns], [other_sticky, other_turns]] = counts;
    assert_eq!([turns, other_turns], [5, 5]);
    assert!([sticky, other_sticky].contains(&10), "{counts:?}");
}

fn data(folder: &TemporaryFolder) -> PathBuf {
    folder.path().join("alone-data")
}

fn log_file(folder: &Path) -> PathBuf {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "wal"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn damaged_log_is_refused_with_what_can_be_done() {
    let folder = TemporaryFolder::new();
    let mut broker = alone(&folder);
    let mut publisher = Client::connect(broker.port.number(), Version::V5, "publisher");
    for _ in 0..100 {
        publisher.retain("kept", "x".repeat(1_000), 1);
    }
    broker.kill();
    let log = log_file(&data(&folder).join("group-0/log"));
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    broker.start();
    assert_eq!(broker.process().wait().code(), Some(1));
    let said = broker.log();
    assert!(said.contains("put back a copy of") && said.contains("move"), "{said}");
}

#[test]
fn durability_none_writes_nothing() {
    let folder = TemporaryFolder::new();
    let mut broker = Program::broker("alone", folder.path());
    broker.set("CONFIG.DURABILITY", "NONE");
    broker.start_ready();
    let port = broker.port.number();
    Raw::connect(port, "away").subscribe("t", 1);
    assert!(Raw::connect(port, "away").session_present);
    assert!(!data(&folder).exists());
}

#[test]
fn cluster_goes_on_with_the_data_of_a_broker_alone() {
    let folder = TemporaryFolder::new();
    let mut broker = alone(&folder);
    let port = broker.port.number();
    Raw::connect(port, "away").subscribe("t", 1);
    Client::connect(port, Version::V5, "publisher").publish("t", "kept", 1);
    assert_eq!(broker.stop().code(), Some(0));

    let mut server = Program::server(folder.path());
    server.set("HA_SERVER.DATA_DIR", &data(&folder).display().to_string());
    server.start_ready();
    let mut broker = Program::broker_of(std::slice::from_ref(&server), "other", folder.path());
    broker.start_ready();
    let mut back = Raw::connect(broker.port.number(), "away");
    assert!(back.session_present);
    assert_eq!(back.receive().2, b"kept");
}
