//! An operator ends connections and sessions.

use ha_core::cluster::FeatureLevel;
use ha_core::{Input, Kick, Kicked};
use ha_types::BrokerName;
use ha_types::session::{
    Ask, CloseCause, Eviction, Lifetime, NewWill, Open, Progress, SessionKey, Tell,
};

use crate::common::{Cluster, ask, config, durable, message, opened};
use crate::sessions::subscribed;

fn close(session: SessionKey, lifetime: Option<Lifetime>) -> Ask {
    let (cause, progress) = (CloseCause::Failure, Progress::default());
    Ask::Close { session, cause, progress, lifetime }
}

fn named(name: &str) -> BrokerName {
    BrokerName::parse(name).unwrap()
}

#[test]
fn broker_of_a_connected_client_is_told_to_end_it_and_its_session_stays() {
    let (mut cluster, _, broker, session) = subscribed();
    assert_eq!(cluster.kick("c", Kick::Connection), Kicked::Told(session, named("b")));
    assert_eq!(cluster.tells(broker), [Tell::Evict { session, why: Eviction::Kicked }]);
    cluster.say(broker, [ask(3, close(session, None))]);
    assert_eq!(cluster.state.session_of("c"), Some((session, None)));
    assert_eq!(cluster.kick("c", Kick::Connection), Kicked::Away, "there is nothing to end");
}

#[test]
fn session_that_is_to_end_is_closed_for_good_by_its_broker() {
    let (mut cluster, _, broker, session) = subscribed();
    assert_eq!(cluster.kick("c", Kick::Session), Kicked::Told(session, named("b")));
    assert_eq!(cluster.tells(broker), [Tell::Evict { session, why: Eviction::Forgotten }]);
    cluster.say(broker, [ask(3, close(session, Some(Lifetime::Connection)))]);
    assert_eq!(cluster.state.session_of("c"), None);
}

#[test]
fn kick_that_comes_twice_is_told_twice_and_another_client_is_left_alone() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.say(broker, [ask(3, Ask::Open(durable("other", 2)))]);
    cluster.tells(broker);
    let evict = Tell::Evict { session, why: Eviction::Kicked };
    for _ in 0..2 {
        cluster.kick("c", Kick::Connection);
        assert_eq!(cluster.tells(broker), std::slice::from_ref(&evict));
    }
    assert_eq!(cluster.kick("nobody", Kick::Session), Kicked::Unknown);
    assert!(cluster.tells(broker).is_empty());
}

#[test]
fn client_whose_broker_has_no_stream_cannot_be_told() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.step(Input::Broken(broker));
    for what in [Kick::Connection, Kick::Session] {
        assert_eq!(cluster.kick("c", what), Kicked::Unreachable(named("b")));
    }
    assert!(cluster.state.owner_of(session).is_some());
}

#[test]
fn connect_that_waits_for_a_kicked_connection_gets_the_session() {
    let (mut cluster, _, broker, session) = subscribed();
    let other = cluster.attach("o");
    cluster.kick("c", Kick::Connection);
    cluster.say(other, [ask(1, Ask::Open(durable("c", 9)))]);
    cluster.say(broker, [ask(3, close(session, None))]);
    assert!(opened(&cluster.tells(other)).is_present);
}

/// With a will that waits for longer than the session would have been kept.
#[test]
fn session_of_a_client_that_is_away_ends_once_all_members_know_how_and_its_will_goes_out() {
    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    let watcher = cluster.subscriber("w", &["will"]);
    let message = message("will", "gone").into();
    let will = Some(NewWill { message, expires_in_s: None, delay_s: 600 });
    let open = Open { will, ..durable("c", 1) };
    cluster.say(broker, [ask(1, Ask::Open(open))]);
    let session = opened(&cluster.tells(broker)).session;
    cluster.say(broker, [ask(2, close(session, None))]);
    assert_eq!(cluster.kick("c", Kick::Session), Kicked::TooOld);
    cluster.raise(FeatureLevel::FORGET);
    assert_eq!(cluster.kick("c", Kick::Session), Kicked::Proposed(session));
    assert_eq!(cluster.state.session_of("c"), None);
    assert_eq!(cluster.payloads(watcher), ["gone"]);
    assert_eq!(cluster.kick("c", Kick::Session), Kicked::Unknown);
}
