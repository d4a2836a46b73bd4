//! Interest, live routes, and what a session is given.

use broker_core::holder::RouteChange;
use broker_core::host::HostCommand;
use broker_core::{Config, Output};
use ha_types::session::{Ask, Lifetime, Offset, Opened, Page, PageEnd, Queued, RefuseReason, Tell};
use ha_types::{Qos, Ticket};

use super::common::{
    acknowledge, attached, close, clustered, key, open, opened, options, queued, subscribe,
    subscribed,
};
use crate::common::{Bench, Outputs, publish, subscription, welcome};

const DURABLE: Lifetime = Lifetime::Seconds(60);
const EPHEMERAL: Lifetime = Lifetime::Connection;

fn routed(outputs: &Outputs) -> Vec<&RouteChange> {
    let route = |output| match output {
        &Output::Host(HostCommand::Route(ref change)) => Some(change),
        _ => None,
    };
    outputs.0.iter().filter_map(route).collect()
}

fn unsubscribe(n: u64, ticket: u64, filter: &str) -> Ask {
    let (ticket, subscriptions) = (Ticket(ticket), vec![subscription(filter)]);
    Ask::Unsubscribe { session: key(n), ticket, subscriptions }
}

#[test]
fn ha_server_is_told_of_a_filter_before_it_is_asked() {
    let mut bench = attached();
    bench.serve(1, EPHEMERAL, 1);
    bench.serve(2, DURABLE, 2);
    assert_eq!(bench.ask(subscribe(1, 1, "a")).up(), ["+a", "ask 3 subscribe 1"]);
    assert_eq!(bench.ask(subscribe(2, 1, "b")).up(), ["+0 b", "ask 4 subscribe 2"]);
    assert_eq!(bench.ask(subscribe(1, 2, "b")).up(), ["+b", "ask 5 subscribe 1"]);
    assert_eq!(bench.ask(subscribe(2, 2, "a")).up(), ["ask 6 subscribe 2"], "all of it comes");
}

#[test]
fn filter_that_is_refused_is_withdrawn() {
    let mut bench = attached();
    bench.serve(1, EPHEMERAL, 1);
    bench.ask(subscribe(1, 1, "a"));
    let granted = vec![Err(RefuseReason::QuotaExceeded)];
    let tell = Tell::Subscribed { session: key(1), ticket: Ticket(1), granted };
    let outputs = bench.tell(1, tell.clone());
    assert_eq!((outputs.up(), outputs.told()), (vec!["-a".into()], vec![(1, &tell)]));
    assert!(routed(&outputs).is_empty());
}

#[test]
fn subscription_is_live_before_its_answer_and_answered_once() {
    let mut bench = attached();
    bench.serve(1, EPHEMERAL, 1);
    bench.ask(subscribe(1, 1, "a"));
    let outputs = bench.tell(1, subscribed(1, 1));
    assert!(
        matches!(
            outputs.0[..],
            [
                Output::Host(HostCommand::Route(RouteChange::Add { .. })),
                Output::Host(HostCommand::Tell(..))
            ]
        ),
        "{outputs:?}"
    );
    assert_eq!(bench.tell(1, subscribed(1, 1)).0, []);
}

#[test]
fn unsubscribe_ends_interest_and_route_when_it_is_answered() {
    let mut bench = attached();
    bench.serve(1, EPHEMERAL, 1);
    bench.ask(subscribe(1, 1, "a"));
    bench.tell(1, subscribed(1, 1));
    assert_eq!(bench.ask(unsubscribe(1, 2, "a")).up(), ["ask 3 unsubscribe 1"]);
    let (session, ticket) = (key(1), Ticket(2));
    let tell = Tell::Unsubscribed { session, ticket, existed: vec![true] };
    let outputs = bench.tell(1, tell.clone());
    assert_eq!(outputs.up(), ["-a"]);
    assert!(matches!(routed(&outputs)[..], [RouteChange::Remove { .. }]));
    assert_eq!(bench.tell(1, tell).0, []);
}

#[test]
fn close_and_fencing_end_interest_and_routes() {
    for is_fenced in [false, true] {
        let mut bench = attached();
        bench.serve(1, EPHEMERAL, 1);
        bench.ask(subscribe(1, 1, "a"));
        bench.tell(1, subscribed(1, 1));
        bench.ask(subscribe(1, 2, "b"));
        let fenced = Tell::Fenced { session: key(1) };
        let outputs = if is_fenced { bench.tell(1, fenced) } else { bench.ask(close(1)) };
        assert_eq!(outputs.up()[0], "-a b");
        assert!(matches!(routed(&outputs)[..], [RouteChange::RemoveAll { .. }]));
        assert_eq!(outputs.told().len(), usize::from(is_fenced));
        assert_eq!(bench.ask(acknowledge(1, 6)).0, [], "it is nobody's here");
        assert_eq!(bench.tell(1, subscribed(1, 2)).0, []);
    }
}

#[test]
fn session_that_is_present_is_live_at_qos_0_only_and_brings_its_filters() {
    let mut bench = attached();
    bench.ask(open(1, EPHEMERAL));
    let known = Opened { is_present: true, subscriptions: vec![options("a")], ..opened(1) };
    let outputs = bench.tell(1, Tell::Opened(known));
    assert_eq!(outputs.up(), ["+0 a"]);
    assert_eq!(routed(&outputs).len(), 1);
}

#[test]
fn subscribe_beyond_the_limit_of_filters_is_refused_here() {
    let mut bench = Bench::new(Config { filters_max: 1, ..clustered() });
    bench.attach_again(welcome());
    bench.serve(1, DURABLE, 1);
    bench.ask(subscribe(1, 1, "a"));
    let outputs = bench.ask(subscribe(1, 2, "b"));
    assert_eq!(outputs.up(), [""; 0]);
    let granted = vec![Err(RefuseReason::QuotaExceeded)];
    let refused = Tell::Subscribed { session: key(1), ticket: Ticket(2), granted };
    assert_eq!(outputs.told(), [(1, &refused)]);
    assert_eq!(bench.ask(subscribe(1, 3, "a")).up(), ["ask 3 subscribe 1"], "known");
}

/// A message of a share group at QoS 0: it is in no queue.
#[test]
fn delivery_without_a_place_is_always_new_and_hides_no_other() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    let Tell::Deliver { session, queued: placed } = queued(1, 6) else { unreachable!() };
    let live = Queued { offset: Offset::NONE, qos: Qos::AtMostOnce, ..placed.clone() };
    for (queued, told) in [(&live, 1), (&live, 1), (&placed, 1), (&live, 1), (&placed, 0)] {
        let tell = Tell::Deliver { session, queued: queued.clone() };
        assert_eq!(bench.tell(1, tell).told().len(), told);
    }
}

#[test]
fn delivery_that_comes_again_is_dropped_unless_the_engine_fetched() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    let given = |bench: &mut Bench, offset| bench.tell(1, queued(1, offset)).told().len();
    assert_eq!([5, 6, 6, 7].map(|offset| given(&mut bench, offset)), [0, 1, 0, 1]);
    let (session, after) = (key(1), Some(Offset::new(6)));
    let fetch = Ask::Fetch { session, after, messages_max: 1, bytes_max: 1 };
    assert_eq!(bench.ask(fetch).up(), ["ask 2 fetch 1"]);
    assert_eq!(given(&mut bench, 8), 0, "on its way from before");
    let page = Page { messages: vec![], end: PageEnd::Live(Offset::new(6)) };
    let page = Tell::Page { session, page };
    assert_eq!(bench.tell(1, page.clone()).told().len(), 1);
    assert_eq!(bench.tell(1, page).told().len(), 0);
    assert_eq!([6, 7, 8].map(|offset| given(&mut bench, offset)), [0, 1, 1]);
}

#[test]
fn progress_passes_publishes_that_wait_and_subscribe_and_close_do_not() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    for n in 1..=5 {
        bench.publish(publish("t", "x").of(1, n));
    }
    assert_eq!(bench.ask(acknowledge(1, 6)).up(), ["ask 2 progress 1 1"]);
    assert_eq!(bench.ask(subscribe(1, 1, "a")).up(), ["+0 a"]);
    bench.publish(publish("t", "last").of(1, 6));
    assert_eq!(bench.ask(close(1)).up(), ["-a"]);
    assert_eq!(bench.result(1, 0).up(), ["publish 5 x!", "ask 3 subscribe 1"]);
    assert_eq!(bench.result(2, 0).up(), ["publish 6 last!", "ask 4 close 1 Disconnect"]);
}

#[test]
fn qos_0_passes_publishes_that_wait_but_no_subscribe() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    for n in 1..=5 {
        bench.publish(publish("t", "x").of(1, n));
    }
    assert_eq!(bench.publish(publish("t", "0").qos_0()).up(), ["publish 0 0"]);
    bench.ask(subscribe(1, 1, "a"));
    assert_eq!(bench.publish(publish("t", "0").qos_0()).up(), [""; 0]);
    let up = bench.result(1, 0).up();
    assert_eq!(up, ["publish 5 x!", "ask 2 subscribe 1"]);
    assert_eq!(bench.result(2, 0).up(), ["publish 0 0"]);
}
