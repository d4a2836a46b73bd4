use broker_core::codec::Binary;
use bytes::Bytes;
use ha_types::{Qos, TopicName};

use super::*;

const AT_ONCE: Millis = Millis(0);

fn registry() -> Registry<&'static str> {
    Registry::new(RegistryLimits { connections_max: 2, sessions_max: 2 })
}

fn claim(client_id: &str, session_expiry_s: u32) -> Claim {
    Claim { client_id: client_id.into(), clean_start: false, session_expiry_s }
}

fn clean(client_id: &str, session_expiry_s: u32) -> Claim {
    Claim { clean_start: true, ..claim(client_id, session_expiry_s) }
}

fn will(delay_s: u32) -> Box<Will> {
    Box::new(Will {
        topic: TopicName::parse(Bytes::from_static(b"w")).unwrap(),
        payload: Binary::default(),
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Bytes::new(),
        expires_in_s: None,
        delay_s,
    })
}

fn release(claimed: Claimed, of: &Claim, will: Option<Box<Will>>) -> Release {
    Release {
        client_id: of.client_id.clone(),
        generation: claimed.generation,
        session: claimed.session,
        session_expiry_s: of.session_expiry_s,
        will,
    }
}

/// Connects, and disconnects with a will; the session and the effects of its release.
fn left(
    registry: &mut Registry<&'static str>,
    claim: &Claim,
    will: Option<Box<Will>>,
) -> (SessionId, Vec<Effect>) {
    let claimed = registry.claim(AT_ONCE, claim, "connection").unwrap();
    let session = claimed.session.id;
    (session, registry.release(AT_ONCE, release(claimed, claim, will)))
}

#[test]
fn ephemeral_session_ends_with_its_connection_and_its_will_fires_first() {
    let (id, effects) = left(&mut registry(), &clean("c", 0), Some(will(60)));
    assert_eq!(effects, [Effect::PublishWill(id, will(60)), Effect::SessionEnded(id)]);
}

#[test]
fn durable_session_is_resumed_and_its_delayed_will_is_cancelled() {
    let mut registry = registry();
    let (id, effects) = left(&mut registry, &claim("c", 60), Some(will(10)));
    assert_eq!(effects, []);
    assert_eq!(registry.deadline(), Some(Millis(10_000)));
    let again = registry.claim(Millis(9_999), &claim("c", 60), "new").unwrap();
    assert_eq!((again.session.id, again.plan), (id, LinkPlan::Resume));
    assert_eq!(again.effects, []);
    assert_eq!(registry.deadline(), None);
}

#[test]
fn delayed_will_fires_exactly_at_its_time_and_the_session_lives_on() {
    let mut registry = registry();
    let (id, _) = left(&mut registry, &claim("c", 60), Some(will(10)));
    assert_eq!(registry.tick(Millis(9_999)), []);
    assert_eq!(registry.tick(Millis(10_000)), [Effect::PublishWill(id, will(10))]);
    assert_eq!(registry.tick(Millis(59_999)), []);
    assert_eq!(registry.tick(Millis(60_000)), [Effect::SessionEnded(id)]);
    assert_eq!(registry.counts(), (0, 0));
}

/// [MQTT-3.1.3-9]: whichever comes first.
#[test]
fn will_fires_when_the_session_ends_before_its_delay() {
    let mut registry = registry();
    let (id, _) = left(&mut registry, &claim("c", 5), Some(will(10)));
    let both = [Effect::PublishWill(id, will(10)), Effect::SessionEnded(id)];
    assert_eq!(registry.tick(Millis(5_000)), both);
}

#[test]
fn clean_start_ends_the_old_session_and_fires_its_will() {
    let mut registry = registry();
    let (id, _) = left(&mut registry, &claim("c", 60), Some(will(10)));
    let again = registry.claim(Millis(1), &clean("c", 60), "new").unwrap();
    assert_ne!(again.session.id, id);
    assert_eq!(again.plan, LinkPlan::NewDurable);
    assert_eq!(again.effects, [Effect::PublishWill(id, will(10)), Effect::SessionEnded(id)]);
}

#[test]
fn session_that_does_not_expire_has_no_deadline() {
    let mut registry = registry();
    left(&mut registry, &claim("c", NEVER_EXPIRES), None);
    assert_eq!((registry.deadline(), registry.counts()), (None, (0, 1)));
}

#[test]
fn second_connection_must_wait_until_the_first_has_left() {
    let mut registry = registry();
    let first = registry.claim(AT_ONCE, &clean("c", 0), "first").unwrap();
    let second = registry.claim(AT_ONCE, &clean("c", 0), "second");
    assert!(matches!(second, Err(NotClaimed::Occupied("first"))));
    registry.release(AT_ONCE, release(first, &clean("c", 0), None));
    assert!(registry.claim(AT_ONCE, &clean("c", 0), "second").is_ok());
}

#[test]
fn connections_and_durable_sessions_are_bounded() {
    let mut registry = registry();
    left(&mut registry, &claim("a", 60), None);
    left(&mut registry, &claim("b", 60), None);
    let third = registry.claim(AT_ONCE, &claim("c", 60), "c");
    assert!(matches!(third, Err(NotClaimed::QuotaExceeded)));
    assert!(registry.claim(AT_ONCE, &claim("a", 60), "a").is_ok());
    assert!(registry.claim(AT_ONCE, &clean("c", 0), "c").is_ok());
    let busy = registry.claim(AT_ONCE, &clean("d", 0), "d");
    assert!(matches!(busy, Err(NotClaimed::Busy)));
}

#[test]
fn slots_are_used_again_so_that_the_router_sees_few_names() {
    let mut registry = registry();
    for number in 0..100 {
        left(&mut registry, &clean(&format!("c{number}"), 0), None);
    }
    let claimed = registry.claim(AT_ONCE, &clean("c", 0), "c").unwrap();
    assert_eq!(claimed.session.slot.to_string(), "slot-1");
}

#[test]
fn end_of_the_host_fires_the_wills_that_wait() {
    let mut registry = registry();
    let (id, _) = left(&mut registry, &claim("c", 60), Some(will(10)));
    let both = [Effect::PublishWill(id, will(10)), Effect::SessionEnded(id)];
    assert_eq!(registry.end_all(), both);
    assert_eq!(registry.counts(), (0, 0));
}
