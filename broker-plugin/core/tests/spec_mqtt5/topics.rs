//! §4.7 and §4.8: topic names, topic filters, shared subscriptions, as packets have them and as
//! the tree of filters matches them.

use broker_core::codec::Reason;
use bytes::Bytes;
use ha_types::{FilterTree, Subscription, TopicFilter, TopicName};

use crate::common::{MALFORMED, refusal};
use crate::spec::field;

const NAME_INVALID: Option<Reason> = Some(Reason::TOPIC_NAME_INVALID);
const FILTER_INVALID: Option<Reason> = Some(Reason::TOPIC_FILTER_INVALID);

fn publish(name: &str) -> Option<Reason> {
    refusal(0x30, &[field(name), vec![0]].concat())
}

/// The same for SUBSCRIBE and UNSUBSCRIBE.
fn subscribe(filter: &str) -> Option<Reason> {
    let subscribe = refusal(0x82, &[&[0, 1, 0], &field(filter)[..], &[0]].concat());
    let unsubscribe = refusal(0xA2, &[&[0, 1, 0], &field(filter)[..]].concat());
    assert_eq!(subscribe, unsubscribe, "{filter}");
    subscribe
}

fn matches(filter: &str, name: &str) -> bool {
    let mut tree: FilterTree<()> = FilterTree::new();
    tree.entry(&TopicFilter::parse(filter.as_bytes()).unwrap());
    let mut found = false;
    let name = TopicName::parse(Bytes::copy_from_slice(name.as_bytes())).unwrap();
    tree.for_each_match(&name, |()| found = true);
    found
}

/// [MQTT-4.7.0-1]
#[test]
fn wildcards_are_for_filters_only() {
    for text in ["#", "+", "a/+", "a/#", "+/b"] {
        assert_eq!((publish(text), subscribe(text)), (NAME_INVALID, None), "{text}");
    }
}

/// [MQTT-4.7.1-1]
#[test]
fn multi_level_wildcard_stands_alone_and_last() {
    for text in ["a#", "#a", "a/b#", "a/#/b", "##", "#/"] {
        assert_eq!(subscribe(text), FILTER_INVALID, "{text}");
    }
    assert!(["#", "a/#", "/#", "+/#"].into_iter().all(|text| subscribe(text).is_none()));
    assert!(["a", "a/b", "a/b/c"].into_iter().all(|topic| matches("a/#", topic)));
    assert!(!matches("a/#", "ab"));
}

/// [MQTT-4.7.1-2]
#[test]
fn single_level_wildcard_takes_a_whole_level() {
    for text in ["a+", "+a", "a/b+/c", "++"] {
        assert_eq!(subscribe(text), FILTER_INVALID, "{text}");
    }
    assert!(matches("+", "a") && matches("+/b", "a/b") && matches("a/+/c", "a/b/c"));
    assert!(matches("a/+", "a/") && matches("/+", "/a") && matches("+/+", "/a"));
    assert!(!matches("+", "a/b") && !matches("a/+", "a") && !matches("+", "/a"));
}

/// [MQTT-4.7.2-1]
#[test]
fn leading_wildcard_does_not_match_a_leading_dollar() {
    assert!(!matches("#", "$SYS/a") && !matches("+/a", "$SYS/a") && !matches("+", "$SYS"));
    assert!(matches("$SYS/#", "$SYS/a") && matches("$SYS/+", "$SYS/a") && matches("a/#", "a/$b"));
}

/// [MQTT-4.7.3-1]
#[test]
fn name_and_filter_have_a_character() {
    assert_eq!(publish(""), Some(Reason::PROTOCOL_ERROR));
    assert_eq!(subscribe(""), FILTER_INVALID);
    assert_eq!((publish("/"), subscribe("/")), (None, None));
}

/// [MQTT-4.7.3-2]
#[test]
fn name_and_filter_have_no_u_0000() {
    assert_eq!((publish("a\0"), subscribe("a\0")), (Some(MALFORMED), Some(MALFORMED)));
    assert_eq!(subscribe("$share/g/a\0"), Some(MALFORMED));
}

/// [MQTT-4.7.3-3]
#[test]
fn name_and_filter_have_at_most_65535_bytes() {
    let (longest, longer) = ("é".repeat(32_767) + "a", "é".repeat(32_768));
    assert!(TopicName::parse(longest.clone().into()).is_ok());
    assert!(Subscription::parse(longest.as_bytes()).is_ok());
    assert!(TopicName::parse(longer.clone().into()).is_err());
    assert!(Subscription::parse(longer.as_bytes()).is_err());
}

/// [MQTT-4.7.3-4]
#[test]
fn matching_compares_characters_as_they_are() {
    assert!(matches("é/ \u{FFFF}", "é/ \u{FFFF}"));
    for (f, n) in [("a", "A"), ("e\u{301}", "é"), ("a", "a "), ("a", "/a"), ("a/b", "a//b")] {
        assert!(!matches(f, n), "{f:?} {n:?}");
    }
}

/// [MQTT-4.8.2-1]
#[test]
fn shared_subscription_has_a_name() {
    assert_eq!(subscribe("$share//a"), FILTER_INVALID);
    assert_eq!(subscribe("$share/g/a"), None);
    let shared =
        |text: &str| matches!(Subscription::parse(text.as_bytes()), Ok(Subscription::Shared(_)));
    assert!(shared("$share/g/a") && !shared("$shared/g/a") && !shared("a/$share/g/a"));
}

/// [MQTT-4.8.2-2]
#[test]
fn share_name_has_no_wildcards_and_a_filter_follows_it() {
    for text in
        ["$share", "$share/", "$share/g", "$share/g/", "$share/+/a", "$share/#/a", "$share/g+/a"]
    {
        assert_eq!(subscribe(text), FILTER_INVALID, "{text}");
    }
    let Ok(Subscription::Shared(shared)) = Subscription::parse(b"$share/g//a/#") else { panic!() };
    assert_eq!((&*shared.share_name, shared.filter.as_str()), ("g", "/a/#"));
    assert_eq!(subscribe("$share/g/a#"), FILTER_INVALID);
}
