use bytes::Bytes;

use super::*;

fn inflow() -> Inflow {
    let limits = InflowLimits { topic_aliases_max: 2, receive_maximum: 2 };
    Inflow::new(limits, BTreeSet::new())
}

fn name(topic: &'static str) -> TopicName {
    TopicName::parse(Bytes::from_static(topic.as_bytes())).unwrap()
}

fn publish(topic: &'static str) -> Publish {
    Publish {
        flow: Flow::AtMostOnce,
        dup: false,
        retain: false,
        topic: Topic::Name(name(topic)),
        expires_in_s: None,
        subscription_ids: Vec::new(),
        properties: Bytes::new(),
        payload: Bytes::new(),
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn qos_2(packet_id: u16) -> Publish {
    Publish { flow: Flow::ExactlyOnce(id(packet_id)), ..publish("t") }
}

fn forward(topic: &'static str) -> Result<Intake, Violation> {
    Ok(Intake::Forward(name(topic)))
}

fn admit(inflow: &mut Inflow, publish: &Publish) -> Result<Intake, Violation> {
    inflow.admit(publish, |_| true)
}

#[test]
fn topic_that_would_panic_the_router_is_refused() {
    let refused = Ok(Intake::Refuse(Unroutable::NonAscii));
    assert_eq!(admit(&mut inflow(), &publish("é/x")), refused);
    assert_eq!(admit(&mut inflow(), &publish("x/é")), forward("x/é"));
}

#[test]
fn topics_of_the_server_are_denied_whatever_the_rules_say() {
    for topic in ["$SYS/a", "$CONTROL/a", "$SYS"] {
        assert_eq!(admit(&mut inflow(), &publish(topic)), Ok(Intake::Deny), "{topic}");
    }
    for topic in ["$share/g/a", "$x", "$SYSTEM/a"] {
        let refused = Ok(Intake::Refuse(Unroutable::Dollar));
        assert_eq!(admit(&mut inflow(), &publish(topic)), refused, "{topic}");
    }
}

#[test]
fn topic_that_the_client_may_not_publish_to_is_denied_and_takes_no_packet_id() {
    let mut inflow = inflow();
    assert_eq!(inflow.admit(&qos_2(1), |topic| topic.as_str() != "t"), Ok(Intake::Deny));
    assert_eq!(inflow.release(id(1)), Reason::PACKET_ID_NOT_FOUND);
    assert_eq!(inflow.admit(&qos_2(1), |topic| topic.as_str() == "t"), forward("t"));
}

/// The PUBREC that the client did not get said success.
#[test]
fn repeat_of_a_forwarded_message_is_not_denied_when_the_rules_change() {
    let mut inflow = inflow();
    assert_eq!(admit(&mut inflow, &qos_2(1)), forward("t"));
    assert_eq!(inflow.admit(&qos_2(1), |_| false), Ok(Intake::Repeat));
}

#[test]
fn topic_alias_stands_for_its_topic_until_it_is_set_again() {
    let mut inflow = inflow();
    let alias = TopicAlias::new(2).unwrap();
    let set = |topic| Publish { topic: Topic::Both(name(topic), alias), ..publish(topic) };
    let used = Publish { topic: Topic::Alias(alias), ..publish("x") };
    assert_eq!(admit(&mut inflow, &used), Err(Violation::AliasUnknown));
    assert_eq!(admit(&mut inflow, &set("a")), forward("a"));
    assert_eq!(admit(&mut inflow, &used), forward("a"));
    assert_eq!(admit(&mut inflow, &set("b")), forward("b"));
    assert_eq!(admit(&mut inflow, &used), forward("b"));
}

#[test]
fn topic_alias_is_set_also_by_a_message_that_is_denied() {
    let mut inflow = inflow();
    let alias = TopicAlias::new(1).unwrap();
    let set = Publish { topic: Topic::Both(name("a"), alias), ..publish("x") };
    assert_eq!(inflow.admit(&set, |_| false), Ok(Intake::Deny));
    let used = Publish { topic: Topic::Alias(alias), ..publish("x") };
    assert_eq!(admit(&mut inflow, &used), forward("a"));
}

/// [MQTT-3.3.2-9]
#[test]
fn topic_alias_above_the_announced_maximum_is_invalid() {
    let alias = TopicAlias::new(3).unwrap();
    for topic in [Topic::Both(name("a"), alias), Topic::Alias(alias)] {
        let admission = admit(&mut inflow(), &Publish { topic, ..publish("a") });
        assert_eq!(admission.unwrap_err().reason(), Reason::TOPIC_ALIAS_INVALID);
    }
}

/// [MQTT-4.3.3-10]
#[test]
fn repeated_qos_2_publish_is_not_forwarded_until_it_was_released() {
    let mut inflow = inflow();
    assert_eq!(admit(&mut inflow, &qos_2(7)), forward("t"));
    assert_eq!(admit(&mut inflow, &qos_2(7)), Ok(Intake::Repeat));
    assert_eq!(inflow.release(id(7)), Reason::SUCCESS);
    assert_eq!(inflow.release(id(7)), Reason::PACKET_ID_NOT_FOUND);
    assert_eq!(admit(&mut inflow, &qos_2(7)), forward("t"));
}

#[test]
fn qos_2_publish_beyond_receive_maximum_ends_the_connection() {
    let mut inflow = inflow();
    assert!(admit(&mut inflow, &qos_2(1)).is_ok());
    assert!(admit(&mut inflow, &qos_2(2)).is_ok());
    assert_eq!(admit(&mut inflow, &qos_2(3)), Err(Violation::ReceiveMaximum));
    inflow.release(id(1));
    assert!(admit(&mut inflow, &qos_2(3)).is_ok());
}
