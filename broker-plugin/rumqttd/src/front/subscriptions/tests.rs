use super::*;

fn request(filter: &'static str, qos: Qos) -> FilterRequest {
    let options = Options { qos, no_local: false, retain_as_published: false, retain_handling: 0 };
    FilterRequest { filter: Bytes::from_static(filter.as_bytes()), options }
}

fn subscribe_as(
    remembered: Remembered,
    subscriptions: &mut Subscriptions,
    filters: &[(&'static str, Qos)],
) -> Accepted {
    let filters = filters.iter().map(|&(filter, qos)| request(filter, qos)).collect();
    let packet = Subscribe { packet_id: 1, subscription_id: Some(9), filters };
    let mut terms = Terms {
        version: Version::V5,
        remembered,
        subscriptions_max: 3,
        room: |filter: &TopicFilter| filter.as_str() != "no/room",
    };
    subscriptions.subscribe(&packet, &mut terms).unwrap()
}

fn subscribe(of: &mut Subscriptions, filters: &[(&'static str, Qos)]) -> Accepted {
    subscribe_as(Remembered::Connection, of, filters)
}

const Q0: Qos = Qos::AtMostOnce;
const Q1: Qos = Qos::AtLeastOnce;

#[test]
fn each_filter_has_its_own_reason_in_order() {
    let mut of = Subscriptions::default();
    let filters = [("a/#/b", Q0), ("a", Q1), ("$SYS/#", Q0), ("$share/g", Q0), ("no/room", Q0)];
    let accepted = subscribe(&mut of, &filters);
    let reasons: Vec<u8> = accepted.reasons.iter().map(|reason| reason.0).collect();
    assert_eq!(reasons, [0x8F, 1, 0x8F, 0x8F, 0x97]);
    assert_eq!((accepted.new.len(), accepted.changes.len()), (1, 1));
}

#[test]
fn shared_subscription_of_a_durable_session_is_refused() {
    let mut of = Subscriptions::default();
    let accepted = subscribe_as(Remembered::Beyond, &mut of, &[("$share/g/a", Q1), ("a", Q1)]);
    assert_eq!(accepted.reasons, [Reason::SHARED_NOT_SUPPORTED, Reason(1)]);
}

#[test]
fn subscriptions_of_one_session_are_bounded() {
    let mut of = Subscriptions::default();
    let accepted = subscribe(&mut of, &[("a", Q0), ("b", Q0), ("c", Q0), ("d", Q0), ("a", Q0)]);
    let reasons: Vec<u8> = accepted.reasons.iter().map(|reason| reason.0).collect();
    assert_eq!(reasons, [0, 0, 0, 0x97, 0]);
}

#[test]
fn subscribing_again_tells_the_router_only_about_another_qos() {
    let mut of = Subscriptions::default();
    subscribe(&mut of, &[("a", Q0)]);
    assert_eq!(subscribe(&mut of, &[("a", Q0)]).changes, []);
    let changes = subscribe(&mut of, &[("a", Q1)]).changes;
    let path = "a".to_owned();
    let expected = [
        Change::Unsubscribe { path: path.clone() },
        Change::Subscribe { path, qos: Q1, number: 2 },
    ];
    assert_eq!(changes, expected);
    assert_eq!(of.granted(1), of.granted(2), "what is on its way is delivered");
    subscribe(&mut of, &[("a", Q0)]);
    assert_eq!((of.granted(1), of.by_number.len()), (None, 2));
}

#[test]
fn unsubscribe_of_an_unknown_filter_is_answered_and_not_passed_on() {
    let removed = Subscriptions::default().unsubscribe(&[Bytes::from_static(b"a")]);
    assert_eq!(removed.reasons, [Reason::NO_SUBSCRIPTION_EXISTED]);
    assert_eq!((removed.subscriptions.len(), removed.changes.len()), (0, 0));
}

#[test]
fn unsubscribe_joins_the_remaining_share_groups_again() {
    let mut of = Subscriptions::default();
    subscribe(&mut of, &[("a", Q0), ("$share/g/b/c", Q1)]);
    let removed = of.unsubscribe(&[Bytes::from_static(b"a")]);
    let path = "$share/g\0b\0c/b/c".to_owned();
    let expected = [
        Change::Unsubscribe { path: "a".to_owned() },
        Change::Subscribe { path, qos: Q1, number: 2 },
    ];
    assert_eq!(removed.changes, expected);
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_ends_the_connection() {
    let mut filter = request("$share/g/a", Q0);
    filter.options.no_local = true;
    let packet = Subscribe { packet_id: 1, subscription_id: None, filters: vec![filter] };
    let mut terms = Terms {
        version: Version::V5,
        remembered: Remembered::Connection,
        subscriptions_max: 3,
        room: |_: &TopicFilter| true,
    };
    assert!(Subscriptions::default().subscribe(&packet, &mut terms).is_err());
}

#[test]
fn retained_messages_are_asked_for_by_retain_handling() {
    let plain = Subscription::parse(b"a").unwrap();
    let shared = Subscription::parse(b"$share/g/a").unwrap();
    let wanted = |version, of, retain_handling| {
        retained_wanted(version, of, &Options { retain_handling, ..request("a", Q0).options })
    };
    assert_eq!(wanted(Version::V5, &plain, 0), RetainedWanted::Always);
    assert_eq!(wanted(Version::V5, &plain, 1), RetainedWanted::IfNew);
    assert_eq!(wanted(Version::V5, &plain, 2), RetainedWanted::Never);
    assert_eq!(wanted(Version::V311, &plain, 0), RetainedWanted::Always);
    assert_eq!(wanted(Version::V5, &shared, 0), RetainedWanted::Never);
}
