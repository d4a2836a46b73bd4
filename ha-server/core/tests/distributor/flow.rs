//! Which deliveries a session is given, and when.

use ha_core::StreamId;
use ha_types::session::{Ask, CloseCause, NewWill, Open, Progress, SessionKey, Tell};
use ha_types::{Qos, Subscription, Ticket};

use crate::common::{
    Cluster, Log, ask, config, durable, given, message, numbered, opened, subscribe, with_qos,
};

/// A session with these filters, at QoS 2.
fn session(cluster: &mut Cluster, broker: StreamId, open: Open, filters: &[&str]) -> SessionKey {
    cluster.say(broker, [ask(1, Ask::Open(open))]);
    let session = opened(&cluster.tells(broker)).session;
    for (number, filter) in (2..).zip(filters) {
        cluster.say(broker, [ask(number, subscribe(session, filter, Qos::ExactlyOnce))]);
    }
    cluster.read(broker);
    session
}

fn payloads(tells: &[Tell]) -> Vec<String> {
    given(tells).into_iter().map(|(_, payload)| payload).collect()
}

/// The record that an UNSUBSCRIBE made takes the only place: nothing is asked for over and over.
#[test]
fn delivery_that_finds_no_place_waits_for_an_acknowledgement() {
    let mut cluster = Cluster::new(config());
    let (publisher, broker) = (cluster.attach("p"), cluster.attach("b"));
    let open = Open { receive_maximum: 1, ..durable("c", 1) };
    let session = session(&mut cluster, broker, open, &["old", "new"]);
    cluster.say(publisher, [numbered(1, message("old", "1"))]);
    let first = given(&cluster.tells(broker));
    let subscriptions = vec![Subscription::parse(b"old").unwrap()];
    let unsubscribe = Ask::Unsubscribe { session, ticket: Ticket(2), subscriptions };
    cluster.say(broker, [ask(4, unsubscribe)]);
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(2, with_qos(Qos::ExactlyOnce, message("new", "2")))]);
    for _ in 0..10 {
        cluster.commit();
        cluster.tell_applied();
    }
    assert!(cluster.proposed.is_empty() && cluster.applied.is_empty(), "it would never end");
    assert!(given(&cluster.tells(broker)).is_empty());
    let progress = Progress { acknowledged: vec![first[0].0], ..Progress::default() };
    cluster.say(broker, [ask(5, Ask::Progress { session, progress })]);
    cluster.settle();
    assert_eq!(payloads(&cluster.tells(broker)), ["2"]);
}

#[test]
fn will_that_was_stored_before_a_message_of_its_batch_is_given_before_it() {
    let mut cluster = Cluster::new(config());
    let (publisher, broker) = (cluster.attach("p"), cluster.attach("b"));
    session(&mut cluster, broker, durable("sub", 1), &["#"]);
    let message_of = |payload| std::sync::Arc::new(message("t", payload));
    let will = NewWill { message: message_of("will"), expires_in_s: None, delay_s: 0 };
    let dying = Open { will: Some(will), ..durable("dying", 1) };
    let session = session(&mut cluster, publisher, dying, &[]);
    let close = Ask::Close {
        session,
        cause: CloseCause::Failure,
        progress: Progress::default(),
        lifetime: None,
    };
    cluster.say(publisher, [ask(2, close), numbered(1, message("t", "message"))]);
    assert_eq!(payloads(&cluster.tells(broker)), ["will", "message"]);
}

#[test]
fn session_of_many_filters_is_given_a_message_once() {
    let mut cluster = Cluster::new(config());
    let (publisher, broker) = (cluster.attach("p"), cluster.attach("b"));
    session(&mut cluster, broker, durable("c", 1), &["t", "+", "#"]);
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    assert_eq!(payloads(&cluster.tells(broker)), ["1"]);
}
