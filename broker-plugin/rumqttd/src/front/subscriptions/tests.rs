use broker_core::codec::{PacketId, UserProperties};

use super::*;

fn subscription(filter: &str) -> Subscription {
    Subscription::parse(filter.as_bytes()).unwrap()
}

fn request(filter: &str, qos: Qos) -> FilterRequest {
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    FilterRequest { subscription: subscription(filter), options }
}

fn subscribe_as(
    remembered: Remembered,
    subscriptions: &mut Subscriptions,
    filters: &[(&'static str, Qos)],
) -> Accepted {
    let filters = filters.iter().map(|&(filter, qos)| request(filter, qos)).collect();
    let packet = Subscribe {
        packet_id: PacketId::new(1).unwrap(),
        subscription_id: SubscriptionId::new(9),
        user_properties: UserProperties::default(),
        filters,
    };
    let mut terms = Terms {
        remembered,
        subscriptions_max: 3,
        refusal: |filter: &TopicFilter| {
            (filter.as_str() == "forbidden").then_some(Reason::NOT_AUTHORIZED)
        },
    };
    subscriptions.subscribe(&packet, &mut terms)
}

fn subscribe(of: &mut Subscriptions, filters: &[(&'static str, Qos)]) -> Accepted {
    subscribe_as(Remembered::Connection, of, filters)
}

const Q0: Qos = Qos::AtMostOnce;
const Q1: Qos = Qos::AtLeastOnce;

#[test]
fn each_filter_has_its_own_reason_in_order() {
    let mut of = Subscriptions::default();
    let filters = [("a", Q1), ("$SYS/#", Q0), ("forbidden", Q0), ("$share/g/forbidden", Q0)];
    let accepted = subscribe(&mut of, &filters);
    let reasons: Vec<u8> = accepted.reasons.iter().map(|reason| reason.0).collect();
    assert_eq!(reasons, [1, 0x8F, 0x87, 0x87]);
    assert_eq!((accepted.new.len(), accepted.changes.len()), (1, 1));
}

#[test]
fn shared_subscription_of_a_durable_session_is_refused() {
    let mut of = Subscriptions::default();
    let accepted = subscribe_as(Remembered::Beyond, &mut of, &[("$share/g/a", Q1), ("a", Q1)]);
    assert_eq!(accepted.reasons, [Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, Reason(1)]);
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
    let removed = Subscriptions::default().unsubscribe(&[subscription("a")]);
    assert_eq!(removed.reasons, [Reason::NO_SUBSCRIPTION_EXISTED]);
    assert_eq!((removed.subscriptions.len(), removed.changes.len()), (0, 0));
}

#[test]
fn unsubscribe_joins_the_remaining_share_groups_again() {
    let mut of = Subscriptions::default();
    subscribe(&mut of, &[("a", Q0), ("$share/g/b/c", Q1)]);
    let removed = of.unsubscribe(&[subscription("a")]);
    let path = "$share/g\0b\0c/b/c".to_owned();
    let expected = [
        Change::Unsubscribe { path: "a".to_owned() },
        Change::Subscribe { path, qos: Q1, number: 2 },
    ];
    assert_eq!(removed.changes, expected);
}

#[test]
fn retained_messages_are_asked_for_by_retain_handling() {
    let wanted = |filter, retain_handling| {
        let FilterRequest { subscription, options } = request(filter, Q0);
        let options = SubscriptionOptions { retain_handling, ..options };
        retained_wanted(&FilterRequest { subscription, options })
    };
    assert_eq!(wanted("a", RetainHandling::AtSubscribe), RetainedWanted::Always);
    assert_eq!(wanted("a", RetainHandling::IfNew), RetainedWanted::IfNew);
    assert_eq!(wanted("a", RetainHandling::Never), RetainedWanted::Never);
    assert_eq!(wanted("$share/g/a", RetainHandling::AtSubscribe), RetainedWanted::Never);
}
