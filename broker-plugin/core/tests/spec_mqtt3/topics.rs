//! §4.7: topic names and topic filters. The rules of 5.0 are the same.

use bytes::Bytes;
use ha_types::{InvalidTopic, Subscription, TopicFilter, TopicName};

fn name(text: &str) -> Result<TopicName, InvalidTopic> {
    TopicName::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn filter(text: &str) -> Result<TopicFilter, InvalidTopic> {
    TopicFilter::parse(text.as_bytes())
}

fn matches(f: &str, n: &str) -> bool {
    filter(f).unwrap().matches(&name(n).unwrap())
}

/// [MQTT-4.7.1-1]
#[test]
fn wildcards_are_for_filters_only() {
    for text in ["#", "+", "a/+", "a/#", "+/b"] {
        assert_eq!(name(text), Err(InvalidTopic::WildcardInName), "{text}");
        assert!(filter(text).is_ok(), "{text}");
    }
}

/// [MQTT-4.7.1-2]
#[test]
fn multi_level_wildcard_stands_alone_and_last() {
    for text in ["a#", "#a", "a/b#", "a/#/b", "##", "#/"] {
        assert_eq!(filter(text), Err(InvalidTopic::MisplacedWildcard), "{text}");
    }
    assert!(["#", "a/#", "/#", "+/#"].into_iter().all(|text| filter(text).is_ok()));
    assert!(["a", "a/b", "a/b/c"].into_iter().all(|topic| matches("a/#", topic)));
    assert!(!matches("a/#", "ab"));
}

/// [MQTT-4.7.1-3]
#[test]
fn single_level_wildcard_takes_a_whole_level() {
    for text in ["a+", "+a", "a/b+/c", "++"] {
        assert_eq!(filter(text), Err(InvalidTopic::MisplacedWildcard), "{text}");
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
    assert_eq!(name(""), Err(InvalidTopic::Empty));
    assert_eq!(filter(""), Err(InvalidTopic::Empty));
    assert!(name("/").is_ok() && filter("/").is_ok());
}

/// [MQTT-4.7.3-2]
#[test]
fn name_and_filter_have_no_u_0000() {
    assert_eq!(name("a\0"), Err(InvalidTopic::ContainsNull));
    assert_eq!(filter("a\0/#"), Err(InvalidTopic::ContainsNull));
    assert_eq!(Subscription::parse(b"$share/g/\0"), Err(InvalidTopic::ContainsNull));
}

/// [MQTT-4.7.3-3]
#[test]
fn name_and_filter_have_at_most_65535_bytes() {
    let (longest, longer) = ("é".repeat(32_767) + "a", "é".repeat(32_768));
    assert!(name(&longest).is_ok() && filter(&longest).is_ok());
    assert_eq!(name(&longer), Err(InvalidTopic::TooLong));
    assert_eq!(filter(&longer), Err(InvalidTopic::TooLong));
}

/// [MQTT-4.7.3-4]
#[test]
fn matching_compares_characters_as_they_are() {
    assert!(matches("é/ \u{FFFF}", "é/ \u{FFFF}"));
    for (f, n) in [("a", "A"), ("e\u{301}", "é"), ("a", "a "), ("a", "/a"), ("a/b", "a//b")] {
        assert!(!matches(f, n), "{f:?} {n:?}");
    }
}
