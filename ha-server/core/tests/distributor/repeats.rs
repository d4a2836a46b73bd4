//! Publishes of QoS 2 that their client sends again elsewhere, after a leader has applied them (P4).

use ha_core::StreamId;
use ha_types::link::PublishOutcome::{Fenced, Repeat};
use ha_types::link::{Downstream, Origin, Upstream};
use ha_types::session::{Ask, PacketId, SessionKey};
use ha_types::{PublishNumber, Qos};

use crate::common::{
    Cluster, Log, RETURN_MS, ask, config, durable, message, opened, text, with_qos,
};

fn packet_id() -> PacketId {
    PacketId::new(1).unwrap()
}

fn of(session: SessionKey, number: u64, payload: &str) -> Upstream {
    Upstream::Publish {
        number: Some(PublishNumber(number)),
        exchange: Some((session, packet_id())),
        message: with_qos(Qos::ExactlyOnce, message("t", payload)).into(),
    }
}

fn open(cluster: &mut Cluster, stream: StreamId, number: u64, connection: u64) -> SessionKey {
    cluster.say(stream, [ask(number, Ask::Open(durable("c", connection)))]);
    opened(&cluster.tells(stream)).session
}

/// What was delivered: payload, origin, other origins.
fn deliveries(cluster: &mut Cluster, stream: StreamId) -> Vec<(String, Origin, Vec<Origin>)> {
    let items = cluster.read(stream).into_iter();
    let delivery = |item| match item {
        Downstream::Deliver { origin, known_as, message, .. } => {
            Some((text(&message), origin?, known_as))
        }
        _ => None,
    };
    items.filter_map(delivery).collect()
}

/// A leader has applied the first publish of a client at broker `p`, and was lost before it handed it on.
struct Applied {
    cluster: Cluster,
    /// As it was at `p`.
    session: SessionKey,
    origin: Origin,
}

impl Applied {
    fn new() -> Self {
        let mut cluster = Cluster::new(config());
        let (publisher, _) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
        let origin = epoch(&cluster, publisher, 1);
        let session = open(&mut cluster, publisher, 1, 1);
        cluster.log = Log::Manual;
        cluster.say(publisher, [of(session, 1, "x")]);
        assert!(cluster.commit());
        change_leader(&mut cluster);
        Self { cluster, session, origin }
    }
}

/// Who comes back does so later than a new leader waits for it.
fn change_leader(cluster: &mut Cluster) {
    cluster.change_leader();
    cluster.log = Log::Prompt;
    cluster.wait(RETURN_MS, &[]);
}

fn epoch(cluster: &Cluster, stream: StreamId, number: u64) -> Origin {
    Origin { broker: cluster.welcome(stream).epoch, number: PublishNumber(number) }
}

#[test]
fn repeat_is_handed_on_at_once_under_all_that_its_message_is_known_by() {
    let Applied { mut cluster, session, origin } = Applied::new();
    let (live, other) = (cluster.subscriber("l", &["t"]), cluster.subscriber("o", &["t"]));
    let new = open(&mut cluster, other, 1, 9);
    cluster.say(other, [of(new, 1, "x")]);
    let again = epoch(&cluster, other, 1);
    let expected = [("x".to_owned(), again, vec![origin])];
    assert_eq!(deliveries(&mut cluster, live), expected);
    assert_eq!(deliveries(&mut cluster, other), expected, "also where it was sent");
    // Its first broker may need it as well, and comes back with it.
    let publisher = cluster.subscriber("p", &["t"]);
    assert_eq!(cluster.payloads(publisher), [""; 0], "read when it attached");
    for stream in [live, other, publisher] {
        cluster.receive_all(stream);
    }
    assert_eq!(cluster.outcomes(other), [Repeat]);
    cluster.say(publisher, [of(session, 1, "x")]);
    let late = [("x".to_owned(), origin, vec![again])];
    for stream in [live, other, publisher] {
        assert_eq!(deliveries(&mut cluster, stream), late, "they drop it");
        cluster.receive_all(stream);
    }
    assert_eq!(cluster.outcomes(publisher), [Repeat]);
}

#[test]
fn repeat_is_answered_when_all_that_need_it_have_received_it() {
    let Applied { mut cluster, .. } = Applied::new();
    cluster.attach("p");
    let (live, other) = (cluster.subscriber("l", &["t"]), cluster.attach("o"));
    let new = open(&mut cluster, other, 1, 9);
    cluster.say(other, [of(new, 1, "x")]);
    assert!(cluster.outcomes(other).is_empty());
    cluster.receive_all(live);
    assert_eq!(cluster.outcomes(other), [Repeat]);
}

#[test]
fn second_repeat_names_the_first_one_too() {
    let Applied { mut cluster, origin, .. } = Applied::new();
    let other = cluster.attach("o");
    let new = open(&mut cluster, other, 1, 9);
    cluster.log = Log::Manual;
    cluster.say(other, [of(new, 1, "x")]);
    assert!(cluster.commit());
    let first = epoch(&cluster, other, 1);
    change_leader(&mut cluster);
    let (live, third) = (cluster.subscriber("l", &["t"]), cluster.attach("q"));
    let newest = open(&mut cluster, third, 1, 10);
    cluster.say(third, [of(newest, 1, "x")]);
    let again = epoch(&cluster, third, 1);
    assert_eq!(deliveries(&mut cluster, live), [("x".to_owned(), again, vec![origin, first])]);
    let other = cluster.attach("o");
    cluster.say(other, [of(new, 1, "x")]);
    assert_eq!(deliveries(&mut cluster, live), [("x".to_owned(), first, vec![origin, again])]);
}

/// PUBREL says that the client had PUBREC, and PUBREC that all had the message.
#[test]
fn publish_whose_exchange_is_over_reaches_nobody_when_its_broker_is_back() {
    let Applied { mut cluster, session, .. } = Applied::new();
    let other = cluster.attach("o");
    let new = open(&mut cluster, other, 1, 9);
    cluster.say(other, [ask(2, Ask::Release { session: new, packet_id: packet_id() })]);
    let (live, publisher) = (cluster.subscriber("l", &["t"]), cluster.attach("p"));
    cluster.say(publisher, [of(session, 1, "x")]);
    assert_eq!(cluster.outcomes(publisher), [Fenced]);
    assert!(deliveries(&mut cluster, live).is_empty());
}

/// The same broker, another connection: under the number of the first one it may have come to some.
#[test]
fn repeat_at_the_same_broker_is_known_by_its_first_number() {
    let Applied { mut cluster, session, origin } = Applied::new();
    let (live, publisher) = (cluster.subscriber("l", &["t"]), cluster.attach("p"));
    cluster.say(publisher, [ask(2, Ask::Open(durable("c", 2)))]);
    cluster.wait(100, &[publisher, live]);
    let new = opened(&cluster.tells(publisher)).session;
    cluster.say(publisher, [of(session, 1, "x"), of(new, 2, "x")]);
    let again = Origin { number: PublishNumber(2), ..origin };
    let expected = [("x".to_owned(), origin, vec![]), ("x".to_owned(), again, vec![origin])];
    assert_eq!(deliveries(&mut cluster, live), expected);
}
