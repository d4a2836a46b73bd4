//! What hostile clients send, what they get, and that nobody else notices.
//!
//! Each case is sent to a broker whose other clients talk all the time; afterwards they still do, and
//! the process is the same.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use e2e::{Client, Program, TemporaryFolder, Version, wait};

/// How long an answer may take. The broker's own limits are longer.
const PATIENCE: Duration = Duration::from_secs(20);

const CONNECT_5: &[u8] = b"\x10\x10\0\x04MQTT\x05\x02\0\0\0\0\x03bad";
const CONNECT_311: &[u8] = b"\x10\x0F\0\x04MQTT\x04\x02\0\0\0\x03bad";

/// A broker with two clients that talk to each other.
struct Scene {
    broker: Program,
    speaker: Client,
    listener: Client,
    said: u32,
    _folder: TemporaryFolder,
}

impl Scene {
    fn new(settings: &[(&str, &str)]) -> Self {
        let folder = TemporaryFolder::new();
        let mut broker = Program::broker("broker", folder.path());
        settings.iter().for_each(|(key, value)| broker.set(key, value));
        broker.start_ready();
        let port = broker.port.number();
        let mut listener = Client::connect(port, Version::V311, "listener");
        listener.subscribe("talk", 1);
        let speaker = Client::connect(port, Version::V5, "speaker");
        Self { broker, speaker, listener, said: 0, _folder: folder }
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.broker.port.number())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// The bystanders have noticed nothing.
    fn assert_untouched(&mut self, case: &str) {
        self.said += 1;
        let text = self.said.to_string();
        self.speaker.publish("talk", &text, 1);
        let heard = self.listener.receive(PATIENCE);
        assert_eq!(heard.map(|m| m.payload), Some(text.into_bytes()), "after {case}");
        assert_eq!(self.broker.process().ended(), None, "after {case}");
    }

    /// Sends `bytes` after a CONNECT, and returns all that comes after CONNACK until the broker closes.
    fn answer(&self, connect: &[u8], bytes: &[u8]) -> Vec<u8> {
        let mut socket = self.socket();
        socket.write_all(connect).unwrap();
        let mut head = [0; 2];
        socket.read_exact(&mut head).unwrap();
        let mut connack = vec![0; usize::from(head[1])];
        socket.read_exact(&mut connack).unwrap();
        assert_eq!((head[0], connack[1]), (0x20, 0), "CONNACK");
        // The broker may close while we still write.
        let _ = socket.write_all(bytes);
        read_to_end(socket)
    }

    fn rss_kib(&mut self) -> u64 {
        let path = format!("/proc/{}/status", self.broker.process().id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Until the broker closes; a reset is a close.
fn read_to_end(mut socket: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Ok(_) => all,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => all,
        Err(error) => panic!("the broker keeps the connection: {error}"),
    }
}

/// The reason of the DISCONNECT that an answer ends with.
fn disconnect_reason(answer: &[u8]) -> Option<u8> {
    let at = answer.iter().rposition(|&byte| byte == 0xE0)?;
    answer.get(at + 2).copied()
}

fn field(text: &[u8]) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
}

/// A packet of any size.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut out, mut len) = (vec![first], body.len());
    loop {
        let more = if len > 0x7F { 0x80 } else { 0 };
        out.push(u8::try_from(len & 0x7F).unwrap() | more);
        len >>= 7;
        if len == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// A SUBSCRIBE of 5.0 with one filter.
fn subscribe_5(filter: &[u8]) -> Vec<u8> {
    packet(0x82, &[b"\0\x01\0", &field(filter)[..], b"\0"].concat())
}

/// A PUBLISH of QoS 0 of 5.0 with these properties.
fn publish_5(topic: &[u8], properties: &[u8]) -> Vec<u8> {
    let len = [u8::try_from(properties.len()).unwrap()];
    packet(0x30, &[&field(topic)[..], &len, properties].concat())
}

const MALFORMED: u8 = 0x81;
const PROTOCOL: u8 = 0x82;
const FILTER: u8 = 0x8F;
const TOPIC: u8 = 0x90;
const ALIAS: u8 = 0x94;
const TOO_LARGE: u8 = 0x95;
const QUOTA: u8 = 0x97;

fn cases() -> Vec<(&'static str, u8, Vec<u8>)> {
    let deep = "a/".repeat(20_000);
    let many = b"\x26\0\x01k\0\x01v".repeat(10_000);
    let many_len = b"\xF0\xA2\x04";
    let mut cases = vec![
        ("a five-byte length", MALFORMED, b"\x30\xFF\xFF\xFF\xFF\x01".to_vec()),
        ("a length that cuts the topic", MALFORMED, b"\x30\x03\0\x05ab".to_vec()),
        ("a length beyond the properties", MALFORMED, b"\x30\x05\0\x01a\x05\x01".to_vec()),
        ("256 MB announced", TOO_LARGE, b"\x30\xFF\xFF\xFF\x7F".to_vec()),
        ("a second CONNECT", PROTOCOL, CONNECT_5.to_vec()),
        ("a CONNACK", PROTOCOL, b"\x20\x03\0\0\0".to_vec()),
        ("a SUBACK", PROTOCOL, b"\x90\x04\0\x01\0\0".to_vec()),
        ("a PINGRESP", PROTOCOL, b"\xD0\0".to_vec()),
        ("packet type 0", MALFORMED, b"\0\0".to_vec()),
        ("packet id 0", PROTOCOL, b"\x32\x06\0\x01a\0\0\0".to_vec()),
        ("QoS 3", MALFORMED, b"\x36\x06\0\x01a\0\x01\0".to_vec()),
        ("U+0000 in a topic", MALFORMED, publish_5(b"a\0b", b"")),
        ("a surrogate", MALFORMED, publish_5(b"\xED\xA0\x80", b"")),
        ("overlong UTF-8", MALFORMED, publish_5(b"\xC0\xAF", b"")),
        ("an empty topic", PROTOCOL, publish_5(b"", b"")),
        ("a wildcard in a topic", TOPIC, publish_5(b"a/+", b"")),
        ("alias 0", ALIAS, publish_5(b"a", b"\x23\0\0")),
        ("an unknown alias", PROTOCOL, publish_5(b"", b"\x23\0\x07")),
        ("an alias above the maximum", ALIAS, publish_5(b"a", b"\x23\xFF\xFF")),
        ("a duplicate property", PROTOCOL, publish_5(b"a", b"\x01\0\x01\0")),
        ("an unknown property", MALFORMED, publish_5(b"a", b"\x7E\0")),
        ("a property of CONNECT", PROTOCOL, publish_5(b"a", b"\x11\0\0\0\x01")),
        ("a subscription id in PUBLISH", PROTOCOL, publish_5(b"a", b"\x0B\x01")),
        ("10,000 user properties", QUOTA, {
            packet(0x30, &[b"\0\x01a", &many_len[..], &many].concat())
        }),
        ("a topic of 20,000 levels", TOPIC, publish_5(deep.as_bytes(), b"")),
        ("subscription id 0", PROTOCOL, packet(0x82, b"\0\x01\x02\x0B\0\0\x01a\0")),
        ("SUBSCRIBE without a filter", PROTOCOL, packet(0x82, b"\0\x01\0")),
        ("SUBSCRIBE with packet id 0", PROTOCOL, packet(0x82, b"\0\0\0\0\x01a\0")),
        ("reserved subscription options", MALFORMED, packet(0x82, b"\0\x01\0\0\x01a\xC0")),
        ("No Local on a share", PROTOCOL, {
            packet(0x82, &[b"\0\x01\0", &field(b"$share/g/a")[..], b"\x04"].concat())
        }),
        ("a filter of 20,000 levels", FILTER, subscribe_5(deep.as_bytes())),
    ];
    let filters: [&[u8]; 10] = [
        b"",
        b"a/#/b",
        b"a#",
        b"+a",
        b"a/b+",
        b"$share",
        b"$share/",
        b"$share/g",
        b"$share//a",
        b"$share/g+/a",
    ];
    cases.extend(filters.map(|filter| ("a malformed filter", FILTER, subscribe_5(filter))));
    cases
}

#[test]
fn each_malformed_packet_ends_its_own_connection_with_its_reason() {
    let mut scene = Scene::new(&[]);
    for (case, reason, bytes) in cases() {
        let answer = scene.answer(CONNECT_5, &bytes);
        let found = disconnect_reason(&answer);
        // A property that no packet has, or that this one must not have, may be told either way.
        let is_property = case.contains("property");
        let fits = found == Some(reason) || (is_property && matches!(found, Some(0x81 | 0x82)));
        assert!(fits, "{case}: {found:02X?} instead of {reason:02X}");
        scene.assert_untouched(case);
    }
}

#[test]
fn client_before_5_0_is_closed_without_a_word() {
    let mut scene = Scene::new(&[]);
    for bytes in [
        &b"\x30\xFF\xFF\xFF\xFF\x01"[..],
        b"\x30\xFF\xFF\xFF\x7F",
        CONNECT_311,
        b"\x20\x02\0\0",
        b"\x32\x05\0\x01a\0\0",
        b"\x30\x05\0\x03a\0b",
        b"\x30\x05\0\x03a/+",
        b"\x82\x08\0\x01\0\x03a#b\0",
        b"\x82\x02\0\x01",
        b"\xF0\0",
    ] {
        assert_eq!(scene.answer(CONNECT_311, bytes), b"", "{bytes:02X?}");
        scene.assert_untouched("a malformed packet of 3.1.1");
    }
}

#[test]
fn first_packet_that_is_not_a_good_connect_is_refused_or_closed() {
    let mut scene = Scene::new(&[]);
    let receive_maximum_0 = b"\x10\x13\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\x03bad";
    let refused: [(&[u8], &[u8]); 5] = [
        (b"\x30\x03\0\x01a", b""),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\x10\xFF\xFF\xFF\x7F", b""),
        (b"\x10\x0C\0\x04MQTT\x09\x02\0\0\0\0", b"\x84"),
        (receive_maximum_0, b"\x82"),
    ];
    for (bytes, reason) in refused {
        let mut socket = scene.socket();
        socket.write_all(bytes).unwrap();
        let answer = read_to_end(socket);
        assert_eq!(answer.get(3..4).unwrap_or_default(), reason, "{bytes:02X?}: {answer:02X?}");
        scene.assert_untouched("a bad first packet");
    }
}

#[test]
fn silent_connections_are_closed_and_keep_nobody_out() {
    let mut scene =
        Scene::new(&[("LIMITS.CONNECT_TIMEOUT", "2s"), ("CONFIG.CONNECTIONS_MAX", "300")]);
    let silent: Vec<_> = (0..1_000).map(|_| scene.socket()).collect();
    scene.assert_untouched("a thousand silent connections");
    let mut beside = Client::connect(scene.broker.port.number(), Version::V5, "beside");
    beside.publish("talk/beside", "x", 1);
    wait::until("the silent connections are closed", PATIENCE, || {
        let mut probe = &silent[999];
        matches!(probe.read(&mut [0]), Ok(0) | Err(_)).then_some(())
    });
    let mut late = Client::connect(scene.broker.port.number(), Version::V5, "late");
    late.publish("talk/late", "x", 1);
    scene.assert_untouched("the end of silent connections");
}

#[test]
fn client_that_never_reads_costs_bounded_memory() {
    let mut scene = Scene::new(&[]);
    let mut deaf = scene.socket();
    deaf.write_all(CONNECT_5).unwrap();
    deaf.write_all(&subscribe_5(b"flood")).unwrap();
    scene.assert_untouched("a client that does not read");
    let before = scene.rss_kib();
    let mut publisher = Client::connect(scene.broker.port.number(), Version::V5, "publisher");
    let payload = vec![b'x'; 100_000];
    for _ in 0..1_000 {
        publisher.publish("flood", &payload, 1);
    }
    let grown = scene.rss_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB for a client that never reads");
    scene.assert_untouched("100 MB for a client that never reads");
}

#[test]
fn qos_2_flood_with_the_same_packet_ids_is_one_message_each() {
    let mut scene = Scene::new(&[]);
    let mut counting = Client::connect(scene.broker.port.number(), Version::V5, "counting");
    counting.subscribe("two", 0);
    let mut flood = scene.socket();
    flood.write_all(CONNECT_5).unwrap();
    for _ in 0..1_000 {
        for id in 1..=10_u8 {
            flood.write_all(&packet(0x34, &[0, 3, b't', b'w', b'o', 0, id, 0])).unwrap();
        }
    }
    for _ in 0..10 {
        assert!(counting.receive(PATIENCE).is_some());
    }
    scene.assert_untouched("a flood at QoS 2");
    assert_eq!(counting.received_so_far(), []);
}

#[test]
fn ten_thousand_overlapping_filters_give_one_copy() {
    let mut scene = Scene::new(&[]);
    let mut greedy = Client::connect(scene.broker.port.number(), Version::V5, "greedy");
    for at in 0..9_990_u32 {
        // In every level a name or a wildcard: all match the same topic.
        let levels = (0..14).map(|bit| if at >> bit & 1 == 1 { "+" } else { "a" });
        greedy.subscribe(&levels.collect::<Vec<_>>().join("/"), 0);
    }
    let topic = vec!["a"; 14].join("/");
    let mut publisher = Client::connect(scene.broker.port.number(), Version::V5, "publisher");
    publisher.publish(&topic, "x", 1);
    assert!(greedy.receive(PATIENCE).is_some());
    scene.assert_untouched("10,000 overlapping filters");
    assert_eq!(greedy.received_so_far(), []);
}

#[test]
fn storm_of_one_client_id_ends_with_one_owner() {
    let mut scene = Scene::new(&[]);
    let mut sockets = Vec::new();
    for _ in 0..180 {
        let mut socket = scene.socket();
        socket.write_all(CONNECT_5).unwrap();
        sockets.push(socket);
    }
    scene.assert_untouched("180 connections with one client id");
    // Those that have not had their turn yet answer later, so all others must have ended.
    let mut standing = || {
        let (mut answering, mut ended) = (0, 0);
        for socket in &mut sockets {
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let mut got = [0; 512];
            let read = socket.write_all(b"\xC0\0").and_then(|()| socket.read(&mut got));
            match read.map_err(|error| error.kind()) {
                Ok(read) if read > 0 => answering += usize::from(got[..read].ends_with(b"\xD0\0")),
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => (),
                Ok(_) | Err(_) => ended += 1,
            }
        }
        (answering, ended)
    };
    wait::until("one owner", PATIENCE, || (standing() == (1, 179)).then_some(()));
    assert_eq!(standing(), (1, 179), "and no other");
    scene.assert_untouched("the storm");
}

#[test]
fn memory_comes_back_after_a_million_topics_and_filters() {
    let mut scene = Scene::new(&[("LIMITS.SUBSCRIPTIONS_MAX", "1000000")]);
    scene.assert_untouched("nothing");
    let before = scene.rss_kib();
    for client in 0..10 {
        let mut socket = scene.socket();
        let id = format!("million-{client}");
        let body = [b"\0\x04MQTT\x05\x02\0\0\0", &field(id.as_bytes())[..]].concat();
        socket.write_all(&packet(0x10, &body)).unwrap();
        let mut reader = socket.try_clone().unwrap();
        let subacks = 100 * (3 + 2 + 1 + 1_000);
        let reading = std::thread::spawn(move || reader.read_exact(&mut vec![0; subacks]));
        for chunk in 0..100 {
            let filters = (0..1_000).map(|at| {
                [&field(format!("f/{client}/{chunk}/{at}").as_bytes())[..], b"\0"].concat()
            });
            let body = [b"\0\x01\0".to_vec(), filters.flatten().collect()].concat();
            socket.write_all(&packet(0x82, &body)).unwrap();
            for at in 0..1_000 {
                let topic = format!("t/{client}/{chunk}/{at}");
                socket.write_all(&publish_5(topic.as_bytes(), b"")).unwrap();
            }
        }
        reading.join().unwrap().unwrap();
        socket.write_all(b"\xE0\0").unwrap();
    }
    scene.assert_untouched("a million topics and filters");
    wait::until("the memory is back", Duration::from_secs(60), || {
        (scene.rss_kib().saturating_sub(before) < 30 << 10).then_some(())
    });
}
