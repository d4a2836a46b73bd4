//! Connections that their brokers have served while nobody led.

use ha_core::cluster::FeatureLevel;
use ha_core::{Input, StreamId};
use ha_types::link::Upstream;
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Lifetime, NewWill, Open, Progress, RefuseReason, SessionKey,
    Start, Tell,
};

use crate::common::{
    Cluster, LEASE_MS, RETURN_MS, ask, config, durable, hello, message, opened, resume,
};

fn ephemeral(connection: u64) -> Open {
    Open { start: Start::Clean, lifetime: Lifetime::Connection, ..durable("c", connection) }
}

/// Of a client that was connected nowhere else since.
fn claim(connection: u64) -> Ask {
    Ask::Claim { open: ephemeral(connection), seen: u64::MAX }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new(config());
    cluster.raise(FeatureLevel::NEWEST);
    cluster
}

fn close(session: SessionKey) -> Ask {
    let (cause, progress) = (CloseCause::Failure, Progress::default());
    Ask::Close { session, cause, progress, lifetime: None }
}

fn refused(connection: u64) -> Vec<Tell> {
    let connection = ConnectionId(connection);
    vec![Tell::OpenRefused { connection, reason: RefuseReason::Unavailable }]
}

/// Client c is connected through broker b; then another leader begins, with which broker o is.
struct Led {
    cluster: Cluster,
    session: SessionKey,
    other: StreamId,
}

fn led(open: Open) -> Led {
    let mut cluster = cluster();
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, Ask::Open(open))]);
    let session = opened(&cluster.tells(broker)).session;
    cluster.change_leader();
    let other = cluster.attach("o");
    Led { cluster, session, other }
}

impl Led {
    /// Broker b is there again.
    fn come_back(&mut self, items: impl IntoIterator<Item = Upstream>) -> StreamId {
        let stream = self.cluster.hello(hello("b", 1));
        self.cluster.say(stream, items);
        stream
    }
}

#[test]
fn claim_of_a_session_that_nobody_has_is_granted_with_its_will() {
    let mut cluster = cluster();
    let (broker, live) = (cluster.attach("b"), cluster.subscriber("l", &["will"]));
    let will = NewWill { message: message("will", "w").into(), expires_in_s: None, delay_s: 0 };
    cluster.say(
        broker,
        [ask(1, Ask::Claim { open: Open { will: Some(will), ..ephemeral(1) }, seen: 0 })],
    );
    let session = opened(&cluster.tells(broker)).session;
    cluster.say(broker, [ask(2, close(session))]);
    assert_eq!(cluster.payloads(live), ["w"]);
}

#[test]
fn claim_loses_to_a_connection_on_another_broker() {
    let mut cluster = cluster();
    let (broker, other) = (cluster.attach("b"), cluster.attach("o"));
    cluster.say(broker, [ask(1, Ask::Open(durable("c", 1)))]);
    let session = opened(&cluster.tells(broker)).session;
    cluster.wait(RETURN_MS, &[broker, other]);
    cluster.say(other, [ask(1, claim(9))]);
    assert_eq!(cluster.tells(other), refused(9));
    assert_eq!(cluster.tells(broker), [], "nobody is evicted");
    assert!(cluster.state.owner_of(session).is_some());
}

#[test]
fn claim_takes_the_session_of_an_older_connection_of_its_own_broker() {
    let mut cluster = cluster();
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, Ask::Open(ephemeral(1)))]);
    let older = opened(&cluster.tells(broker)).session;
    cluster.say(broker, [ask(2, claim(2)), ask(3, close(older))]);
    let tells = cluster.tells(broker);
    assert_ne!(opened(&tells[1..]).session, older, "{tells:?}");
}

#[test]
fn claim_waits_for_what_a_broker_has_not_said_since_an_earlier_leader() {
    let mut led = led(ephemeral(1));
    led.cluster.say(led.other, [ask(1, claim(9))]);
    assert_eq!(led.cluster.tells(led.other), []);
    let session = led.session;
    led.come_back([Upstream::Resumed, ask(2, close(session))]);
    assert!(!opened(&led.cluster.tells(led.other)).is_present);
}

#[test]
fn claim_that_waited_loses_to_a_connection_that_goes_on() {
    let mut led = led(ephemeral(1));
    led.cluster.say(led.other, [ask(1, claim(9))]);
    let back = led.come_back([resume(led.session, 1, None), Upstream::Resumed]);
    assert_eq!(led.cluster.tells(back), [], "nobody is evicted");
    led.cluster.wait(RETURN_MS, &[led.other, back]);
    assert_eq!(led.cluster.tells(led.other), refused(9));
}

#[test]
fn claim_that_waited_for_a_broker_that_is_lost_is_granted() {
    let mut led = led(ephemeral(1));
    led.cluster.say(led.other, [ask(1, claim(9))]);
    led.cluster.wait(RETURN_MS, &[led.other]);
    assert_eq!(led.cluster.tells(led.other), refused(9), "its lease runs");
    led.cluster.wait(LEASE_MS, &[led.other]);
    led.cluster.say(led.other, [ask(2, claim(10))]);
    assert!(!opened(&led.cluster.tells(led.other)).is_present);
}

#[test]
fn connect_that_comes_while_a_claim_waits_is_the_newer_one() {
    let mut led = led(ephemeral(1));
    led.cluster.say(led.other, [ask(1, claim(9)), ask(2, Ask::Open(ephemeral(10)))]);
    assert_eq!(led.cluster.tells(led.other), refused(9));
    led.cluster.wait(RETURN_MS, &[led.other]);
    assert_eq!(opened(&led.cluster.tells(led.other)).connection, ConnectionId(10));
}

#[test]
fn claim_loses_to_a_connect_that_waits() {
    let mut led = led(ephemeral(1));
    led.cluster.say(led.other, [ask(1, Ask::Open(ephemeral(9))), ask(2, claim(10))]);
    assert_eq!(led.cluster.tells(led.other), refused(10));
}

#[test]
fn claim_of_a_client_that_wanted_to_resume_loses_to_a_session_whose_client_is_away() {
    for (start, is_granted) in [(Start::Clean, true), (Start::Resume, false)] {
        let mut cluster = cluster();
        let broker = cluster.attach("b");
        cluster.say(broker, [ask(1, Ask::Open(durable("c", 1)))]);
        let session = opened(&cluster.tells(broker)).session;
        cluster.say(broker, [ask(2, close(session))]);
        cluster.say(
            broker,
            [ask(3, Ask::Claim { open: Open { start, ..ephemeral(2) }, seen: u64::MAX })],
        );
        match is_granted {
            true => assert!(!opened(&cluster.tells(broker)).is_present),
            false => assert_eq!(cluster.tells(broker), refused(2)),
        }
        assert!(cluster.state.owner_of(session).is_none());
        cluster.step(Input::Broken(broker));
    }
}

/// Its answer was lost with a stream.
#[test]
fn claim_that_is_asked_again_is_answered_again() {
    let mut cluster = cluster();
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, claim(1))]);
    let session = opened(&cluster.tells(broker)).session;
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, claim(1))]);
    assert_eq!(opened(&cluster.tells(broker)).session, session);
}

/// What waits at its broker must not come after what it published elsewhere.
#[test]
fn claim_of_a_client_that_was_elsewhere_since_is_refused() {
    for (is_since, is_granted) in [(true, false), (false, true)] {
        let mut cluster = cluster();
        let (broker, other) = (cluster.attach("b"), cluster.attach("o"));
        let before = cluster.state.applied();
        cluster.say(other, [ask(1, Ask::Open(ephemeral(1)))]);
        let session = opened(&cluster.tells(other)).session;
        cluster.say(other, [ask(2, close(session))]);
        let seen = if is_since { before } else { cluster.state.applied() };
        cluster.say(broker, [ask(1, Ask::Claim { open: ephemeral(9), seen })]);
        match is_granted {
            true => assert!(!opened(&cluster.tells(broker)).is_present),
            false => assert_eq!(cluster.tells(broker), refused(9)),
        }
    }
}

/// Nobody remembers when clients were connected.
#[test]
fn claims_are_refused_while_a_member_of_the_group_does_not_know_them() {
    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, claim(1))]);
    assert_eq!(cluster.tells(broker), refused(1));
}
