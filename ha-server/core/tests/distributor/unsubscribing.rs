//! UNSUBSCRIBE while deliveries are under way.

use ha_types::session::{Ask, Offset, SessionKey};
use ha_types::{Qos, Subscription, Ticket};

use crate::common::{Log, ask, given, message, numbered, subscribe};
use crate::sessions::{acknowledge, payloads, subscribed};

fn unsubscribe(session: SessionKey, filter: &str) -> Ask {
    let subscriptions = vec![Subscription::parse(filter.as_bytes()).unwrap()];
    Ask::Unsubscribe { session, ticket: Ticket(1), subscriptions }
}

#[test]
fn unsubscribe_keeps_what_was_given_and_nothing_is_given_while_it_is_proposed() {
    let (mut cluster, publisher, broker, session) = subscribed();
    for number in 1..=40 {
        cluster.say(publisher, [numbered(number, message("t", &number.to_string()))]);
    }
    let first = given(&cluster.tells(broker));
    assert_eq!(first.len(), 32);
    cluster.log = Log::Manual;
    let acknowledged = acknowledge(session, &[first[0].0, first[1].0]);
    cluster.say(broker, [ask(3, acknowledged)]);
    cluster.say(broker, [ask(4, unsubscribe(session, "t"))]);
    assert!(cluster.commit() && cluster.tell_applied());
    assert!(payloads(&cluster.tells(broker)).is_empty(), "there is room, and it is held");
    cluster.settle();
    assert_eq!(cluster.state.unacknowledged(session.id), 30, "what the engine has goes on");
    cluster.log = Log::Prompt;
    cluster.say(broker, [ask(5, subscribe(session, "t", Qos::AtLeastOnce))]);
    cluster.say(publisher, [numbered(41, message("t", "41"))]);
    let rest: Vec<Offset> = first.iter().map(|(offset, _)| *offset).collect();
    cluster.say(broker, [ask(6, acknowledge(session, &rest))]);
    assert_eq!(payloads(&cluster.tells(broker)), ["41"]);
}

#[test]
fn message_stored_before_the_unsubscribe_is_not_given_while_that_is_proposed() {
    let (mut cluster, publisher, broker, session) = subscribed();
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    cluster.say(broker, [ask(3, unsubscribe(session, "t"))]);
    assert!(cluster.commit() && cluster.tell_applied());
    assert!(cluster.tells(broker).is_empty());
    cluster.settle();
    assert!(payloads(&cluster.tells(broker)).is_empty(), "and then it is for nobody");
    assert_eq!(cluster.state.unacknowledged(session.id), 0);
}
