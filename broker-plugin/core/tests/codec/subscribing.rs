//! SUBSCRIBE and UNSUBSCRIBE (§3.8, §3.10).

use broker_core::codec::limits::FILTERS_MAX;
use broker_core::codec::{DecodeError, FromClient, RetainHandling, Subscribe, Version};
use ha_types::{Qos, Subscription};

use crate::common::{MALFORMED, PROTOCOL_ERROR, from_client, reason};

fn subscribe(version: Version, rest: &[u8]) -> Result<Subscribe, DecodeError> {
    from_client(version, 0x82, &[b"\0\x01", rest].concat()).map(|packet| match packet {
        FromClient::Subscribe(subscribe) => subscribe,
        other => panic!("not a SUBSCRIBE: {other:?}"),
    })
}

fn with_filter(filter: &str, options: u8) -> Vec<u8> {
    let len = u16::try_from(filter.len()).unwrap().to_be_bytes();
    [&[0], &len[..], filter.as_bytes(), &[options]].concat()
}

/// [MQTT-3.8.1-1], [MQTT-3.10.1-1]
#[test]
fn flags_are_0010_and_in_3_1_may_have_dup() {
    let body = b"\0\x01\0\x01a\0";
    assert_eq!(reason(from_client(Version::V311, 0x80, body)), MALFORMED);
    assert_eq!(reason(from_client(Version::V311, 0x8A, body)), MALFORMED);
    assert!(from_client(Version::V31, 0x8A, body).is_ok());
    assert_eq!(reason(from_client(Version::V5, 0xA0, b"\0\x01\0\0\x01a")), MALFORMED);
}

/// [MQTT-3.8.3-2], [MQTT-3.10.3-2]
#[test]
fn there_is_at_least_one_filter() {
    assert_eq!(reason(subscribe(Version::V5, &[0])), PROTOCOL_ERROR);
    assert_eq!(reason(subscribe(Version::V311, &[])), PROTOCOL_ERROR);
    assert_eq!(reason(from_client(Version::V5, 0xA2, &[0, 1, 0])), PROTOCOL_ERROR);
    assert_eq!(reason(from_client(Version::V311, 0xA2, &[0, 1])), PROTOCOL_ERROR);
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_id_is_not_0() {
    assert_eq!(reason(from_client(Version::V311, 0x82, b"\0\0\0\x01a\0")), PROTOCOL_ERROR);
    assert_eq!(reason(from_client(Version::V5, 0xA2, b"\0\0\0\0\x01a")), PROTOCOL_ERROR);
}

/// [MQTT-3.8.3-5], 3.1.1 [MQTT-3-8.3-4]
#[test]
fn reserved_bits_of_the_options_are_0() {
    assert_eq!(reason(subscribe(Version::V5, &with_filter("a", 0x40))), MALFORMED);
    assert_eq!(reason(subscribe(Version::V5, &with_filter("a", 0x80))), MALFORMED);
    assert_eq!(reason(subscribe(Version::V311, b"\0\x01a\x04")), MALFORMED);
    assert_eq!(reason(subscribe(Version::V31, b"\0\x01a\x10")), MALFORMED);
}

/// §3.8.3.1
#[test]
fn qos_3_and_retain_handling_3_are_protocol_errors() {
    assert_eq!(reason(subscribe(Version::V5, &with_filter("a", 0x03))), PROTOCOL_ERROR);
    assert_eq!(reason(subscribe(Version::V311, b"\0\x01a\x03")), PROTOCOL_ERROR);
    assert_eq!(reason(subscribe(Version::V5, &with_filter("a", 0x30))), PROTOCOL_ERROR);
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    assert_eq!(reason(subscribe(Version::V5, &with_filter("$share/g/a", 0x04))), PROTOCOL_ERROR);
    assert!(subscribe(Version::V5, &with_filter("$share/g/a", 0x08)).is_ok());
}

#[test]
fn options_are_told_apart() {
    let options = subscribe(Version::V5, &with_filter("a", 0x2E)).unwrap().filters[0].options;
    assert_eq!((options.qos, options.no_local), (Qos::ExactlyOnce, true));
    assert!(options.retain_as_published);
    assert_eq!(options.retain_handling, RetainHandling::Never);
}

/// §3.8.2.1.2
#[test]
fn subscription_id_is_not_0_and_appears_once() {
    assert_eq!(reason(subscribe(Version::V5, b"\x02\x0B\0\0\x01a\0")), PROTOCOL_ERROR);
    assert_eq!(reason(subscribe(Version::V5, b"\x04\x0B\x01\x0B\x01\0\x01a\0")), PROTOCOL_ERROR);
    let subscribe = subscribe(Version::V5, b"\x05\x0B\xFF\xFF\xFF\x7F\0\x01a\0").unwrap();
    assert_eq!(subscribe.subscription_id.unwrap().get(), 268_435_455);
}

#[test]
fn property_of_another_packet_is_malformed() {
    assert_eq!(reason(subscribe(Version::V5, b"\x02\x01\x01\0\x01a\0")), MALFORMED);
    let unsubscribe = from_client(Version::V5, 0xA2, b"\0\x01\x02\x0B\x01\0\x01a");
    assert_eq!(reason(unsubscribe), MALFORMED);
}

/// [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn malformed_filter_is_told_as_such() {
    let filters = [
        "",
        "a#",
        "a/#/b",
        "a+",
        "+a/b",
        "##",
        "$share",
        "$share/",
        "$share/g",
        "$share//a",
        "$share/g/",
        "$share/+/a",
        "$share/#/a",
        "$share/g/a#",
    ];
    for filter in filters {
        assert_eq!(reason(subscribe(Version::V5, &with_filter(filter, 0))), 0x8F, "{filter}");
        let mut body = with_filter(filter, 0);
        body.pop();
        let unsubscribe = from_client(Version::V5, 0xA2, &[&[0, 1], &body[..]].concat());
        assert_eq!(reason(unsubscribe), 0x8F, "{filter}");
    }
}

/// [MQTT-3.8.3-1], [MQTT-3.10.3-1]
#[test]
fn filter_is_utf_8_without_null() {
    assert_eq!(reason(subscribe(Version::V311, b"\0\x01\xFF\0")), MALFORMED);
    assert_eq!(reason(subscribe(Version::V311, b"\0\x01\0\0")), MALFORMED);
    assert_eq!(reason(from_client(Version::V311, 0xA2, b"\0\x01\0\x01\xFF")), MALFORMED);
}

#[test]
fn filter_without_options_is_malformed() {
    assert_eq!(reason(subscribe(Version::V311, b"\0\x01a")), MALFORMED);
    assert_eq!(reason(subscribe(Version::V311, b"\0\x01a\0\0")), MALFORMED);
}

#[test]
fn shared_subscription_is_taken_apart() {
    let subscribe = subscribe(Version::V5, &with_filter("$share/g/a/+", 1)).unwrap();
    let Subscription::Shared(shared) = &subscribe.filters[0].subscription else { panic!() };
    assert_eq!((&*shared.share_name, shared.filter.as_str()), ("g", "a/+"));
}

#[test]
fn filters_of_one_packet_are_limited() {
    let some = b"\0\x01a\0".repeat(FILTERS_MAX);
    assert_eq!(subscribe(Version::V311, &some).unwrap().filters.len(), FILTERS_MAX);
    let many = b"\0\x01a\0".repeat(FILTERS_MAX + 1);
    assert_eq!(reason(subscribe(Version::V311, &many)), 0x97);
}
