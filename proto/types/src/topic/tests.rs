//! Rules of topic names, filters and shared subscriptions, one sentence each.

use super::*;

#[test]
fn filters_meet_when_a_topic_matches_both() {
    for (a, b) in [("a/+", "+/b"), ("#", "x/y"), ("a/#", "a"), ("+", "#"), ("a/b", "a/b")] {
        assert!(filter(a).meets(&filter(b)) && filter(b).meets(&filter(a)), "{a} {b}");
    }
    for (a, b) in [("a/+", "b/+"), ("+", "a/b"), ("#", "$SYS/x"), ("a/b/#", "a"), ("a", "b")] {
        assert!(!filter(a).meets(&filter(b)) && !filter(b).meets(&filter(a)), "{a} {b}");
    }
}

#[test]
fn filter_covers_what_is_narrower() {
    for (wide, narrow) in [("#", "a/+"), ("a/#", "a"), ("+/b", "a/b"), ("a/#", "a/b/#")] {
        assert!(filter(wide).covers(&filter(narrow)), "{wide} {narrow}");
    }
    for (one, other) in [("a/+", "a/#"), ("#", "$SYS/a"), ("a/b", "a/+"), ("+", "a/b")] {
        assert!(!filter(one).covers(&filter(other)), "{one} {other}");
    }
}

fn name(text: &str) -> Result<TopicName, InvalidTopic> {
    TopicName::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text.as_bytes()).unwrap()
}

/// [MQTT-3.3.2-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2]
#[test]
fn topic_name_refuses_wildcards_emptiness_and_null() {
    assert_eq!(name("a/+"), Err(InvalidTopic::WildcardInName));
    assert_eq!(name("a#"), Err(InvalidTopic::WildcardInName));
    assert_eq!(name(""), Err(InvalidTopic::Empty));
    assert_eq!(name("a\0b"), Err(InvalidTopic::ContainsNull));
    assert_eq!(TopicName::parse(Bytes::from_static(b"\xff/x")), Err(InvalidTopic::NotUtf8));
    assert!(name("é/x").is_ok());
}

#[test]
fn topic_has_at_most_65535_bytes_and_128_levels() {
    assert!(name(&"a".repeat(65_535)).is_ok());
    assert_eq!(name(&"a".repeat(65_536)), Err(InvalidTopic::TooLong));
    assert!(name(&"/".repeat(127)).is_ok());
    assert_eq!(name(&"/".repeat(128)), Err(InvalidTopic::TooManyLevels));
}

/// [MQTT-4.7.1-1], [MQTT-4.7.1-2]
#[test]
fn filter_refuses_misplaced_wildcards() {
    for text in ["a#", "#/a", "a/#/b", "a+", "+a/b", "++", "##", "a/b+"] {
        let parsed = TopicFilter::parse(text.as_bytes());
        assert_eq!(parsed, Err(InvalidTopic::MisplacedWildcard), "{text}");
    }
    for text in ["#", "+", "a/#", "+/+/#", "/", "//", "a/+/b", "$SYS/#"] {
        assert!(TopicFilter::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn filter_matches_as_the_examples_of_the_specification() {
    let yes = [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/#", "sport"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/a"),
    ];
    let no = [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/a"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("a", "A"),
    ];
    for (f, t) in yes {
        assert!(filter(f).matches(&name(t).unwrap()), "{f} {t}");
    }
    for (f, t) in no {
        assert!(!filter(f).matches(&name(t).unwrap()), "{f} {t}");
    }
}

/// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn shared_subscription_needs_a_name_and_a_filter() {
    for text in ["$share", "$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a"] {
        let parsed = Subscription::parse(text.as_bytes());
        assert_eq!(parsed, Err(InvalidTopic::MalformedShare), "{text}");
    }
    let parsed = Subscription::parse(b"$share/g//a/#").unwrap();
    let Subscription::Shared(shared) = parsed else { panic!("not shared: {parsed:?}") };
    assert_eq!((&*shared.share_name, shared.filter.as_str()), ("g", "/a/#"));
}

#[test]
fn literal_prefix_of_a_filter_begins_every_topic_that_it_matches() {
    for (f, prefix) in [("a/b", "a/b"), ("a/#", "a"), ("a/+/b", "a/"), ("#", ""), ("+", "")] {
        assert_eq!(filter(f).literal_prefix(), prefix);
    }
}
