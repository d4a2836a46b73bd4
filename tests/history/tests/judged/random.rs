//! Right histories of all kinds pass, and with one fault planted fail as they must.

use std::collections::BTreeMap;

use ha_types::Qos;
use history::{Event, History, Kind, NEVER_EXPIRES, Present, Retain, Start, Step, Verdict, What};
use proptest::prelude::*;

use crate::model::{EPHEMERAL, Model};
use crate::story::{Q0, Q1, Q2, delivered, publishing, retained, subscribing};

type Events = Vec<Event<String>>;

fn check(events: &Events) -> Verdict {
    let mut history = History::default();
    events.iter().cloned().for_each(|event| history.push_named(event));
    history.check()
}

/// A message as one client got it.
type Got = (String, String, u32);

fn got(event: &Event<String>) -> Option<Got> {
    match &event.what {
        What::Delivered { publisher, number, .. } => {
            Some((event.who.clone(), publisher.clone(), *number))
        }
        _ => None,
    }
}

/// Places of all deliveries of each message to each client.
fn deliveries(events: &Events) -> BTreeMap<Got, Vec<usize>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for (at, event) in events.iter().enumerate() {
        if let Some(got) = got(event) {
            all.entry(got).or_default().push(at);
        }
    }
    all
}

/// How often each message was sent.
fn attempts(events: &Events) -> BTreeMap<(String, u32), u32> {
    let mut all = BTreeMap::new();
    for event in events {
        if let What::Publishing { number, .. } = event.what {
            *all.entry((event.who.clone(), number)).or_default() += 1;
        }
    }
    all
}

/// Where a message was first sent, and its QoS.
fn published(model: &Model, publisher: &str, number: u32) -> Option<(usize, Qos)> {
    model.events.iter().enumerate().find_map(|(at, event)| match event.what {
        What::Publishing { number: n, qos, .. } if n == number && event.who == publisher => {
            Some((at, qos))
        }
        _ => None,
    })
}

fn nth<T: Clone>(all: &[T], choice: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[choice % all.len()].clone())
}

/// Removes all deliveries of a message that is owed.
fn lose(model: &Model, choice: usize) -> Option<Events> {
    let owed = deliveries(&model.events).into_iter().filter(|((who, publisher, number), _)| {
        let publish = model.events.iter().position(|event| {
            matches!(event.what, What::Publishing { number: n, qos, retain, .. }
                if n == *number && event.who == *publisher && qos > Q0 && retain != Retain::Clear)
        });
        let Some(at) = publish else { return false };
        let What::Publishing { topic, .. } = &model.events[at].what else { return false };
        model.acknowledged.contains(&(publisher.clone(), *number))
            && model.owed_since(who, topic).is_some_and(|since| at > since)
    });
    let (_, places) = nth(&owed.collect::<Vec<_>>(), choice)?;
    let kept = model.events.iter().enumerate().filter(|(at, _)| !places.contains(at));
    Some(kept.map(|(_, event)| event.clone()).collect())
}

/// Delivers a message of the last session once more at its end, with a new packet id.
fn repeat(model: &Model, choice: usize) -> Option<(Kind, Events)> {
    let attempts = attempts(&model.events);
    let all = deliveries(&model.events).into_iter().filter_map(|((who, publisher, number), at)| {
        let place = *at.iter().find(|&&at| at > model.session_began(&who))?;
        // A fault would excuse it at an ephemeral session.
        let is_durable = who != model.clients[EPHEMERAL].name;
        let is_fresh = is_durable && at[0] == place && attempts[&(publisher, number)] == 1;
        let event = model.events[place].clone();
        let is_right = matches!(event.what, What::Delivered { qos, retain: false, .. } if qos > Q0);
        (is_fresh && is_right).then_some(event)
    });
    let mut event = nth(&all.collect::<Vec<_>>(), choice)?;
    let client = model.clients.iter().find(|client| client.name == event.who)?;
    event.connection = client.connection;
    let What::Delivered { qos, packet_id, dup, .. } = &mut event.what else { return None };
    (*packet_id, *dup) = (60_000, false);
    let kind = if *qos == Q2 { Kind::ExactlyOnceTwice } else { Kind::TwiceWithoutCause };
    let mut events = model.events.clone();
    events.push(event);
    Some((kind, events))
}

/// Exchanges two messages that came once each.
fn swap(model: &Model, choice: usize) -> Option<Events> {
    let attempts = attempts(&model.events);
    let mut lanes = BTreeMap::<_, Vec<_>>::new();
    for ((who, publisher, number), at) in deliveries(&model.events) {
        let What::Delivered { topic, qos, retain: false, .. } = &model.events[at[0]].what else {
            continue;
        };
        let Some((sent_at, published)) = published(model, &publisher, number) else { continue };
        if at.len() == 1 && attempts[&(publisher.clone(), number)] == 1 && *qos > Q0 {
            lanes
                .entry((who, publisher, topic, published))
                .or_default()
                .push((number, at[0], sent_at));
        }
    }
    let pairs = lanes.values().flat_map(|lane| lane.windows(2));
    // Not before it was published, which would be another violation.
    let pairs: Vec<_> = pairs.filter(|pair| pair[1].2 < pair[0].1).collect();
    let [first, second] = *nth(&pairs, choice)? else { return None };
    let mut events = model.events.clone();
    for (at, new) in [(first.1, second.0), (second.1, first.0)] {
        if let What::Delivered { number, .. } = &mut events[at].what {
            *number = new;
        }
    }
    Some(events)
}

/// Changes one event that can be changed so.
fn change(
    model: &Model,
    choice: usize,
    to: impl Fn(What<String>) -> Option<What<String>>,
) -> Option<Events> {
    let all = model.events.iter().enumerate();
    let all = all.filter_map(|(at, event)| Some((at, to(event.what.clone())?)));
    let (at, what) = nth(&all.collect::<Vec<_>>(), choice)?;
    let mut events = model.events.clone();
    events[at].what = what;
    Some(events)
}

fn never_published(mut what: What<String>) -> Option<What<String>> {
    let What::Delivered { number, .. } = &mut what else { return None };
    *number += 1_000_000;
    Some(what)
}

/// One more than was published.
fn higher_qos(model: &Model, mut what: What<String>) -> Option<What<String>> {
    let What::Delivered { publisher, number, qos, packet_id, .. } = &mut what else { return None };
    let (_, published) = published(model, publisher, *number)?;
    *qos = if published == Q0 { Q1 } else { Q2 };
    *packet_id = 60_000;
    (published < Q2).then_some(what)
}

fn session_lost(what: What<String>) -> Option<What<String>> {
    let is_present = what == What::Connected { session: Present::Present };
    is_present.then_some(What::Connected { session: Present::New })
}

/// Another message comes with the packet id of one that is not acknowledged.
fn same_id(model: &Model, choice: usize) -> Option<Events> {
    let all = model.events.iter().enumerate().filter_map(|(at, event)| {
        let numbered = matches!(event.what, What::Delivered { qos, .. } if qos > Q0);
        numbered.then_some(at)
    });
    let mut events = model.events.clone();
    let at = nth(&all.collect::<Vec<_>>(), choice)?;
    let mut other = events[at].clone();
    let What::Delivered { publisher, number, topic, retain, .. } = &mut other.what else {
        return None;
    };
    *retain = false;
    let earlier = events[..at].iter().find_map(|event| match &event.what {
        What::Publishing { number: n, topic, .. } if (&event.who, n) != (&*publisher, &*number) => {
            Some((event.who.clone(), *n, topic.clone()))
        }
        _ => None,
    });
    (*publisher, *number, *topic) = earlier?;
    events.insert(at + 1, other);
    Some(events)
}

/// What happens after the end of a right history.
fn and_then(model: &Model, more: &[(usize, What<String>)]) -> Option<Events> {
    let mut events = model.events.clone();
    for (who, what) in more {
        let (client, what) = (&model.clients[*who], what.clone());
        events.push(Event { who: client.name.clone(), connection: client.connection, what });
    }
    Some(events)
}

/// A retained message that a later SUBSCRIBE does not see.
fn forget_retained(model: &Model) -> Option<Events> {
    let (number, step, filter) = (60_000, Step::Puback, String::from("new"));
    let acknowledged = What::Acknowledged { number, step };
    let granted = What::Subscribed { filter, granted: Some(Q1) };
    let publishing = retained(number, "new", Retain::Keep);
    let more = [(0, publishing), (0, acknowledged), (1, subscribing("new", Q1)), (1, granted)];
    let more: Vec<_> = more.into_iter().chain([(1, What::Drained)]).collect();
    and_then(model, &more)
}

/// A message that was published to a topic that nobody subscribed to.
fn unasked(model: &Model) -> Option<Events> {
    let got = delivered("p", 60_000, "new/x", Q1);
    and_then(model, &[(0, publishing(60_000, "new/x", Q1)), (1, got)])
}

/// A client connects again, and its old connection is answered.
fn two_owners(model: &Model) -> Option<Events> {
    let number = 60_000;
    let mut events = model.events.clone();
    let client = &model.clients[0];
    let (who, connection) = (client.name.clone(), client.connection + 1);
    let connecting = What::Connecting { start: Start::Resume, expires_s: NEVER_EXPIRES };
    let connected = What::Connected { session: Present::Present };
    events.extend([connecting, connected].map(|what| Event { who: who.clone(), connection, what }));
    let acknowledged = What::Acknowledged { number, step: Step::Puback };
    let old = [publishing(number, "new", Q1), acknowledged];
    let connection = client.connection;
    events.extend(old.map(|what| Event { who: who.clone(), connection, what }));
    Some(events)
}

fn must_fail(kind: Kind, planted: Option<Events>) -> Result<(), TestCaseError> {
    let Some(events) = planted else {
        return Err(TestCaseError::reject("nothing to change"));
    };
    let verdict = check(&events);
    prop_assert!(verdict.total(kind) > 0, "{:?} was not found: {}", kind, verdict);
    Ok(())
}

fn choices() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 60..200)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_global_rejects: 16_384,
        ..ProptestConfig::default()
    })]

    #[test]
    fn right_history_passes(choices in choices()) {
        let verdict = check(&Model::run(&choices).events);
        prop_assert!(verdict.is_clean(), "{}", verdict);
    }

    #[test]
    fn lost_message_is_found(choices in choices(), choice: usize) {
        must_fail(Kind::AcknowledgedAndLost, lose(&Model::run(&choices), choice))?;
    }

    #[test]
    fn repeated_message_is_found(choices in choices(), choice: usize) {
        let planted = repeat(&Model::run(&choices), choice);
        let kind = planted.as_ref().map_or(Kind::TwiceWithoutCause, |(kind, _)| *kind);
        must_fail(kind, planted.map(|(_, events)| events))?;
    }

    #[test]
    fn exchanged_messages_are_found(choices in choices(), choice: usize) {
        must_fail(Kind::OutOfOrder, swap(&Model::run(&choices), choice))?;
    }

    #[test]
    fn invented_message_is_found(choices in choices(), choice: usize) {
        let planted = change(&Model::run(&choices), choice, never_published);
        must_fail(Kind::NeverPublished, planted)?;
    }

    #[test]
    fn raised_qos_is_found(choices in choices(), choice: usize) {
        let model = Model::run(&choices);
        let planted = change(&model, choice, |what| higher_qos(&model, what));
        must_fail(Kind::QosTooHigh, planted)?;
    }

    #[test]
    fn forgotten_session_is_found(choices in choices(), choice: usize) {
        must_fail(Kind::SessionPresent, change(&Model::run(&choices), choice, session_lost))?;
    }

    #[test]
    fn forgotten_retained_message_is_found(choices in choices()) {
        must_fail(Kind::RetainedMissing, forget_retained(&Model::run(&choices)))?;
    }

    #[test]
    fn unasked_message_is_found(choices in choices()) {
        must_fail(Kind::NotSubscribed, unasked(&Model::run(&choices)))?;
    }

    #[test]
    fn second_owner_is_found(choices in choices()) {
        must_fail(Kind::ConnectedTwice, two_owners(&Model::run(&choices)))?;
    }

    #[test]
    fn packet_id_in_use_is_found(choices in choices(), choice: usize) {
        must_fail(Kind::PacketIdInFlight, same_id(&Model::run(&choices), choice))?;
    }
}
